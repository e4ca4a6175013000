/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax of a row, for every vector instruction set: include after a math.h. */
#ifndef LACUNA_SIMD_TEMPLATE_SOFTMAX_H
#define LACUNA_SIMD_TEMPLATE_SOFTMAX_H

#include <math.h>

#include "simd/kernel.h"

/* Whatever the size of a vector, element i of a row adds to sum i mod 16. */
enum { ROW_VECS = LAC_LANES / VEC_LANES };

struct lane_array {
    float lane[LAC_LANES];
};

static inline struct lane_array to_array(const vec parts[ROW_VECS])
{
    struct lane_array array;
    for (size_t i = 0; i < ROW_VECS; i++)
        vec_store(array.lane + i * VEC_LANES, parts[i]);
    return array;
}

/* Halves are folded onto each other. */
static inline float sum_lanes(const vec parts[ROW_VECS])
{
    struct lane_array a = to_array(parts);
    for (size_t half = LAC_LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            a.lane[i] += a.lane[i + half];
    return a.lane[0];
}

static inline float max_lanes(const vec parts[ROW_VECS])
{
    struct lane_array a = to_array(parts);
    for (size_t i = 1; i < LAC_LANES; i++)
        a.lane[0] = a.lane[i] > a.lane[0] ? a.lane[i] : a.lane[0];
    return a.lane[0];
}

/* Bits for those of the elements from at on that are below n. */
static inline uint64_t lanes_below(size_t n, size_t at)
{
    return n <= at ? 0 : n - at < VEC_LANES ? (1u << (n - at)) - 1 : (1u << VEC_LANES) - 1;
}

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
