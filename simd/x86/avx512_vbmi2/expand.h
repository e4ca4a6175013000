/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of bitmaps of bytes and words by one instruction, for the linear layers of bitmap weights
 * on VNNI. */
#ifndef LACUNA_SIMD_AVX512_VBMI2_EXPAND_H
#define LACUNA_SIMD_AVX512_VBMI2_EXPAND_H

#include "simd/x86/avx512/lanes.h"

#define ISA         avx512_vbmi2
#define ISA_NEEDS   (LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI | LAC_CPU_AVX512_VBMI2)
#define ONLY_BITMAP 1

static inline veci expand_bytes_at_once(uint64_t mask, const uint8_t *values)
{
    return _mm512_maskz_expand_epi8(mask, veci_load(values));
}

static inline veci expand_words_at_once(uint64_t mask, const uint8_t *values)
{
    return _mm512_maskz_expand_epi16((__mmask32)mask, veci_load(values));
}

#endif
