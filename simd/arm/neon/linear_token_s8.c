/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on plain NEON (see pairs.h). */
#include "simd/arm/neon/lanes.h"

#include "simd/arm/neon/finish_s8.h"
#include "simd/arm/neon/pairs.h"
#include "simd/arm/neon/spread.h"
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ISA       neon
#define ISA_NEEDS LAC_CPU_NEON
#define ACC       struct pair_sums
/* 8 rows x 4 tokens or 4 rows x 8: 16 registers of sums. */
#define TILE_VECS  2
#define TILE_ROWS  4
#define VECS(rows) 2
/* Sums of integers may be split as we like. */
#define SETS(rows, vecs) ((rows) == 1 ? 4 : 1)
#undef KEEP_IN_REGISTER
#define KEEP_IN_REGISTER(a) __asm__("" : "+w"((a).low), "+w"((a).high))

/* There is no such multiplication by element: a weight stands in all lanes. */
#define WEIGHTS 1

struct x_reg {
    int8x16_t bytes;
};

struct w_reg {
    int8x16_t bytes;
};

static inline struct x_reg x_load(const uint8_t *x)
{
    return (struct x_reg){s8_from_u8(vld1q_u8(x))};
}

static inline struct w_reg w_load(const uint8_t *w, size_t n)
{
    (void)n;
    return (struct w_reg){vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)w))};
}

static inline struct pair_sums acc_zero(void)
{
    return pairs_zero();
}

static inline struct pair_sums acc_add(struct pair_sums a, struct pair_sums b)
{
    return pairs_add(a, b);
}

static inline struct pair_sums acc_dot(struct pair_sums acc, struct x_reg x, struct w_reg w,
                                       size_t i)
{
    (void)i;
    return pairs_dot(acc, x.bytes, w.bytes);
}

static inline struct pair_sums acc_begin(const struct lac_weight *w, size_t out)
{
    (void)w, (void)out;
    return pairs_zero();
}

static inline vec acc_to_float(const struct lac_weight *w, struct pair_sums acc)
{
    (void)w;
    return vec_from_int(pairs_sum(acc));
}

#define ELEMENT_BYTES        1
#define expand(mask, values) expand_bytes(mask, values)

#include "simd/template/bitmap.h"
#include "simd/template/linear_token.h"
#include "simd/template/linear_token_bitmap.h"

LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_DENSE, LAC_S8, linear_token_dense_s8, token_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_S8, linear_token_bitmap_s8, token_bitmap)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_32, LAC_S8, linear_token_32x4_s8, token_32)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_16, LAC_S8, linear_token_16x4_s8, token_16)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_8, LAC_S8, linear_token_8x4_s8, token_8)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_4, LAC_S8, linear_token_4x4_s8, token_4)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_1, LAC_S8, linear_token_1x4_s8, token_1)
