/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the AVX-512 kernels: 16 floats.  What each function means: simd/scalar/vector.h. */
#ifndef LACUNA_SIMD_AVX512_VECTOR_H
#define LACUNA_SIMD_AVX512_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec;

static inline vec vec_set1(float a)
{
    return _mm512_set1_ps(a);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm512_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm512_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm512_mul_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm512_div_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm512_fmadd_ps(a, b, c);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm512_min_ps(a, b);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm512_max_ps(a, b);
}

static inline vec vec_abs(vec a)
{
    return _mm512_abs_ps(a);
}

static inline vec vec_copysign(vec a, vec b)
{
    __m512i sign = _mm512_set1_epi32((int)0x80000000);
    /* 0xca: bits of b where sign has ones, else of a. */
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(sign, _mm512_castps_si512(b), _mm512_castps_si512(a), 0xca));
}

static inline vec vec_select_lt(vec a, vec b, vec c, vec d)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), d, c);
}

static inline vec vec_scale_exponent(vec a, vec n, vec shifted)
{
    (void)shifted;
    return _mm512_scalef_ps(a, n);
}

static inline vec vec_add_exponent(vec a, vec shifted)
{
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), n));
}

/* What follows is for whole kernels; these exist for real vectors only. */

enum { VEC_LANES = 16 };

static inline vec vec_sqrt(vec a)
{
    return _mm512_sqrt_ps(a);
}

/* max(a, |b|) for a that is not negative, in one instruction. */
static inline vec vec_max_abs(vec a, vec b)
{
    return _mm512_range_ps(a, b, 0xb);
}

/* The largest lane. */
static inline float vec_largest(vec a)
{
    return _mm512_reduce_max_ps(a);
}

static inline vec vec_load(const float *from)
{
    return _mm512_loadu_ps(from);
}

static inline void vec_store(float *to, vec a)
{
    _mm512_storeu_ps(to, a);
}

/* Lanes whose bits are not set are taken from fill, and their memory is not touched. */
static inline vec vec_load_lanes(const float *from, uint64_t lanes, vec fill)
{
    return _mm512_mask_loadu_ps(fill, (__mmask16)lanes, from);
}

static inline void vec_store_lanes(float *to, uint64_t lanes, vec a)
{
    _mm512_mask_storeu_ps(to, (__mmask16)lanes, a);
}

/* For each lane the four bytes clamp(round_half_even(x[i] * factor) + 128, 0, 255), the product not
 * rounded before, for |x[i] * factor| < 2^15 - 128.  1.5 * 2^23 + 128 puts the rounded number into
 * the low word; the words of two rows share a dword, and packing saturates them to bytes. */
static inline void vec_store_bytes(uint8_t *to, const vec x[4], vec factor)
{
    const __m512 shift = _mm512_set1_ps(0x1.8p23f + 128);
    const __m512i to_high_word =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 1, 0, 0, 4, 5, 0, 0, 8, 9, 0, 0, 12, 13));
    const __m512i transpose =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    const __mmask64 high_word = 0xcccccccccccccccc;
    __m512i b0 = _mm512_castps_si512(_mm512_fmadd_ps(x[0], factor, shift));
    __m512i b1 = _mm512_castps_si512(_mm512_fmadd_ps(x[1], factor, shift));
    __m512i b2 = _mm512_castps_si512(_mm512_fmadd_ps(x[2], factor, shift));
    __m512i b3 = _mm512_castps_si512(_mm512_fmadd_ps(x[3], factor, shift));
    __m512i low = _mm512_mask_shuffle_epi8(b0, high_word, b1, to_high_word);
    __m512i high = _mm512_mask_shuffle_epi8(b2, high_word, b3, to_high_word);
    __m512i bytes = _mm512_packus_epi16(low, high);
    _mm512_storeu_si512(to, _mm512_shuffle_epi8(bytes, transpose));
}

/* A byte for each lane, the same way: for |x * factor| < 128. */
static inline void vec_store_row_bytes(uint8_t *to, vec x, vec factor)
{
    const __m512 shift = _mm512_set1_ps(0x1.8p23f + 128);
    __m512i bytes = _mm512_castps_si512(_mm512_fmadd_ps(x, factor, shift));
    _mm_storeu_si128((void *)to, _mm512_cvtepi32_epi8(bytes));
}

/* bf16, the upper half of fp32: widened, and rounded to nearest even (finite numbers). */
static inline vec vec_load_bf16(const uint16_t *from)
{
    __m512i dwords = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const void *)from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(dwords, 16));
}

static inline void vec_store_bf16(uint16_t *to, vec a)
{
    __m512i bits = _mm512_castps_si512(a);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    bits = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    _mm256_storeu_si256((void *)to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
}

/* Group i of four lanes is what rows[4 * i] points to. */
static inline vec vec_load_quads(const float *const *rows)
{
    __m512 a = _mm512_castps128_ps512(_mm_loadu_ps(rows[0]));
    a = _mm512_insertf32x4(a, _mm_loadu_ps(rows[4]), 1);
    a = _mm512_insertf32x4(a, _mm_loadu_ps(rows[8]), 2);
    return _mm512_insertf32x4(a, _mm_loadu_ps(rows[12]), 3);
}

/* The inverse. */
static inline void vec_store_quads(float *const *rows, vec a)
{
    _mm_storeu_ps(rows[0], _mm512_castps512_ps128(a));
    _mm_storeu_ps(rows[4], _mm512_extractf32x4_ps(a, 1));
    _mm_storeu_ps(rows[8], _mm512_extractf32x4_ps(a, 2));
    _mm_storeu_ps(rows[12], _mm512_extractf32x4_ps(a, 3));
}

/* Transposes the 4 x 4 squares that the groups of four lanes of a[0..3] make. */
static inline void vec_transpose_quads(vec a[4])
{
    __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(a[0], a[1]));
    __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(a[2], a[3]));
    __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(a[0], a[1]));
    __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(a[2], a[3]));
    a[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
    a[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
    a[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
    a[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
}

#endif
