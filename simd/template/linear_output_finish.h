/* SPDX-License-Identifier: Apache-2.0 */
/* The epilogue of output-lane linear layers: from sums of 16 outputs by some tokens to panels.
 *
 * Four tokens at a time are transposed, so that what leaves are runs of four tokens in each row.
 * Needs what simd/template/linear_output.h lists. */
#include <math.h>
#include <string.h>

#include "simd/kernel.h"
#include "simd/template/activate.h"
#include "src/base/checked.h"

#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL        _Pragma("GCC unroll 32")
#endif

enum {
    LINE = 16,
    LINE_VECS = LINE / VEC_LANES,
    MOST_LINE_VECS = 2 * LINE_VECS,
    MOST_TOKENS = 16,
    QUAD = 4
};

/* Of up to 32 outputs, token by token: whole vectors. */
struct sums {
    _Alignas(64) ACC_SCALAR lanes[MOST_TOKENS][2 * LINE];
};

/* Largest |v| of each token, by lane. */
struct most {
    vec lanes[MOST_TOKENS];
};

static void most_begin(struct most *most, size_t tokens)
{
    for (size_t t = 0; t < tokens; t++)
        most->lanes[t] = vec_set1(0);
}

static void most_end(const struct lac_linear_args *a, size_t t, size_t n, const struct most *most)
{
    for (size_t i = 0; i < n; i++) {
        float lanes[VEC_LANES], all = a->abs_max[t + i];
        vec_store(lanes, most->lanes[i]);
        for (size_t l = 0; l < VEC_LANES; l++)
            all = lanes[l] > all ? lanes[l] : all;
        a->abs_max[t + i] = all;
    }
}

/* One token, value by value: the last outputs. */
static __attribute__((noinline)) void finish_token(const struct lac_linear_args *a, size_t out,
                                                   size_t t, vec value, vec *most)
{
    float values[VEC_LANES];
    size_t n = out < a->w->n_out ? lac_min_size(VEC_LANES, a->w->n_out - out) : 0;
    size_t at = out * a->ld + t;
    if (a->factor || a->residual) {
        vec_store(values, value);
        for (size_t i = 0; a->factor && i < n; i++)
            values[i] *= a->factor[at + i * a->ld];
        for (size_t i = 0; a->residual && i < n; i++)
            values[i] += a->residual[at + i * a->ld];
        value = vec_load(values);
    }
    /* Outputs past the last are 0. */
    *most = vec_max(*most, vec_abs(value));
    vec_store(values, value);
    if (a->y)
        for (size_t i = 0; i < n; i++)
            a->y[at + i * a->ld] = values[i];
    if (a->y_u8)
        for (size_t i = 0; i < lac_round_up(n, 4); i++) {
            /* As in simd/scalar/linear.c. */
            float shifted = fmaf(i < n ? values[i] : 0, a->y_inv_scale[t], 0x1.8p23f + 128);
            float q = shifted - 0x1.8p23f;
            q = q < 0 ? 0 : q > 255 ? 255 : q;
            a->y_u8[((out + i) / 4 * a->ld + t) * 4 + i % 4] = (uint8_t)q;
        }
}

/* Dwords of n <= 4 tokens of a row. */
ALWAYS_INLINE void copy_tokens(void *to, const void *from, const size_t n)
{
    switch (n) {
    case 1:
        memcpy(to, from, 4);
        break;
    case 2:
        memcpy(to, from, 8);
        break;
    case 3:
        memcpy(to, from, 12);
        break;
    default:
        memcpy(to, from, 16);
    }
}

/* A vector of rows of n <= 4 tokens, as finish_quad has them; the others are 0. */
ALWAYS_INLINE void load_quad(const float *at, size_t ld, const size_t n, vec quads[QUAD])
{
    const float *rows[VEC_LANES];
    _Alignas(64) float some[VEC_LANES][QUAD];
    if (n < QUAD)
        memset(some, 0, sizeof some);
    UNROLL
    for (size_t i = 0; i < VEC_LANES; i++) {
        rows[i] = at + i * ld;
        if (n < QUAD) {
            copy_tokens(some[i], rows[i], n);
            rows[i] = some[i];
        }
    }
    UNROLL
    for (size_t i = 0; i < QUAD; i++)
        quads[i] = vec_load_quads(rows + i);
    vec_transpose_quads(quads);
}

/* A vector of outputs of n <= 4 tokens, finished but for what panels add. */
ALWAYS_INLINE void finish_quad(const struct lac_linear_args *a, size_t out, size_t t,
                               const size_t n, vec *values, vec *most)
{
    const size_t at = out * a->ld + t;
    if (a->factor) {
        vec factor[QUAD];
        load_quad(a->factor + at, a->ld, n, factor);
        UNROLL
        for (size_t i = 0; i < n; i++)
            values[i] = vec_mul(values[i], factor[i]);
    }
    if (a->residual) {
        vec residual[QUAD];
        load_quad(a->residual + at, a->ld, n, residual);
        UNROLL
        for (size_t i = 0; i < n; i++)
            values[i] = vec_add(values[i], residual[i]);
    }
    UNROLL
    for (size_t i = 0; i < n; i++)
        most[i] = vec_max(most[i], vec_abs(values[i]));
    if (a->y)
        vec_store_columns(a->y + at, a->ld, values, n);
    if (a->y_u8) {
        float some[QUAD];
        const float *scales[VEC_LANES];
        copy_tokens(some, a->y_inv_scale + t, n);
        UNROLL
        for (size_t i = n; i < QUAD; i++)
            some[i] = 0;
        UNROLL
        for (size_t l = 0; l < VEC_LANES; l++)
            scales[l] = some;
        UNROLL
        for (size_t i = n; i < QUAD; i++)
            values[i] = vec_set1(0);
        /* Lane 4 g + j of vector i is then output 4 g + i of token j. */
        vec_transpose_quads(values);
        uint8_t bytes[VEC_BYTES];
        vec_store_bytes(bytes, values, vec_load_quads(scales));
        UNROLL
        for (size_t g = 0; g < VEC_LANES / QUAD; g++)
            copy_tokens(a->y_u8 + ((out / 4 + g) * a->ld + t) * 4, bytes + g * 16, n);
    }
}

/* Outliers of a vector of outputs of one token. */
static __attribute__((noinline)) vec add_outlier_lanes(const struct lac_linear_args *a, size_t out,
                                                       size_t t, vec value)
{
    const struct lac_outliers *o = &a->w->outliers;
    const uint8_t *x = (const uint8_t *)a->x + t * 4;
    size_t n = out < a->w->n_out ? lac_min_size(VEC_LANES, a->w->n_out - out) : 0;
    float values[VEC_LANES];
    vec_store(values, value);
    for (size_t l = 0; l < n; l++) {
        float sum = 0;
        uint32_t k = o->begin[out + l], end = o->begin[out + l + 1];
        if (k == end)
            continue;
        for (; k < end; k++) {
            int byte = x[o->index[k] / 4 * a->ld * 4 + o->index[k] % 4];
            sum = fmaf(o->values[k], (float)(byte - 128), sum);
        }
        values[l] = fmaf(sum, a->x_scale[t], values[l]);
    }
    return vec_load(values);
}

/* What not every layer has, of a vector of outputs of n tokens.  In the caller's registers values
 * stay when it is passed a copy. */
static __attribute__((noinline)) void finish_rarely(const struct lac_linear_args *a, size_t out,
                                                    size_t t, size_t n, vec *values)
{
    for (size_t i = 0; i < n && a->w->outliers.n; i++)
        values[i] = add_outlier_lanes(a, out, t + i, values[i]);
    if (a->activation != LAC_ACT_NONE)
        activate(a->activation, values, n);
}

/* A vector of outputs of n <= 4 tokens, known when compiled, whose sums begin at lane `first`. */
ALWAYS_INLINE void finish_tokens(const struct lac_linear_args *a, size_t out, size_t t,
                                 const size_t n, const ACC_SCALAR (*lanes)[2 * LINE], size_t first,
                                 vec *most)
{
    vec values[QUAD];
    UNROLL
    for (size_t i = 0; i < n; i++)
        values[i] = finish_sums(a, out, t + i, ACC_LOAD(lanes[i] + first));
    if (a->w->outliers.n || a->activation != LAC_ACT_NONE) {
        vec copies[QUAD];
        UNROLL
        for (size_t i = 0; i < n; i++)
            copies[i] = values[i];
        finish_rarely(a, out, t, n, copies);
        UNROLL
        for (size_t i = 0; i < n; i++)
            values[i] = copies[i];
    }
    if (out + VEC_LANES <= a->w->n_out)
        finish_quad(a, out, t, n, values, most);
    else
        UNROLL
    for (size_t i = 0; i < n; i++)
        finish_token(a, out, t + i, values[i], &most[i]);
}

/* Is the token a row of its own (the panels have one lane) that has these 16 outputs? */
static inline bool is_row(const struct lac_linear_args *a, size_t out)
{
    return a->ld == 1 && out + LINE <= a->w->n_out && a->y && !a->y_u8;
}

/* 16 outputs of a row: nothing lies apart. */
ALWAYS_INLINE void finish_row(const struct lac_linear_args *a, size_t out, const struct sums *sums,
                              size_t first, vec *most)
{
    for (size_t v = 0; v < LINE; v += VEC_LANES) {
        size_t at = out + v;
        vec value = finish_sums(a, at, 0, ACC_LOAD(sums->lanes[0] + first + v));
        if (a->w->outliers.n)
            value = add_outlier_lanes(a, at, 0, value);
        if (a->activation != LAC_ACT_NONE)
            activate(a->activation, &value, 1);
        if (a->factor)
            value = vec_mul(value, vec_load(a->factor + at));
        if (a->residual)
            value = vec_add(value, vec_load(a->residual + at));
        *most = vec_max(*most, vec_abs(value));
        vec_store(a->y + at, value);
    }
}

/* 16 outputs of n tokens from t on: their sums begin at lane `first`. */
static __attribute__((noinline)) void finish_line(const struct lac_linear_args *a, size_t out,
                                                  size_t t, size_t n, const struct sums *sums,
                                                  size_t first, struct most *most)
{
    for (size_t v = 0; v < LINE; v += VEC_LANES)
        for (size_t i = 0; i < n; i += QUAD) {
            const size_t at = first + v;
            switch (n - i) {
            case 1:
                finish_tokens(a, out + v, t + i, 1, sums->lanes + i, at, most->lanes + i);
                break;
            case 2:
                finish_tokens(a, out + v, t + i, 2, sums->lanes + i, at, most->lanes + i);
                break;
            case 3:
                finish_tokens(a, out + v, t + i, 3, sums->lanes + i, at, most->lanes + i);
                break;
            default:
                finish_tokens(a, out + v, t + i, QUAD, sums->lanes + i, at, most->lanes + i);
            }
        }
}
