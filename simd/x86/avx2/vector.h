/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the AVX2 kernels: 8 floats.  What each function means: simd/scalar/vector.h. */
#ifndef LACUNA_SIMD_AVX2_VECTOR_H
#define LACUNA_SIMD_AVX2_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vec;

static inline vec vec_set1(float a)
{
    return _mm256_set1_ps(a);
}

static inline vec vec_add(vec a, vec b)
{
    return _mm256_add_ps(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return _mm256_sub_ps(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return _mm256_mul_ps(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return _mm256_div_ps(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return _mm256_fmadd_ps(a, b, c);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

static inline vec vec_min(vec a, vec b)
{
    return _mm256_min_ps(a, b);
}

static inline vec vec_max(vec a, vec b)
{
    return _mm256_max_ps(a, b);
}

static inline vec vec_abs(vec a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}

static inline vec vec_copysign(vec a, vec b)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, a), _mm256_and_ps(sign, b));
}

static inline vec vec_select_lt(vec a, vec b, vec c, vec d)
{
    return _mm256_blendv_ps(d, c, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

static inline __m256 power_of_two(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* 2^n may not be a normal number, but its two halves are; only the second product rounds. */
static inline vec vec_scale_exponent(vec a, vec n, vec shifted)
{
    (void)n;
    __m256i whole = _mm256_sub_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(0x4b400000));
    __m256i half = _mm256_srai_epi32(whole, 1);
    a = _mm256_mul_ps(a, power_of_two(half));
    return _mm256_mul_ps(a, power_of_two(_mm256_sub_epi32(whole, half)));
}

static inline vec vec_add_exponent(vec a, vec shifted)
{
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), n));
}

/* What follows is for whole kernels; explained in simd/x86/avx512/vector.h. */

enum { VEC_LANES = 8 };

static inline vec vec_sqrt(vec a)
{
    return _mm256_sqrt_ps(a);
}

static inline vec vec_max_abs(vec a, vec b)
{
    return vec_max(a, vec_abs(b));
}

static inline float vec_largest(vec a)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline vec vec_load(const float *from)
{
    return _mm256_loadu_ps(from);
}

static inline void vec_store(float *to, vec a)
{
    _mm256_storeu_ps(to, a);
}

static inline __m256i lane_mask(uint64_t lanes)
{
    const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    return _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)(lanes & 255)), bits), bits);
}

static inline vec vec_load_lanes(const float *from, uint64_t lanes, vec fill)
{
    __m256i mask = lane_mask(lanes);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask));
}

static inline void vec_store_lanes(float *to, uint64_t lanes, vec a)
{
    _mm256_maskstore_ps(to, lane_mask(lanes), a);
}

static inline void vec_store_bytes(uint8_t *to, const vec x[4], vec factor)
{
    const __m256 shift = _mm256_set1_ps(0x1.8p23f + 128);
    const __m256i transpose = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    __m256i b0 = _mm256_castps_si256(_mm256_fmadd_ps(x[0], factor, shift));
    __m256i b1 = _mm256_castps_si256(_mm256_fmadd_ps(x[1], factor, shift));
    __m256i b2 = _mm256_castps_si256(_mm256_fmadd_ps(x[2], factor, shift));
    __m256i b3 = _mm256_castps_si256(_mm256_fmadd_ps(x[3], factor, shift));
    __m256i low = _mm256_blend_epi16(b0, _mm256_slli_epi32(b1, 16), 0xaa);
    __m256i high = _mm256_blend_epi16(b2, _mm256_slli_epi32(b3, 16), 0xaa);
    __m256i bytes = _mm256_packus_epi16(low, high);
    _mm256_storeu_si256((__m256i *)to, _mm256_shuffle_epi8(bytes, transpose));
}

static inline void vec_store_row_bytes(uint8_t *to, vec x, vec factor)
{
    const __m256 shift = _mm256_set1_ps(0x1.8p23f + 128);
    __m256i dwords = _mm256_castps_si256(_mm256_fmadd_ps(x, factor, shift));
    dwords = _mm256_and_si256(dwords, _mm256_set1_epi32(255));
    __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(dwords), _mm256_extracti128_si256(dwords, 1));
    _mm_storel_epi64((void *)to, _mm_packus_epi16(words, words));
}

static inline vec vec_load_bf16(const uint16_t *from)
{
    __m256i dwords = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(dwords, 16));
}

static inline void vec_store_bf16(uint16_t *to, vec a)
{
    __m256i bits = _mm256_castps_si256(a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    bits = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    bits = _mm256_srli_epi32(bits, 16);
    _mm_storeu_si128((void *)to, _mm_packus_epi32(_mm256_castsi256_si128(bits),
                                                  _mm256_extracti128_si256(bits, 1)));
}

static inline vec vec_load_quads(const float *const *rows)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[0])),
                                _mm_loadu_ps(rows[4]), 1);
}

static inline void vec_store_quads(float *const *rows, vec a)
{
    _mm_storeu_ps(rows[0], _mm256_castps256_ps128(a));
    _mm_storeu_ps(rows[4], _mm256_extractf128_ps(a, 1));
}

static inline void vec_transpose_quads(vec a[4])
{
    __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(a[0], a[1]));
    __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(a[2], a[3]));
    __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(a[0], a[1]));
    __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(a[2], a[3]));
    a[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(low01, low23));
    a[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low01, low23));
    a[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(high01, high23));
    a[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(high01, high23));
}

#endif
