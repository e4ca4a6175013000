# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/base/arena.c \
	src/base/arena.h \
	src/base/checked.h \
	src/base/error.c \
	src/base/error.h \
	src/base/file.c \
	src/base/file.h \
	src/base/half.c \
	src/base/half.h \
	src/base/host.c \
	src/base/host.h \
	src/base/json.c \
	src/base/json.h \
	src/base/version.c
