# SPDX-License-Identifier: Apache-2.0
libcore_la_SOURCES += \
	src/model/checkpoint.c \
	src/model/checkpoint.h \
	src/model/config.c \
	src/model/config.h \
	src/model/config_decoder.c \
	src/model/config_encoder.c \
	src/model/config_parts.h \
	src/model/config_rope.c \
	src/model/expand.c \
	src/model/expand.h \
	src/model/expand_packed.c \
	src/model/json_file.c \
	src/model/json_file.h \
	src/model/json_scan.c \
	src/model/json_scan.h \
	src/model/matrix.c \
	src/model/matrix_rows.c \
	src/model/names.c \
	src/model/names.h \
	src/model/pooling.c \
	src/model/pooling.h \
	src/model/quantization.c \
	src/model/quantization.h \
	src/model/storage.c \
	src/model/storage.h \
	src/model/tensor.h \
	src/model/tensor_convert.c \
	src/model/tensor_header.c \
	src/model/tensor_index.c \
	src/model/tensor_read.c \
	src/model/tensor_set.h \
	src/model/tensor_write.c
