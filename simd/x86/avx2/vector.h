/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the AVX2 kernels: 8 floats.  What each function means: simd/scalar/vector.h. */
#ifndef LACUNA_SIMD_AVX2_VECTOR_H
#define LACUNA_SIMD_AVX2_VECTOR_H

#include <immintrin.h>

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

#endif
