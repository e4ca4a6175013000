/* SPDX-License-Identifier: Apache-2.0 */
/* exp, GELU, tanh and SiLU of 4 floats; what they compute and how well: simd/template/math.h. */
#ifndef LACUNA_SIMD_NEON_MATH_H
#define LACUNA_SIMD_NEON_MATH_H

#include "simd/arm/neon/vector.h"

#include "simd/template/math.h"

#endif
