/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of four places side by side, in ZMM registers. */
#ifndef LACUNA_SIMD_AVX512_INTERLEAVE_H
#define LACUNA_SIMD_AVX512_INTERLEAVE_H

#include "simd/x86/avx512/lanes.h"

/* Dword l of four[k] has byte 16 (l / 4) + 4 k + l % 4 of the VEC_BYTES at from[0] + at, and those
 * of from[1], from[2] and from[3]. */
static inline void interleave_bytes(const uint8_t *const *from, size_t at, veci four[4])
{
    veci a = veci_load(from[0] + at), b = veci_load(from[1] + at);
    veci c = veci_load(from[2] + at), d = veci_load(from[3] + at);
    veci ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
    veci cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
    four[0] = _mm512_unpacklo_epi16(ab_low, cd_low);
    four[1] = _mm512_unpackhi_epi16(ab_low, cd_low);
    four[2] = _mm512_unpacklo_epi16(ab_high, cd_high);
    four[3] = _mm512_unpackhi_epi16(ab_high, cd_high);
}

#endif
