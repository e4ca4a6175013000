# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/api/engine.c \
	src/api/internal.h \
	src/api/model.c \
	src/api/results.c \
	src/api/session.c \
	src/api/session.h \
	src/api/tokenizer.c
