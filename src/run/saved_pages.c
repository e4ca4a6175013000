/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a cache as a file has them. */
#include "src/run/saved_pages.h"

#include <string.h>

#include "simd/compact.h"
#include "src/base/checked.h"

static size_t page_bytes(const struct lac_kv *kv)
{
    return lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
}

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

size_t lac_saved_pages(const struct lac_kv *kv, size_t n_keys, const int64_t *gone)
{
    size_t n = n_tables(kv) * lac_ceil_div(n_keys, LAC_LANES);
    for (size_t t = 0; t < n_tables(kv); t++)
        n -= (size_t)gone[t] / LAC_LANES;
    return n;
}

/* Copies all pages of a head, whole ones, to an array; returns what is behind them. */
static unsigned char *copy_head(const struct lac_network *network, const struct lac_kv *kv,
                                size_t layer, size_t head, unsigned char *to)
{
    const struct lac_compact form = lac_kv_compact_form(&kv->shape);
    size_t n = lac_ceil_div(kv->n_keys, LAC_LANES) - lac_kv_gone(kv, layer, head) / LAC_LANES;
    size_t n_compact = lac_kv_compact_pages(kv, layer, head), size = page_bytes(kv);
    void *const *pages = lac_kv_head(kv, layer, head);
    const struct lac_expand_args args = {
        .compact = &form,
        .from = (const void *const *)pages,
        .n_pages = n_compact,
        .to = to,
    };
    if (n_compact)
        network->kernels.expand[kv->shape.dtype]->run.expand(&args);
    for (size_t i = n_compact; i < n; i++)
        memcpy(to + i * size, pages[i], size);
    return to + n * size;
}

void lac_saved_copy(const struct lac_network *network, const struct lac_kv *kv, unsigned char *to)
{
    for (size_t t = 0; t < n_tables(kv); t++)
        to = copy_head(network, kv, t / kv->shape.n_heads, t % kv->shape.n_heads, to);
}

void lac_saved_fill(const struct lac_kv *kv, const unsigned char *from)
{
    size_t size = page_bytes(kv), n_pages = lac_ceil_div(kv->n_keys, LAC_LANES);
    for (size_t layer = 0; layer < kv->shape.n_layers; layer++)
        for (size_t head = 0; head < kv->shape.n_heads; head++) {
            size_t n = n_pages - lac_kv_gone(kv, layer, head) / LAC_LANES;
            for (size_t i = 0; i < n; i++, from += size)
                memcpy(lac_kv_head(kv, layer, head)[i], from, size);
        }
}

size_t lac_saved_memories(const struct lac_kv *kv)
{
    size_t n = 0;
    for (size_t t = 0; t < n_tables(kv); t++)
        n += lac_kv_remembers(kv, t / kv->shape.n_heads, t % kv->shape.n_heads);
    return n;
}

void lac_saved_copy_memories(const struct lac_kv *kv, unsigned char *to, const unsigned char *from)
{
    size_t size = page_bytes(kv), n = lac_ceil_div(kv->n_keys, LAC_LANES), at = 0;
    for (size_t t = 0; t < n_tables(kv); t++) {
        size_t layer = t / kv->shape.n_heads, head = t % kv->shape.n_heads;
        for (size_t i = 0; lac_kv_remembers(kv, layer, head) && i < n; i++, at += size) {
            void *page = lac_kv_head_memory(kv, layer, head)[i];
            memcpy(to ? to + at : page, to ? page : from + at, size);
        }
    }
}
