/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of queries in lanes, for every vector instruction set: include after a math.h and the
 * definitions of
 *
 *   ATTENTION_VECS          vectors of queries that are worked on together, at most 4
 *   ATTENTION_ROWS(n_vecs)  keys, or rows of values, whose sums fit in registers beside them
 *
 * What is computed: simd/attention.h. */
#ifndef LACUNA_SIMD_TEMPLATE_ATTENTION_H
#define LACUNA_SIMD_TEMPLATE_ATTENTION_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "simd/attention.h"
#include "simd/template/lane_ranges.h"
#include "simd/template/queries.h"
#include "simd/template/score_lines.h"
#include "simd/template/scores.h"
#include "simd/template/sight.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NEVER_INLINE  __attribute__((noinline))

enum { MOST_ROWS = 16, MOST_LANES = ATTENTION_VECS * VEC_LANES };

/* Keys of one block that lie side by side in one segment. */
struct key_part {
    const float *k, *v;
    size_t k_ld, v_ld, v_step, n_keys;
};

/* Where keys and values begin of the pages of the block that comes next, a line for each feature,
 * unless that lies behind this one, where processors fetch by themselves: lists with 95 % zeros,
 * heads of 128 features, 16,384 tokens took 6 to 12 % longer without it. */
struct block_ahead {
    const char *k[BLOCK_PAGES], *v[BLOCK_PAGES];
    size_t k_step, v_step, n_pages;
};

struct key_block {
    struct key_part parts[LAC_KEY_BLOCK];
    size_t n_parts, n_keys;
    struct block_ahead ahead;
};

/* Where a key lies. */
struct key_place {
    const struct lac_kv_segment *segment;
    size_t key; /* in *segment */
};

/* The state of all lanes; rows of n_vecs vectors. */
struct attention_state {
    float s[LAC_KEY_BLOCK * MOST_LANES]; /* scores of a block, then their exponentials */
    vec block_max[ATTENTION_VECS], correction[ATTENTION_VECS];
    struct lane_ranges ranges;
};

/* The widened keys and values of a block of bf16. */
struct wide_keys {
    float k[LAC_MAX_HEAD_DIM * LAC_KEY_BLOCK]; /* [head_dim][LAC_KEY_BLOCK] */
    float v[LAC_KEY_BLOCK * LAC_MAX_HEAD_DIM]; /* [LAC_KEY_BLOCK][head_dim] */
};

static inline struct key_place find_key(const struct lac_attention_args *a, size_t key)
{
    size_t in_first = a->segments->n_keys;
    if (key < in_first)
        return (struct key_place){a->segments, key};
    key -= in_first;
    return (struct key_place){a->segments + 1 + key / a->segment_keys, key % a->segment_keys};
}

/* The part of the next n keys that lies in one segment; not empty. */
static inline size_t part_size(const struct key_place *at, size_t n)
{
    return lac_min_size(at->segment->n_keys - at->key, n);
}

static inline void skip_keys(struct key_place *at, size_t n)
{
    at->key += n;
    if (at->key >= at->segment->n_keys) {
        at->key = 0;
        at->segment++;
    }
}

/* Keys [key, key + n), behind those that the block already has. */
static void add_parts(const struct lac_attention_args *a, size_t key, size_t n_keys,
                      struct key_block *block)
{
    struct key_place at = find_key(a, key);
    for (size_t left = n_keys, n; left; left -= n, skip_keys(&at, n)) {
        const struct lac_kv_segment *s = at.segment;
        n = part_size(&at, left);
        block->parts[block->n_parts++] = (struct key_part){
            .k = (const float *)s->k + at.key,
            .v = (const float *)s->v + at.key * s->v_step,
            .k_ld = s->k_ld,
            .v_ld = s->v_ld,
            .v_step = s->v_step,
            .n_keys = n,
        };
    }
    block->n_keys += n_keys;
}

static inline void widen(const uint16_t *from, size_t step, size_t n, float *to)
{
    size_t i = 0;
    if (step == 1)
        for (; i + VEC_LANES <= n; i += VEC_LANES)
            vec_store(to + i, vec_load_bf16(from + i));
    for (; i < n; i++) {
        uint32_t bits = (uint32_t)from[i * step] << 16;
        memcpy(to + i, &bits, sizeof bits);
    }
}

/* The same for bf16: one part, in scratch memory. */
static void add_wide_parts(const struct lac_attention_args *a, size_t key, size_t n_keys,
                           struct wide_keys *wide, struct key_block *block)
{
    struct key_place place = find_key(a, key);
    size_t at = block->n_keys;
    block->n_keys += n_keys;
    for (size_t n; at < block->n_keys; at += n, skip_keys(&place, n)) {
        const struct lac_kv_segment *s = place.segment;
        const uint16_t *k = (const uint16_t *)s->k + place.key;
        const uint16_t *v = (const uint16_t *)s->v + place.key * s->v_step;
        n = part_size(&place, block->n_keys - at);
        for (size_t d = 0; d < a->head_dim; d++)
            widen(k + d * s->k_ld, 1, n, wide->k + d * LAC_KEY_BLOCK + at);
        for (size_t j = 0; j < n; j++)
            widen(v + j * s->v_step, s->v_ld, a->head_dim, wide->v + (at + j) * a->head_dim);
    }
    block->n_parts = 1;
    block->parts[0] =
        (struct key_part){wide->k, wide->v, LAC_KEY_BLOCK, 1, a->head_dim, block->n_keys};
}

/* The pages that are seen; neighbours in one go. */
static void gather_block(const struct lac_attention_args *a, const struct block_sight *sight,
                         struct wide_keys *wide, struct key_block *block)
{
    block->n_parts = block->n_keys = 0;
    for (size_t i = 0, end; i < sight->n_pages; i = end) {
        for (end = i + 1; end < sight->n_pages; end++)
            if (sight->pages[end] != sight->pages[end - 1] + 1)
                break;
        size_t n = lac_min_size(end * LAC_LANES, sight->n_keys) - i * LAC_LANES;
        if (wide)
            add_wide_parts(a, sight->pages[i] * LAC_LANES, n, wide, block);
        else
            add_parts(a, sight->pages[i] * LAC_LANES, n, block);
    }
}

/* Behind entry i of the list. */
static void find_ahead(const struct lac_attention_args *a, size_t i, int is_wide,
                       struct block_ahead *ahead)
{
    const size_t size = is_wide ? sizeof(uint16_t) : sizeof(float);
    ahead->n_pages = 0;
    if (i + 1 == a->seen.n_blocks || a->seen.blocks[i + 1].block <= a->seen.blocks[i].block + 1)
        return;
    size_t key = (size_t)a->seen.blocks[i + 1].block * LAC_KEY_BLOCK;
    for (; ahead->n_pages < BLOCK_PAGES && key < a->n_keys; key += LAC_LANES) {
        struct key_place at = find_key(a, key);
        ahead->k_step = at.segment->k_ld * size;
        ahead->v_step = at.segment->v_step == 1 ? at.segment->v_ld * size : LAC_LANES * size;
        ahead->k[ahead->n_pages] = (const char *)at.segment->k + at.key * size;
        ahead->v[ahead->n_pages++] =
            (const char *)at.segment->v + at.key * at.segment->v_step * size;
    }
}

/* Lines of features [begin, end) of each page. */
static inline void fetch_ahead(const char *const pages[BLOCK_PAGES], size_t n_pages, size_t step,
                               size_t begin, size_t end)
{
    for (size_t d = begin; n_pages && d < end; d++)
        for (size_t page = 0; page < n_pages; page++)
            __builtin_prefetch(pages[page] + d * step, 0, 2);
}

/* s[j] = scale * sum_d k[d][j] q[d] for n_rows keys, and their maximum. */
ALWAYS_INLINE void score_keys(const struct lac_attention_args *a, const float *q, const float *k,
                              size_t ld, float *s, vec *max, const int n_rows, const int n_vecs)
{
    vec sum[MOST_ROWS][ATTENTION_VECS];
#pragma GCC unroll 16
    for (int j = 0; j < n_rows; j++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            sum[j][i] = vec_set1(0);
    for (size_t d = 0; d < a->head_dim; d++, q += LAC_QUERY_BLOCK, k += ld) {
        vec x[ATTENTION_VECS];
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            x[i] = vec_load(q + i * VEC_LANES);
#pragma GCC unroll 16
        for (int j = 0; j < n_rows; j++) {
            vec key = vec_set1(k[j]);
#pragma GCC unroll 4
            for (int i = 0; i < n_vecs; i++)
                sum[j][i] = vec_fma(key, x[i], sum[j][i]);
        }
    }
    const vec scale = vec_set1(a->scale);
#pragma GCC unroll 4
    for (int i = 0; i < n_vecs; i++) {
        vec most = max[i];
#pragma GCC unroll 16
        for (int j = 0; j < n_rows; j++) {
            vec score = vec_mul(sum[j][i], scale);
            most = vec_max(most, score);
            vec_store(s + (j * n_vecs + i) * VEC_LANES, score);
        }
        max[i] = most;
    }
}

/* o[r] = correction o[r] + sum_j p[j] v[r][j] for n_rows rows, v at the first of them; at a
 * range's first block o holds nothing yet. */
ALWAYS_INLINE void add_values(const struct key_block *block, size_t row, const float *p,
                              const vec *correction, float *o, const int n_rows, const int n_vecs)
{
    vec sum[MOST_ROWS][ATTENTION_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            sum[r][i] = correction
                            ? vec_mul(correction[i], vec_load(o + r * RANGE_LD + i * VEC_LANES))
                            : vec_set1(0);
    for (const struct key_part *part = block->parts; part < block->parts + block->n_parts; part++) {
        const float *v = part->v + row * part->v_ld;
        const size_t ld = part->v_ld, step = part->v_step;
        for (size_t j = 0; j < part->n_keys; j++, v += step, p += n_vecs * VEC_LANES) {
            vec x[ATTENTION_VECS];
#pragma GCC unroll 4
            for (int i = 0; i < n_vecs; i++)
                x[i] = vec_load(p + i * VEC_LANES);
#pragma GCC unroll 16
            for (int r = 0; r < n_rows; r++) {
                vec value = vec_set1(v[(size_t)r * ld]);
#pragma GCC unroll 4
                for (int i = 0; i < n_vecs; i++)
                    sum[r][i] = vec_fma(value, x[i], sum[r][i]);
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            vec_store(o + r * RANGE_LD + i * VEC_LANES, sum[r][i]);
}

/* Tiles of each number of rows, as functions of their own: inlined into one, they would crowd each
 * other out of the registers.  For each number of vectors there is a table of them by number of
 * rows: 1 to 8 (or ATTENTION_ROWS, if that is less) and ATTENTION_ROWS. */
typedef void score_function(const struct lac_attention_args *a, const float *q, const float *k,
                            size_t ld, float *s, vec *max);
typedef void add_function(const struct key_block *block, size_t row, const float *p,
                          const vec *correction, float *o);

struct attention_tiles {
    score_function *score;
    add_function *add;
};

#define DEFINE_TILE(n_vecs, n_rows)                                                                \
    static NEVER_INLINE void score_##n_rows##x##n_vecs(const struct lac_attention_args *a,         \
                                                       const float *q, const float *k, size_t ld,  \
                                                       float *s, vec *max)                         \
    {                                                                                              \
        score_keys(a, q, k, ld, s, max, n_rows, n_vecs);                                           \
    }                                                                                              \
    static NEVER_INLINE void add_##n_rows##x##n_vecs(const struct key_block *block, size_t row,    \
                                                     const float *p, const vec *correction,        \
                                                     float *o)                                     \
    {                                                                                              \
        add_values(block, row, p, correction, o, n_rows, n_vecs);                                  \
    }
#define LIST_TILE(n_vecs, n_rows) [n_rows] = {score_##n_rows##x##n_vecs, add_##n_rows##x##n_vecs},

/* How many of the rows left the next tile takes. */
static inline size_t tile_rows(size_t left, size_t most)
{
    return left >= most ? most : left >= 8 ? 8 : left;
}

ALWAYS_INLINE void score_block(const struct lac_attention_args *a, const float *q,
                               const struct key_block *block, const struct attention_tiles *tiles,
                               struct attention_state *state, const int n_vecs)
{
    float *s = state->s;
    size_t done = 0;
    for (int i = 0; i < n_vecs; i++)
        state->block_max[i] = vec_set1(-INFINITY);
    for (size_t i = 0; i < block->n_parts; i++) {
        const struct key_part *part = &block->parts[i];
        for (size_t j = 0, n; j < part->n_keys; j += n) {
            n = tile_rows(part->n_keys - j, ATTENTION_ROWS(n_vecs));
            fetch_ahead(block->ahead.k, block->ahead.n_pages, block->ahead.k_step,
                        a->head_dim * done / block->n_keys,
                        a->head_dim * (done + n) / block->n_keys);
            done += n;
            tiles[n].score(a, q, part->k + j, part->k_ld, s, state->block_max);
            s += n * n_vecs * VEC_LANES;
        }
    }
}

/* block_max once more, where keys were hidden. */
ALWAYS_INLINE void find_max(struct attention_state *state, size_t n_keys, const int n_vecs)
{
    for (int i = 0; i < n_vecs; i++) {
        vec max = vec_set1(NOT_SEEN);
        for (size_t j = 0; j < n_keys; j++)
            max = vec_max(max, vec_load(state->s + (j * n_vecs + i) * VEC_LANES));
        state->block_max[i] = max;
    }
}

/* One vector of queries: scores to exponentials, s[0], s[step], ...; their sum. */
ALWAYS_INLINE vec weigh_lanes(float *s, size_t step, size_t n_keys, vec max, const int hides)
{
    vec part[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    for (size_t j = 0; j < n_keys; j += 4)
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++, s += step) {
            if (j + r >= n_keys)
                break;
            vec x = vec_load(s), p = vec_exp_weight(vec_sub(x, max));
            if (hides)
                p = hide_weight(x, p);
            vec_store(s, p);
            part[r] = vec_add(part[r], p);
        }
    return vec_add(vec_add(part[0], part[1]), vec_add(part[2], part[3]));
}

static NEVER_INLINE vec weigh_all(float *s, size_t step, size_t n_keys, vec max)
{
    return weigh_lanes(s, step, n_keys, max, 0);
}

static NEVER_INLINE vec weigh_seen(float *s, size_t step, size_t n_keys, vec max)
{
    return weigh_lanes(s, step, n_keys, max, 1);
}

/* Vectors from `first` on. */
ALWAYS_INLINE void weigh_block(struct attention_state *state, size_t n_keys, int hides,
                               const int first, const int n_vecs)
{
    const size_t step = (size_t)n_vecs * VEC_LANES;
    struct lane_ranges *r = &state->ranges;
    for (int i = 0; i < n_vecs; i++) {
        float *s = state->s + i * VEC_LANES;
        vec max = vec_max(r->max[first + i], state->block_max[i]);
        vec correction = vec_exp_weight(vec_sub(r->max[first + i], max));
        vec sum = hides ? weigh_seen(s, step, n_keys, max) : weigh_all(s, step, n_keys, max);
        r->max[first + i] = max;
        state->correction[i] = correction;
        r->sum[first + i] = vec_fma(r->sum[first + i], correction, sum);
    }
}

ALWAYS_INLINE void add_block(const struct lac_attention_args *a, const struct key_block *block,
                             const struct attention_tiles *tiles, struct attention_state *state,
                             const int first, const size_t rows)
{
    const vec *correction = state->ranges.is_begun ? state->correction : NULL;
    for (size_t d = 0, n; d < a->head_dim; d += n) {
        n = tile_rows(a->head_dim - d, rows);
        fetch_ahead(block->ahead.v, block->ahead.n_pages, block->ahead.v_step, d, d + n);
        tiles[n].add(block, d, state->s, correction,
                     state->ranges.o + d * RANGE_LD + first * VEC_LANES);
    }
}

ALWAYS_INLINE void finish(const struct attention_state *state, size_t head_dim, float *y,
                          const int n_vecs)
{
    const vec zero = vec_set1(0);
    for (int i = 0; i < n_vecs; i++) {
        vec sum = state->ranges.joined_sum[i];
        vec share = vec_select_lt(zero, sum, vec_div(vec_set1(1.0f), sum), zero);
        const float *o = state->ranges.joined_o + i * VEC_LANES;
        for (size_t d = 0; d < head_dim; d++, o += RANGE_LD)
            vec_store(y + d * LAC_QUERY_BLOCK + (size_t)i * VEC_LANES,
                      vec_add(vec_mul(vec_load(o), share), zero));
    }
}

/* What vectors from `first` on, of queries q, see of a block. */
ALWAYS_INLINE void attend_seen(const struct lac_attention_args *a, size_t i, const float *q,
                               const struct block_sight *sight, struct wide_keys *wide,
                               const struct attention_tiles *tiles, struct attention_state *state,
                               const int first, const int n_vecs)
{
    struct key_block block;
    gather_block(a, sight, wide, &block);
    find_ahead(a, i, wide != NULL, &block.ahead);
    score_block(a, q, &block, tiles, state, n_vecs);
    if (sight->hides) {
        hide_keys(sight, state->s, n_vecs);
        find_max(state, block.n_keys, n_vecs);
    }
    weigh_block(state, block.n_keys, sight->hides, first, n_vecs);
    add_block(a, &block, tiles, state, first, ATTENTION_ROWS(n_vecs));
}

/* Entry i of the list, of which n_columns times LAC_LANES lanes see different pages: one after the
 * other. */
static NEVER_INLINE void attend_columns(const struct lac_attention_args *a,
                                        const struct query_block *queries, size_t i, size_t lane,
                                        struct wide_keys *wide, const struct attention_tiles *tiles,
                                        struct attention_state *state, int n_columns)
{
    struct block_sight sight;
    begin_empty(&state->ranges, a->head_dim, n_columns * COLUMN_VECS);
    for (int column = 0; column < n_columns; column++, lane += LAC_LANES)
        if (look(&a->seen, i, a->n_keys, lane, query_lanes(queries, lane, LAC_LANES), &sight))
            attend_seen(a, i, queries->x + lane, &sight, wide, tiles, state, column * COLUMN_VECS,
                        COLUMN_VECS);
}

/* Queries from lane on, as many as n_vecs vectors hold.  wide: keys are bf16.  column_tiles: of
 * COLUMN_VECS vectors, for more of them. */
ALWAYS_INLINE void attend(const struct lac_attention_args *a, struct query_block *queries,
                          size_t lane, struct wide_keys *wide, const struct attention_tiles *tiles,
                          const struct attention_tiles *column_tiles, const int n_vecs)
{
    struct attention_state state;
    struct block_sight sight;
    const uint64_t lanes = query_lanes(queries, lane, (size_t)n_vecs * VEC_LANES);
    float *q = queries->x + lane;
    if (!lanes)
        return;
    begin_ranges(&state.ranges, n_vecs);
    for (size_t i = 0; i < a->seen.n_blocks; i++) {
        if (!look(&a->seen, i, a->n_keys, lane, lanes, &sight))
            continue;
        enter_range(&state.ranges, a->seen.blocks[i].block, a->head_dim, vec_exp_weight, n_vecs);
        if (n_vecs > COLUMN_VECS && sight.is_ragged)
            attend_columns(a, queries, i, lane, wide, column_tiles, &state, n_vecs / COLUMN_VECS);
        else
            attend_seen(a, i, q, &sight, wide, tiles, &state, 0, n_vecs);
        state.ranges.is_begun = 1;
    }
    end_ranges(&state.ranges, a->head_dim, vec_exp_weight, n_vecs);
    if (a->lost)
        join_lost(&state.ranges, a->lost, q, a->head_dim, a->scale, 1, vec_exp_weight, n_vecs);
    finish(&state, a->head_dim, q, n_vecs);
}

/* Their scores alone. */
ALWAYS_INLINE void score_lanes(const struct lac_scores_args *o, const struct query_block *queries,
                               size_t lane, struct wide_keys *wide,
                               const struct attention_tiles *tiles, const int n_vecs)
{
    const struct lac_attention_args *a = o->of;
    struct attention_state state;
    struct key_block block;
    struct block_sight sight;
    const uint64_t lanes = query_lanes(queries, lane, (size_t)n_vecs * VEC_LANES);
    for (size_t i = 0; i < a->seen.n_blocks; i++) {
        if (look(&a->seen, i, a->n_keys, lane, lanes, &sight)) {
            gather_block(a, &sight, wide, &block);
            block.ahead.n_pages = 0;
            score_block(a, queries->x + lane, &block, tiles, &state, n_vecs);
            if (sight.hides)
                hide_keys(&sight, state.s, n_vecs);
        }
        write_scores(o, i, lane, &sight, state.s, n_vecs);
    }
}

#endif
