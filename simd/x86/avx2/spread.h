/* SPDX-License-Identifier: Apache-2.0 */
/* Dwords into the lanes of a YMM register, as the output-lane kernels need them. */
#ifndef LACUNA_SIMD_AVX2_SPREAD_H
#define LACUNA_SIMD_AVX2_SPREAD_H

#include <string.h>

#include "simd/x86/avx2/lanes.h"

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
    veci low = dword_broadcast(dwords[0] + offset);
    if (rows == 8)
        return low;
    return _mm256_blend_epi32(low, dword_broadcast(dwords[1] + offset), 0xf0);
}

/* What simd/template/loose.h asks for. */
static inline veci dword_of_four(const uint8_t *x, const uint32_t *at)
{
    /* Byte 4 t + at % 4 of each 128 bits to place 4 t + i; what has the highest bit set becomes 0.
     */
    const veci lanes = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404,
                                         0x08080808, 0x0c0c0c0c);
    veci dwords = _mm256_and_si256(veci_load(x + at[0]), veci_set1(0xff));
#pragma GCC unroll 3
    for (int i = 1; i < 4; i++) {
        veci others = veci_set1((int32_t)(0x80808080u & ~(0xffu << 8 * i)));
        veci from =
            _mm256_add_epi8(_mm256_or_si256(lanes, others), _mm256_set1_epi8((char)(at[i] % 4)));
        veci moved = _mm256_shuffle_epi8(veci_load(x + at[i] / 4 * 4), from);
        dwords = _mm256_or_si256(dwords, moved);
    }
    return dwords;
}

/* The same for four tokens side by side. */
static inline void dword_spread_quad(veci spread[4], const uint8_t *const *dwords, size_t offset,
                                     const size_t rows)
{
    for (size_t i = 0; i < 4; i++)
        spread[i] = dword_spread(dwords, offset + i * 4, rows);
}

/* Dword index[l] of x in lane l. */
static inline veci dword_gather(const uint8_t *x, size_t stride, const uint16_t *index)
{
    /* Offsets in dwords: at most 65,535 * ld, well within 32 bits. */
    __m256i at = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)index));
    at = _mm256_mullo_epi32(at, _mm256_set1_epi32((int)(stride / 4)));
    return _mm256_i32gather_epi32((const int *)(const void *)x, at, 4);
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
    __m256i at = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)index));
    at = _mm256_mullo_epi32(at, _mm256_set1_epi32((int)stride));
    __m256i quads = _mm256_i32gather_epi32((const int *)(const void *)x, at, 1);
    quads = _mm256_shuffle_epi8(quads, _mm256_broadcastsi128_si256(bytes_transposed()));
    spread[0] = _mm256_shuffle_epi32(quads, 0x00);
    spread[1] = _mm256_shuffle_epi32(quads, 0x55);
    spread[2] = _mm256_shuffle_epi32(quads, 0xaa);
    spread[3] = _mm256_shuffle_epi32(quads, 0xff);
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

/* 8 dwords, `rows` of them, 4, at each multiple of stride; the same of those from n on. */
static inline veci dword_parts(const uint8_t *parts, size_t stride, const size_t rows, size_t n)
{
    (void)rows;
    __m256i all = _mm256_zextsi128_si256(_mm_loadu_si128((const void *)parts));
    if (n <= 4)
        return all;
    return _mm256_inserti128_si256(all, _mm_loadu_si128((const void *)(parts + stride)), 1);
}

/* What the low 8 bits of the mask keep of 8 bytes, in their places. */
static inline uint64_t expand_8(uint64_t mask, const uint8_t *values)
{
    const uint64_t each = 0x0101010101010101;
    /* 1 in the bytes that are kept: bit i of byte i survives, and is carried to bit 7. */
    uint64_t kept = (((mask & 0xff) * each & 0x8040201008040201) + 0x7f * each) >> 7 & each;
    /* Their numbers, by adding up all below; a shuffle makes zeros where bit 7 is set. */
    uint64_t from = (kept * each - kept) | (kept ^ each) << 7;
    __m128i bytes = _mm_loadl_epi64((const void *)values);
    return (uint64_t)_mm_cvtsi128_si64(_mm_shuffle_epi8(bytes, _mm_cvtsi64_si128((long long)from)));
}

/* What the bits of the mask keep, in their places; reads up to 32 bytes. */
static inline veci expand_bytes(uint64_t mask, const uint8_t *values)
{
    uint64_t parts[4];
    for (size_t i = 0; i < 4; i++) {
        parts[i] = expand_8(mask >> 8 * i, values);
        values += __builtin_popcount(mask >> 8 * i & 0xff);
    }
    return veci_load(parts);
}

/* What the low 8 bits of the mask keep of 8 words, in their places. */
static inline __m128i expand_8_words(uint64_t mask, const uint8_t *values)
{
    const uint64_t each = 0x0101010101010101;
    /* As in expand_8, of words by their first bytes. */
    uint64_t kept = (((mask & 0xff) * each & 0x8040201008040201) + 0x7f * each) >> 7 & each;
    uint64_t from = 2 * (kept * each - kept) | (kept ^ each) << 7;
    __m128i first = _mm_cvtsi64_si128((long long)from);
    __m128i bytes = _mm_unpacklo_epi8(first, _mm_add_epi8(first, _mm_set1_epi8(1)));
    return _mm_shuffle_epi8(_mm_loadu_si128((const void *)values), bytes);
}

/* The same for words and for dwords. */
static inline veci expand_words(uint64_t mask, const uint8_t *values)
{
    __m128i low = expand_8_words(mask, values);
    values += 2 * __builtin_popcount(mask & 0xff);
    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), expand_8_words(mask >> 8, values),
                                   1);
}

static inline veci expand_dwords(uint64_t mask, const uint8_t *values)
{
    const uint64_t each = 0x0101010101010101;
    uint64_t kept = (((mask & 0xff) * each & 0x8040201008040201) + 0x7f * each) >> 7 & each;
    __m256i from = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)(kept * each - kept)));
    __m256i keep = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)(kept * 0xff)));
    return _mm256_and_si256(_mm256_permutevar8x32_epi32(veci_load(values), from), keep);
}

/* Adds up lanes l, l + rows, ... of `rows` outputs, 8, 4 or 1. */
static inline void fold_ints(int32_t *sums, veci a, const size_t rows)
{
    if (rows == 8) {
        veci_store(sums, a);
        return;
    }
    __m128i quad = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    if (rows == 4) {
        _mm_storeu_si128((void *)sums, quad);
        return;
    }
    quad = _mm_add_epi32(quad, _mm_shuffle_epi32(quad, 0x4e));
    *sums = _mm_cvtsi128_si32(_mm_add_epi32(quad, _mm_shuffle_epi32(quad, 0xb1)));
}

static inline void fold_floats(float *sums, vec a, const size_t rows)
{
    if (rows == 8) {
        vec_store(sums, a);
        return;
    }
    __m128 quad = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
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
        float lanes[8];
        vec_store(lanes, columns[0]);
#pragma GCC unroll 8
        for (size_t l = 0; l < 8; l++, to += ld)
            *to = lanes[l];
        return;
    }
    vec rows[4] = {columns[0], columns[1]};
    if (n == 2) {
        rows[2] = _mm256_unpackhi_ps(columns[0], columns[1]);
        rows[0] = _mm256_unpacklo_ps(columns[0], columns[1]);
    } else {
        rows[2] = columns[2];
        rows[3] = n == 4 ? columns[3] : _mm256_setzero_ps();
        vec_transpose_quads(rows);
    }
    const __m128i some = _mm_cmpgt_epi32(_mm_set1_epi32((int)n), _mm_setr_epi32(0, 1, 2, 3));
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i += n == 2 ? 2 : 1) {
        __m128 quads[2] = {_mm256_castps256_ps128(rows[i]), _mm256_extractf128_ps(rows[i], 1)};
        float *at = to + i * ld;
#pragma GCC unroll 2
        for (size_t g = 0; g < 2; g++, at += 4 * ld)
            if (n == 2) {
                _mm_storel_pi((void *)at, quads[g]);
                _mm_storeh_pi((void *)(at + ld), quads[g]);
            } else if (n == 4) {
                _mm_storeu_ps(at, quads[g]);
            } else {
                _mm_maskstore_ps(at, some, quads[g]);
            }
    }
}

#endif
