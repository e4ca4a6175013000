/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of keys and values of one sequence: pages of LAC_LANES keys of one head.
 *
 *   pages[layer][head][i]   keys [16 i, 16 i + 16) of a key/value head: simd/kernel.h
 *
 * Pages are counted references: sequences that begin alike share their pages, and whoever writes
 * into a page that others hold gets a copy first (lac_kv_reserve).  Copies of a cache may be used
 * by different threads at once; each cache belongs to one thread at a time. */
#ifndef LACUNA_RUN_KV_H
#define LACUNA_RUN_KV_H

#include <stdbool.h>
#include <stddef.h>

#include <lacuna/model.h>

#include "simd/attention.h"
#include "src/base/error.h"
#include "src/base/host.h"

struct lac_kv_shape {
    size_t n_layers, n_heads; /* key/value heads */
    size_t head_dim;
    enum lac_dtype dtype; /* LAC_F32, LAC_BF16, LAC_S8 */
};

struct lac_kv {
    const struct lac_host *host;
    struct lac_kv_shape shape;
    size_t n_keys;   /* in the cache: the position of the next token */
    size_t n_pages;  /* of each head that there are */
    size_t capacity; /* of each head's table */
    void **pages;    /* [n_layers][n_heads][capacity] */
};

/* An empty cache; allocates nothing. */
void lac_kv_init(struct lac_kv *kv, const struct lac_host *host, const struct lac_kv_shape *shape);
void lac_kv_clear(struct lac_kv *kv);

/* The pages of a head. */
static inline void **lac_kv_head(const struct lac_kv *kv, size_t layer, size_t head)
{
    return kv->pages + (layer * kv->shape.n_heads + head) * kv->capacity;
}

/* Makes pages [n_keys / 16, ceil((n_keys + n_more) / 16)) of every head there and the cache's own.
 * LAC_E_MEMORY: n_keys keys are as they were. */
enum lac_status lac_kv_reserve(struct lac_kv *kv, size_t n_more, struct lac_error *error);

/* Forgets all but the first n keys; n <= n_keys. */
void lac_kv_truncate(struct lac_kv *kv, size_t n_keys);

/* `to`, initialised and empty, gets the first n keys of `from` by reference. */
enum lac_status lac_kv_share(struct lac_kv *to, const struct lac_kv *from, size_t n_keys,
                             struct lac_error *error);

/* Bytes of the pages that it refers to, shared or not. */
size_t lac_kv_bytes(const struct lac_kv *kv);

#endif
