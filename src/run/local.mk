# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/run/attention.c \
	src/run/embed.c \
	src/run/forward.c \
	src/run/forward.h \
	src/run/gguf_tokenizer.c \
	src/run/gguf_tokenizer.h \
	src/run/head.c \
	src/run/layer.c \
	src/run/load.c \
	src/run/member.c \
	src/run/member.h \
	src/run/network.c \
	src/run/network.h \
	src/run/pack.c \
	src/run/packed.c \
	src/run/packed.h \
	src/run/plan.c \
	src/run/plan.h \
	src/run/plan_measure.c \
	src/run/plan_measure.h \
	src/run/plan_table.c \
	src/run/plan_table.h \
	src/run/region.c \
	src/run/region.h \
	src/run/schedule.c \
	src/run/schedule.h \
	src/run/steps.c \
	src/run/steps.h \
	src/run/unpack.c
