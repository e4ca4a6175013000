# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/api/engine.c \
	src/api/generate.c \
	src/api/generator.c \
	src/api/generator.h \
	src/api/internal.h \
	src/api/model.c \
	src/api/results.c \
	src/api/score.c \
	src/api/search.c \
	src/api/session.c \
	src/api/session.h \
	src/api/session_options.c \
	src/api/step.c \
	src/api/text.c \
	src/api/tokenizer.c \
	src/api/tune.c
