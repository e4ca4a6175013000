/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, whose elements are side by side, for every vector instruction set: include after a
 * vector.h.
 *
 * Whatever the size of a vector, element i of a row adds to sum i mod 16, and in the end halves of
 * the sums are folded onto each other. */
#ifndef LACUNA_SIMD_TEMPLATE_ROW_H
#define LACUNA_SIMD_TEMPLATE_ROW_H

#include "simd/kernel.h"

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
    vec most = parts[0];
    for (size_t i = 1; i < ROW_VECS; i++)
        most = vec_max(most, parts[i]);
    return vec_largest(most);
}

/* Bits for those of the elements from at on that are below n. */
static inline uint64_t lanes_below(size_t n, size_t at)
{
    return n <= at ? 0 : n - at < VEC_LANES ? (1u << (n - at)) - 1 : (1u << VEC_LANES) - 1;
}

#endif
