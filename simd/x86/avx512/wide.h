/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of half the activations' width, widened in ZMM registers. */
#ifndef LACUNA_SIMD_AVX512_WIDE_H
#define LACUNA_SIMD_AVX512_WIDE_H

#include <string.h>

#include "simd/x86/avx512/lanes.h"
#include "simd/x86/avx512/spread.h"

/* What each lane's dword means for the panel's first and second dword it meets. */
struct wide {
    veci low, high;
};

static inline struct wide wide_bf16(veci line)
{
    return (struct wide){_mm512_slli_epi32(line, 16),
                         _mm512_and_si512(line, _mm512_set1_epi32((int)0xffff0000))};
}

static inline struct wide wide_f16(veci line)
{
    /* All low halves, then all high ones. */
    const __m512i apart =
        _mm512_set_epi16(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1, 30, 28, 26, 24,
                         22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    __m512i halves = _mm512_permutexvar_epi16(apart, line);
    __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
    return (struct wide){_mm512_castps_si512(low), _mm512_castps_si512(high)};
}

/* The byte of place k in both words of a dword, for vpshufb. */
#define TWICE(k) (int)(0x80008000u | (unsigned)(k) << 16 | (unsigned)(k))

/* Factors of int4 (sparse/int4.h), in both words of each lane's dword, and 7 times as much in each
 * byte. */
struct factors {
    veci g, sevens;
};

/* Lane l is row l % rows of its block, and every four blocks have factors of their own.  From lane
 * n on they are 0, as a dword of zeros is not 0. */
static inline struct factors factors_of(const uint8_t *group, size_t n, const size_t rows)
{
    const veci each = _mm512_setr_epi32(TWICE(0), TWICE(1), TWICE(2), TWICE(3), TWICE(4), TWICE(5),
                                        TWICE(6), TWICE(7), TWICE(8), TWICE(9), TWICE(10),
                                        TWICE(11), TWICE(12), TWICE(13), TWICE(14), TWICE(15));
    const veci eights = _mm512_setr_epi32(
        TWICE(0), TWICE(1), TWICE(2), TWICE(3), TWICE(4), TWICE(5), TWICE(6), TWICE(7), TWICE(0),
        TWICE(1), TWICE(2), TWICE(3), TWICE(4), TWICE(5), TWICE(6), TWICE(7));
    const veci fours =
        _mm512_broadcast_i32x4(_mm_setr_epi32(TWICE(0), TWICE(1), TWICE(2), TWICE(3)));
    const veci by_four = _mm512_setr_epi32(
        TWICE(0), TWICE(0), TWICE(0), TWICE(0), TWICE(1), TWICE(1), TWICE(1), TWICE(1), TWICE(2),
        TWICE(2), TWICE(2), TWICE(2), TWICE(3), TWICE(3), TWICE(3), TWICE(3));
    veci g;
    if (rows >= 16)
        g = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)group)), each);
    else if (rows == 8)
        g = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadl_epi64((const void *)group)),
                                eights);
    else if (rows == 4)
        g = _mm512_shuffle_epi8(dword_broadcast(group), fours);
    else {
        __mmask16 exist = n >= 16 ? 15 : (__mmask16)((1u << (n + 3) / 4) - 1);
        __m128i four = _mm_maskz_loadu_epi8(exist, group);
        g = _mm512_shuffle_epi8(_mm512_broadcastd_epi32(four), by_four);
    }
    if (n < 16)
        g = _mm512_maskz_mov_epi32((__mmask16)((1u << n) - 1), g);
    return (struct factors){g, _mm512_mullo_epi16(g, _mm512_set1_epi16(0x0707))};
}

/* g * (u - 7) of each nibble u: why bytes can be multiplied in pairs, see sparse/int4.h. */
static inline struct wide wide_s4(veci line, const struct factors *factors)
{
    const veci nibble = _mm512_set1_epi8(15);
    veci low = _mm512_and_si512(line, nibble);
    veci high = _mm512_and_si512(_mm512_srli_epi16(line, 4), nibble);
    return (struct wide){
        _mm512_sub_epi8(_mm512_mullo_epi16(low, factors->g), factors->sevens),
        _mm512_sub_epi8(_mm512_mullo_epi16(high, factors->g), factors->sevens),
    };
}

#endif
