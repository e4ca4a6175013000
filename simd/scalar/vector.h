/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the scalar kernels: one float.  The names are those of the other vector.h, so that
 * simd/template/math.h reads the same for every instruction set. */
#ifndef LACUNA_SIMD_SCALAR_VECTOR_H
#define LACUNA_SIMD_SCALAR_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

typedef float vec;

static inline vec vec_set1(float a)
{
    return a;
}

static inline vec vec_add(vec a, vec b)
{
    return a + b;
}

static inline vec vec_sub(vec a, vec b)
{
    return a - b;
}

static inline vec vec_mul(vec a, vec b)
{
    return a * b;
}

static inline vec vec_div(vec a, vec b)
{
    return a / b;
}

/* a * b + c, rounded once. */
static inline vec vec_fma(vec a, vec b, vec c)
{
    return fmaf(a, b, c);
}

/* c - a * b, rounded once. */
static inline vec vec_fnma(vec a, vec b, vec c)
{
    return fmaf(-a, b, c);
}

/* As x86 has them: b when either is not a number, or both are zeros. */
static inline vec vec_min(vec a, vec b)
{
    return a < b ? a : b;
}

static inline vec vec_max(vec a, vec b)
{
    return a > b ? a : b;
}

static inline vec vec_abs(vec a)
{
    return fabsf(a);
}

/* max(most, |a|), for most >= 0. */
static inline vec vec_max_abs(vec most, vec a)
{
    return vec_max(most, vec_abs(a));
}

/* |a| with the sign of b. */
static inline vec vec_copysign(vec a, vec b)
{
    return copysignf(a, b);
}

/* a < b ? c : d */
static inline vec vec_select_lt(vec a, vec b, vec c, vec d)
{
    return a < b ? c : d;
}

/* a * 2^n, rounded once, for a in [1/2, 2), whole n in [-160, 160] and shifted = n + 1.5 * 2^23. */
static inline vec vec_scale_exponent(vec a, vec n, vec shifted)
{
    (void)shifted;
    return ldexpf(a, n == n ? (int)n : 0);
}

/* a * 2^n for whole n, shifted as above, when neither a nor the result is subnormal or 0: n is
 * added to the exponent. */
static inline vec vec_add_exponent(vec a, vec shifted)
{
    uint32_t bits, n;
    memcpy(&bits, &a, sizeof bits);
    memcpy(&n, &shifted, sizeof n);
    bits += n << 23;
    memcpy(&a, &bits, sizeof a);
    return a;
}

#endif
