/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in fp32, and of keys and values kept as bf16, in AVX-512. */
#include "simd/x86/avx512/lanes.h"

/* 24 sums, 4 queries and a broadcast key leave 3 of 32 registers; with fewer queries at least
 * the 8 sums that keep two multiply-adds of latency 4 busy, and room to spare. */
#define ATTENTION_VECS         4
#define ATTENTION_ROWS(n_vecs) ((n_vecs) == 4 ? 6 : (n_vecs) == 3 ? 8 : (n_vecs) == 2 ? 12 : 16)
#define ROW_SUMS               16

#include "simd/ops.h"
#include "simd/template/attention.h"
#include "simd/template/attention_row.h"
#include "simd/template/panel.h"

#include "simd/template/kv_pages.h"
#include "simd/template/expand.h"

#define TILES_TO_6(X, n_vecs)                                                                      \
    X(n_vecs, 1) X(n_vecs, 2) X(n_vecs, 3) X(n_vecs, 4) X(n_vecs, 5) X(n_vecs, 6)
#define TILES_TO_8(X, n_vecs)  TILES_TO_6(X, n_vecs) X(n_vecs, 7) X(n_vecs, 8)
#define TILES_TO_12(X, n_vecs) TILES_TO_8(X, n_vecs) X(n_vecs, 12)
#define TILES_TO_16(X, n_vecs) TILES_TO_8(X, n_vecs) X(n_vecs, 16)

TILES_TO_16(DEFINE_TILE, 1)
TILES_TO_12(DEFINE_TILE, 2)
TILES_TO_8(DEFINE_TILE, 3)
TILES_TO_6(DEFINE_TILE, 4)

static const struct attention_tiles tiles_1[] = {TILES_TO_16(LIST_TILE, 1)};
static const struct attention_tiles tiles_2[] = {TILES_TO_12(LIST_TILE, 2)};
static const struct attention_tiles tiles_3[] = {TILES_TO_8(LIST_TILE, 3)};
static const struct attention_tiles tiles_4[] = {TILES_TO_6(LIST_TILE, 4)};

static void attention(const struct lac_attention_args *a, struct wide_keys *wide)
{
    struct query_block queries;
    gather_queries(a->queries, a->n_query_segments, a->head_dim, &queries);
    if (queries.n_lanes == 64)
        attend(a, &queries, 0, wide, tiles_4, tiles_1, 4);
    else if (queries.n_lanes == 48)
        attend(a, &queries, 0, wide, tiles_3, tiles_1, 3);
    else if (queries.n_lanes == 32)
        attend(a, &queries, 0, wide, tiles_2, tiles_1, 2);
    else
        attend(a, &queries, 0, wide, tiles_1, tiles_1, 1);
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
    score_lanes(a, &queries, 0, wide, tiles_1, 1);
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

LAC_ATTENTION_OPS_DEFINE(avx512, LAC_CPU_AVX512)
