# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/text/added.c \
	src/text/added.h \
	src/text/bpe.c \
	src/text/decode.c \
	src/text/decode.h \
	src/text/encode.c \
	src/text/finish.c \
	src/text/forms.c \
	src/text/forms.h \
	src/text/map.c \
	src/text/map.h \
	src/text/normalize.c \
	src/text/normalize.h \
	src/text/parts.h \
	src/text/pattern.c \
	src/text/pattern.h \
	src/text/post.c \
	src/text/post.h \
	src/text/pretokenize.c \
	src/text/pretokenize.h \
	src/text/read_json.c \
	src/text/read_model.c \
	src/text/read_plain.c \
	src/text/read_post.c \
	src/text/read_steps.c \
	src/text/scratch.c \
	src/text/scratch.h \
	src/text/tokenizer.c \
	src/text/tokenizer.h \
	src/text/unicode.c \
	src/text/unicode.h \
	src/text/vocab.c \
	src/text/vocab.h \
	src/text/wordmodel.h \
	src/text/wordpiece.c
