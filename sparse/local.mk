# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	sparse/layout.c \
	sparse/layout.h
