/* SPDX-License-Identifier: Apache-2.0 */
/* Attention, for every vector instruction set: include after a math.h and the definitions of
 *
 *   ATTENTION_VECS          vectors of queries that are worked on together, at most 3
 *   ATTENTION_ROWS(n_vecs)  keys, or rows of values, whose sums fit in registers beside them
 *
 * For each block of keys, online softmax (Milakov and Gimelshein 2018, as in Dao et al. 2022):
 *
 *   s = scale * K q;  m' = max(m, max s);  p = exp(s - m');  c = exp(m - m')
 *   l = c l + sum p;  o = c o + V p;  m = m'          and in the end  y = o / l
 *
 * Every lane sums in a fixed order: over the rows of the head for s, over the keys for l and o.
 * How keys are spread over segments, or lanes over vectors, therefore changes no bit. */
#ifndef LACUNA_SIMD_TEMPLATE_ATTENTION_H
#define LACUNA_SIMD_TEMPLATE_ATTENTION_H

#include <math.h>
#include <stddef.h>

#include "simd/kernel.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NEVER_INLINE  __attribute__((noinline))

enum { MOST_ROWS = 16, MOST_LANES = ATTENTION_VECS * VEC_LANES };

/* Keys of one block that lie in one segment. */
struct key_part {
    const float *k, *v;
    size_t ld, n_keys;
};

struct key_block {
    struct key_part parts[LAC_KEY_BLOCK];
    size_t n_parts, n_keys;
};

/* Where the next block begins. */
struct key_cursor {
    const struct lac_kv_segment *segment, *end;
    size_t key; /* in *segment */
};

/* The state of all lanes; rows of n_vecs vectors. */
struct attention_state {
    float s[LAC_KEY_BLOCK * MOST_LANES]; /* scores of a block, then their exponentials */
    float o[LAC_MAX_HEAD_DIM * MOST_LANES];
    vec block_max[ATTENTION_VECS], max[ATTENTION_VECS];
    vec correction[ATTENTION_VECS], sum[ATTENTION_VECS];
};

static int next_block(struct key_cursor *cursor, struct key_block *block)
{
    block->n_parts = block->n_keys = 0;
    while (block->n_keys < LAC_KEY_BLOCK && cursor->segment < cursor->end) {
        const struct lac_kv_segment *s = cursor->segment;
        size_t room = LAC_KEY_BLOCK - block->n_keys, left = s->n_keys - cursor->key;
        size_t n = left < room ? left : room;
        if (n)
            block->parts[block->n_parts++] =
                (struct key_part){s->k + cursor->key, s->v + cursor->key, s->ld, n};
        block->n_keys += n;
        cursor->key += n;
        if (n == left) {
            cursor->segment++;
            cursor->key = 0;
        }
    }
    return block->n_keys > 0;
}

/* s[j] = scale * sum_d k[d][j] q[d] for n_rows keys, and their maximum. */
ALWAYS_INLINE void score_keys(const struct lac_attention_args *a, const float *q, const float *k,
                              size_t ld, float *s, vec *max, const int n_rows, const int n_vecs)
{
    vec sum[MOST_ROWS][ATTENTION_VECS];
#pragma GCC unroll 16
    for (int j = 0; j < n_rows; j++)
#pragma GCC unroll 3
        for (int i = 0; i < n_vecs; i++)
            sum[j][i] = vec_set1(0);
    for (size_t d = 0; d < a->head_dim; d++, q += a->q_ld, k += ld) {
        vec x[ATTENTION_VECS];
#pragma GCC unroll 3
        for (int i = 0; i < n_vecs; i++)
            x[i] = vec_load(q + i * VEC_LANES);
#pragma GCC unroll 16
        for (int j = 0; j < n_rows; j++) {
            vec key = vec_set1(k[j]);
#pragma GCC unroll 3
            for (int i = 0; i < n_vecs; i++)
                sum[j][i] = vec_fma(key, x[i], sum[j][i]);
        }
    }
    const vec scale = vec_set1(a->scale);
#pragma GCC unroll 3
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

/* o[r] = correction o[r] + sum_j p[j] v[r][j] for n_rows rows, v at the first of them; at the
 * first block o holds nothing yet. */
ALWAYS_INLINE void add_values(const struct key_block *block, size_t row, const float *p,
                              const vec *correction, float *o, const int n_rows, const int n_vecs)
{
    vec sum[MOST_ROWS][ATTENTION_VECS];
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 3
        for (int i = 0; i < n_vecs; i++)
            sum[r][i] = correction
                            ? vec_mul(correction[i], vec_load(o + (r * n_vecs + i) * VEC_LANES))
                            : vec_set1(0);
    for (const struct key_part *part = block->parts; part < block->parts + block->n_parts; part++) {
        const float *v = part->v + row * part->ld;
        const size_t ld = part->ld;
        for (size_t j = 0; j < part->n_keys; j++, v++, p += n_vecs * VEC_LANES) {
            vec x[ATTENTION_VECS];
#pragma GCC unroll 3
            for (int i = 0; i < n_vecs; i++)
                x[i] = vec_load(p + i * VEC_LANES);
#pragma GCC unroll 16
            for (int r = 0; r < n_rows; r++) {
                vec value = vec_set1(v[(size_t)r * ld]);
#pragma GCC unroll 3
                for (int i = 0; i < n_vecs; i++)
                    sum[r][i] = vec_fma(value, x[i], sum[r][i]);
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < n_rows; r++)
#pragma GCC unroll 3
        for (int i = 0; i < n_vecs; i++)
            vec_store(o + (r * n_vecs + i) * VEC_LANES, sum[r][i]);
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
    for (int i = 0; i < n_vecs; i++)
        state->block_max[i] = vec_set1(-INFINITY);
    for (size_t i = 0; i < block->n_parts; i++) {
        const struct key_part *part = &block->parts[i];
        for (size_t j = 0, n; j < part->n_keys; j += n) {
            n = tile_rows(part->n_keys - j, ATTENTION_ROWS(n_vecs));
            tiles[n].score(a, q, part->k + j, part->ld, s, state->block_max);
            s += n * n_vecs * VEC_LANES;
        }
    }
}

/* Scores to exponentials, and the lanes' sums. */
ALWAYS_INLINE void weigh_block(struct attention_state *state, size_t n_keys, const int n_vecs)
{
    vec max[ATTENTION_VECS], sum[ATTENTION_VECS];
#pragma GCC unroll 3
    for (int i = 0; i < n_vecs; i++) {
        max[i] = vec_max(state->max[i], state->block_max[i]);
        state->correction[i] = vec_exp(vec_sub(state->max[i], max[i]));
        state->max[i] = max[i];
        sum[i] = vec_set1(0);
    }
    for (float *s = state->s; s < state->s + n_keys * n_vecs * VEC_LANES; s += n_vecs * VEC_LANES)
#pragma GCC unroll 3
        for (int i = 0; i < n_vecs; i++) {
            vec p = vec_exp(vec_sub(vec_load(s + i * VEC_LANES), max[i]));
            vec_store(s + i * VEC_LANES, p);
            sum[i] = vec_add(sum[i], p);
        }
#pragma GCC unroll 3
    for (int i = 0; i < n_vecs; i++)
        state->sum[i] = vec_fma(state->sum[i], state->correction[i], sum[i]);
}

ALWAYS_INLINE void add_block(const struct lac_attention_args *a, const struct key_block *block,
                             const struct attention_tiles *tiles, int is_first,
                             struct attention_state *state, const int n_vecs)
{
    const vec *correction = is_first ? NULL : state->correction;
    for (size_t d = 0, n; d < a->head_dim; d += n) {
        n = tile_rows(a->head_dim - d, ATTENTION_ROWS(n_vecs));
        tiles[n].add(block, d, state->s, correction, state->o + d * n_vecs * VEC_LANES);
    }
}

ALWAYS_INLINE void finish(const struct lac_attention_args *a, size_t lane,
                          const struct attention_state *state, const int n_vecs)
{
    for (int i = 0; i < n_vecs; i++) {
        size_t at = lane + (size_t)i * VEC_LANES;
        uint64_t lanes = a->lane_mask >> at;
        vec share = vec_div(vec_set1(1.0f), state->sum[i]);
        const float *o = state->o + i * VEC_LANES;
        for (size_t d = 0; d < a->head_dim; d++, o += n_vecs * VEC_LANES)
            vec_store_lanes(a->y + d * a->y_ld + at, lanes, vec_mul(vec_load(o), share));
    }
}

/* Queries from lane on, as many as n_vecs vectors hold. */
ALWAYS_INLINE void attend(const struct lac_attention_args *a, size_t lane,
                          const struct attention_tiles *tiles, const int n_vecs)
{
    struct attention_state state;
    struct key_block block;
    struct key_cursor cursor = {a->segments, a->segments + a->n_segments, 0};
    const float *q = a->q + lane;
    for (int i = 0; i < n_vecs; i++) {
        state.max[i] = vec_set1(-INFINITY);
        state.sum[i] = vec_set1(0);
    }
    for (int is_first = 1; next_block(&cursor, &block); is_first = 0) {
        score_block(a, q, &block, tiles, &state, n_vecs);
        weigh_block(&state, block.n_keys, n_vecs);
        add_block(a, &block, tiles, is_first, &state, n_vecs);
    }
    finish(a, lane, &state, n_vecs);
}

#endif
