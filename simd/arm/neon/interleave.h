/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of four places side by side, in NEON registers. */
#ifndef LACUNA_SIMD_NEON_INTERLEAVE_H
#define LACUNA_SIMD_NEON_INTERLEAVE_H

#include "simd/arm/neon/lanes.h"

/* Dword l of four[k] has byte 16 (l / 4) + 4 k + l % 4 of the VEC_BYTES at from[0] + at, and those
 * of from[1], from[2] and from[3]. */
static inline void interleave_bytes(const uint8_t *const *from, size_t at, veci four[4])
{
    uint8x16x2_t ac = vzipq_u8(vld1q_u8(from[0] + at), vld1q_u8(from[2] + at));
    uint8x16x2_t bd = vzipq_u8(vld1q_u8(from[1] + at), vld1q_u8(from[3] + at));
    for (size_t half = 0; half < 2; half++) {
        uint8x16x2_t all = vzipq_u8(ac.val[half], bd.val[half]);
        four[2 * half] = vreinterpretq_s32_u8(all.val[0]);
        four[2 * half + 1] = vreinterpretq_s32_u8(all.val[1]);
    }
}

#endif
