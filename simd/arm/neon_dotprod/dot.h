/* SPDX-License-Identifier: Apache-2.0 */
/* sdot, the dot product of dwords lane by lane.
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

#endif
