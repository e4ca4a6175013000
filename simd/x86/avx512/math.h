/* SPDX-License-Identifier: Apache-2.0 */
/* exp, GELU, tanh and SiLU of 16 floats; what they compute and how well: simd/template/math.h. */
#ifndef LACUNA_SIMD_AVX512_MATH_H
#define LACUNA_SIMD_AVX512_MATH_H

#include "simd/x86/avx512/vector.h"

#include "simd/template/math.h"

static inline __m512 lac_exp512(__m512 x)
{
    return vec_exp(x);
}

static inline __m512 lac_gelu512(__m512 x)
{
    return vec_gelu(x);
}

static inline __m512 lac_gelu_tanh512(__m512 x)
{
    return vec_gelu_tanh(x);
}

static inline __m512 lac_tanh512(__m512 x)
{
    return vec_tanh(x);
}

#endif
