/* SPDX-License-Identifier: Apache-2.0 */
/* Attention over a packed batch: which queries of which tile meet which keys. */
#include <math.h>
#include <string.h>

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
            .ld = tile.ld,
            .n_keys = lanes.end - lanes.begin,
        };
    }
    return n;
}

static void attend(const struct lac_member *m, struct lac_tile tile, struct span queries,
                   size_t head, const struct lac_kv_segment *segments, size_t n_segments)
{
    struct lac_region *r = m->region;
    size_t hidden = m->network->config.hidden_size;
    size_t head_dim = hidden / m->network->config.n_heads;
    /* The kernel takes whole groups of lanes; the mask keeps it off the neighbours'. */
    size_t lane = queries.begin / LAC_LANES * LAC_LANES;
    size_t offset = head * head_dim * tile.ld + lane;
    uint64_t mask = ((1ull << (queries.end - queries.begin)) - 1) << (queries.begin - lane);
    float *abs_max = r->abs_max + m->rank * r->n_lanes + tile.index * LAC_TILE + lane;
    struct lac_attention_args args = {
        .q = lac_tile_f32(r->q, tile.index, hidden) + offset,
        .q_ld = tile.ld,
        .n_lanes = lac_round_up(queries.end - lane, LAC_LANES),
        .lane_mask = mask,
        .head_dim = head_dim,
        .scale = 1.0f / sqrtf((float)head_dim),
        .segments = segments,
        .n_segments = n_segments,
        .y = lac_tile_f32(r->a, tile.index, hidden) + offset,
        .y_ld = tile.ld,
        .abs_max = m->network->dtype == LAC_S8 ? abs_max : NULL,
    };
    m->network->kernels.attention->run.attention(&args);
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
    struct lac_kv_segment *segments = r->segments + m->rank * (r->n_lanes / LAC_TILE);
    memset(r->abs_max + m->rank * r->n_lanes, 0, r->n_lanes * sizeof *r->abs_max);
    size_t size = m->team->size, total = size > 1 ? total_cost(m, is_last) : 1, done = 0;
    for (size_t s = 0; s < m->forward->n_sequences; s++) {
        size_t from = first[s] / LAC_TILE, to = (first[s + 1] - 1) / LAC_TILE;
        for (size_t head = 0; head < m->network->config.n_heads; head++) {
            size_t n_segments = 0;
            for (size_t i = from; i <= to; i++) {
                struct span queries = wanted(m, s, i, is_last);
                size_t cost = cost_of(queries, first[s + 1] - first[s]);
                bool is_mine = size == 1 || done * size / total == m->rank;
                done += cost;
                if (!cost || !is_mine)
                    continue;
                if (!n_segments)
                    n_segments = find_segments(m, s, head, segments);
                attend(m, lac_tile_at(m->n_tokens, i), queries, head, segments, n_segments);
            }
        }
    }
}
