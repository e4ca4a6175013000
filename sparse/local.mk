# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	sparse/bitmap.c \
	sparse/bitmap.h \
	sparse/bundle.c \
	sparse/bundle.h \
	sparse/check.c \
	sparse/int4.c \
	sparse/int4.h \
	sparse/layout.c \
	sparse/layout.h \
	sparse/loose.c \
	sparse/loose.h \
	sparse/neighbours.c \
	sparse/outliers.c \
	sparse/outliers.h \
	sparse/pattern.c \
	sparse/pick.c \
	sparse/pick.h \
	sparse/quantize.c \
	sparse/seen.h \
	sparse/sight.c \
	sparse/sight.h \
	sparse/sight_terms.c \
	sparse/sight_terms.h \
	sparse/sums.c \
	sparse/sums.h
