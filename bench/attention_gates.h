/* SPDX-License-Identifier: Apache-2.0 */
/* Gates of one head, made up: src/run/pick_gate.c's. */
#ifndef LACUNA_BENCH_ATTENTION_GATES_H
#define LACUNA_BENCH_ATTENTION_GATES_H

#include "src/run/pick.h"

/* Of a head of such size in a text of such length, with room for what is pooled: mean queries, and
 * all three pools of keys, by projections as wide as the head.  Both project means alike, so that
 * products of random projections come near those of the means.  dtype: of keys; weights of networks
 * that have such.  All is the arena's. */
enum lac_status bench_gates_make(struct lac_pick_gates *gates, enum lac_dtype dtype, size_t length,
                                 size_t head_dim, unsigned features, struct lac_arena *arena,
                                 struct lac_error *error);

/* Those that bench_gates_make makes. */
struct lac_gates bench_gates_kind(size_t head_dim);

#endif
