/* SPDX-License-Identifier: Apache-2.0 */
/* Quantising panels, for every vector instruction set: include after a vector.h. */
#ifndef LACUNA_SIMD_TEMPLATE_QUANTIZE_H
#define LACUNA_SIMD_TEMPLATE_QUANTIZE_H

#include <float.h>
#include <string.h>

#include "simd/kernel.h"
#include "simd/template/row.h"
#include "src/base/checked.h"

static inline vec max_parts(const vec part[4])
{
    return vec_max(vec_max(part[0], part[1]), vec_max(part[2], part[3]));
}

/* max|x| of one vector of tokens. */
static inline vec measure_tokens(const float *x, size_t n_features, size_t ld)
{
    vec most[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    size_t f = 0;
    for (; f + 4 <= n_features; f += 4)
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++)
            most[i] = vec_max_abs(most[i], vec_load(x + (f + i) * ld));
    for (; f < n_features; f++)
        most[0] = vec_max_abs(most[0], vec_load(x + f * ld));
    return max_parts(most);
}

/* What a token is multiplied with to become bytes; its scale is stored.  The factor is finite for a
 * token of zeros, whose products are then 0 and not 0 * infinity. */
static inline vec quantize_factor(vec most, float *scale)
{
    const vec steps = vec_set1(127.0f);
    vec_store(scale, vec_div(most, steps));
    return vec_min(vec_div(steps, most), vec_set1(FLT_MAX));
}

/* One vector of tokens: x [n_features][ld] and y [n_features / 4][y_ld][4] at its first lane. */
static inline void quantize_tokens(const float *x, size_t n_features, size_t ld, vec most,
                                   uint8_t *y, size_t y_ld, float *scale)
{
    vec factor = quantize_factor(most, scale);
    size_t f = 0;
    for (; f + 4 <= n_features; f += 4, x += 4 * ld, y += 4 * y_ld) {
        vec rows[4] = {vec_load(x), vec_load(x + ld), vec_load(x + 2 * ld), vec_load(x + 3 * ld)};
        vec_store_bytes(y, rows, factor);
    }
    if (f == n_features)
        return;
    vec rows[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++)
        rows[i] = f + i < n_features ? vec_load(x + i * ld) : vec_set1(0);
    vec_store_bytes(y, rows, factor);
}

/* quantize_factor for one token. */
static inline vec row_factor(float most, float *scale)
{
    float factor = 127.0f / most;
    *scale = most / 127.0f;
    return vec_set1(factor < FLT_MAX ? factor : FLT_MAX);
}

/* n <= VEC_LANES bytes of a row, and those that pad the last dword: lanes from n on are 0. */
static inline void store_row_bytes(uint8_t *y, vec x, vec factor, size_t n)
{
    uint8_t bytes[VEC_LANES];
    if (n >= VEC_LANES) {
        vec_store_row_bytes(y, x, factor);
        return;
    }
    vec_store_row_bytes(bytes, x, factor);
    memcpy(y, bytes, lac_round_up(n, 4));
}

static inline float measure_row(const float *x, size_t n)
{
    vec most[ROW_VECS];
    for (size_t j = 0; j < ROW_VECS; j++)
        most[j] = vec_set1(0);
    for (size_t f = 0; f < n; f += LAC_LANES)
#pragma GCC unroll 4
        for (size_t j = 0; j < ROW_VECS; j++) {
            size_t at = f + j * VEC_LANES;
            most[j] = vec_max_abs(most[j], vec_load_lanes(x + at, lanes_below(n, at), vec_set1(0)));
        }
    return max_lanes(most);
}

static inline void quantize_row(const float *x, size_t n, float most, uint8_t *y, float *scale)
{
    const vec factor = row_factor(most, scale);
    for (size_t f = 0; f < n; f += VEC_LANES)
        store_row_bytes(y + f, vec_load_lanes(x + f, lanes_below(n, f), vec_set1(0)), factor,
                        n - f);
}

static inline void quantize(const struct lac_quantize_args *a)
{
    if (a->ld == 1) {
        float most = a->abs_max ? a->abs_max[0] : measure_row(a->x, a->n_features);
        quantize_row(a->x, a->n_features, most, a->y_u8, a->y_scale);
        return;
    }
    for (size_t lane = 0; lane < a->n_lanes; lane += VEC_LANES) {
        const float *x = a->x + lane;
        vec most =
            a->abs_max ? vec_load(a->abs_max + lane) : measure_tokens(x, a->n_features, a->ld);
        quantize_tokens(x, a->n_features, a->ld, most, a->y_u8 + lane * 4, a->ld,
                        a->y_scale + lane);
    }
}

#endif
