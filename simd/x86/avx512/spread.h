/* SPDX-License-Identifier: Apache-2.0 */
/* Dwords into the lanes of a ZMM register, as the output-lane kernels need them. */
#ifndef LACUNA_SIMD_AVX512_SPREAD_H
#define LACUNA_SIMD_AVX512_SPREAD_H

#include <string.h>

#include "simd/x86/avx512/lanes.h"

static inline int32_t dword_at(const uint8_t *x)
{
    int32_t dword;
    memcpy(&dword, x, sizeof dword);
    return dword;
}

static inline veci dword_broadcast(const uint8_t *x)
{
    return veci_set1(dword_at(x));
}

/* Dword index[i] of x in lanes i * rows to (i + 1) * rows - 1; rows is 8, 4 or 1. */
static inline veci dword_spread(const uint8_t *x, size_t stride, const uint16_t *index,
                                const size_t rows)
{
    if (rows == 1) {
        /* Offsets in dwords: at most 65,535 * ld, well within 32 bits. */
        __m512i at = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)index));
        at = _mm512_mullo_epi32(at, _mm512_set1_epi32((int)(stride / 4)));
        return _mm512_i32gather_epi32(at, x, 4);
    }
    veci spread = veci_set1(dword_at(x + index[0] * stride));
    for (size_t i = 1; i < 16 / rows; i++)
        spread = _mm512_mask_set1_epi32(spread, (__mmask16)(((1u << rows) - 1) << i * rows),
                                        dword_at(x + index[i] * stride));
    return spread;
}

/* 16 dwords; lanes from n on are 0, and their memory is not touched. */
static inline veci dword_line(const uint8_t *line, size_t n)
{
    if (n >= 16)
        return veci_load(line);
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), line);
}

/* What the bits of the mask keep, in their places; reads all 64 bytes. */
static inline veci expand_dwords(uint64_t mask, const uint8_t *values)
{
    return _mm512_maskz_expand_epi32((__mmask16)mask, veci_load(values));
}

/* The same for bytes; without VBMI2 as dwords, 16 at a time. */
static inline veci expand_bytes(uint64_t mask, const uint8_t *values)
{
    __m128i parts[4];
    for (size_t i = 0; i < 4; i++) {
        __mmask16 part = (__mmask16)(mask >> 16 * i);
        __m512i dwords = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)values));
        parts[i] = _mm512_cvtepi32_epi8(_mm512_maskz_expand_epi32(part, dwords));
        values += __builtin_popcount(part);
    }
    __m512i line = _mm512_castsi128_si512(parts[0]);
    line = _mm512_inserti32x4(line, parts[1], 1);
    line = _mm512_inserti32x4(line, parts[2], 2);
    return _mm512_inserti32x4(line, parts[3], 3);
}

#endif
