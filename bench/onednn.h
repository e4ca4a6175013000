/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN's dense linear layer, the peer of ours, in a process of its own. */
#ifndef LACUNA_BENCH_ONEDNN_H
#define LACUNA_BENCH_ONEDNN_H

#include "bench/child.h"
#include "bench/crew.h"
#include "bench/layer.h"

/* What it multiplies in. */
enum bench_onednn_form {
    BENCH_ONEDNN_INT8,      /* u8 x s8, with the best instructions it knows, AMX among them */
    BENCH_ONEDNN_INT8_VNNI, /* at most AVX-512 VNNI, as on processors without AMX */
    BENCH_ONEDNN_BF16,      /* bf16 weights and activations, fp32 results */
    BENCH_ONEDNN_F32,
};

/* Starts a process that computes the dense layer, int8 (of an int8 layer) with scale and bias for
 * each output, or bf16 and fp32 (of an fp32 layer) with bias; y (mapped shared, as large as output
 * and shape imply) gets the result row-major [n_tokens, n_out].  The child's name is the
 * instruction set in use.  It runs with as many threads as the crew has, which is open and not
 * started.  LAC_E_UNSUPPORTED in builds without oneDNN. */
enum lac_status bench_onednn_start(struct bench_child *child, const struct bench_layer *layer,
                                   const struct bench_crew *crew, enum bench_onednn_form form,
                                   void *y, struct lac_error *error);

/* Was it built in? */
int bench_onednn_built(void);

#endif
