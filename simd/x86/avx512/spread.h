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

/* What dwords[i] + offset points to in lanes i * rows to (i + 1) * rows - 1; rows is 8 or 4. */
static inline veci dword_spread(const uint8_t *const *dwords, size_t offset, const size_t rows)
{
    veci spread = dword_broadcast(dwords[0] + offset);
    for (size_t i = 1; i < 16 / rows; i++)
        spread = _mm512_mask_set1_epi32(spread, (__mmask16)(((1u << rows) - 1) << i * rows),
                                        dword_at(dwords[i] + offset));
    return spread;
}

/* What simd/template/loose.h asks for.  A load that begins at[i] % 4 - i bytes further has its byte
 * in its place: nothing is shuffled, and bytes that the mask leaves out are not touched, though
 * they may lie outside the panel. */
static inline veci dword_of_four(const uint8_t *x, const uint32_t *at)
{
    veci dwords = veci_load(x + at[0]);
#pragma GCC unroll 3
    for (size_t i = 1; i < 4; i++)
        dwords = _mm512_mask_loadu_epi8(dwords, UINT64_C(0x1111111111111111) << i, x + at[i] - i);
    return dwords;
}

/* The same for four tokens side by side: loads of all four and shuffles, in place of four times as
 * many loads. */
static inline __attribute__((always_inline)) void
dword_spread_quad(veci spread[4], const uint8_t *const *dwords, size_t offset, const size_t rows)
{
    veci quads = _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)(dwords[0] + offset)));
    for (size_t i = 1; i < 16 / rows; i++)
        quads = _mm512_mask_broadcast_i32x4(quads, (__mmask16)(((1u << rows) - 1) << i * rows),
                                            _mm_loadu_si128((const void *)(dwords[i] + offset)));
    spread[0] = _mm512_shuffle_epi32(quads, _MM_PERM_AAAA);
    spread[1] = _mm512_shuffle_epi32(quads, _MM_PERM_BBBB);
    spread[2] = _mm512_shuffle_epi32(quads, _MM_PERM_CCCC);
    spread[3] = _mm512_shuffle_epi32(quads, _MM_PERM_DDDD);
}

/* Dword index[l] of x in lane l. */
static inline veci dword_gather(const uint8_t *x, size_t stride, const uint16_t *index)
{
    /* Offsets in dwords: at most 65,535 * ld, well within 32 bits. */
    __m512i at = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)index));
    at = _mm512_mullo_epi32(at, _mm512_set1_epi32((int)(stride / 4)));
    return _mm512_i32gather_epi32(at, x, 4);
}

/* As simd/template/linear_output_tiles.h says. */
static inline __m128i bytes_transposed(void)
{
    return _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

static inline void bytes_transpose(uint8_t *to, const uint8_t *from)
{
    __m128i bytes = _mm_loadu_si128((const void *)from);
    _mm_storeu_si128((void *)to, _mm_shuffle_epi8(bytes, bytes_transposed()));
}

static inline __attribute__((always_inline)) void
bytes_spread_quad(veci spread[4], const uint8_t *x, size_t stride, const uint16_t *index)
{
    __m512i at = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)index));
    at = _mm512_mullo_epi32(at, _mm512_set1_epi32((int)stride));
    __m512i quads = _mm512_i32gather_epi32(at, x, 1);
    quads = _mm512_shuffle_epi8(quads, _mm512_broadcast_i32x4(bytes_transposed()));
    spread[0] = _mm512_shuffle_epi32(quads, _MM_PERM_AAAA);
    spread[1] = _mm512_shuffle_epi32(quads, _MM_PERM_BBBB);
    spread[2] = _mm512_shuffle_epi32(quads, _MM_PERM_CCCC);
    spread[3] = _mm512_shuffle_epi32(quads, _MM_PERM_DDDD);
}

/* 16 dwords; lanes from n on are 0, and their memory is not touched. */
static inline veci dword_line(const uint8_t *line, size_t n)
{
    if (n >= 16)
        return veci_load(line);
    return _mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), line);
}

/* 16 dwords, `rows` of them, 8 or 4, at each multiple of stride; the same of those from n on. */
static inline veci dword_parts(const uint8_t *parts, size_t stride, const size_t rows, size_t n)
{
    veci all = _mm512_setzero_si512();
    if (rows == 8) {
        all = _mm512_inserti64x4(all, _mm256_loadu_si256((const void *)parts), 0);
        return n <= 8
                   ? all
                   : _mm512_inserti64x4(all, _mm256_loadu_si256((const void *)(parts + stride)), 1);
    }
    for (size_t i = 0; i < 4 && i * 4 < n; i++)
        all = _mm512_mask_broadcast_i32x4(all, (__mmask16)(0xf << i * 4),
                                          _mm_loadu_si128((const void *)(parts + i * stride)));
    return all;
}

/* What the bits of the mask keep, in their places; reads all 64 bytes. */
static inline veci expand_dwords(uint64_t mask, const uint8_t *values)
{
    return _mm512_maskz_expand_epi32((__mmask16)mask, veci_load(values));
}

/* The same for words and for bytes; without VBMI2 as dwords, 16 at a time. */
static inline veci expand_words(uint64_t mask, const uint8_t *values)
{
    const __mmask16 low = (__mmask16)mask, high = (__mmask16)(mask >> 16);
    __m512i first = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)values));
    values += 2 * __builtin_popcount(low);
    __m512i second = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)values));
    __m256i words = _mm512_cvtepi32_epi16(_mm512_maskz_expand_epi32(low, first));
    return _mm512_inserti64x4(_mm512_castsi256_si512(words),
                              _mm512_cvtepi32_epi16(_mm512_maskz_expand_epi32(high, second)), 1);
}

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

/* Adds up lanes l, l + rows, ... of `rows` outputs, 8, 4 or 1. */
static inline void fold_ints(int32_t *sums, veci a, const size_t rows)
{
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
    if (rows == 8) {
        _mm256_storeu_si256((void *)sums, half);
        return;
    }
    __m128i quad = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    if (rows == 4) {
        _mm_storeu_si128((void *)sums, quad);
        return;
    }
    quad = _mm_add_epi32(quad, _mm_shuffle_epi32(quad, 0x4e));
    *sums = _mm_cvtsi128_si32(_mm_add_epi32(quad, _mm_shuffle_epi32(quad, 0xb1)));
}

static inline void fold_floats(float *sums, vec a, const size_t rows)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    if (rows == 8) {
        _mm256_storeu_ps(sums, half);
        return;
    }
    __m128 quad = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    if (rows == 4) {
        _mm_storeu_ps(sums, quad);
        return;
    }
    quad = _mm_add_ps(quad, _mm_movehl_ps(quad, quad));
    *sums = _mm_cvtss_f32(_mm_add_ss(quad, _mm_movehdup_ps(quad)));
}

/* Lane l of columns[i] to to[l * ld + i], for n columns: 1 to 4. */
static inline __attribute__((always_inline)) void
vec_store_columns(float *to, size_t ld, const vec *columns, const size_t n)
{
    if (n == 1) {
        float lanes[16];
        vec_store(lanes, columns[0]);
#pragma GCC unroll 16
        for (size_t l = 0; l < 16; l++, to += ld)
            *to = lanes[l];
        return;
    }
    vec rows[4] = {columns[0], columns[1]};
    if (n == 2) {
        rows[2] = _mm512_unpackhi_ps(columns[0], columns[1]);
        rows[0] = _mm512_unpacklo_ps(columns[0], columns[1]);
    } else {
        rows[2] = columns[2];
        rows[3] = n == 4 ? columns[3] : _mm512_setzero_ps();
        vec_transpose_quads(rows);
    }
    const __mmask8 some = (__mmask8)((1u << n) - 1);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i += n == 2 ? 2 : 1) {
        __m128 quads[4] = {_mm512_castps512_ps128(rows[i]), _mm512_extractf32x4_ps(rows[i], 1),
                           _mm512_extractf32x4_ps(rows[i], 2), _mm512_extractf32x4_ps(rows[i], 3)};
        float *at = to + i * ld;
#pragma GCC unroll 4
        for (size_t g = 0; g < 4; g++, at += 4 * ld)
            if (n == 2) {
                _mm_storel_pi((void *)at, quads[g]);
                _mm_storeh_pi((void *)(at + ld), quads[g]);
            } else if (n == 4) {
                _mm_storeu_ps(at, quads[g]);
            } else {
                /* Or gcc stores by a masked vextractf32x4, which faults for lanes that are left out
                 * too. */
                __asm__("" : "+v"(quads[g]));
                _mm_mask_storeu_ps(at, some, quads[g]);
            }
    }
}

#endif
