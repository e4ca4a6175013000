/* SPDX-License-Identifier: Apache-2.0 */
/* The core neurons of a text (Wang et al., CoreInfer: Accelerating large language model inference
 * with semantics-inspired adaptive sparse activation, 2024).
 *
 * While tokens are fed, each counts the neurons of every layer that are in its own top share, by
 * |act(gate) * up|, what down multiplies.  Before the text goes on, the neurons that most of its
 * tokens counted become its core; the others are left out until more is fed.
 *
 * The weights of a core are copied: rows of gate and up, columns of down, packed as matrices of
 * their own, which the ordinary kernels read as they read any.  That costs each text its core's
 * share of the feed-forward weights, once for all its copies; lines of a matrix in memory are read
 * one after another, where neurons picked out of the whole one would be waited for. */
#ifndef LACUNA_RUN_CORE_H
#define LACUNA_RUN_CORE_H

#include <stdatomic.h>

#include "src/base/arena.h"
#include "src/run/network.h"

enum lac_core_linear { LAC_CORE_GATE, LAC_CORE_UP, LAC_CORE_DOWN, LAC_CORE_LINEARS };

struct lac_core_layer {
    struct lac_linear linears[LAC_CORE_LINEARS];
    size_t n_bytes; /* of all; 0: not copied, or the whole ones are read sooner */
};

/* Read-only, a counted reference. */
struct lac_core {
    const struct lac_host *host;
    atomic_size_t n_users;
    size_t n_chosen;               /* of each layer */
    uint32_t *list;                /* [n_layers][n_chosen], each ascending */
    struct lac_core_layer *layers; /* [n_layers] */
    struct lac_arena arena;
};

/* What one text has counted, and its core. */
struct lac_usage {
    const struct lac_host *host;
    const struct lac_network *network;
    size_t n_counted;         /* tokens of the text before which all that were fed are counted */
    _Atomic uint32_t *counts; /* [n_layers][intermediate_size], or NULL: nothing was counted yet */
    struct lac_core *core;    /* of all that is counted, or NULL: to be chosen */
};

/* LAC_E_UNSUPPORTED if nothing of the network's layers could be copied. */
enum lac_status lac_core_check(const struct lac_network *network, struct lac_error *error);

/* An empty one; allocates nothing. */
void lac_usage_init(struct lac_usage *usage, const struct lac_host *host,
                    const struct lac_network *network);
void lac_usage_clear(struct lac_usage *usage);
/* Makes room to count, if there is none. */
enum lac_status lac_usage_reserve(struct lac_usage *usage, struct lac_error *error);
/* `to`, just initialised, becomes like `from` and shares its core.  Copies may be used by different
 * threads at once. */
enum lac_status lac_usage_copy(struct lac_usage *to, const struct lac_usage *from,
                               struct lac_error *error);

/* Counts the neurons of a layer that are in a token's top share; x has a stride.  Of equals all are
 * in it, and values count as equal whose first 11 bits after the sign are. */
void lac_usage_count(struct lac_usage *usage, size_t layer, const float *x, size_t ld,
                     double share);
/* The tokens before n_keys are in, of which the last had all neurons: if there are new ones a core
 * has to be chosen again. */
void lac_usage_advance(struct lac_usage *usage, size_t n_keys);
/* Makes the core, if something was counted: that share of each layer, rounded up, those counted
 * most, of equals the first. */
enum lac_status lac_usage_choose(struct lac_usage *usage, double share, struct lac_error *error);
#endif
