/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers, for any vector width.
 *
 * Before inclusion: lanes.h and spread.h of the instruction set, its dot_s8.h, which has
 *   ACC, acc_zero(), acc_add(a, b), acc_sums(acc)   as in int_sums.h
 *   X_IS_SIGNED           as in scale_s8.h
 *   struct x_reg, x_of(veci)     a vector of activation dwords, u8 = s8 + 128
 *   struct w_reg, w_load(p, n)   weight dwords, as linear_token.h says
 *   dot_weight(acc, x, w, i)     acc + x times weight i of w
 *   TILE_VECS, TILE_ROWS, VECS   as linear_token.h says
 *   TOKEN_SETS(rows, vecs)       its SETS
 * and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need
 *   expand(mask, values)  where there is something better for bitmaps than expand_bytes() */
#include "simd/kernel.h"
#include "simd/template/kernels.h"
#include "simd/template/scale_s8.h"

#define SETS(rows, vecs) TOKEN_SETS(rows, vecs)
#define HAS_LOOSE

static inline struct x_reg x_load(const uint8_t *x)
{
    return x_of(veci_load(x));
}

static inline ACC acc_dot(ACC acc, struct x_reg x, struct w_reg w, const size_t i)
{
    return dot_weight(acc, x, w, i);
}
#if !defined(ONLY_BITMAP) && !defined(WIDE_GROUPS)
#include "simd/template/loose.h"
#endif

#ifdef WIDE_GROUPS /* whose rows are broadcast from where they were widened, eight at a time */
#undef MOST_REST
#undef ONE_VEC_ROWS
#endif
#ifdef MOST_REST
#define ACC_SCALAR         int32_t
#define ACC_LOAD           veci_load
#define ACC_STORE(to, acc) veci_store(to, acc_sums(acc))
#endif

#include "simd/template/linear_token.h"

#ifdef WIDE_GROUPS
LAC_WIDE_KERNELS(WIDE_TOKEN_KERNEL, ISA, token, 8, s4, LAC_S4)
#else
#define ELEMENT_BYTES 1
#ifndef expand
#define expand(mask, values) expand_bytes(mask, values)
#endif

#include "simd/template/bitmap.h"
#include "simd/template/linear_token_bitmap.h"

#ifndef ONLY_BITMAP
static void token_16x16(const struct lac_linear_args *a)
{
    token_tile(a, 16, 16 / 4);
}

static void token_32x32(const struct lac_linear_args *a)
{
    token_tile(a, 32, 32 / 4);
}

static void token_4x1(const struct lac_linear_args *a)
{
    token_tile(a, 4, LOOSE);
}

LAC_TILE_KERNELS(WIDE_TOKEN_KERNEL, ISA, token, s8, LAC_S8)
#undef LINEAR_PACK
#define LINEAR_PACK pack_loose
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_4X1, LAC_S8, linear_token_4x1_s8, token_4x1)
#undef LINEAR_PACK
#define LINEAR_PACK NULL
LAC_WIDE_KERNELS(WIDE_TOKEN_KERNEL, ISA, token, 4, s8, LAC_S8)
#endif
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_S8, linear_token_bitmap_s8, token_bitmap)
#endif
