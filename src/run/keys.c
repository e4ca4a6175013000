/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values, as kernels take them. */
#include "src/run/keys.h"

#include "simd/attention.h"
#include "src/run/expanded.h"
#include "src/run/looked_up.h"
#include "src/run/picked.h"

/* Keys and values that the batch has of one head of a sequence, tile by tile. */
static size_t batch_segments(const struct lac_member *m, size_t sequence, size_t kv_head,
                             struct lac_kv_segment *segments)
{
    const struct lac_config *config = &m->network->config;
    size_t n_features = lac_key_size(config), feature = kv_head * config->head_dim;
    size_t begin = m->region->first[sequence], end = m->region->first[sequence + 1], n = 0;
    for (size_t i = begin / LAC_TILE; i <= (end - 1) / LAC_TILE; i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        struct lac_span lanes = lac_lanes_in_tile(begin, end, i);
        size_t offset = feature * tile.ld + lanes.begin;
        segments[n++] = (struct lac_kv_segment){
            .k = lac_tile_f32(m->region->k, i, n_features) + offset,
            .v = lac_tile_f32(m->region->v, i, n_features) + offset,
            .k_ld = tile.ld,
            .v_ld = tile.ld,
            .v_step = 1,
            .n_keys = lanes.end - lanes.begin,
        };
    }
    return n;
}

/* A page of fp32 or bf16 keys and values is a segment too. */
static size_t page_segments(const struct lac_kv *kv, void *const *pages, size_t n_keys,
                            struct lac_kv_segment *segments)
{
    size_t head_dim = kv->shape.head_dim, n = lac_ceil_div(n_keys, LAC_LANES);
    size_t keys_bytes = lac_kv_page_bytes(kv->shape.dtype, head_dim) / 2;
    for (size_t i = 0; i < n; i++)
        segments[i] = (struct lac_kv_segment){
            .k = pages[i],
            .v = (const char *)pages[i] + keys_bytes,
            .k_ld = LAC_LANES,
            .v_ld = 1,
            .v_step = head_dim,
            .n_keys = lac_min_size(n_keys - i * LAC_LANES, LAC_LANES),
        };
    return n;
}

static struct lac_kv_segment *own_segments(const struct lac_member *m)
{
    return m->region->segments + m->rank * m->region->n_segments;
}

static void *const *make_pages(const struct lac_member *m, const struct lac_keys *keys)
{
    const struct lac_region *r = m->region;
    size_t head_dim = m->network->config.head_dim;
    size_t n_most = r->n_lanes / LAC_LANES, page_bytes = lac_kv_page_bytes(LAC_S8, head_dim);
    uint8_t *kv = r->kv + m->rank * n_most * page_bytes;
    void **pages = r->pages + m->rank * n_most;
    for (size_t i = 0; i < lac_ceil_div(keys->n_keys, LAC_LANES); i++)
        pages[i] = kv + i * page_bytes;
    struct lac_kv_pages_args args = {
        .segments = keys->segments,
        .n_segments = keys->n_segments,
        .head_dim = head_dim,
        .pages = pages,
    };
    m->network->kernels.kv_pages[LAC_S8]->run.kv_pages(&args);
    return pages;
}

struct lac_keys lac_batch_keys(const struct lac_member *m, size_t sequence, size_t kv_head)
{
    const size_t *first = m->region->first + sequence;
    struct lac_kv_segment *segments = own_segments(m);
    struct lac_keys keys = {
        .dtype = lac_dtype_is_quantized(m->network->dtype) ? LAC_S8 : LAC_F32,
        .segments = segments,
        .n_segments = batch_segments(m, sequence, kv_head, segments),
        .segment_keys = LAC_TILE,
        .n_keys = first[1] - first[0],
    };
    if (keys.dtype == LAC_S8)
        keys.pages = make_pages(m, &keys);
    return keys;
}

struct lac_keys lac_cached_keys(const struct lac_member *m, size_t sequence, size_t layer,
                                size_t kv_head)
{
    const struct lac_sequence *s = m->forward->sequences[sequence];
    struct lac_keys keys = {
        .dtype = s->kv->shape.dtype,
        .segment_keys = LAC_LANES,
        .n_keys = s->kv->n_keys + s->n_tokens - lac_kv_skipped(s->kv, layer, kv_head),
    };
    keys.pages = lac_whole_pages(m, s->kv, layer, kv_head, keys.n_keys);
    if (keys.dtype != LAC_S8) {
        struct lac_kv_segment *segments = own_segments(m);
        keys.segments = segments;
        keys.n_segments = page_segments(s->kv, keys.pages, keys.n_keys, segments);
    }
    return keys;
}

/* Into the cache: the batch's keys and values of a head of a sequence. */
static void store_keys(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head)
{
    const struct lac_kv *kv = m->forward->sequences[sequence]->kv;
    struct lac_kv_segment *segments = own_segments(m);
    size_t slot = kv->n_keys - lac_kv_gone(kv, layer, kv_head);
    struct lac_kv_pages_args args = {
        .segments = segments,
        .n_segments = batch_segments(m, sequence, kv_head, segments),
        .head_dim = kv->shape.head_dim,
        .pages = lac_kv_head(kv, layer, kv_head) + slot / LAC_LANES,
        .first_key = slot % LAC_LANES,
    };
    m->network->kernels.kv_pages[kv->shape.dtype]->run.kv_pages(&args);
    if (lac_kv_remembers(kv, layer, kv_head))
        lac_store_memory(m, sequence, layer, kv_head);
    else
        lac_kv_label(kv, layer, kv_head, slot, m->forward->sequences[sequence]->n_tokens);
    lac_pool_picked(m, sequence, layer, kv_head);
}

void lac_pool_keys(const struct lac_member *m, size_t layer)
{
    size_t n_heads = m->network->config.n_kv_heads, begin, end;
    lac_team_range(m->team, m->rank, m->forward->n_sequences * n_heads, 1, &begin, &end);
    for (size_t i = begin; i < end; i++)
        lac_pool_picked(m, i / n_heads, layer, i % n_heads);
}

void lac_store_keys(const struct lac_member *m, size_t layer)
{
    size_t n_heads = m->network->config.n_kv_heads, begin, end;
    lac_team_range(m->team, m->rank, m->forward->n_sequences * n_heads, 1, &begin, &end);
    for (size_t i = begin; i < end; i++)
        store_keys(m, i / n_heads, layer, i % n_heads);
}
