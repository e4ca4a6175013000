/* SPDX-License-Identifier: Apache-2.0 */
/* sdot by element: 4 lanes' dwords by one of four weights.
 *
 * The activations, u8 = s8 + 128, become s8 again when they are loaded, one instruction for as many
 * products as a tile has rows; the sums then need no offset. */
#ifndef LACUNA_SIMD_NEON_DOTPROD_DOT_H
#define LACUNA_SIMD_NEON_DOTPROD_DOT_H

#include "simd/arm/neon/lanes.h"

static inline int8x16_t dot_x(veci u8)
{
    return vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(u8), vdupq_n_u8(128)));
}

static inline veci dot_lanes(veci acc, int8x16_t x, int8x16_t w)
{
    return vdotq_s32(acc, x, w);
}

static inline veci dot_weight(veci acc, int8x16_t x, int8x16_t weights, const size_t i)
{
    switch (i) {
    case 0:
        return vdotq_laneq_s32(acc, x, weights, 0);
    case 1:
        return vdotq_laneq_s32(acc, x, weights, 1);
    case 2:
        return vdotq_laneq_s32(acc, x, weights, 2);
    default:
        return vdotq_laneq_s32(acc, x, weights, 3);
    }
}

#endif
