/* SPDX-License-Identifier: Apache-2.0 */
/* Layer norm and RMS norm over panels and rows, for every vector instruction set: include after
 * simd/template/quantize.h.
 *
 * RMS norm is layer norm with a mean of 0: x - 0 is x. */
#ifndef LACUNA_SIMD_TEMPLATE_NORM_H
#define LACUNA_SIMD_TEMPLATE_NORM_H

#include "simd/kernel.h"
#include "simd/template/quantize.h"
#include "simd/template/row.h"

/* Sums are kept in 16 parts, feature f in part f mod 16, as in rows; 8 of them at a time fit into
 * every instruction set's registers. */
enum { NORM_PARTS = LAC_LANES, PARTS_AT_ONCE = 8 };

/* What one token's features are normed with. */
struct norm_lanes {
    vec mean, factor;
};

static inline vec fold_parts(vec part[NORM_PARTS])
{
    for (size_t half = NORM_PARTS / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            part[i] = vec_add(part[i], part[i + half]);
    return part[0];
}

/* sum + x, or sum + (x - mean)^2. */
static inline vec add_term(vec sum, vec x, vec mean, const int is_square)
{
    vec distance = vec_sub(x, mean);
    return is_square ? vec_fma(distance, distance, sum) : vec_add(sum, x);
}

static inline __attribute__((always_inline)) vec
sum_tokens(const float *x, size_t n_features, size_t ld, vec mean, const int is_square)
{
    vec part[NORM_PARTS];
    for (size_t first = 0; first < NORM_PARTS; first += PARTS_AT_ONCE) {
        vec some[PARTS_AT_ONCE];
#pragma GCC unroll 8
        for (size_t i = 0; i < PARTS_AT_ONCE; i++)
            some[i] = vec_set1(0);
        size_t f = first;
        for (; f + PARTS_AT_ONCE <= n_features; f += NORM_PARTS)
#pragma GCC unroll 8
            for (size_t i = 0; i < PARTS_AT_ONCE; i++)
                some[i] = add_term(some[i], vec_load(x + (f + i) * ld), mean, is_square);
#pragma GCC unroll 8
        for (size_t i = 0; i < PARTS_AT_ONCE; i++) {
            if (f + i < n_features)
                some[i] = add_term(some[i], vec_load(x + (f + i) * ld), mean, is_square);
            part[first + i] = some[i];
        }
    }
    return fold_parts(part);
}

static inline float sum_row(const float *x, size_t n, vec mean, const int is_square)
{
    vec part[ROW_VECS];
#pragma GCC unroll 4
    for (size_t j = 0; j < ROW_VECS; j++)
        part[j] = vec_set1(0);
    for (size_t f = 0; f < n; f += LAC_LANES)
#pragma GCC unroll 4
        for (size_t j = 0; j < ROW_VECS; j++) {
            /* Elements that are not there are the mean, at no distance; or 0. */
            size_t at = f + j * VEC_LANES;
            vec v = vec_load_lanes(x + at, lanes_below(n, at), is_square ? mean : vec_set1(0));
            part[j] = add_term(part[j], v, mean, is_square);
        }
    return sum_lanes(part);
}

static inline vec norm_value(struct norm_lanes n, vec x, vec gamma, vec beta)
{
    return vec_fma(vec_mul(vec_sub(x, n.mean), n.factor), gamma, beta);
}

static inline vec norm_feature(const struct lac_norm_args *a, size_t f, size_t lane,
                               struct norm_lanes n)
{
    return norm_value(n, vec_load(a->x + f * a->ld + lane), vec_set1(a->gamma[f]),
                      vec_set1(a->beta ? a->beta[f] : 0));
}

/* Writes y, if there is one, and returns max|y|. */
static inline vec write_tokens(const struct lac_norm_args *a, size_t lane, struct norm_lanes n)
{
    vec most[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    for (size_t f = 0; f < a->n_features; f += 4)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) {
            if (f + i >= a->n_features)
                continue;
            vec v = norm_feature(a, f + i, lane, n);
            most[i] = vec_max_abs(most[i], v);
            if (a->y)
                vec_store(a->y + (f + i) * a->ld + lane, v);
        }
    return max_parts(most);
}

/* Bytes of features that nobody keeps: they are computed again. */
static inline void write_bytes(const struct lac_norm_args *a, size_t lane, struct norm_lanes n,
                               vec most)
{
    vec factor = quantize_factor(most, a->y_scale + lane);
    uint8_t *y = a->y_u8 + lane * 4;
    for (size_t f = 0; f < a->n_features; f += 4, y += 4 * a->ld) {
        vec rows[4];
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            rows[i] = f + i < a->n_features ? norm_feature(a, f + i, lane, n) : vec_set1(0);
        vec_store_bytes(y, rows, factor);
    }
}

/* One vector of tokens, all its passes, while its columns are in cache. */
static inline void norm_tokens(const struct lac_norm_args *a, size_t lane)
{
    const float *x = a->x + lane;
    size_t n = a->n_features, ld = a->ld;
    const vec share = vec_set1(1.0f / (float)n);
    vec mean = vec_set1(0);
    if (a->rule == LAC_RULE_LAYER_NORM)
        mean = vec_mul(sum_tokens(x, n, ld, mean, 0), share);
    vec variance = vec_mul(sum_tokens(x, n, ld, mean, 1), share);
    vec factor = vec_div(vec_set1(1.0f), vec_sqrt(vec_add(variance, vec_set1(a->eps))));
    struct norm_lanes lanes = {mean, factor};
    vec most = write_tokens(a, lane, lanes);
    if (!a->y_u8)
        return;
    if (a->y)
        quantize_tokens(a->y + lane, n, ld, most, a->y_u8 + lane * 4, ld, a->y_scale + lane);
    else
        write_bytes(a, lane, lanes, most);
}

static inline vec row_value(const struct lac_norm_args *a, size_t f, struct norm_lanes n)
{
    const vec zero = vec_set1(0);
    uint64_t lanes = lanes_below(a->n_features, f);
    vec gamma = vec_load_lanes(a->gamma + f, lanes, zero);
    vec beta = a->beta ? vec_load_lanes(a->beta + f, lanes, zero) : zero;
    return norm_value(n, vec_load_lanes(a->x + f, lanes, zero), gamma, beta);
}

/* One token whose features are side by side. */
static inline void norm_row(const struct lac_norm_args *a)
{
    size_t n = a->n_features;
    float share = 1.0f / (float)n, mean = 0, y_scale;
    if (a->rule == LAC_RULE_LAYER_NORM)
        mean = sum_row(a->x, n, vec_set1(0), 0) * share;
    float variance = sum_row(a->x, n, vec_set1(mean), 1) * share;
    vec factor = vec_div(vec_set1(1.0f), vec_sqrt(vec_add(vec_set1(variance), vec_set1(a->eps))));
    struct norm_lanes lanes = {vec_set1(mean), factor};
    vec most[ROW_VECS];
    for (size_t j = 0; j < ROW_VECS; j++)
        most[j] = vec_set1(0);
    for (size_t f = 0; f < n; f += VEC_LANES) {
        vec v = row_value(a, f, lanes);
        most[0] = vec_max_abs(most[0], v);
        if (a->y)
            vec_store_lanes(a->y + f, lanes_below(n, f), v);
    }
    if (!a->y_u8)
        return;
    if (a->y) {
        quantize_row(a->y, n, max_lanes(most), a->y_u8, a->y_scale);
        return;
    }
    factor = row_factor(max_lanes(most), &y_scale);
    for (size_t f = 0; f < n; f += VEC_LANES)
        store_row_bytes(a->y_u8 + f, row_value(a, f, lanes), factor, n - f);
    *a->y_scale = y_scale;
}

static void norm(const struct lac_norm_args *a)
{
    if (a->ld == 1) {
        norm_row(a);
        return;
    }
    for (size_t lane = 0; lane < a->n_lanes; lane += VEC_LANES)
        norm_tokens(a, lane);
}

#endif
