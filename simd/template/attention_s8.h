/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers, for every vector instruction set: include after a lanes.h,
 * simd/template/quantize.h and the definitions of
 *
 *   ATTENTION_VECS        vectors of queries that are worked on together, at most 4
 *   SCORE_ROWS(n_vecs)    keys whose sums fit in registers beside them
 *   VALUE_ROWS(n_vecs)    features of values whose sums do: even
 *   QUERY_BYTES           bytes of a query's feature as store_query writes it
 *   store_query(to, x, factor)       4 features of a vector of queries, round_half_even(x * factor)
 *   struct query, load_query(from)   and one dword of them
 *   struct key, load_key(from)       a broadcast dword of keys
 *   score_dot(acc, query, key)       acc + their product, keys taken as they are (+ 128)
 *   WEIGHT_PARTS                     parts that weights are multiplied in: 1, or first the higher
 * of 2, the lower of which has 8 bits store_weights(to, w)             weights of 4 keys for a
 * vector of queries: the low 14 bits of w[0..3], in 8 bytes a lane struct weights,
 * load_weights(from, part) next_part(sum)                   the sum of the parts so far, as the
 * next one counts it struct value, load_value(from)   a broadcast dword of values value_dot(sum,
 * weights, value)
 *
 * What is computed: struct lac_attention_s8_args. */
#ifndef LACUNA_SIMD_TEMPLATE_ATTENTION_S8_H
#define LACUNA_SIMD_TEMPLATE_ATTENTION_S8_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "simd/template/lane_ranges.h"
#include "simd/template/quantize.h"
#include "simd/template/queries.h"
#include "simd/template/row.h"
#include "simd/template/scores.h"
#include "simd/template/sight.h"
#include "src/base/checked.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NEVER_INLINE  __attribute__((noinline))

enum { MOST_LANES = ATTENTION_VECS * VEC_LANES };

/* Up to LAC_KEY_BLOCK keys. */
struct page_block {
    const void *pages[BLOCK_PAGES];
    size_t n_keys, n_dwords;                 /* dwords of a key */
    const int8_t *groups[LAC_KEY_BLOCK / 4]; /* the values of 4 keys each */
    size_t n_groups;
};

/* The state of all lanes.  A block's work is done for all of them or for LAC_LANES: the rows of s
 * and w are of as many vectors, and what has ATTENTION_VECS of a block begins with the first. */
struct integer_state {
    _Alignas(64) uint8_t q[LAC_MAX_HEAD_DIM * MOST_LANES * QUERY_BYTES];
    float s[LAC_KEY_BLOCK * MOST_LANES];
    uint8_t w[LAC_KEY_BLOCK * MOST_LANES * 2];
    float share[LAC_KEY_BLOCK];       /* what the block's keys multiply their weights with */
    vec value_factor[ATTENTION_VECS]; /* instead of share: 16383 / v_max, where keys are hidden */
    vec step[ATTENTION_VECS];         /* of the block's weighted sums */
    vec correction[ATTENTION_VECS], block_max[ATTENTION_VECS];
    int n_empty; /* of the block's weights these first parts are all 0 */
    /* Of all vectors. */
    vec q_factor[ATTENTION_VECS];
    veci q_offset[ATTENTION_VECS];
    struct lane_ranges ranges;
    int first;   /* the first vector at work */
    size_t q_ld; /* bytes of the queries' dwords, of all vectors */
};

/* Scores of n_rows keys of a page, from `key` on, and their maximum. */
ALWAYS_INLINE void score_keys(struct integer_state *state, const struct lac_kv_page *page,
                              size_t key, size_t n_dwords, float *s, const int n_rows,
                              const int n_vecs)
{
    veci sum[16][ATTENTION_VECS];
    const uint8_t *q = state->q + state->first * 4 * QUERY_BYTES * VEC_LANES;
    const uint8_t *k = page->rows + key * 4;
#pragma GCC unroll 16
    for (int j = 0; j < n_rows; j++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            sum[j][i] = state->q_offset[state->first + i];
    for (size_t d = 0; d < n_dwords; d++, k += LAC_LANES * 4, q += state->q_ld) {
        struct query x[ATTENTION_VECS];
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            x[i] = load_query(q + i * 4 * QUERY_BYTES * VEC_LANES);
#pragma GCC unroll 16
        for (int j = 0; j < n_rows; j++) {
            struct key y = load_key(k + j * 4);
#pragma GCC unroll 4
            for (int i = 0; i < n_vecs; i++)
                sum[j][i] = score_dot(sum[j][i], x[i], y);
        }
    }
#pragma GCC unroll 16
    for (int j = 0; j < n_rows; j++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            KEEP_IN_REGISTER(sum[j][i]);
    const vec *q_factor = state->q_factor + state->first;
    vec most[ATTENTION_VECS];
#pragma GCC unroll 4
    for (int i = 0; i < n_vecs; i++)
        most[i] = state->block_max[i];
#pragma GCC unroll 16
    for (int j = 0; j < n_rows; j++) {
        vec k_scale = vec_set1(page->k_scale[key + (size_t)j]);
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++) {
            vec score = vec_mul(vec_from_int(sum[j][i]), vec_mul(k_scale, q_factor[i]));
            most[i] = vec_max(most[i], score);
            vec_store(s + (j * n_vecs + i) * VEC_LANES, score);
        }
    }
#pragma GCC unroll 4
    for (int i = 0; i < n_vecs; i++)
        state->block_max[i] = most[i];
}

/* Adds part of the weights to the sums of n_rows features from f on. */
ALWAYS_INLINE void sum_values(const struct integer_state *state, const struct page_block *block,
                              size_t f, veci sum[16][ATTENTION_VECS], const int part,
                              const int n_rows, const int n_vecs)
{
    const uint8_t *w = state->w;
    for (size_t g = 0; g < block->n_groups; g++) {
        const int8_t *v = block->groups[g] + f * 4;
        struct weights x[ATTENTION_VECS];
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++, w += 8 * VEC_LANES)
            x[i] = load_weights(w, part);
#pragma GCC unroll 16
        for (int r = 0; r < n_rows; r++) {
            struct value y = load_value(v + r * 4);
#pragma GCC unroll 4
            for (int i = 0; i < n_vecs; i++)
                sum[r][i] = value_dot(sum[r][i], x[i], y);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            KEEP_IN_REGISTER(sum[r][i]);
}

/* o of n_rows features from f on: at a range's first block there is nothing yet to correct. */
ALWAYS_INLINE void add_values(struct integer_state *state, const struct page_block *block, size_t f,
                              const vec *correction, const int n_rows, const int n_vecs)
{
    veci sum[16][ATTENTION_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++)
            sum[r][i] = veci_set1(0);
    if (!state->n_empty) {
        sum_values(state, block, f, sum, 0, n_rows, n_vecs);
#pragma GCC unroll 16
        for (int r = 0; r < n_rows && WEIGHT_PARTS == 2; r++)
#pragma GCC unroll 4
            for (int i = 0; i < n_vecs; i++)
                sum[r][i] = next_part(sum[r][i]);
    }
    if (WEIGHT_PARTS == 2 && state->n_empty < 2)
        sum_values(state, block, f, sum, 1, n_rows, n_vecs);
    float *o = state->ranges.o + f * RANGE_LD + state->first * VEC_LANES;
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++, o += RANGE_LD)
#pragma GCC unroll 4
        for (int i = 0; i < n_vecs; i++) {
            vec old =
                correction ? vec_mul(correction[i], vec_load(o + i * VEC_LANES)) : vec_set1(0);
            vec_store(o + i * VEC_LANES, vec_fma(vec_from_int(sum[r][i]), state->step[i], old));
        }
}

/* The hot loops as functions of their own, for registers' sake: of as many rows as there is room
 * for, and for the rest. */
typedef void score_function(struct integer_state *state, const struct lac_kv_page *page, size_t key,
                            size_t n_dwords, float *s);
typedef void add_function(struct integer_state *state, const struct page_block *block, size_t f,
                          const vec *correction);

struct integer_tiles {
    size_t value_rows; /* of add */
    score_function *score, *score_rest;
    add_function *add, *add_4;
};

/* Keys of a page behind those that SCORE_ROWS divides. */
#define SCORE_REST(n_vecs) (LAC_LANES % SCORE_ROWS(n_vecs))

#define DEFINE_SCORE(n_vecs, name, n_rows)                                                         \
    static NEVER_INLINE void name##_##n_vecs(struct integer_state *state,                          \
                                             const struct lac_kv_page *page, size_t key,           \
                                             size_t n_dwords, float *s)                            \
    {                                                                                              \
        score_keys(state, page, key, n_dwords, s, n_rows, n_vecs);                                 \
    }
#define DEFINE_ADD(n_vecs, name, n_rows)                                                           \
    static NEVER_INLINE void name##_##n_vecs(struct integer_state *state,                          \
                                             const struct page_block *block, size_t f,             \
                                             const vec *correction)                                \
    {                                                                                              \
        add_values(state, block, f, correction, n_rows, n_vecs);                                   \
    }
#define DEFINE_TILES(n_vecs)                                                                       \
    DEFINE_SCORE(n_vecs, score, SCORE_ROWS(n_vecs))                                                \
    DEFINE_SCORE(n_vecs, score_rest, SCORE_REST(n_vecs))                                           \
    DEFINE_ADD(n_vecs, add, VALUE_ROWS(n_vecs))                                                    \
    DEFINE_ADD(n_vecs, add_4, 4)                                                                   \
    static const struct integer_tiles tiles_##n_vecs = {                                           \
        VALUE_ROWS(n_vecs), score_##n_vecs, score_rest_##n_vecs, add_##n_vecs, add_4_##n_vecs};

ALWAYS_INLINE void quantize_query(const struct lac_attention_s8_args *a, const float *x,
                                  struct integer_state *state, const int n_vecs)
{
    static const uint8_t offset[4] = {128, 128, 128, 128};
    state->first = 0;
    state->q_ld = (size_t)n_vecs * 4 * QUERY_BYTES * VEC_LANES;
    const vec scale = vec_set1(a->scale * 0x1.715476p0f); /* log2 e */
    for (int i = 0; i < n_vecs; i++) {
        const float *q = x + i * VEC_LANES;
        uint8_t *to = state->q + i * 4 * QUERY_BYTES * VEC_LANES;
        float q_scale[VEC_LANES];
        vec factor = quantize_factor(measure_tokens(q, a->head_dim, LAC_QUERY_BLOCK), q_scale);
        veci sum = veci_set1(0);
        for (size_t d = 0; d < a->head_dim; d += 4) {
            vec rows[4];
#pragma GCC unroll 4
            for (size_t r = 0; r < 4; r++)
                rows[r] =
                    d + r < a->head_dim ? vec_load(q + (d + r) * LAC_QUERY_BLOCK) : vec_set1(0);
            store_query(to, rows, factor);
            sum = score_dot(sum, load_query(to), load_key(offset));
            to += state->q_ld;
        }
        state->q_offset[i] = veci_sub(veci_set1(0), sum);
        state->q_factor[i] = vec_mul(vec_load(q_scale), scale);
    }
}

/* Rows past the last key are computed, from zeros, and not looked at. */
ALWAYS_INLINE void score_block(const struct page_block *block, const struct integer_tiles *tiles,
                               struct integer_state *state, const int n_vecs)
{
    const size_t rows = SCORE_ROWS(n_vecs), row = (size_t)n_vecs * VEC_LANES;
    for (int i = 0; i < n_vecs; i++)
        state->block_max[i] = vec_set1(-INFINITY);
    for (size_t key = 0; key < block->n_keys; key += LAC_LANES) {
        const struct lac_kv_page *page = block->pages[key / LAC_LANES];
        size_t n = lac_min_size(block->n_keys - key, LAC_LANES), j = 0;
        float *s = state->s + key * row;
        for (; j < n && j + rows <= LAC_LANES; j += rows)
            tiles->score(state, page, j, block->n_dwords, s + j * row);
        if (j < n)
            tiles->score_rest(state, page, j, block->n_dwords, s + j * row);
    }
}

/* Tiles of 6 features by pairs: what remains is to be a multiple of 4. */
static inline void add_block(const struct page_block *block, const struct integer_tiles *tiles,
                             struct integer_state *state)
{
    const vec *correction = state->ranges.is_begun ? state->correction : NULL;
    const size_t n = block->n_dwords * 4, rows = tiles->value_rows;
    const size_t step = rows % 4 ? 2 * rows : rows, end = n / step * step;
    size_t f = 0;
    for (; f < end; f += rows)
        tiles->add(state, block, f, correction);
    for (; f < n; f += 4)
        tiles->add_4(state, block, f, correction);
}

static const float *value_scales(const struct page_block *block, size_t key)
{
    const struct lac_kv_page *page = block->pages[key / LAC_LANES];
    return page->v_scale + key % LAC_LANES;
}

/* share and step, from the scales of the block's values. */
ALWAYS_INLINE void scale_values(const struct page_block *block, struct integer_state *state,
                                const int n_vecs)
{
    vec most[ROW_VECS];
    for (size_t j = 0; j < ROW_VECS; j++)
        most[j] = vec_set1(0x1p-100f);
    for (size_t key = 0; key < block->n_keys; key += VEC_LANES)
        most[0] = vec_max(most[0], vec_load_lanes(value_scales(block, key),
                                                  lanes_below(block->n_keys, key), vec_set1(0)));
    float v_max = max_lanes(most);
    const vec factor = vec_set1(16383.0f / v_max);
    for (int i = 0; i < n_vecs; i++)
        state->step[i] = vec_set1(v_max / 16383.0f);
    for (size_t key = 0; key < block->n_keys; key += VEC_LANES)
        vec_store(state->share + key, vec_mul(vec_load(value_scales(block, key)), factor));
}

/* The same where each lane sees keys of its own. */
ALWAYS_INLINE void scale_seen(const struct page_block *block, struct integer_state *state,
                              const int n_vecs)
{
    const vec least = vec_set1(0x1p-100f), steps = vec_set1(16383.0f);
    for (int i = 0; i < n_vecs; i++) {
        vec most = least;
        const float *s = state->s + i * VEC_LANES;
        for (size_t key = 0; key < block->n_keys; key++, s += n_vecs * VEC_LANES) {
            vec scale = vec_set1(*value_scales(block, key));
            most = vec_max(most, hide_weight(vec_load(s), scale));
        }
        state->value_factor[i] = vec_div(steps, most);
        state->step[i] = vec_div(most, steps);
    }
}

/* Weights of n keys, n <= 4, from key on; 2^23 puts an integer into the low bits.  scales: of their
 * values, where keys are hidden; else NULL. */
ALWAYS_INLINE void weigh_keys(struct integer_state *state, size_t key, const size_t n,
                              const float *scales, vec sum[4], const int i, const int n_vecs)
{
    const vec shift = vec_set1(0x1p23f);
    const float *s = state->s + (key * (size_t)n_vecs + (size_t)i) * VEC_LANES;
    vec w[4];
#pragma GCC unroll 4
    for (size_t r = 0; r < 4; r++, s += n_vecs * VEC_LANES) {
        if (r >= n) {
            w[r] = vec_set1(0);
            continue;
        }
        vec x = vec_load(s), share;
        vec p = vec_exp2_weight(vec_sub(x, state->ranges.max[state->first + i]));
        if (scales) {
            p = hide_weight(x, p);
            share = vec_mul(vec_set1(scales[r]), state->value_factor[i]);
        } else {
            share = vec_set1(state->share[key + r]);
        }
        sum[r] = vec_add(sum[r], p);
        w[r] = vec_fma(p, share, shift);
    }
    store_weights(state->w + (key * (size_t)n_vecs * 2 + (size_t)i * 8) * VEC_LANES, w);
}

/* One vector of lanes; the sum of their p. */
ALWAYS_INLINE vec weigh_lanes(const struct page_block *block, struct integer_state *state,
                              const int hides, const int i, const int n_vecs)
{
    vec sum[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    size_t key = 0;
    for (; key + 4 <= block->n_keys; key += 4)
        weigh_keys(state, key, 4, hides ? value_scales(block, key) : NULL, sum, i, n_vecs);
    const float *scales = hides && key < block->n_keys ? value_scales(block, key) : NULL;
    if (block->n_keys - key == 3)
        weigh_keys(state, key, 3, scales, sum, i, n_vecs);
    else if (block->n_keys - key == 2)
        weigh_keys(state, key, 2, scales, sum, i, n_vecs);
    else if (block->n_keys - key == 1)
        weigh_keys(state, key, 1, scales, sum, i, n_vecs);
    return vec_add(vec_add(sum[0], sum[1]), vec_add(sum[2], sum[3]));
}

/* block_max once more, where keys were hidden or are not there. */
ALWAYS_INLINE void find_max(struct integer_state *state, size_t n_keys, const int n_vecs)
{
    for (int i = 0; i < n_vecs; i++) {
        vec max = vec_set1(NOT_SEEN);
        for (size_t j = 0; j < n_keys; j++)
            max = vec_max(max, vec_load(state->s + (j * n_vecs + i) * VEC_LANES));
        state->block_max[i] = max;
    }
}

/* Of weights of at most 2^top: 16383 times as much is less than 2^8, or rounded to 0. */
static inline int count_empty(float top)
{
    return top < -15.01f ? WEIGHT_PARTS : WEIGHT_PARTS == 2 && top < -6.01f;
}

ALWAYS_INLINE void raise_max(struct integer_state *state, const int n_vecs)
{
    vec *old = state->ranges.max + state->first, top = vec_set1(-INFINITY);
#pragma GCC unroll 4
    for (int i = 0; i < n_vecs; i++) {
        vec max = vec_max(old[i], state->block_max[i]);
        top = vec_max(top, vec_sub(state->block_max[i], max));
        state->correction[i] = vec_exp2_weight(vec_sub(old[i], max));
        old[i] = max;
    }
    state->n_empty = count_empty(vec_largest(top));
}

/* Scores to weights, and the lanes' sums. */
ALWAYS_INLINE void weigh_block(const struct page_block *block, struct integer_state *state,
                               const int hides, const int n_vecs)
{
    if (hides || block->n_keys % LAC_LANES)
        find_max(state, block->n_keys, n_vecs);
    raise_max(state, n_vecs);
    if (hides)
        scale_seen(block, state, n_vecs);
    else
        scale_values(block, state, n_vecs);
    vec *sum = state->ranges.sum + state->first;
#pragma GCC unroll 4
    for (int i = 0; i < n_vecs; i++)
        sum[i] = vec_fma(sum[i], state->correction[i], weigh_lanes(block, state, hides, i, n_vecs));
}

ALWAYS_INLINE void finish(const struct integer_state *state, size_t head_dim, float *y,
                          float *abs_max, const int n_vecs)
{
    const vec zero = vec_set1(0);
    for (int i = 0; i < n_vecs; i++) {
        const size_t at = (size_t)i * VEC_LANES;
        vec sum = state->ranges.joined_sum[i], most = zero;
        vec share = vec_select_lt(zero, sum, vec_div(vec_set1(1.0f), sum), zero);
        const float *o = state->ranges.joined_o + i * VEC_LANES;
        for (size_t d = 0; d < head_dim; d++, o += RANGE_LD) {
            vec x = vec_add(vec_mul(vec_load(o), share), zero);
            vec_store(y + d * LAC_QUERY_BLOCK + at, x);
            most = vec_max_abs(most, x);
        }
        vec_store(abs_max + at, most);
    }
}

static inline void find_block(const struct lac_attention_s8_args *a,
                              const struct block_sight *sight, struct page_block *block)
{
    for (size_t page = 0; page < sight->n_pages; page++)
        block->pages[page] = a->pages[sight->pages[page]];
    block->n_keys = sight->n_keys;
    block->n_groups = lac_ceil_div(block->n_keys, 4);
    for (size_t g = 0; g < block->n_groups; g++) {
        const struct lac_kv_page *page = block->pages[g / 4];
        block->groups[g] = (const int8_t *)page->rows + (4 + g % 4) * block->n_dwords * 16;
    }
}

/* What the vectors at work see of a block. */
ALWAYS_INLINE void attend_seen(const struct lac_attention_s8_args *a,
                               const struct block_sight *sight, const struct integer_tiles *tiles,
                               struct integer_state *state, const int n_vecs)
{
    struct page_block block = {.n_dwords = lac_ceil_div(a->head_dim, 4)};
    find_block(a, sight, &block);
    score_block(&block, tiles, state, n_vecs);
    if (sight->hides) {
        hide_keys(sight, state->s, n_vecs);
        weigh_block(&block, state, 1, n_vecs);
    } else {
        weigh_block(&block, state, 0, n_vecs);
    }
    /* Where weights are all 0, no maximum has grown either. */
    if (state->n_empty < WEIGHT_PARTS || !state->ranges.is_begun)
        add_block(&block, tiles, state);
}

/* Entry i of the list, of which n_columns times LAC_LANES lanes see different pages: one after the
 * other. */
static NEVER_INLINE void attend_columns(const struct lac_attention_s8_args *a,
                                        const struct query_block *queries, size_t i, size_t lane,
                                        const struct integer_tiles *tiles,
                                        struct integer_state *state, int n_columns)
{
    struct block_sight sight;
    begin_empty(&state->ranges, a->head_dim, n_columns * COLUMN_VECS);
    for (int column = 0; column < n_columns; column++, lane += LAC_LANES) {
        state->first = column * COLUMN_VECS;
        if (look(&a->seen, i, a->n_keys, lane, query_lanes(queries, lane, LAC_LANES), &sight))
            attend_seen(a, &sight, tiles, state, COLUMN_VECS);
    }
    state->first = 0;
}

/* Queries from lane on, as many as n_vecs vectors hold.  column_tiles: of COLUMN_VECS vectors, for
 * more of them. */
ALWAYS_INLINE void attend(const struct lac_attention_s8_args *a, struct query_block *queries,
                          size_t lane, const struct integer_tiles *tiles,
                          const struct integer_tiles *column_tiles, const int n_vecs)
{
    struct integer_state state;
    struct block_sight sight;
    const uint64_t lanes = query_lanes(queries, lane, (size_t)n_vecs * VEC_LANES);
    if (!lanes)
        return;
    quantize_query(a, queries->x + lane, &state, n_vecs);
    begin_ranges(&state.ranges, n_vecs);
    for (size_t i = 0; i < a->seen.n_blocks; i++) {
        if (!look(&a->seen, i, a->n_keys, lane, lanes, &sight))
            continue;
        enter_range(&state.ranges, a->seen.blocks[i].block, a->head_dim, vec_exp2_weight, n_vecs);
        if (n_vecs > COLUMN_VECS && sight.is_ragged)
            attend_columns(a, queries, i, lane, column_tiles, &state, n_vecs / COLUMN_VECS);
        else
            attend_seen(a, &sight, tiles, &state, n_vecs);
        state.ranges.is_begun = 1;
    }
    end_ranges(&state.ranges, a->head_dim, vec_exp2_weight, n_vecs);
    if (a->lost)
        join_lost(&state.ranges, a->lost, queries->x + lane, a->head_dim, a->scale,
                  0x1.715476p0f /* log2 e */, vec_exp2_weight, n_vecs);
    finish(&state, a->head_dim, queries->x + lane, queries->abs_max + lane, n_vecs);
}

/* All queries, as many at once as n_vecs vectors hold, which divide LAC_LANES. */
ALWAYS_INLINE void attend_by(const struct lac_attention_s8_args *a,
                             const struct integer_tiles *tiles, const int n_vecs)
{
    struct query_block queries;
    gather_queries(a->queries, a->n_query_segments, a->head_dim, &queries);
    for (size_t lane = 0; lane < queries.n_lanes; lane += (size_t)n_vecs * VEC_LANES)
        attend(a, &queries, lane, tiles, NULL, n_vecs);
    scatter_results(&queries, a->head_dim, a->queries, a->n_query_segments);
    raise_abs_max(&queries, a->queries, a->n_query_segments);
}

/* Their scores alone. */
ALWAYS_INLINE void score_lanes(const struct lac_scores_args *o, const struct query_block *queries,
                               size_t lane, const struct integer_tiles *tiles, const int n_vecs)
{
    const struct lac_attention_s8_args *a = o->of_s8;
    struct integer_state state;
    struct page_block block = {.n_dwords = lac_ceil_div(a->head_dim, 4)};
    struct block_sight sight;
    const uint64_t lanes = query_lanes(queries, lane, (size_t)n_vecs * VEC_LANES);
    quantize_query(a, queries->x + lane, &state, n_vecs);
    for (size_t i = 0; i < a->seen.n_blocks; i++) {
        if (look(&a->seen, i, a->n_keys, lane, lanes, &sight)) {
            find_block(a, &sight, &block);
            score_block(&block, tiles, &state, n_vecs);
            if (sight.hides)
                hide_keys(&sight, state.s, n_vecs);
        }
        write_scores(o, i, lane, &sight, state.s, n_vecs);
    }
}

ALWAYS_INLINE void score_by(const struct lac_scores_args *o, const struct integer_tiles *tiles,
                            const int n_vecs)
{
    const struct lac_attention_s8_args *a = o->of_s8;
    struct query_block queries;
    gather_queries(a->queries, a->n_query_segments, a->head_dim, &queries);
    for (size_t lane = 0; lane < LAC_LANES; lane += (size_t)n_vecs * VEC_LANES)
        score_lanes(o, &queries, lane, tiles, n_vecs);
}

#endif
