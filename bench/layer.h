/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layer that is timed: random inputs and pruned weights. */
#ifndef LACUNA_BENCH_LAYER_H
#define LACUNA_BENCH_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "bench/names.h"
#include "bench/store.h"
#include "sparse/layout.h"
#include "src/base/arena.h"

/* What a layer writes: scaled fp32, or the int8 panel of the next layer. */
enum bench_output { BENCH_OUTPUT_F32, BENCH_OUTPUT_U8 };

/* Inputs that all contenders of one comparison share.  Activations have one scale for all tokens,
 * because that is all that oneDNN can apply; our kernels do not know. */
struct bench_layer {
    struct lac_arena arena;
    size_t n_out, n_in, n_tokens;
    enum lac_dtype dtype;
    enum bench_output output;
    int cold;        /* weights come from memory, each time others */
    size_t n_copies; /* of each weight; 0: what a cold layer needs, or one */
    size_t l2_bytes;
    void *x;      /* row-major [n_tokens, n_in], u8 (s8 + 128) or fp32 */
    float *scale; /* int8 and int4: [n_out] */
    float *bias;  /* [n_out] */
    float x_scale, y_inv_scale;
    void *elements; /* dense weights, row-major [n_out, n_in], as lac_weight_pack takes them:
                       all of them not zero */
};

enum lac_status bench_layer_open(struct bench_layer *layer, uint64_t *random,
                                 struct lac_error *error);
void bench_layer_close(struct bench_layer *layer);

/* A weight of which exactly round(sparsity * blocks) blocks, drawn at random, are zero. */
struct bench_weight {
    struct bench_pattern pattern;
    double sparsity; /* asked for, or what the pattern implies */
    size_t n_nonzero;
    struct bench_store store; /* of all copies */
    size_t n_copies;          /* equal ones in different places: enough for a cold layer, else 1 */
    struct lac_weight *copies;
};

/* The weight stays where it is. */
enum lac_status bench_weight_make(struct bench_layer *layer, const struct bench_pattern *pattern,
                                  double sparsity, uint64_t *random, struct bench_weight *weight,
                                  struct lac_error *error);
void bench_weight_close(struct bench_weight *weight);

#endif
