/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN's dense linear layer, the peer of ours, in a process of its own. */
#ifndef LACUNA_BENCH_ONEDNN_H
#define LACUNA_BENCH_ONEDNN_H

#include "bench/child.h"
#include "bench/layer.h"

enum bench_onednn_cap {
    BENCH_ONEDNN_FREE, /* as it comes: the best instructions it knows, AMX among them */
    BENCH_ONEDNN_VNNI, /* at most AVX-512 VNNI, as on processors without AMX */
};

/* Starts a process that computes the dense layer, u8 x s8 with scale and bias for each output, or
 * fp32 with bias; y (mapped shared, as large as output and shape imply) gets the result row-major
 * [n_tokens, n_out].  The child's name is the instruction set in use.  The caller is pinned to one
 * processor, and so is the child.  LAC_E_UNSUPPORTED in builds without oneDNN. */
enum lac_status bench_onednn_start(struct bench_child *child, const struct bench_layer *layer,
                                   enum bench_onednn_cap cap, void *y, struct lac_error *error);

/* Was it built in? */
int bench_onednn_built(void);

#endif
