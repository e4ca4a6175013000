/* SPDX-License-Identifier: Apache-2.0 */
/* int8 products on plain NEON: 8 products of 16 bits each, then added in pairs to sums of 32.
 *
 * A dword is two pairs, so the sum of 4 lanes is kept in 8 halves, added up in the end.  The
 * activations, u8 = s8 + 128, become s8 again when they are loaded: |s8 * s8| <= 2^14 fits 16 bits,
 * and the sums need no offset. */
#ifndef LACUNA_SIMD_NEON_PAIRS_H
#define LACUNA_SIMD_NEON_PAIRS_H

#include "simd/arm/neon/lanes.h"

struct pair_sums {
    int32x4_t low, high;
};

static inline int8x16_t s8_from_u8(uint8x16_t x)
{
    return vreinterpretq_s8_u8(veorq_u8(x, vdupq_n_u8(128)));
}

static inline struct pair_sums pairs_zero(void)
{
    return (struct pair_sums){vdupq_n_s32(0), vdupq_n_s32(0)};
}

static inline struct pair_sums pairs_add(struct pair_sums a, struct pair_sums b)
{
    return (struct pair_sums){vaddq_s32(a.low, b.low), vaddq_s32(a.high, b.high)};
}

static inline struct pair_sums pairs_dot(struct pair_sums acc, int8x16_t x, int8x16_t w)
{
    acc.low = vpadalq_s16(acc.low, vmull_s8(vget_low_s8(x), vget_low_s8(w)));
    acc.high = vpadalq_s16(acc.high, vmull_high_s8(x, w));
    return acc;
}

static inline veci pairs_sum(struct pair_sums acc)
{
    return vpaddq_s32(acc.low, acc.high);
}

#endif
