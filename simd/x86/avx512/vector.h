/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the AVX-512 kernels: 16 floats.  What each function means: simd/scalar/vector.h. */
#ifndef LACUNA_SIMD_AVX512_VECTOR_H
#define LACUNA_SIMD_AVX512_VECTOR_H

#include <immintrin.h>

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

#endif
