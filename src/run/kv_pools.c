/* SPDX-License-Identifier: Apache-2.0 */
/* What gates make of the keys of a cache: its memory. */
#include "src/run/kv_pools.h"

#include <string.h>

#include "simd/kernel.h"
#include "src/base/checked.h"
#include "src/run/kv.h"

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_pooled ? kv->shape.n_layers * kv->shape.n_heads : 0;
}

/* Floats of a head that has so many tiles. */
static size_t head_size(const struct lac_kv *kv, size_t n_tiles)
{
    return n_tiles * kv->shape.n_pooled * LAC_TILE;
}

enum lac_status lac_kv_pools_reserve(struct lac_kv *kv, size_t n_keys, struct lac_error *error)
{
    struct lac_kv_pools *p = &kv->pools;
    size_t n_tiles = lac_ceil_div(n_keys / LAC_GATE_BLOCK, LAC_TILE), n = n_tables(kv);
    if (!n || n_tiles <= p->n_tiles)
        return LAC_OK;
    n_tiles = lac_max_size(n_tiles, p->n_tiles + p->n_tiles / 2);
    size_t tile_bytes = head_size(kv, 1) * sizeof *p->at, size;
    float *at = NULL;
    if (!p->n)
        p->n = lac_alloc_zero(kv->host, n, sizeof *p->n);
    if (p->n && lac_mul_size(n, n_tiles, &size))
        at = lac_alloc(kv->host, size, tile_bytes);
    if (!at)
        return lac_fail(error, LAC_E_MEMORY, "no memory for what gates make of %zu tokens", n_keys);
    for (size_t t = 0; t < n && p->at; t++)
        memcpy(at + head_size(kv, t * n_tiles), p->at + head_size(kv, t * p->n_tiles),
               p->n_tiles * tile_bytes);
    lac_free(kv->host, p->at);
    p->at = at;
    p->n_tiles = n_tiles;
    return LAC_OK;
}

void lac_kv_pools_truncate(struct lac_kv *kv, size_t n_keys)
{
    for (size_t t = 0; kv->pools.n && t < n_tables(kv); t++)
        kv->pools.n[t] = lac_min_size(kv->pools.n[t], n_keys / LAC_GATE_BLOCK);
}

void lac_kv_pools_clear(struct lac_kv *kv)
{
    lac_free(kv->host, kv->pools.at);
    lac_free(kv->host, kv->pools.n);
    kv->pools = (struct lac_kv_pools){0};
}

size_t lac_kv_pools_bytes(const struct lac_kv *kv)
{
    return n_tables(kv) * head_size(kv, kv->pools.n_tiles) * sizeof *kv->pools.at;
}

float *lac_kv_head_pools(const struct lac_kv *kv, size_t layer, size_t head)
{
    return kv->pools.at + head_size(kv, (layer * kv->shape.n_heads + head) * kv->pools.n_tiles);
}
