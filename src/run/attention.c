/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over a packed batch: which queries of which tile meet which keys.
 *
 * Encoders' queries see the keys of their own sequence in the batch; decoders' those in its cache,
 * up to their own. */
#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "src/run/member.h"

/* Queries of one sequence in one tile: lanes [begin, end). */
struct span {
    size_t begin, end;
};

/* Tokens [*begin, *end) of the batch that a sequence needs in tile `index`. */
static struct span lanes_in_tile(size_t begin, size_t end, size_t index)
{
    size_t low = index * LAC_TILE, high = low + LAC_TILE;
    struct span none = {0, 0};
    if (begin >= high || end <= low)
        return none;
    return (struct span){lac_max_size(begin, low) - low, lac_min_size(end, high) - low};
}

/* Of the tokens kept after the last layer: the smallest span in the tile that holds them. */
static struct span kept_in_tile(const struct lac_member *m, const struct lac_sequence *s,
                                size_t first, size_t index)
{
    if (lac_head_keep(m->forward->head) == LAC_KEEP_FIRST)
        return lanes_in_tile(first, first + 1, index);
    struct span all = {0, 0};
    for (size_t i = 0; i < s->n_kept; i++) {
        struct span one = lanes_in_tile(first + s->kept[i], first + s->kept[i] + 1, index);
        if (one.begin == one.end)
            continue;
        all.begin = all.end ? all.begin : one.begin;
        all.end = one.end;
    }
    return all;
}

static struct span wanted(const struct lac_member *m, size_t sequence, size_t index, bool is_last)
{
    const struct lac_forward *f = m->forward;
    const size_t *first = m->region->first + sequence;
    if (is_last && lac_head_keep(f->head) != LAC_KEEP_ALL)
        return kept_in_tile(m, f->sequences[sequence], *first, index);
    return lanes_in_tile(first[0], first[1], index);
}

/* Keys and values that the batch has of one head of a sequence, tile by tile. */
static size_t batch_segments(const struct lac_member *m, size_t sequence, size_t kv_head,
                             struct lac_kv_segment *segments)
{
    const struct lac_config *config = &m->network->config;
    size_t n_features = lac_key_size(config), feature = kv_head * config->head_dim;
    size_t begin = m->region->first[sequence], end = m->region->first[sequence + 1], n = 0;
    for (size_t i = begin / LAC_TILE; i <= (end - 1) / LAC_TILE; i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        struct span lanes = lanes_in_tile(begin, end, i);
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

/* Keys and values of one head of a sequence, as its dtype's kernel takes them. */
struct keys {
    enum lac_dtype dtype;
    const struct lac_kv_segment *segments; /* fp32, bf16 */
    size_t n_segments;
    void *const *pages; /* int8, and all caches */
    size_t n_keys;
};

static struct lac_kv_segment *own_segments(const struct lac_member *m)
{
    return m->region->segments + m->rank * m->region->n_segments;
}

/* Quantised by each member that asks for a head, into memory that is still in its cache when the
 * head's queries come: few heads have more than one. */
static void *const *make_pages(const struct lac_member *m, const struct keys *keys)
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

static struct keys batch_keys(const struct lac_member *m, size_t sequence, size_t kv_head)
{
    const size_t *first = m->region->first + sequence;
    struct lac_kv_segment *segments = own_segments(m);
    struct keys keys = {
        .dtype = lac_dtype_is_quantized(m->network->dtype) ? LAC_S8 : LAC_F32,
        .segments = segments,
        .n_segments = batch_segments(m, sequence, kv_head, segments),
        .n_keys = first[1] - first[0],
    };
    if (keys.dtype == LAC_S8)
        keys.pages = make_pages(m, &keys);
    return keys;
}

/* Those before the batch, and those of the batch. */
static struct keys cached_keys(const struct lac_member *m, size_t sequence, size_t layer,
                               size_t kv_head)
{
    const struct lac_sequence *s = m->forward->sequences[sequence];
    struct keys keys = {
        .dtype = s->kv->shape.dtype,
        .pages = lac_kv_head(s->kv, layer, kv_head),
        .n_keys = s->kv->n_keys + s->n_tokens,
    };
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
    struct lac_kv_pages_args args = {
        .segments = segments,
        .n_segments = batch_segments(m, sequence, kv_head, segments),
        .head_dim = kv->shape.head_dim,
        .pages = lac_kv_head(kv, layer, kv_head) + kv->n_keys / LAC_LANES,
        .first_key = kv->n_keys % LAC_LANES,
    };
    m->network->kernels.kv_pages[kv->shape.dtype]->run.kv_pages(&args);
}

static void store_all_keys(const struct lac_member *m, size_t layer)
{
    size_t n_heads = m->network->config.n_kv_heads, begin, end;
    lac_team_range(m->team, m->rank, m->forward->n_sequences * n_heads, 1, &begin, &end);
    for (size_t i = begin; i < end; i++)
        store_keys(m, i / n_heads, layer, i % n_heads);
}

/* Queries of a tile that meet the same keys: of some heads in a row. */
struct queries {
    size_t sequence, layer;
    struct lac_tile tile;
    struct span span;
    size_t head, n_heads;
};

/* One head of them, as kernels take it. */
struct lanes {
    const float *q;
    float *y, *abs_max;
    size_t n_lanes;
    uint64_t lane_mask;
    ptrdiff_t first_query; /* where decoders' first lane stands among the keys */
    size_t window;
    float scale;
};

/* Keys that a decoder's token sees, its own and those before it; 0: it is no decoder. */
static size_t window_of(const struct lac_member *m, size_t layer)
{
    const struct lac_config *config = &m->network->config;
    if (!lac_family_is_decoder(config->family))
        return 0;
    size_t window = config->windows ? config->windows[layer] : 0;
    return window ? window : SIZE_MAX;
}

static struct lanes lanes_of(const struct lac_member *m, const struct queries *queries, size_t head)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    struct lac_tile tile = queries->tile;
    struct span span = queries->span;
    /* The kernel takes whole groups of lanes; the mask keeps it off the neighbours'. */
    size_t lane = span.begin / LAC_LANES * LAC_LANES, at = tile.index * LAC_TILE + lane;
    size_t offset = head * config->head_dim * tile.ld + lane, n_features = lac_query_size(config);
    return (struct lanes){
        .q = lac_tile_f32(r->q, tile.index, n_features) + offset,
        .y = lac_tile_f32(r->a, tile.index, n_features) + offset,
        .abs_max = r->abs_max + m->rank * r->n_lanes + at,
        .n_lanes = lac_round_up(span.end - lane, LAC_LANES),
        .lane_mask = ((1ull << (span.end - span.begin)) - 1) << (span.begin - lane),
        .first_query =
            (ptrdiff_t)((s->kv ? s->kv->n_keys : 0) + at) - (ptrdiff_t)r->first[queries->sequence],
        .window = window_of(m, queries->layer),
        .scale = lac_config_attention_scale(config, queries->layer),
    };
}

static void attend_segments(const struct lac_member *m, const struct lanes *q, size_t ld,
                            const struct keys *keys)
{
    struct lac_attention_args args = {
        .q = q->q,
        .q_ld = ld,
        .n_lanes = q->n_lanes,
        .lane_mask = q->lane_mask,
        .first_query = q->first_query,
        .window = q->window,
        .head_dim = m->network->config.head_dim,
        .scale = q->scale,
        .segments = keys->segments,
        .n_segments = keys->n_segments,
        .y = q->y,
        .y_ld = ld,
    };
    m->network->kernels.attention[keys->dtype]->run.attention(&args);
}

static void attend_s8(const struct lac_member *m, const struct lanes *q, size_t ld,
                      const struct keys *keys)
{
    struct lac_attention_s8_args args = {
        .q = q->q,
        .q_ld = ld,
        .n_lanes = q->n_lanes,
        .lane_mask = q->lane_mask,
        .first_query = q->first_query,
        .window = q->window,
        .head_dim = m->network->config.head_dim,
        .scale = q->scale,
        .pages = (const void *const *)keys->pages,
        .n_keys = keys->n_keys,
        .y = q->y,
        .y_ld = ld,
        .abs_max = q->abs_max,
    };
    m->network->kernels.attention[LAC_S8]->run.attention_s8(&args);
}

/* Queries in lanes, a head at a time. */
static void attend_lanes(const struct lac_member *m, const struct queries *queries,
                         const struct keys *keys)
{
    for (size_t i = 0; i < queries->n_heads; i++) {
        struct lanes q = lanes_of(m, queries, queries->head + i);
        (keys->dtype == LAC_S8 ? attend_s8 : attend_segments)(m, &q, queries->tile.ld, keys);
    }
}

/* One token's queries of all heads that share the keys, keys in lanes. */
static void attend_row(const struct lac_member *m, const struct queries *queries, size_t lane,
                       const struct keys *keys)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_region *r = m->region;
    struct queries one = *queries;
    one.span = (struct span){lane, lane + 1};
    struct lanes l = lanes_of(m, &one, queries->head);
    size_t in_group = lane % LAC_LANES, ld = queries->tile.ld;
    size_t n = queries->n_heads * config->head_dim, key = (size_t)l.first_query + in_group;
    float *row = r->row + m->rank * 2 * lac_query_size(config), *y = row + n, most = 0;
    for (size_t i = 0; i < n; i++)
        row[i] = l.q[i * ld + in_group];
    struct lac_attention_row_args args = {
        .q = row,
        .n_queries = queries->n_heads,
        .head_dim = config->head_dim,
        .scale = l.scale,
        .pages = (const void *const *)keys->pages,
        .first_key = key + 1 > l.window ? key + 1 - l.window : 0,
        .n_keys = key + 1,
        .y = y,
    };
    m->network->kernels.attention_row[keys->dtype]->run.attention_row(&args);
    for (size_t i = 0; i < n; i++) {
        l.y[i * ld + in_group] = y[i];
        most = fmaxf(most, fabsf(y[i]));
    }
    l.abs_max[in_group] = fmaxf(l.abs_max[in_group], most);
}

/* Up to this many tokens of a sequence are worked on one by one: lanes would be empty. */
enum { ROW_TOKENS = 6 };

static void attend(const struct lac_member *m, const struct queries *queries,
                   const struct keys *keys)
{
    bool is_cached = m->forward->sequences[queries->sequence]->kv;
    if (is_cached && queries->span.end - queries->span.begin <= ROW_TOKENS)
        for (size_t lane = queries->span.begin; lane < queries->span.end; lane++)
            attend_row(m, queries, lane, keys);
    else
        attend_lanes(m, queries, keys);
}

/* Groups of query lanes times keys; 0 when nothing is wanted of this tile. */
static size_t cost_of(struct span queries, size_t n_keys)
{
    if (queries.begin == queries.end)
        return 0;
    size_t groups = (queries.end - 1) / LAC_LANES - queries.begin / LAC_LANES + 1;
    return groups * n_keys;
}

/* Keys that the tile's last query of a sequence sees, or all. */
static size_t keys_seen(const struct lac_member *m, size_t sequence, size_t tile)
{
    const struct lac_sequence *s = m->forward->sequences[sequence];
    if (!s->kv)
        return s->n_tokens;
    size_t end = (tile + 1) * LAC_TILE - m->region->first[sequence];
    return s->kv->n_keys + lac_min_size(end, s->n_tokens);
}

static size_t total_cost(const struct lac_member *m, bool is_last)
{
    size_t total = 0;
    const size_t *first = m->region->first;
    for (size_t s = 0; s < m->forward->n_sequences; s++)
        for (size_t i = first[s] / LAC_TILE; i <= (first[s + 1] - 1) / LAC_TILE; i++)
            total += cost_of(wanted(m, s, i, is_last), keys_seen(m, s, i));
    return total * m->network->config.n_kv_heads;
}

/* Tiles of a head one after another, so that its keys stay in the cache.  Every member walks
 * through all items and takes those that begin in its part of the total cost. */
static void attend_all(const struct lac_member *m, size_t layer, bool is_last)
{
    const size_t *first = m->region->first;
    const struct lac_config *config = &m->network->config;
    size_t group = config->n_heads / config->n_kv_heads;
    size_t size = m->team->size, done = 0;
    size_t total = size > 1 ? lac_max_size(1, total_cost(m, is_last)) : 1;
    for (size_t s = 0; s < m->forward->n_sequences; s++) {
        size_t from = first[s] / LAC_TILE, to = (first[s + 1] - 1) / LAC_TILE;
        for (size_t head = 0; head < config->n_kv_heads; head++) {
            struct keys keys = {0};
            for (size_t i = from; i <= to; i++) {
                struct span span = wanted(m, s, i, is_last);
                size_t cost = cost_of(span, keys_seen(m, s, i));
                bool is_mine = size == 1 || done * size / total == m->rank;
                done += cost;
                if (!cost || !is_mine)
                    continue;
                if (!keys.n_keys)
                    keys = m->forward->sequences[s]->kv ? cached_keys(m, s, layer, head)
                                                        : batch_keys(m, s, head);
                struct queries queries = {s,    layer,        lac_tile_at(m, m->n_tokens, i),
                                          span, head * group, group};
                attend(m, &queries, &keys);
            }
        }
    }
}

void lac_run_attention(const struct lac_member *m, size_t layer, bool is_last)
{
    struct lac_region *r = m->region;
    memset(r->abs_max + m->rank * r->n_lanes, 0, r->n_lanes * sizeof *r->abs_max);
    if (lac_family_is_decoder(m->network->config.family)) {
        store_all_keys(m, layer);
        lac_team_barrier(m->team, m->rank);
    }
    attend_all(m, layer, is_last);
}
