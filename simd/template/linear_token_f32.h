/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of fp32, bf16 or fp16 weights, for any vector width.
 *
 * Before inclusion: lanes.h and spread.h of the instruction set, what linear_token.h says of tiles
 * (TILE_VECS, TILE_ROWS, VECS), and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need
 *   expand(mask, values)  where there is something better for bitmaps of 16 bits than
 * expand_words() What it leaves to be made kernels of 16 bits is what linear_token.h and
 * linear_token_bitmap.h make. */
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ACC vec
/* A multiply-add takes 4 cycles and two start in each.  The same number for every width, so that
 * the order of a sum does not depend on where in a tile the token lies. */
#define SETS(rows, vecs) ((rows) == 1 ? 4 : 1)
/* Inputs take four times the bytes that they take in int8, and push the results out. */
#define PREFETCH_RESULTS 1

struct x_reg {
    vec floats;
};

struct w_reg {
    vec floats; /* WEIGHTS of them, as vec_fma_weight takes them */
};

static inline struct x_reg x_load(const uint8_t *x)
{
    return (struct x_reg){vec_load((const float *)(const void *)x)};
}

static inline struct w_reg w_load(const uint8_t *w, const size_t n)
{
    return (struct w_reg){vec_weights(w, n)};
}

static inline vec acc_zero(void)
{
    return vec_set1(0);
}

static inline vec acc_add(vec a, vec b)
{
    return vec_add(a, b);
}

static inline vec acc_dot(vec acc, struct x_reg x, struct w_reg w, const size_t i)
{
    return vec_fma_weight(x.floats, w.floats, i, acc);
}

static inline vec acc_begin(const struct lac_weight *w, size_t out)
{
    (void)w, (void)out;
    return vec_set1(0);
}

static inline vec load_x_scale(const struct lac_linear_args *a, size_t lane)
{
    (void)a, (void)lane;
    return vec_set1(0);
}

static inline vec acc_to_float(const struct lac_weight *w, vec acc)
{
    (void)w;
    return acc;
}

static inline vec acc_finish(const struct lac_weight *w, size_t out, vec sum, vec x_scale)
{
    (void)x_scale;
    return vec_add(sum, vec_set1(w->bias[out]));
}

#include "simd/template/linear_token.h"

#ifdef WIDE_GROUPS
#define ELEMENT_BYTES 2
#ifndef expand
#define expand(mask, values) expand_words(mask, values)
#endif
#else
#define ELEMENT_BYTES        4
#define expand(mask, values) expand_dwords(mask, values)
#endif

#include "simd/template/bitmap.h"
#include "simd/template/linear_token_bitmap.h"

#ifndef WIDE_GROUPS
static void token_16x16(const struct lac_linear_args *a)
{
    token_tile(a, 16, 16);
}

static void token_32x32(const struct lac_linear_args *a)
{
    token_tile(a, 32, 32);
}

LAC_TILE_KERNELS(WIDE_TOKEN_KERNEL, ISA, token, f32, LAC_F32)
LAC_WIDE_KERNELS(WIDE_TOKEN_KERNEL, ISA, token, 1, f32, LAC_F32)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_F32, linear_token_bitmap_f32,
              token_bitmap)
#endif
