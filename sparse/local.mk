# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	sparse/int4.c \
	sparse/int4.h \
	sparse/layout.c \
	sparse/layout.h
