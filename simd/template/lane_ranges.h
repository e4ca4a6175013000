/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and weighted sums of queries in lanes, range by range, for every vector instruction set:
 * include after a vector.h and the definition of ATTENTION_VECS. */
#ifndef LACUNA_SIMD_TEMPLATE_LANE_RANGES_H
#define LACUNA_SIMD_TEMPLATE_LANE_RANGES_H

#include <math.h>
#include <string.h>

#include "simd/attention.h"

#define RANGES_INLINE static inline __attribute__((always_inline))

/* Vectors of LAC_LANES lanes: what is seen of a block differs by pages at most between these. Where
 * no more than that are worked on together, they are one column. */
enum {
    LANES_VECS = LAC_LANES / VEC_LANES,
    COLUMN_VECS = LANES_VECS < ATTENTION_VECS ? LANES_VECS : ATTENTION_VECS
};

/* From one row of o to the next, however many of its vectors are in use: a distance that is known
 * when the hot loops are compiled, which took 5 % longer with another. */
enum { RANGE_LD = ATTENTION_VECS * VEC_LANES };

/* The range at work, and those before it that are joined. */
struct lane_ranges {
    _Alignas(64) float rooms[2][LAC_MAX_HEAD_DIM * RANGE_LD]; /* o, joined_o */
    size_t range;
    int is_begun; /* it has a block; else o holds nothing yet */
    vec max[ATTENTION_VECS], sum[ATTENTION_VECS];
    float *o;
    vec joined_max[ATTENTION_VECS], joined_sum[ATTENTION_VECS];
    float *joined_o; /* NULL: none */
};

RANGES_INLINE void begin_range(struct lane_ranges *r, size_t range, const int n_vecs)
{
    r->range = range;
    r->is_begun = 0;
    r->o = r->rooms[r->joined_o == r->rooms[0]];
    for (int i = 0; i < n_vecs; i++) {
        r->max[i] = vec_set1(-INFINITY);
        r->sum[i] = vec_set1(0);
    }
}

RANGES_INLINE void begin_ranges(struct lane_ranges *r, const int n_vecs)
{
    r->joined_o = NULL;
    begin_range(r, 0, n_vecs);
}

/* A range that has nothing yet, before a block of which some vectors may see nothing. */
static inline void begin_empty(struct lane_ranges *r, size_t head_dim, int n_vecs)
{
    if (r->is_begun)
        return;
    r->is_begun = 1;
    memset(r->o, 0, head_dim * RANGE_LD * sizeof *r->o);
    for (int i = 0; i < n_vecs; i++)
        r->max[i] = vec_set1(LAC_NOT_SEEN);
}

/* power: of e or of 2. */
RANGES_INLINE void join_range(struct lane_ranges *r, size_t head_dim, vec (*power)(vec),
                              const int n_vecs)
{
    vec old[ATTENTION_VECS], new[ATTENTION_VECS];
    for (int i = 0; i < n_vecs; i++) {
        vec max = vec_max(r->joined_max[i], r->max[i]);
        old[i] = power(vec_sub(r->joined_max[i], max));
        new[i] = power(vec_sub(r->max[i], max));
        r->joined_max[i] = max;
        r->joined_sum[i] = vec_fma(r->joined_sum[i], old[i], vec_mul(r->sum[i], new[i]));
    }
    float *to = r->joined_o, *from = r->o;
    for (size_t d = 0; d < head_dim; d++, to += RANGE_LD, from += RANGE_LD)
        for (int i = 0; i < n_vecs; i++) {
            const vec more = vec_mul(vec_load(from + i * VEC_LANES), new[i]);
            vec_store(to + i * VEC_LANES, vec_fma(vec_load(to + i * VEC_LANES), old[i], more));
        }
}

/* The first range needs no joining. */
RANGES_INLINE void end_range(struct lane_ranges *r, size_t head_dim, vec (*power)(vec),
                             const int n_vecs)
{
    if (!r->is_begun)
        return;
    if (r->joined_o) {
        join_range(r, head_dim, power, n_vecs);
        return;
    }
    r->joined_o = r->o;
    for (int i = 0; i < n_vecs; i++) {
        r->joined_max[i] = r->max[i];
        r->joined_sum[i] = r->sum[i];
    }
}

/* Before each block. */
RANGES_INLINE void enter_range(struct lane_ranges *r, size_t block, size_t head_dim,
                               vec (*power)(vec), const int n_vecs)
{
    size_t range = block / LAC_RANGE_BLOCKS;
    if (range == r->range)
        return;
    end_range(r, head_dim, power, n_vecs);
    begin_range(r, range, n_vecs);
}

/* After the last: everything is joined, if it was nothing to zeros. */
RANGES_INLINE void end_ranges(struct lane_ranges *r, size_t head_dim, vec (*power)(vec),
                              const int n_vecs)
{
    end_range(r, head_dim, power, n_vecs);
    if (r->joined_o)
        return;
    r->joined_o = r->rooms[0];
    memset(r->joined_o, 0, head_dim * RANGE_LD * sizeof *r->joined_o);
    for (int i = 0; i < n_vecs; i++) {
        r->joined_max[i] = vec_set1(-INFINITY);
        r->joined_sum[i] = vec_set1(0);
    }
}

/* Behind end_ranges; q: [head_dim][LAC_QUERY_BLOCK], from the first lane on.  unit: log2 e for
 * powers of 2, or 1. */
RANGES_INLINE void join_lost(struct lane_ranges *r, const struct lac_lost_keys *lost,
                             const float *q, size_t head_dim, float scale, float unit,
                             vec (*power)(vec), const int n_vecs)
{
    vec old[ATTENTION_VECS], new[ATTENTION_VECS];
    for (int i = 0; i < n_vecs; i++) {
        vec dot = vec_set1(0);
        for (size_t d = 0; d < head_dim; d++)
            dot = vec_fma(vec_set1(lost->k[d]), vec_load(q + d * LAC_QUERY_BLOCK + i * VEC_LANES),
                          dot);
        vec score = vec_add(vec_mul(dot, vec_set1(scale)), vec_set1(lost->log_n));
        score = vec_mul(score, vec_set1(unit));
        vec max = vec_max(r->joined_max[i], score);
        old[i] = power(vec_sub(r->joined_max[i], max));
        new[i] = power(vec_sub(score, max));
        r->joined_sum[i] = vec_fma(r->joined_sum[i], old[i], new[i]);
    }
    float *to = r->joined_o;
    for (size_t d = 0; d < head_dim; d++, to += RANGE_LD)
        for (int i = 0; i < n_vecs; i++) {
            const vec more = vec_mul(vec_set1(lost->v[d]), new[i]);
            vec_store(to + i * VEC_LANES, vec_fma(vec_load(to + i * VEC_LANES), old[i], more));
        }
}

#endif
