# SPDX-License-Identifier: Apache-2.0
bin_PROGRAMS += lacuna
lacuna_SOURCES = \
	src/cli/activations.c \
	src/cli/activations.h \
	src/cli/answer.c \
	src/cli/attention.c \
	src/cli/attention.h \
	src/cli/classify.c \
	src/cli/command.h \
	src/cli/embed.c \
	src/cli/fill.c \
	src/cli/generate.c \
	src/cli/info.c \
	src/cli/input.c \
	src/cli/input.h \
	src/cli/job.c \
	src/cli/job.h \
	src/cli/kv.c \
	src/cli/kv.h \
	src/cli/lines.c \
	src/cli/lines.h \
	src/cli/main.c \
	src/cli/options.c \
	src/cli/options.h \
	src/cli/output.c \
	src/cli/output.h \
	src/cli/pack.c \
	src/cli/progress.c \
	src/cli/progress.h \
	src/cli/runtime.c \
	src/cli/runtime.h \
	src/cli/score.c \
	src/cli/tag.c \
	src/cli/tally.c \
	src/cli/tally.h \
	src/cli/tokenize.c \
	src/cli/tune_attention.c
lacuna_CPPFLAGS = $(AM_CPPFLAGS) -DLACUNA_DATA_DIR='"$(pkgdatadir)"'
lacuna_LDADD = liblacuna.la $(JANSSON_LIBS)
