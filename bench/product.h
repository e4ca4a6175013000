/* SPDX-License-Identifier: Apache-2.0 */
/* One of our kernels on one weight of a layer, alone or shared out among a crew. */
#ifndef LACUNA_BENCH_PRODUCT_H
#define LACUNA_BENCH_PRODUCT_H

#include "bench/crew.h"
#include "bench/layer.h"
#include "simd/kernel.h"

/* Panels as the kernel wants them. */
struct bench_product {
    const struct bench_layer *layer;
    const struct bench_crew *crew;
    const struct bench_weight *weight;
    struct lac_weight *copies; /* of the weight, with the kernel's own form where it wants one */
    const struct lac_kernel *kernel;
    size_t n_lanes; /* of all tiles */
    size_t piece;   /* outputs whose weights stay in L2 while all tiles pass */
    int by_tokens;  /* workers share out the tokens, or else the outputs */
    size_t *shares; /* [crew->size + 1] bounds of theirs */
    size_t now;     /* the copy that is running */
    size_t sample;  /* of plain C: only so many outputs of the first tile are computed; else 0 */
    void *x;
    float *x_scale, *y_inv_scale, *y;
    uint8_t *y_u8;
};

/* Borrows all of them. */
enum lac_status bench_product_open(struct bench_product *product, struct bench_layer *layer,
                                   const struct bench_crew *crew, struct bench_weight *weight,
                                   const struct lac_kernel *kernel, struct lac_error *error);
/* Computes the layer once, with the weight's next copy. */
void bench_product_run(struct bench_product *product);
/* A contender's turn; context is the struct bench_product.  Of a cold layer the weights are pushed
 * out of the caches beforehand.  Of a kernel in plain C a sample of the layer is timed, and what all
 * of it would take is reckoned from its share of the products. */
int bench_product_turn(void *context, size_t n, uint64_t *ns);
/* Bytes that have to be read and written at least: of everything, and of the weights alone. */
double bench_product_bytes(const struct bench_product *product);
double bench_product_weight_bytes(const struct bench_product *product);

/* Largest difference from the scalar kernel, which is run on the first and the last tile and, of
 * more than 192 outputs, on the first 96 and the last 96 to 191: in y, or in steps of y_u8.  NaN
 * where either is NaN, and for a sample. */
enum lac_status bench_product_error(const struct bench_product *product, double *most,
                                    struct lac_error *error);
/* The same for another engine's dense result, y row-major [n_tokens, n_out]. */
enum lac_status bench_rows_error(const struct bench_product *dense, const void *y, double *most,
                                 struct lac_error *error);

/* Timing of a stack of equal layers in different places: work(context, rank, i) does its share of
 * layer i, flush(context) pushes all of them out of the caches.  Writes n times of one layer. */
struct bench_cold_stack {
    const struct bench_crew *crew;
    size_t n_layers;
    void (*work)(void *context, size_t rank, size_t layer);
    void (*flush)(void *context);
    void *context;
};
void bench_cold_times(const struct bench_cold_stack *stack, size_t n, uint64_t *ns);

#endif
