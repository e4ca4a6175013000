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

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL        _Pragma("GCC unroll 32")

enum { LINE = 16, LINE_VECS = LINE / VEC_LANES, MOST_LINE_VECS = 2 * LINE_VECS, MOST_TOKENS = 16 };

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

static void most_end(const struct lac_linear_args *a, size_t t, size_t done, size_t tokens,
                     const struct most *most)
{
    for (size_t i = done; i < tokens; i++) {
        float lanes[VEC_LANES], all = a->abs_max[t + i];
        vec_store(lanes, most->lanes[i]);
        for (size_t l = 0; l < VEC_LANES; l++)
            all = lanes[l] > all ? lanes[l] : all;
        a->abs_max[t + i] = all;
    }
}

/* One token, value by value: fewer than four tokens, or the last outputs. */
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

/* A vector of rows of four tokens, as finish_quad has them. */
ALWAYS_INLINE void load_quad(const float *at, size_t ld, vec quads[4])
{
    const float *rows[VEC_LANES];
    UNROLL
    for (size_t i = 0; i < VEC_LANES; i++)
        rows[i] = at + i * ld;
    UNROLL
    for (size_t i = 0; i < 4; i++)
        quads[i] = vec_load_quads(rows + i);
    vec_transpose_quads(quads);
}

/* A vector of outputs of four tokens, all of which exist.  After the transposition lane 4 g + j of
 * vector i is output 4 g + i of token j. */
ALWAYS_INLINE void finish_quad(const struct lac_linear_args *a, size_t out, size_t t, vec *values,
                               vec *most)
{
    const size_t at = out * a->ld + t;
    if (a->factor) {
        vec factor[4];
        load_quad(a->factor + at, a->ld, factor);
        UNROLL
        for (size_t i = 0; i < 4; i++)
            values[i] = vec_mul(values[i], factor[i]);
    }
    if (a->residual) {
        vec residual[4];
        load_quad(a->residual + at, a->ld, residual);
        UNROLL
        for (size_t i = 0; i < 4; i++)
            values[i] = vec_add(values[i], residual[i]);
    }
    UNROLL
    for (size_t i = 0; i < 4; i++)
        most[i] = vec_max(most[i], vec_abs(values[i]));
    vec_transpose_quads(values);
    if (a->y) {
        float *rows[VEC_LANES];
        UNROLL
        for (size_t i = 0; i < VEC_LANES; i++)
            rows[i] = a->y + at + i * a->ld;
        UNROLL
        for (size_t i = 0; i < 4; i++)
            vec_store_quads(rows + i, values[i]);
    }
    if (a->y_u8) {
        float lanes[VEC_LANES];
        UNROLL
        for (size_t l = 0; l < VEC_LANES; l++)
            lanes[l] = a->y_inv_scale[t + l % 4];
        uint8_t bytes[VEC_BYTES];
        vec_store_bytes(bytes, values, vec_load(lanes));
        UNROLL
        for (size_t g = 0; g < VEC_LANES / 4; g++)
            memcpy(a->y_u8 + ((out / 4 + g) * a->ld + t) * 4, bytes + g * 16, 16);
    }
}

/* Outliers of a vector of outputs of one token. */
static __attribute__((noinline)) vec add_outliers(const struct lac_linear_args *a, size_t out,
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

/* 16 outputs of `tokens` tokens from t on, of which the first `done` are finished already: their
 * sums begin at lane `first`. */
static __attribute__((noinline)) void finish_line(const struct lac_linear_args *a, size_t out,
                                                  size_t t, size_t done, size_t tokens,
                                                  const struct sums *sums, size_t first,
                                                  struct most *most)
{
    for (size_t v = 0; v < LINE; v += VEC_LANES)
        for (size_t i = 0; i < tokens; i += 4) {
            size_t n = lac_min_size(4, tokens - i);
            vec values[4];
            for (size_t j = 0; j < n; j++)
                values[j] =
                    finish_sums(a, out + v, t + i + j, ACC_LOAD(sums->lanes[i + j] + first + v));
            for (size_t j = 0; j < n && a->w->outliers.n; j++)
                values[j] = add_outliers(a, out + v, t + i + j, values[j]);
            if (a->activation != LAC_ACT_NONE)
                activate(a->activation, values, n);
            if (n == 4 && i >= done && out + v + VEC_LANES <= a->w->n_out) {
                finish_quad(a, out + v, t + i, values, most->lanes + i);
                continue;
            }
            for (size_t j = 0; j < n; j++)
                if (i + j >= done)
                    finish_token(a, out + v, t + i + j, values[j], &most->lanes[i + j]);
        }
}
