/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of half the activations' width, widened in YMM registers.  What each function means:
 * simd/x86/avx512/wide.h. */
#ifndef LACUNA_SIMD_AVX2_WIDE_H
#define LACUNA_SIMD_AVX2_WIDE_H

#include <string.h>

#include "simd/x86/avx2/lanes.h"
#include "simd/x86/avx2/spread.h"

struct wide {
    veci low, high;
};

static inline struct wide wide_bf16(veci line)
{
    return (struct wide){_mm256_slli_epi32(line, 16),
                         _mm256_and_si256(line, _mm256_set1_epi32((int)0xffff0000))};
}

static inline struct wide wide_f16(veci line)
{
    const __m256i apart = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    __m256i halves = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(line, apart), 0xd8);
    __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    __m256 high = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
    return (struct wide){_mm256_castps_si256(low), _mm256_castps_si256(high)};
}

#define TWICE(k) (int)(0x80008000u | (unsigned)(k) << 16 | (unsigned)(k))

struct factors {
    veci g, sevens;
};

static inline struct factors factors_of(const uint8_t *group, size_t n, const size_t rows)
{
    const veci each = _mm256_setr_epi32(TWICE(0), TWICE(1), TWICE(2), TWICE(3), TWICE(4), TWICE(5),
                                        TWICE(6), TWICE(7));
    const veci fours =
        _mm256_broadcastsi128_si256(_mm_setr_epi32(TWICE(0), TWICE(1), TWICE(2), TWICE(3)));
    const veci by_four = _mm256_setr_epi32(TWICE(0), TWICE(0), TWICE(0), TWICE(0), TWICE(1),
                                           TWICE(1), TWICE(1), TWICE(1));
    veci g;
    if (rows >= 8)
        g = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadl_epi64((const void *)group)),
                                each);
    else if (rows == 4)
        g = _mm256_shuffle_epi8(dword_broadcast(group), fours);
    else
        g = _mm256_shuffle_epi8(veci_set1(group[0] | (n > 4 ? group[1] << 8 : 0)), by_four);
    if (n < 8)
        g = _mm256_and_si256(g, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
                                                   _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
    return (struct factors){g, _mm256_mullo_epi16(g, _mm256_set1_epi16(0x0707))};
}

static inline struct wide wide_s4(veci line, const struct factors *factors)
{
    const veci nibble = _mm256_set1_epi8(15);
    veci low = _mm256_and_si256(line, nibble);
    veci high = _mm256_and_si256(_mm256_srli_epi16(line, 4), nibble);
    return (struct wide){
        _mm256_sub_epi8(_mm256_mullo_epi16(low, factors->g), factors->sevens),
        _mm256_sub_epi8(_mm256_mullo_epi16(high, factors->g), factors->sevens),
    };
}

#endif
