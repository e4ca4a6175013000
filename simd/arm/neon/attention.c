/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in fp32, and of keys and values kept as bf16, in NEON. */
#include "simd/arm/neon/lanes.h"

/* 24 sums, 3 queries and a broadcast key of 32 registers for 12 lanes; the 4 that then remain of
 * 16 or 32 go with 16 sums for as many keys. */
#define ATTENTION_VECS         3
#define ATTENTION_ROWS(n_vecs) ((n_vecs) == 3 ? 8 : (n_vecs) == 2 ? 12 : 16)
#define ROW_SUMS               16

#include "simd/ops.h"
#include "simd/template/attention.h"
#include "simd/template/attention_row.h"
#include "simd/template/panel.h"

#include "simd/template/kv_pages.h"
#include "simd/template/expand.h"

#define TILES_TO_8(X, n_vecs)                                                                      \
    X(n_vecs, 1)                                                                                   \
    X(n_vecs, 2) X(n_vecs, 3) X(n_vecs, 4) X(n_vecs, 5) X(n_vecs, 6) X(n_vecs, 7) X(n_vecs, 8)
#define TILES_TO_12(X, n_vecs) TILES_TO_8(X, n_vecs) X(n_vecs, 12)

TILES_TO_12(DEFINE_TILE, 2)
TILES_TO_8(DEFINE_TILE, 3)

static const struct attention_tiles tiles_2[] = {TILES_TO_12(LIST_TILE, 2)};
static const struct attention_tiles tiles_3[] = {TILES_TO_8(LIST_TILE, 3)};

static void attention(const struct lac_attention_args *a, struct wide_keys *wide)
{
    struct query_block queries;
    gather_queries(a->queries, a->n_query_segments, a->head_dim, &queries);
    for (size_t lane = 0; lane < queries.n_lanes;) {
        size_t left = queries.n_lanes - lane;
        if (left == 16 || left == 8) {
            attend(a, &queries, lane, wide, tiles_2, NULL, 2);
            lane += 8;
        } else {
            attend(a, &queries, lane, wide, tiles_3, NULL, 3);
            lane += 12;
        }
    }
    scatter_results(&queries, a->head_dim, a->queries, a->n_query_segments);
}

static void attention_f32(const struct lac_attention_args *a)
{
    attention(a, NULL);
}

static void attention_bf16(const struct lac_attention_args *a)
{
    struct wide_keys wide;
    attention(a, &wide);
}

static void scores(const struct lac_scores_args *a, struct wide_keys *wide)
{
    struct query_block queries;
    gather_queries(a->of->queries, a->of->n_query_segments, a->of->head_dim, &queries);
    for (size_t lane = 0; lane < LAC_LANES; lane += 8)
        score_lanes(a, &queries, lane, wide, tiles_2, 2);
}

static void scores_f32(const struct lac_scores_args *a)
{
    scores(a, NULL);
}

static void scores_bf16(const struct lac_scores_args *a)
{
    struct wide_keys wide;
    scores(a, &wide);
}

LAC_ATTENTION_OPS_DEFINE(neon, LAC_CPU_NEON)
