/* SPDX-License-Identifier: Apache-2.0 */
/* libxsmm's sparse products, a peer of ours, in a process of its own. */
#ifndef LACUNA_BENCH_LIBXSMM_H
#define LACUNA_BENCH_LIBXSMM_H

#include "bench/child.h"
#include "bench/layer.h"

enum bench_libxsmm_form {
    BENCH_LIBXSMM_INT8, /* u8 x s8 -> s32, kept square blocks by batch-reduce products */
    BENCH_LIBXSMM_BF16, /* the same, bf16 -> fp32 */
    BENCH_LIBXSMM_F32,
    BENCH_LIBXSMM_BF16_SPMDM, /* single elements, bf16 -> fp32 */
    BENCH_LIBXSMM_F32_SPMDM,
};

/* All of them write raw sums: no scales, no bias. */
struct bench_libxsmm_job {
    const struct bench_layer *layer; /* of the form's dtype; bf16 is rounded from fp32 */
    enum bench_libxsmm_form form;
    size_t block;         /* side of the square blocks, a divisor of both widths; spmdm: 1 */
    const void *elements; /* pruned: int8 or fp32, row-major [n_out, n_in] */
    void *y;              /* mapped shared: 4 bytes for each output and token */
};

/* The caller is pinned to one processor, and so is the child; its name is the instruction set in
 * use.  It is a process of its own because what libxsmm generates, and the exit handlers it
 * registers, stay with a process for good.  LAC_E_UNSUPPORTED in builds without it. */
enum lac_status bench_libxsmm_start(struct bench_child *child, const struct bench_libxsmm_job *job,
                                    struct lac_error *error);

/* Output o of token t as it lies in y, after a turn. */
double bench_libxsmm_value(const struct bench_libxsmm_job *job, size_t o, size_t t);

/* Was it built in? */
int bench_libxsmm_built(void);

#endif
