/* SPDX-License-Identifier: Apache-2.0 */
/* exp, GELU, tanh and SiLU of 8 floats; what they compute and how well: simd/template/math.h. */
#ifndef LACUNA_SIMD_AVX2_MATH_H
#define LACUNA_SIMD_AVX2_MATH_H

#include "simd/x86/avx2/vector.h"

#include "simd/template/math.h"

static inline __m256 lac_exp256(__m256 x)
{
    return vec_exp(x);
}

static inline __m256 lac_gelu256(__m256 x)
{
    return vec_gelu(x);
}

static inline __m256 lac_gelu_tanh256(__m256 x)
{
    return vec_gelu_tanh(x);
}

static inline __m256 lac_tanh256(__m256 x)
{
    return vec_tanh(x);
}

#endif
