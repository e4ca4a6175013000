/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over a packed batch: which queries of which tile meet which keys.
 *
 * Encoders' queries see the keys of their own sequence in the batch; decoders' those in its cache,
 * up to their own. */
#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "src/run/rows.h"

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

size_t lac_global_tokens(const struct lac_member *m, size_t sequence)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_sequence *s = m->forward->sequences[sequence];
    size_t n = 0;
    if (!config->has_global)
        return 0;
    if (m->forward->head->task == LAC_TASK_CLASSIFY)
        return 1;
    while (m->forward->head->task == LAC_TASK_ANSWER && n < s->n_tokens &&
           s->ids[n] != config->sep_token_id)
        n++;
    return n;
}

/* Which queries attention is about: those of global tokens have keys of their own. */
enum part { LOCAL, GLOBAL };

static struct span wanted(const struct lac_member *m, size_t sequence, size_t index, bool is_last,
                          enum part part)
{
    const struct lac_forward *f = m->forward;
    const size_t *first = m->region->first + sequence;
    size_t local = first[0] + lac_global_tokens(m, sequence);
    struct span of_part = part == GLOBAL ? lanes_in_tile(first[0], local, index)
                                         : lanes_in_tile(local, first[1], index);
    if (!is_last || lac_head_keep(f->head) == LAC_KEEP_ALL)
        return of_part;
    struct span kept = kept_in_tile(m, f->sequences[sequence], *first, index);
    kept.begin = lac_max_size(kept.begin, of_part.begin);
    kept.end = lac_min_size(kept.end, of_part.end);
    return kept.begin < kept.end ? kept : (struct span){0, 0};
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
    size_t n_segments, segment_keys;
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
        .segment_keys = LAC_TILE,
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
        .segment_keys = LAC_LANES,
        .pages = lac_kv_head(s->kv, layer, kv_head),
        .n_keys = s->kv->n_keys + s->n_tokens - lac_kv_gone(s->kv, layer, kv_head),
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
    size_t slot = kv->n_keys - lac_kv_gone(kv, layer, kv_head);
    struct lac_kv_pages_args args = {
        .segments = segments,
        .n_segments = batch_segments(m, sequence, kv_head, segments),
        .head_dim = kv->shape.head_dim,
        .pages = lac_kv_head(kv, layer, kv_head) + slot / LAC_LANES,
        .first_key = slot % LAC_LANES,
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
    enum part part;
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
    float scale;
};

static size_t kv_head_of(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_config *config = &m->network->config;
    return queries->head / (config->n_heads / config->n_kv_heads);
}

/* Keys of the queries' sequence and head: those that its cache keeps, and those of the batch. */
static size_t n_keys_of(const struct lac_member *m, const struct queries *queries)
{
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    if (!s->kv)
        return s->n_tokens;
    size_t n_gone = lac_kv_gone(s->kv, queries->layer, kv_head_of(m, queries));
    return s->kv->n_keys - n_gone + s->n_tokens;
}

/* Where a lane of the tile stands among them. */
static ptrdiff_t place_of(const struct lac_member *m, const struct queries *queries, size_t lane)
{
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    size_t n_before = n_keys_of(m, queries) - s->n_tokens;
    return (ptrdiff_t)(n_before + queries->tile.index * LAC_TILE + lane) -
           (ptrdiff_t)m->region->first[queries->sequence];
}

/* The cache's rule comes before the network's. */
static const struct lac_sight *sight_of(const struct lac_member *m, const struct queries *queries,
                                        size_t head)
{
    static const struct lac_sight_term all = {.kind = LAC_SIGHT_ALL};
    static const struct lac_sight sees_all = {false, &all, 1};
    const struct lac_config *config = &m->network->config;
    const struct lac_kv *kv = m->forward->sequences[queries->sequence]->kv;
    size_t kv_head = queries->layer * config->n_kv_heads + kv_head_of(m, queries);
    if (queries->part == GLOBAL)
        return &sees_all;
    if (kv && kv->shape.rules && kv->shape.rules->of[kv_head].sight)
        return kv->shape.rules->of[kv_head].sight;
    return m->network->sights[queries->layer * config->n_heads + head];
}

/* The kernel takes whole groups of lanes; the mask keeps it off the neighbours'. */
static size_t first_lane(struct span span)
{
    return span.begin / LAC_LANES * LAC_LANES;
}

static uint64_t mask_of(struct span span)
{
    return ((1ull << (span.end - span.begin)) - 1) << (span.begin - first_lane(span));
}

static struct lanes lanes_of(const struct lac_member *m, const struct queries *queries, size_t head)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    struct lac_tile tile = queries->tile;
    size_t lane = first_lane(queries->span), at = tile.index * LAC_TILE + lane;
    size_t offset = head * config->head_dim * tile.ld + lane, n_features = lac_query_size(config);
    return (struct lanes){
        .q = lac_tile_f32(r->q, tile.index, n_features) + offset,
        .y = lac_tile_f32(r->a, tile.index, n_features) + offset,
        .abs_max = r->abs_max + m->rank * r->n_lanes + at,
        .n_lanes = lac_round_up(queries->span.end - lane, LAC_LANES),
        .lane_mask = mask_of(queries->span),
        .scale = lac_config_attention_scale(config, queries->layer),
    };
}

static void attend_segments(const struct lac_member *m, const struct lanes *q, size_t ld,
                            const struct keys *keys, const struct lac_seen *seen)
{
    struct lac_attention_args args = {
        .q = q->q,
        .q_ld = ld,
        .n_lanes = q->n_lanes,
        .lane_mask = q->lane_mask,
        .head_dim = m->network->config.head_dim,
        .scale = q->scale,
        .segments = keys->segments,
        .n_segments = keys->n_segments,
        .segment_keys = keys->segment_keys,
        .n_keys = keys->n_keys,
        .seen = *seen,
        .y = q->y,
        .y_ld = ld,
    };
    m->network->kernels.attention[keys->dtype]->run.attention(&args);
}

static void attend_s8(const struct lac_member *m, const struct lanes *q, size_t ld,
                      const struct keys *keys, const struct lac_seen *seen)
{
    struct lac_attention_s8_args args = {
        .q = q->q,
        .q_ld = ld,
        .n_lanes = q->n_lanes,
        .lane_mask = q->lane_mask,
        .head_dim = m->network->config.head_dim,
        .scale = q->scale,
        .pages = (const void *const *)keys->pages,
        .n_keys = keys->n_keys,
        .seen = *seen,
        .y = q->y,
        .y_ld = ld,
        .abs_max = q->abs_max,
    };
    m->network->kernels.attention[LAC_S8]->run.attention_s8(&args);
}

static struct lac_sight_queries sight_queries(const struct lac_member *m,
                                              const struct queries *queries)
{
    return (struct lac_sight_queries){
        .first = place_of(m, queries, first_lane(queries->span)),
        .lanes = mask_of(queries->span),
        .n_keys = n_keys_of(m, queries),
        .n_global = lac_global_tokens(m, queries->sequence),
    };
}

/* Those of the queries, from the first on, that one list serves best. */
static struct span listed_together(const struct lac_member *m, const struct queries *queries,
                                   const struct lac_sight *sight, size_t n_keys)
{
    struct span span = queries->span;
    size_t at = (size_t)place_of(m, queries, span.begin);
    size_t end = lac_sight_end(sight, n_keys, at) - at;
    return (struct span){span.begin, lac_min_size(span.end - span.begin, end) + span.begin};
}

/* Queries in lanes, a head at a time, of heads that see alike. */
static void attend_lanes(const struct lac_member *m, const struct queries *queries,
                         const struct keys *keys)
{
    struct lac_region *r = m->region;
    const struct lac_sight *sight = sight_of(m, queries, queries->head);
    struct queries some = *queries;
    for (; some.span.begin < queries->span.end; some.span.begin = some.span.end) {
        some.span.end = queries->span.end;
        some.span = listed_together(m, &some, sight, keys->n_keys);
        struct lac_sight_queries listed = sight_queries(m, &some);
        struct lac_seen seen = lac_sight_list(sight, &listed, r->blocks + m->rank * r->n_blocks,
                                              r->masks + m->rank * r->n_blocks);
        for (size_t i = 0; i < queries->n_heads; i++) {
            struct lanes q = lanes_of(m, &some, queries->head + i);
            (keys->dtype == LAC_S8 ? attend_s8 : attend_segments)(m, &q, some.tile.ld, keys, &seen);
        }
    }
}

/* Up to this many tokens of a sequence are worked on one by one: lanes would be empty. */
enum { ROW_TOKENS = 6 };

static bool is_rows(const struct lac_member *m, const struct queries *queries)
{
    return m->forward->sequences[queries->sequence]->kv &&
           queries->span.end - queries->span.begin <= ROW_TOKENS;
}

/* How many of n heads from the queries' on see like the first. */
static size_t heads_alike(const struct lac_member *m, const struct queries *queries, size_t n)
{
    const struct lac_sight *sight = sight_of(m, queries, queries->head);
    size_t alike = 1;
    while (alike < n && sight_of(m, queries, queries->head + alike) == sight)
        alike++;
    return alike;
}

/* A layer's attention, or its part for global tokens. */
struct pass {
    enum part part;
    size_t layer;
    bool is_last;
};

/* Those of a tile that share a key/value head. */
static struct queries wanted_queries(const struct lac_member *m, const struct pass *pass,
                                     size_t sequence, size_t tile, size_t kv_head)
{
    size_t group = m->network->config.n_heads / m->network->config.n_kv_heads;
    return (struct queries){
        .part = pass->part,
        .sequence = sequence,
        .layer = pass->layer,
        .tile = lac_tile_at(m, m->n_tokens, tile),
        .span = wanted(m, sequence, tile, pass->is_last, pass->part),
        .head = kv_head * group,
        .n_heads = group,
    };
}

static struct lac_row row_of(const struct lac_member *m, const struct queries *queries, size_t lane)
{
    const struct lac_sequence *s = m->forward->sequences[queries->sequence];
    struct queries one = *queries;
    one.span = (struct span){lane, lane + 1};
    struct lanes l = lanes_of(m, &one, queries->head);
    size_t in_group = lane % LAC_LANES;
    return (struct lac_row){
        .kv = s->kv,
        .layer = queries->layer,
        .kv_head = kv_head_of(m, queries),
        .n_heads = queries->n_heads,
        .sight = sight_of(m, queries, queries->head),
        .place = (size_t)place_of(m, queries, lane),
        .scale = l.scale,
        .q = l.q + in_group,
        .y = l.y + in_group,
        .ld = queries->tile.ld,
        .abs_max = l.abs_max + in_group,
    };
}

/* Of heads that see alike: groups of query lanes times blocks of keys, or that of each token. */
static size_t cost_alike(const struct lac_member *m, const struct queries *queries)
{
    struct span span = queries->span;
    size_t cost = 0;
    if (is_rows(m, queries)) {
        for (size_t lane = span.begin; lane < span.end; lane++) {
            struct lac_row row = row_of(m, queries, lane);
            cost += lac_row_cost(&row);
        }
        return cost;
    }
    struct lac_sight_queries listed = sight_queries(m, queries);
    size_t groups = (span.end - 1) / LAC_LANES - span.begin / LAC_LANES + 1;
    size_t n = lac_sight_count(sight_of(m, queries, queries->head), &listed);
    return lac_max_size(1, groups * n * queries->n_heads);
}

/* Of the heads that share a key/value head; 0 when nothing is wanted of this tile. */
static size_t cost_of(const struct lac_member *m, const struct pass *pass, size_t sequence,
                      size_t tile, size_t kv_head)
{
    struct queries queries = wanted_queries(m, pass, sequence, tile, kv_head);
    size_t end = queries.head + queries.n_heads, cost = 0;
    if (queries.span.begin == queries.span.end)
        return 0;
    for (; queries.head < end; queries.head += queries.n_heads) {
        queries.n_heads = heads_alike(m, &queries, end - queries.head);
        cost += cost_alike(m, &queries);
    }
    return cost;
}

static size_t total_cost(const struct lac_member *m, const struct pass *pass)
{
    size_t total = 0;
    const size_t *first = m->region->first;
    for (size_t s = 0; s < m->forward->n_sequences; s++)
        for (size_t i = first[s] / LAC_TILE; i <= (first[s + 1] - 1) / LAC_TILE; i++)
            for (size_t head = 0; head < m->network->config.n_kv_heads; head++)
                total += cost_of(m, pass, s, i, head);
    return total;
}

/* The member's part of tokens that are worked on one by one. */
static void attend_rows(const struct lac_member *m, const struct queries *queries,
                        struct lac_share *share)
{
    for (size_t lane = queries->span.begin; lane < queries->span.end; lane++) {
        struct lac_row row = row_of(m, queries, lane);
        share->cost = m->team->size > 1 ? lac_row_cost(&row) : 1;
        lac_attend_row(m, &row, share);
        share->done += share->cost;
    }
}

/* The queries of a tile that share a key/value head, by heads that see alike.  Those in lanes are
 * all of one member; *keys is filled by the first that is this one's. */
static void attend_group(const struct lac_member *m, struct queries queries, struct keys *keys,
                         struct lac_share *share)
{
    size_t kv_head = kv_head_of(m, &queries), end = queries.head + queries.n_heads;
    const struct lac_kv *kv = m->forward->sequences[queries.sequence]->kv;
    for (; queries.head < end; queries.head += queries.n_heads) {
        queries.n_heads = heads_alike(m, &queries, end - queries.head);
        if (is_rows(m, &queries)) {
            attend_rows(m, &queries, share);
            continue;
        }
        bool is_mine = lac_share_owner(m, share->done, share->total) == m->rank;
        share->done += m->team->size > 1 ? cost_alike(m, &queries) : 1;
        if (!is_mine)
            continue;
        if (!keys->n_keys)
            *keys = kv ? cached_keys(m, queries.sequence, queries.layer, kv_head)
                       : batch_keys(m, queries.sequence, kv_head);
        attend_lanes(m, &queries, keys);
    }
}

/* The tiles of a text's head one after another, so that its keys stay in the cache.  Every member
 * walks through all items and takes those that begin in its part of the total cost: heads before
 * texts, because tokens of several texts share cache lines, and heads do not. */
static void attend_all(const struct lac_member *m, const struct pass *pass)
{
    const size_t *first = m->region->first;
    size_t n_sequences = m->forward->n_sequences;
    struct lac_share share = {
        .total = m->team->size > 1 ? lac_max_size(1, total_cost(m, pass)) : 1,
    };
    for (size_t item = 0; item < m->network->config.n_kv_heads * n_sequences; item++) {
        size_t head = item / n_sequences, s = item % n_sequences;
        size_t from = first[s] / LAC_TILE, to = (first[s + 1] - 1) / LAC_TILE;
        struct keys keys = {0};
        for (size_t i = from; i <= to; i++) {
            struct queries queries = wanted_queries(m, pass, s, i, head);
            if (queries.span.begin < queries.span.end)
                attend_group(m, queries, &keys, &share);
        }
    }
}

void lac_run_attention(const struct lac_member *m, size_t layer, bool is_last)
{
    struct lac_region *r = m->region;
    const struct pass pass = {LOCAL, layer, is_last};
    memset(r->abs_max + m->rank * r->n_lanes, 0, r->n_lanes * sizeof *r->abs_max);
    if (lac_family_is_decoder(m->network->config.family)) {
        store_all_keys(m, layer);
        lac_team_barrier(m->team, m->rank);
    }
    attend_all(m, &pass);
    if (lac_family_is_decoder(m->network->config.family))
        lac_run_votes(m, layer);
}

void lac_run_global_attention(const struct lac_member *m, size_t layer, bool is_last)
{
    const struct pass pass = {GLOBAL, layer, is_last};
    attend_all(m, &pass);
}
