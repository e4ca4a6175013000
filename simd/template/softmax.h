/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of a row, for every vector instruction set: include after a math.h. */
#ifndef LACUNA_SIMD_TEMPLATE_SOFTMAX_H
#define LACUNA_SIMD_TEMPLATE_SOFTMAX_H

#include <math.h>

#include "simd/kernel.h"
#include "simd/template/row.h"

static inline float row_max(const float *x, size_t n)
{
    const vec lowest = vec_set1(-INFINITY);
    vec most[ROW_VECS];
#pragma GCC unroll 4
    for (size_t j = 0; j < ROW_VECS; j++)
        most[j] = lowest;
    for (size_t i = 0; i < n; i += LAC_LANES)
#pragma GCC unroll 4
        for (size_t j = 0; j < ROW_VECS; j++) {
            size_t at = i + j * VEC_LANES;
            most[j] = vec_max(most[j], vec_load_lanes(x + at, lanes_below(n, at), lowest));
        }
    return max_lanes(most);
}

/* y = exp(x - max); returns its sum. */
static inline float row_exp(const float *x, size_t n, float max, float *y)
{
    const vec lowest = vec_set1(-INFINITY), top = vec_set1(max);
    vec sum[ROW_VECS];
#pragma GCC unroll 4
    for (size_t j = 0; j < ROW_VECS; j++)
        sum[j] = vec_set1(0);
    for (size_t i = 0; i < n; i += LAC_LANES)
#pragma GCC unroll 4
        for (size_t j = 0; j < ROW_VECS; j++) {
            size_t at = i + j * VEC_LANES;
            uint64_t lanes = lanes_below(n, at);
            vec e = vec_exp(vec_sub(vec_load_lanes(x + at, lanes, lowest), top));
            vec_store_lanes(y + at, lanes, e);
            sum[j] = vec_add(sum[j], e);
        }
    return sum_lanes(sum);
}

static void softmax(const struct lac_softmax_args *a)
{
    float sum = row_exp(a->x, a->n, row_max(a->x, a->n), a->y);
    const vec share = vec_set1(1.0f / sum);
    for (size_t i = 0; i < a->n; i += VEC_LANES) {
        uint64_t lanes = lanes_below(a->n, i);
        vec_store_lanes(a->y + i, lanes, vec_mul(vec_load_lanes(a->y + i, lanes, share), share));
    }
}

#endif
