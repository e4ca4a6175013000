/* SPDX-License-Identifier: Apache-2.0 */
/* What gates make of the keys of a cache (src/run/pick_gate.c), kept from one pass to the next.
 *
 *   at[layer][head][tile][feature][lane]   pooled features of blocks of LAC_GATE_BLOCK keys, by
 *                                          tiles of LAC_TILE blocks: as linear layers take tokens
 *   n[layer][head]                         blocks that are there, from the first on
 *
 * They follow from the keys, so that they may be lost: a copy of a cache begins without. */
#ifndef LACUNA_RUN_KV_POOLS_H
#define LACUNA_RUN_KV_POOLS_H

#include <stddef.h>

#include "src/base/error.h"

struct lac_kv;

struct lac_kv_pools {
    size_t n_tiles; /* of each head */
    float *at;
    size_t *n;
};

/* Room for n_keys keys. */
enum lac_status lac_kv_pools_reserve(struct lac_kv *kv, size_t n_keys, struct lac_error *error);
/* Forgets what is not of the first n_keys keys alone. */
void lac_kv_pools_truncate(struct lac_kv *kv, size_t n_keys);
void lac_kv_pools_clear(struct lac_kv *kv);
size_t lac_kv_pools_bytes(const struct lac_kv *kv);

/* Those of a head; its count is kv->pools.n[layer * n_heads + head]. */
float *lac_kv_head_pools(const struct lac_kv *kv, size_t layer, size_t head);

#endif
