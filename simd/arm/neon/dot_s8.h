/* SPDX-License-Identifier: Apache-2.0 */
/* int8 products for linear layers on plain NEON: 8 products of 16 bits each, then added in pairs to
 * sums of 32.
 *
 * A dword is two pairs, so the sum of 4 lanes is kept in 8 halves, added up in the end.  The
 * activations, u8 = s8 + 128, become s8 again when they are loaded: |s8 * s8| <= 2^14 fits 16 bits,
 * and the sums need no offset. */
#ifndef LACUNA_SIMD_NEON_DOT_S8_H
#define LACUNA_SIMD_NEON_DOT_S8_H

#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"

#define X_IS_SIGNED 1
#define ACC         struct pair_sums

#undef KEEP_IN_REGISTER
#define KEEP_IN_REGISTER(a) __asm__("" : "+w"((a).low), "+w"((a).high))

/* There is no such multiplication by element: a weight stands in all lanes. */
#define WEIGHTS 1

struct pair_sums {
    int32x4_t low, high;
};

struct x_reg {
    int8x16_t bytes;
};

struct w_reg {
    int8x16_t bytes;
};

static inline struct x_reg x_of(veci u8)
{
    return (struct x_reg){vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(u8), vdupq_n_u8(128)))};
}

static inline struct w_reg w_of(veci s8)
{
    return (struct w_reg){vreinterpretq_s8_s32(s8)};
}

static inline struct w_reg w_load(const uint8_t *w, size_t n)
{
    (void)n;
    return w_of(dword_broadcast(w));
}

static inline struct pair_sums acc_zero(void)
{
    return (struct pair_sums){vdupq_n_s32(0), vdupq_n_s32(0)};
}

static inline struct pair_sums acc_add(struct pair_sums a, struct pair_sums b)
{
    return (struct pair_sums){vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)};
}

static inline veci acc_sums(struct pair_sums acc)
{
    return vpaddq_s32(acc.low, acc.high);
}

static inline struct pair_sums dot(struct pair_sums acc, struct x_reg x, struct w_reg w)
{
    int8x16_t a = x.bytes, b = w.bytes;
    acc.low = vpadalq_s16(acc.low, vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    acc.high = vpadalq_s16(acc.high, vmull_high_s8(a, b));
    return acc;
}

static inline struct pair_sums dot_weight(struct pair_sums acc, struct x_reg x, struct w_reg w,
                                          size_t i)
{
    (void)i;
    return dot(acc, x, w);
}

/* 4 rows x 8 tokens: 16 registers of sums. */
#define TILE_VECS              2
#define TILE_ROWS              4
#define TOKEN_SETS(rows, vecs) ((rows) == 1 ? 4 : 1)
/* Two registers each. */
#define IN_FLIGHT 4
#define MOST_ACCS 8

#endif
