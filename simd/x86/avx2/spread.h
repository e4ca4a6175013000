/* SPDX-License-Identifier: Apache-2.0 */
/* Dwords into the lanes of a YMM register, as the output-lane kernels need them. */
#ifndef LACUNA_SIMD_AVX2_SPREAD_H
#define LACUNA_SIMD_AVX2_SPREAD_H

#include <string.h>

#include "simd/x86/avx2/lanes.h"

static inline vec vec_from_bits(veci a)
{
    return _mm256_castsi256_ps(a);
}

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
        __m256i at = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)index));
        at = _mm256_mullo_epi32(at, _mm256_set1_epi32((int)(stride / 4)));
        return _mm256_i32gather_epi32((const int *)(const void *)x, at, 4);
    }
    veci low = veci_set1(dword_at(x + index[0] * stride));
    if (rows == 8)
        return low;
    return _mm256_blend_epi32(low, veci_set1(dword_at(x + index[1] * stride)), 0xf0);
}

/* 8 dwords; lanes from n on are 0, and their memory is not touched. */
static inline veci dword_line(const uint8_t *line, size_t n)
{
    if (n >= 8)
        return veci_load(line);
    veci exists =
        _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_maskload_epi32((const int *)(const void *)line, exists);
}

#endif
