/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of any size with random, pruned weights, as Hugging Face directories. */
#ifndef LACUNA_BENCH_ENCODER_H
#define LACUNA_BENCH_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#include "bench/names.h"
#include "bench/shapes.h"
#include "src/base/error.h"

/* How the weights of the layers are pruned. */
struct bench_pruning {
    struct bench_pattern pattern; /* as the dtype has it */
    enum lac_dtype dtype;
    double sparsity; /* of its blocks; what the pattern implies where it has but one */
};

/* Writes DIRECTORY/config.json and DIRECTORY/model.safetensors (BF16).  Heads have up to 64
 * features.  The same seed gives the same model. */
enum lac_status bench_encoder_write(const struct bench_stack *encoder,
                                    const struct bench_pruning *pruning, uint64_t seed,
                                    const char *directory, struct lac_error *error);

/* Elements of the layers' matrices. */
size_t bench_encoder_elements(const struct bench_stack *encoder);

#endif
