/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of scores along columns and diagonals, for every vector instruction set: include after a
 * math.h.  What is computed: struct lac_score_lines_args. */
#ifndef LACUNA_SIMD_TEMPLATE_SCORE_LINES_H
#define LACUNA_SIMD_TEMPLATE_SCORE_LINES_H

#include <math.h>

#include "simd/attention.h"
#include "simd/template/row.h"
#include "simd/template/sight.h"

/* Scores of one vector of lanes to p; returns 1 / l, 0 for lanes that do not count. */
static vec line_weights(const struct lac_score_lines_args *a, size_t lane)
{
    const vec zero = vec_set1(0);
    vec max = vec_set1(NOT_SEEN), part[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < a->n_blocks; i++)
        max = vec_max(max, vec_load(a->most + i * LAC_LANES + lane));
    float *s = a->scores + lane;
    for (size_t j = 0; j < a->n_blocks * LAC_KEY_BLOCK; j += 4)
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++, s += LAC_LANES) {
            vec x = vec_load(s), p = hide_weight(x, vec_exp_weight(vec_sub(x, max)));
            vec_store(s, p);
            part[r] = vec_add(part[r], p);
        }
    vec sum = vec_add(vec_add(part[0], part[1]), vec_add(part[2], part[3]));
    float share[VEC_LANES];
    vec_store(share, vec_select_lt(zero, sum, vec_div(vec_set1(1.0f), sum), zero));
    return vec_load_lanes(share, a->lane_mask >> lane, zero);
}

/* Of one page. */
static inline void add_lines(const float *p, const vec share[ROW_VECS], uint64_t lanes, float *low,
                             float *high)
{
    const vec zero = vec_set1(0);
    vec below[ROW_VECS], above[ROW_VECS];
#pragma GCC unroll 4
    for (size_t v = 0; v < ROW_VECS; v++) {
        below[v] = above[v] = zero;
#pragma GCC unroll 16
        for (size_t j = 0; j < LAC_LANES; j++) {
            const uint64_t from_j = UINT64_C(0xffff) << j & 0xffff;
            const float *row = p + j * LAC_LANES + v * VEC_LANES;
            vec some = vec_load_lanes(row, (lanes & from_j) >> v * VEC_LANES, zero);
            vec rest = vec_load_lanes(row, (lanes & ~from_j) >> v * VEC_LANES, zero);
            below[v] = vec_fma(some, share[v], below[v]);
            above[v] = vec_fma(rest, share[v], above[v]);
        }
    }
    *low += sum_lanes(below);
    *high += sum_lanes(above);
}

static void score_lines(const struct lac_score_lines_args *a)
{
    vec share[ROW_VECS];
    for (size_t v = 0; v < ROW_VECS; v++)
        share[v] = line_weights(a, v * VEC_LANES);
    for (size_t i = 0; i < a->n_blocks * BLOCK_PAGES; i++)
        add_lines(a->scores + i * LAC_LANES * LAC_LANES, share, a->lane_mask, &a->low[i],
                  &a->high[i]);
}

#endif
