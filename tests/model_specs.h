/* SPDX-License-Identifier: Apache-2.0 */
/* Small checkpoints of every family of encoders, made of lists of their tensors. */
#ifndef LACUNA_TESTS_MODEL_SPECS_H
#define LACUNA_TESTS_MODEL_SPECS_H

#include "src/model/checkpoint.h"
#include "src/model/tensor.h"
#include "tests/model_suite.h"

enum { VOCAB = 11, HIDDEN = 8, LAYERS = 2, INNER = 12, POSITIONS = 10, TYPES = 2, N_LABELS = 3 };

#define COMMON                                                                                     \
    "\"vocab_size\":11,\"max_position_embeddings\":10,\"type_vocab_size\":2,"                      \
    "\"num_labels\":3,\"pad_token_id\":1"
#define SIZES                                                                                      \
    COMMON ",\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,"                 \
           "\"intermediate_size\":12"
#define BERT_CONFIG(head) "{\"model_type\":\"bert\",\"architectures\":[\"Bert" head "\"]," SIZES "}"
#define ROBERTA_CONFIG(head)                                                                       \
    "{\"model_type\":\"roberta\",\"architectures\":[\"Roberta" head "\"]," SIZES "}"
#define DISTIL_CONFIG(head)                                                                        \
    "{\"model_type\":\"distilbert\",\"architectures\":[\"DistilBert" head "\"]," COMMON            \
    ",\"dim\":8,\"n_layers\":2,\"n_heads\":2,\"hidden_dim\":12}"

/* A tensor to write: '@' in a name is the model's prefix, '#' each layer's number. */
struct spec {
    const char *name;
    size_t rows, cols; /* cols 0: a vector */
};

extern const struct spec bert_classify[], bert_bare[], bert_fill[], bert_answer[],
    roberta_classify[], roberta_tag[], roberta_fill[], distil_classify[], distil_fill[];

/* The parts of making one. */
struct lac_tensor_writer *open_writer(const char *directory);
void add(struct lac_tensor_writer *writer, const char *name, enum lac_storage storage, size_t rows,
         size_t cols, const void *data);
/* Element i of any tensor of a made checkpoint, so that rows differ. */
float element(size_t i);
const float *elements(void);
/* Writes the tensors except those whose name holds `without`. */
void add_specs(struct lac_tensor_writer *writer, const struct spec *specs, const char *prefix,
               const char *without);
void commit(struct lac_tensor_writer *writer);
void write_config(const char *directory, const char *config);
void make(const char *directory, const char *config, const struct spec *specs, const char *prefix,
          const char *without);
struct lac_checkpoint *open_good(const char *directory);
void expect_text(const struct lac_error *error, const char *expected);
void open_bad(const char *directory, enum lac_status expected_status, const char *expected);
void matrix_bad(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer,
                enum lac_status expected_status, const char *expected);
struct lac_matrix matrix_good(const struct lac_checkpoint *checkpoint, enum lac_role role,
                              size_t layer);

#endif
