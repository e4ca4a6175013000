/* SPDX-License-Identifier: Apache-2.0 */
/* A block of queries side by side, wherever their panels have them, for every vector instruction
 * set: include after a vector.h. */
#ifndef LACUNA_SIMD_TEMPLATE_QUERIES_H
#define LACUNA_SIMD_TEMPLATE_QUERIES_H

#include "simd/attention.h"
#include "simd/template/row.h"
#include "src/base/checked.h"

/* The queries, and in their place, once they are worked on, the results. */
struct query_block {
    _Alignas(64) float x[LAC_MAX_HEAD_DIM * LAC_QUERY_BLOCK]; /* [head_dim][LAC_QUERY_BLOCK] */
    float abs_max[LAC_QUERY_BLOCK];                           /* of results */
    size_t n_queries;
    size_t n_lanes; /* with zeros up to a multiple of LAC_LANES */
};

/* Which of n lanes from `lane` on hold queries. */
static inline uint64_t query_lanes(const struct query_block *b, size_t lane, size_t n)
{
    return (~UINT64_C(0) >> (64 - b->n_queries)) >> lane & ~UINT64_C(0) >> (64 - n);
}

static inline void copy_lanes(const float *from, size_t n, float *to)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint64_t lanes = lanes_below(n, i);
        vec_store_lanes(to + i, lanes, vec_load_lanes(from + i, lanes, vec_set1(0)));
    }
}

static inline void gather_queries(const struct lac_query_segment *segments, size_t n_segments,
                                  size_t head_dim, struct query_block *b)
{
    b->n_queries = 0;
    for (size_t i = 0; i < n_segments; i++)
        b->n_queries += segments[i].n_queries;
    b->n_lanes = lac_round_up(b->n_queries, LAC_LANES);
    for (size_t d = 0; b->n_lanes > b->n_queries && d < head_dim; d++)
        for (size_t lane = b->n_lanes - LAC_LANES; lane < b->n_lanes; lane += VEC_LANES)
            vec_store(b->x + d * LAC_QUERY_BLOCK + lane, vec_set1(0));
    size_t lane = 0;
    for (const struct lac_query_segment *s = segments; s < segments + n_segments; s++) {
        for (size_t d = 0; d < head_dim; d++)
            copy_lanes(s->q + d * s->ld, s->n_queries, b->x + d * LAC_QUERY_BLOCK + lane);
        lane += s->n_queries;
    }
}

static inline void scatter_results(const struct query_block *b, size_t head_dim,
                                   const struct lac_query_segment *segments, size_t n_segments)
{
    size_t lane = 0;
    for (const struct lac_query_segment *s = segments; s < segments + n_segments; s++) {
        for (size_t d = 0; d < head_dim; d++)
            copy_lanes(b->x + d * LAC_QUERY_BLOCK + lane, s->n_queries, s->y + d * s->ld);
        lane += s->n_queries;
    }
}

static inline void raise_abs_max(const struct query_block *b,
                                 const struct lac_query_segment *segments, size_t n_segments)
{
    const float *most = b->abs_max;
    for (const struct lac_query_segment *s = segments; s < segments + n_segments; s++)
        for (size_t i = 0; i < s->n_queries; i++, most++)
            if (s->abs_max && s->abs_max[i] < *most)
                s->abs_max[i] = *most;
}

#endif
