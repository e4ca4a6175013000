/* SPDX-License-Identifier: Apache-2.0 */
/* Layer norm over panels, for every vector instruction set: include after simd/template/quantize.h.
 */
#ifndef LACUNA_SIMD_TEMPLATE_NORM_H
#define LACUNA_SIMD_TEMPLATE_NORM_H

#include "simd/kernel.h"
#include "simd/template/quantize.h"

/* Sums are kept in four parts, feature f in part f mod 4, in every instruction set. */
static inline vec add_parts(const vec part[4])
{
    return vec_add(vec_add(part[0], part[1]), vec_add(part[2], part[3]));
}

static inline vec sum_tokens(const float *x, size_t n_features, size_t ld)
{
    vec part[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    size_t f = 0;
    for (; f + 4 <= n_features; f += 4)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            part[i] = vec_add(part[i], vec_load(x + (f + i) * ld));
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        if (f + i < n_features)
            part[i] = vec_add(part[i], vec_load(x + (f + i) * ld));
    return add_parts(part);
}

static inline vec add_square(vec sum, const float *x, vec mean)
{
    vec distance = vec_sub(vec_load(x), mean);
    return vec_fma(distance, distance, sum);
}

static inline vec sum_squares(const float *x, size_t n_features, size_t ld, vec mean)
{
    vec part[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    size_t f = 0;
    for (; f + 4 <= n_features; f += 4)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            part[i] = add_square(part[i], x + (f + i) * ld, mean);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        if (f + i < n_features)
            part[i] = add_square(part[i], x + (f + i) * ld, mean);
    return add_parts(part);
}

/* y of one feature; *most follows |y|. */
static inline void norm_feature(const struct lac_norm_args *a, size_t f, size_t lane, vec mean,
                                vec factor, vec *most)
{
    vec v = vec_mul(vec_sub(vec_load(a->x + f * a->ld + lane), mean), factor);
    v = vec_fma(v, vec_set1(a->gamma[f]), vec_set1(a->beta[f]));
    *most = vec_max_abs(*most, v);
    vec_store(a->y + f * a->ld + lane, v);
}

/* One vector of tokens, all its passes, while its columns are in cache. */
static inline void norm_tokens(const struct lac_norm_args *a, size_t lane)
{
    const float *x = a->x + lane;
    size_t ld = a->ld, f = 0;
    const vec share = vec_set1(1.0f / (float)a->n_features);
    vec mean = vec_mul(sum_tokens(x, a->n_features, ld), share);
    vec variance = vec_mul(sum_squares(x, a->n_features, ld, mean), share);
    vec factor = vec_div(vec_set1(1.0f), vec_sqrt(vec_add(variance, vec_set1(a->eps))));
    vec most[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    for (; f + 4 <= a->n_features; f += 4)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            norm_feature(a, f + i, lane, mean, factor, &most[i]);
    for (; f < a->n_features; f++)
        norm_feature(a, f, lane, mean, factor, &most[0]);
    if (a->y_u8)
        quantize_tokens(a->y + lane, a->n_features, ld, max_parts(most), a->y_u8 + lane * 4, ld,
                        a->y_scale + lane);
}

static void norm(const struct lac_norm_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane += VEC_LANES)
        norm_tokens(a, lane);
}

#endif
