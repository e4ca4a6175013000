/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in fp32, and of keys and values kept as bf16, in AVX2. */
#include "simd/x86/avx2/lanes.h"

/* 12 sums, 2 queries and a broadcast key of 16 registers. */
#define ATTENTION_VECS         2
#define ATTENTION_ROWS(n_vecs) 6
#define ROW_SUMS               8

#include "simd/ops.h"
#include "simd/template/attention.h"
#include "simd/template/attention_row.h"
#include "simd/template/panel.h"

#include "simd/template/kv_pages.h"
#include "simd/template/expand.h"

#define TILES_TO_6(X, n_vecs)                                                                      \
    X(n_vecs, 1) X(n_vecs, 2) X(n_vecs, 3) X(n_vecs, 4) X(n_vecs, 5) X(n_vecs, 6)

TILES_TO_6(DEFINE_TILE, 2)

static const struct attention_tiles tiles_2[] = {TILES_TO_6(LIST_TILE, 2)};

static void attention(const struct lac_attention_args *a, struct wide_keys *wide)
{
    struct query_block queries;
    gather_queries(a->queries, a->n_query_segments, a->head_dim, &queries);
    for (size_t lane = 0; lane < queries.n_lanes; lane += LAC_LANES)
        attend(a, &queries, lane, wide, tiles_2, NULL, 2);
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
    score_lanes(a, &queries, 0, wide, tiles_2, 2);
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

LAC_ATTENTION_OPS_DEFINE(avx2, LAC_CPU_AVX2)
