/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over a packed batch: which queries of which tile meet which keys. */
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

/* Keys and values of one head of a sequence, tile by tile. */
static size_t find_segments(const struct lac_member *m, size_t sequence, size_t head,
                            struct lac_kv_segment *segments)
{
    size_t hidden = m->network->config.hidden_size;
    size_t feature = head * (hidden / m->network->config.n_heads);
    size_t begin = m->region->first[sequence], end = m->region->first[sequence + 1], n = 0;
    for (size_t i = begin / LAC_TILE; i <= (end - 1) / LAC_TILE; i++) {
        struct lac_tile tile = lac_tile_at(m->n_tokens, i);
        struct span lanes = lanes_in_tile(begin, end, i);
        size_t offset = feature * tile.ld + lanes.begin;
        segments[n++] = (struct lac_kv_segment){
            .k = lac_tile_f32(m->region->k, i, hidden) + offset,
            .v = lac_tile_f32(m->region->v, i, hidden) + offset,
            .k_ld = tile.ld,
            .v_ld = tile.ld,
            .v_step = 1,
            .n_keys = lanes.end - lanes.begin,
        };
    }
    return n;
}

/* Keys and values of one head of a sequence, as its dtype's kernel takes them. */
struct keys {
    const struct lac_kv_segment *segments;
    size_t n_segments;
    const void *const *pages; /* int8 */
    size_t n_keys;
};

/* Quantised by each member that asks for a head, into memory that is still in its cache when the
 * head's queries come: few heads have more than one. */
static const void *const *make_pages(const struct lac_member *m, const struct keys *keys)
{
    const struct lac_region *r = m->region;
    size_t head_dim = m->network->config.hidden_size / m->network->config.n_heads;
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
    m->network->kernels.kv_pages->run.kv_pages(&args);
    return (const void *const *)pages;
}

static struct keys find_keys(const struct lac_member *m, size_t sequence, size_t head)
{
    const size_t *first = m->region->first + sequence;
    struct lac_kv_segment *segments =
        m->region->segments + m->rank * (m->region->n_lanes / LAC_TILE);
    struct keys keys = {
        .segments = segments,
        .n_segments = find_segments(m, sequence, head, segments),
        .n_keys = first[1] - first[0],
    };
    if (lac_dtype_is_quantized(m->network->dtype))
        keys.pages = make_pages(m, &keys);
    return keys;
}

/* Queries of a tile, of one head. */
struct queries {
    const float *q;
    float *y, *abs_max;
    size_t ld, n_lanes, head_dim;
    uint64_t lane_mask;
};

static struct queries find_queries(const struct lac_member *m, struct lac_tile tile,
                                   struct span span, size_t head)
{
    const struct lac_region *r = m->region;
    size_t hidden = m->network->config.hidden_size;
    size_t head_dim = hidden / m->network->config.n_heads;
    /* The kernel takes whole groups of lanes; the mask keeps it off the neighbours'. */
    size_t lane = span.begin / LAC_LANES * LAC_LANES;
    size_t offset = head * head_dim * tile.ld + lane;
    return (struct queries){
        .q = lac_tile_f32(r->q, tile.index, hidden) + offset,
        .y = lac_tile_f32(r->a, tile.index, hidden) + offset,
        .abs_max = r->abs_max + m->rank * r->n_lanes + tile.index * LAC_TILE + lane,
        .ld = tile.ld,
        .n_lanes = lac_round_up(span.end - lane, LAC_LANES),
        .head_dim = head_dim,
        .lane_mask = ((1ull << (span.end - span.begin)) - 1) << (span.begin - lane),
    };
}

static void attend_f32(const struct lac_member *m, const struct queries *q, const struct keys *keys)
{
    struct lac_attention_args args = {
        .q = q->q,
        .q_ld = q->ld,
        .n_lanes = q->n_lanes,
        .lane_mask = q->lane_mask,
        .head_dim = q->head_dim,
        .scale = 1.0f / sqrtf((float)q->head_dim),
        .segments = keys->segments,
        .n_segments = keys->n_segments,
        .y = q->y,
        .y_ld = q->ld,
    };
    m->network->kernels.attention->run.attention(&args);
}

static void attend_s8(const struct lac_member *m, const struct queries *q, const struct keys *keys)
{
    struct lac_attention_s8_args args = {
        .q = q->q,
        .q_ld = q->ld,
        .n_lanes = q->n_lanes,
        .lane_mask = q->lane_mask,
        .head_dim = q->head_dim,
        .scale = 1.0f / sqrtf((float)q->head_dim),
        .pages = keys->pages,
        .n_keys = keys->n_keys,
        .y = q->y,
        .y_ld = q->ld,
        .abs_max = q->abs_max,
    };
    m->network->kernels.attention_s8->run.attention_s8(&args);
}

/* Groups of query lanes times keys; 0 when nothing is wanted of this tile. */
static size_t cost_of(struct span queries, size_t n_keys)
{
    if (queries.begin == queries.end)
        return 0;
    size_t groups = (queries.end - 1) / LAC_LANES - queries.begin / LAC_LANES + 1;
    return groups * n_keys;
}

static size_t total_cost(const struct lac_member *m, bool is_last)
{
    size_t total = 0;
    const size_t *first = m->region->first;
    for (size_t s = 0; s < m->forward->n_sequences; s++)
        for (size_t i = first[s] / LAC_TILE; i <= (first[s + 1] - 1) / LAC_TILE; i++)
            total += cost_of(wanted(m, s, i, is_last), first[s + 1] - first[s]);
    return total * m->network->config.n_heads;
}

/* Tiles of a head one after another, so that its keys stay in the cache.  Every member walks
 * through all items and takes those that begin in its part of the total cost. */
void lac_run_attention(const struct lac_member *m, bool is_last)
{
    struct lac_region *r = m->region;
    const size_t *first = r->first;
    memset(r->abs_max + m->rank * r->n_lanes, 0, r->n_lanes * sizeof *r->abs_max);
    size_t size = m->team->size, total = size > 1 ? total_cost(m, is_last) : 1, done = 0;
    for (size_t s = 0; s < m->forward->n_sequences; s++) {
        size_t from = first[s] / LAC_TILE, to = (first[s + 1] - 1) / LAC_TILE;
        for (size_t head = 0; head < m->network->config.n_heads; head++) {
            struct keys keys = {0};
            for (size_t i = from; i <= to; i++) {
                struct span span = wanted(m, s, i, is_last);
                size_t cost = cost_of(span, first[s + 1] - first[s]);
                bool is_mine = size == 1 || done * size / total == m->rank;
                done += cost;
                if (!cost || !is_mine)
                    continue;
                if (!keys.n_keys)
                    keys = find_keys(m, s, head);
                struct queries q = find_queries(m, lac_tile_at(m->n_tokens, i), span, head);
                (lac_dtype_is_quantized(m->network->dtype) ? attend_s8 : attend_f32)(m, &q, &keys);
            }
        }
    }
}
