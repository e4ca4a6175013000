/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layer that is timed: random inputs, pruned weights, and our kernels on them. */
#ifndef LACUNA_BENCH_LAYER_H
#define LACUNA_BENCH_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "simd/kernel.h"
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
    size_t l2_bytes;
    void *x;      /* row-major [n_tokens, n_in], u8 (s8 + 128) or fp32 */
    float *scale; /* int8: [n_out] */
    float *bias;  /* [n_out] */
    float x_scale, y_inv_scale;
    void *elements; /* dense weights, row-major [n_out, n_in]: all of them not zero */
};

enum lac_status bench_layer_open(struct bench_layer *layer, uint64_t *random,
                                 struct lac_error *error);
void bench_layer_close(struct bench_layer *layer);

/* A weight of which exactly round(sparsity * blocks) blocks, drawn at random, are zero. */
struct bench_weight {
    double sparsity; /* asked for */
    size_t n_nonzero;
    struct lac_weight weight; /* in the layer's arena */
};

enum lac_status bench_weight_make(struct bench_layer *layer, enum lac_pattern pattern,
                                  double sparsity, uint64_t *random, struct bench_weight *weight,
                                  struct lac_error *error);

/* One kernel on one weight, with panels as it wants them. */
struct bench_product {
    const struct bench_layer *layer;
    struct lac_weight weight; /* with the kernel's own copy, where it wants one */
    const struct lac_kernel *kernel;
    size_t n_lanes; /* of all tiles */
    size_t piece;   /* outputs whose weights stay in L2 while all tiles pass */
    void *x;
    float *x_scale, *y_inv_scale, *y;
    uint8_t *y_u8;
};

enum lac_status bench_product_open(struct bench_product *product, struct bench_layer *layer,
                                   const struct bench_weight *weight,
                                   const struct lac_kernel *kernel, struct lac_error *error);
/* A contender's turn; context is the struct bench_product. */
int bench_product_turn(void *context, size_t n, uint64_t *ns);
/* Bytes that have to be read and written at least. */
double bench_product_bytes(const struct bench_product *product);

/* Largest difference from the scalar kernel, which is run on the first and the last tile: in y,
 * or in steps of y_u8.  NaN where either is NaN. */
enum lac_status bench_product_error(const struct bench_product *product, double *most,
                                    struct lac_error *error);
/* The same for another engine's dense result, y row-major [n_tokens, n_out]. */
enum lac_status bench_rows_error(const struct bench_product *dense, const void *y, double *most,
                                 struct lac_error *error);

#endif
