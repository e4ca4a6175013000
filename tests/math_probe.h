/* SPDX-License-Identifier: Apache-2.0 */
/* The vector functions exp, 2^x, GELU, tanh and SiLU on arrays of n floats, n a multiple of 16. */
#ifndef LACUNA_TESTS_MATH_PROBE_H
#define LACUNA_TESTS_MATH_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum math_function {
    MATH_EXP,
    MATH_EXP_WEIGHT,
    MATH_EXP2_WEIGHT,
    MATH_GELU,
    MATH_GELU_TANH,
    MATH_TANH,
    MATH_SILU,
    N_MATH_FUNCTIONS,
};

void math_probe_scalar(enum math_function function, const float *x, float *y, size_t n);
void math_probe_avx2(enum math_function function, const float *x, float *y, size_t n);
void math_probe_avx512(enum math_function function, const float *x, float *y, size_t n);
void math_probe_neon(enum math_function function, const float *x, float *y, size_t n);

#endif
