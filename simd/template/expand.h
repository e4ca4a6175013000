/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of fp32 and bf16 from compact ones (simd/compact.h): loops that every compiler turns into
 * vectors, for every instruction set. */
#ifndef LACUNA_SIMD_TEMPLATE_EXPAND_H
#define LACUNA_SIMD_TEMPLATE_EXPAND_H

#include <string.h>

#include "simd/compact.h"

static void expand_features(const struct lac_compact *c, const struct lac_compact_features *from,
                            char *to, const size_t row)
{
    const uint8_t *rows = from->rows;
    for (size_t f = 0; f < c->head_dim; f++) {
        int is_there = from->dwords >> f / 4 & 1;
        if (is_there)
            memcpy(to + f * row, rows, row);
        else
            memset(to + f * row, 0, row);
        rows += is_there ? row : 0;
    }
    memcpy(to + c->head_dim * row, from->rows + c->n_dwords * 4 * row, c->head_dim * row);
}

/* LAC_LANES numbers. */
static inline void put_floats(const float *scale, const int8_t *from, float *to)
{
    for (size_t j = 0; j < LAC_LANES; j++)
        to[j] = scale[j] * from[j];
}

/* Of 8 significant bits: the upper half is all there is of them. */
static inline void put_halves(const float *scale, const int8_t *from, uint16_t *to)
{
    float x[LAC_LANES];
    uint32_t bits[LAC_LANES];
    put_floats(scale, from, x);
    memcpy(bits, x, sizeof bits);
    for (size_t j = 0; j < LAC_LANES; j++)
        to[j] = (uint16_t)(bits[j] >> 16);
}

static inline void put_numbers(const float *scale, const uint8_t *from, char *to, size_t at,
                               const int is_bf16)
{
    if (is_bf16)
        put_halves(scale, (const int8_t *)from + at, (uint16_t *)(void *)to + at);
    else
        put_floats(scale, (const int8_t *)from + at, (float *)(void *)to + at);
}

/* The last n < LAC_LANES of a token's values. */
static void put_last(const float *scale, const uint8_t *from, char *to, size_t at, size_t n,
                     const int is_bf16)
{
    uint8_t bytes[LAC_LANES] = {0};
    float numbers[LAC_LANES];
    size_t element = is_bf16 ? 2 : 4;
    memcpy(bytes, from + at, n);
    put_numbers(scale, bytes, (char *)numbers, 0, is_bf16);
    memcpy(to + at * element, numbers, n * element);
}

static inline void expand_bits(const struct lac_compact *c, const struct lac_compact_bits *from,
                               char *to, const int is_bf16)
{
    size_t n = c->head_dim, at = n * LAC_LANES;
    for (size_t f = 0; f < n; f++)
        put_numbers(from->k_scale, from->rows, to, f * LAC_LANES, is_bf16);
    for (size_t j = 0; j < LAC_LANES; j++, at += n) {
        float scale[LAC_LANES];
        size_t f = 0;
        for (size_t i = 0; i < LAC_LANES; i++)
            scale[i] = from->v_scale[j];
        for (; f + LAC_LANES <= n; f += LAC_LANES)
            put_numbers(scale, from->rows, to, at + f, is_bf16);
        if (f < n)
            put_last(scale, from->rows, to, at + f, n - f, is_bf16);
    }
}

static void expand_f32(const struct lac_expand_args *a)
{
    size_t n_bytes = lac_kv_page_bytes(LAC_F32, a->compact->head_dim);
    for (size_t i = 0; i < a->n_pages; i++) {
        char *to = (char *)a->to + i * n_bytes;
        if (a->compact->form == LAC_COMPACT_FEATURES)
            expand_features(a->compact, a->from[i], to, LAC_LANES * 4);
        else
            expand_bits(a->compact, a->from[i], to, 0);
    }
}

static void expand_bf16(const struct lac_expand_args *a)
{
    size_t n_bytes = lac_kv_page_bytes(LAC_BF16, a->compact->head_dim);
    for (size_t i = 0; i < a->n_pages; i++) {
        char *to = (char *)a->to + i * n_bytes;
        if (a->compact->form == LAC_COMPACT_FEATURES)
            expand_features(a->compact, a->from[i], to, LAC_LANES * 2);
        else
            expand_bits(a->compact, a->from[i], to, 1);
    }
}

#endif
