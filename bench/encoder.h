/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of any size with random, pruned weights, as Hugging Face directories. */
#ifndef LACUNA_BENCH_ENCODER_H
#define LACUNA_BENCH_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/model.h>

#include "src/base/error.h"

struct bench_encoder {
    const char *name;
    size_t n_layers, hidden, heads, intermediate, vocab, max_positions;
    int distilbert; /* no token types, other names; else BERT */
};

/* The sizes that are known by name; ends with a NULL name. */
extern const struct bench_encoder bench_encoders[];

/* How the weights of the layers are pruned: sparsity of the blocks of a pattern of a dtype. */
struct bench_pruning {
    enum lac_pattern pattern;
    enum lac_dtype dtype;
    double sparsity;
};

/* Writes DIRECTORY/config.json and DIRECTORY/model.safetensors (BF16).  The same seed gives the
 * same model. */
enum lac_status bench_encoder_write(const struct bench_encoder *encoder,
                                    const struct bench_pruning *pruning, uint64_t seed,
                                    const char *directory, struct lac_error *error);

/* Elements of the layers' matrices. */
size_t bench_encoder_elements(const struct bench_encoder *encoder);

#endif
