/* SPDX-License-Identifier: Apache-2.0 */
/* exp, GELU, tanh and SiLU of one float; what they compute and how well: simd/template/math.h. */
#ifndef LACUNA_SIMD_SCALAR_MATH_H
#define LACUNA_SIMD_SCALAR_MATH_H

#include "simd/scalar/vector.h"

#include "simd/template/math.h"

static inline float lac_exp(float x)
{
    return vec_exp(x);
}

static inline float lac_gelu(float x)
{
    return vec_gelu(x);
}

static inline float lac_gelu_tanh(float x)
{
    return vec_gelu_tanh(x);
}

static inline float lac_tanh(float x)
{
    return vec_tanh(x);
}

#endif
