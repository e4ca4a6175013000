/* SPDX-License-Identifier: Apache-2.0 */
/* exp, 2^x, GELU, tanh and SiLU, written once for every instruction set: include after a vector.h.
 *
 * The operations and their order are the same everywhere, every multiply-add is fused, and so the
 * results are the same bit for bit.  The bounds below were found over all arguments of 2^-30 to 2^7
 * and a sample of the others, and tests/check_math.c holds them.  Coefficients are our own, from a
 * Remez exchange in double precision with the weight named at each, rounded to float; those of GELU
 * were then moved by a few units in the last place to where the error measured in float is least.
 * Arguments that are not numbers give results that are not. */
#ifndef LACUNA_SIMD_TEMPLATE_MATH_H
#define LACUNA_SIMD_TEMPLATE_MATH_H

/* e^(x - n ln 2), |x - n ln 2| <= ln 2 / 2. */
static inline vec exp_of_rest(vec x, vec n)
{
    vec r = vec_fnma(n, vec_set1(0x1.62e4p-1f), x);
    r = vec_fnma(n, vec_set1(0x1.7f7d1cp-20f), r);
    vec p = vec_set1(0x1.6a2446p-10f);
    p = vec_fma(p, r, vec_set1(0x1.1239e2p-7f));
    p = vec_fma(p, r, vec_set1(0x1.5558f2p-5f));
    p = vec_fma(p, r, vec_set1(0x1.555492p-3f));
    p = vec_fma(p, r, vec_set1(0x1.fffffcp-2f));
    p = vec_fma(p, r, vec_set1(1.0f));
    return vec_fma(p, r, vec_set1(1.0f));
}

/* e^x within 0.92 units in the last place: x = n ln 2 + r, |r| <= ln 2 / 2, e^x = 2^n e^r.
 *
 * Adding 1.5 * 2^23 rounds to a whole number, which is then in the low bits.  ln 2 is taken in two
 * parts, the first short enough that n times it is exact.  e^r = 1 + r + r^2 P(r), P of degree 4,
 * least relative error of e^r: 3.1e-9.  Arguments are clamped where the result has long become
 * infinite or 0 (e^-105 < 2^-150, half of the smallest number). */
static inline vec vec_exp(vec x)
{
    const vec shift = vec_set1(0x1.8p23f);
    x = vec_max(vec_set1(-105.0f), vec_min(vec_set1(89.0f), x));
    vec shifted = vec_fma(x, vec_set1(0x1.715476p0f), shift);
    vec n = vec_sub(shifted, shift);
    return vec_scale_exponent(exp_of_rest(x, n), n, shifted);
}

/* The same bits for -64 <= x <= 0, x below -64 counting as -64: weights of attention.  Smaller ones
 * are nothing beside the largest, which is 1, but they or their products would leave the normal
 * numbers, and 16 floats of which one does take 70 ns (Emerald Rapids). */
static inline vec vec_exp_weight(vec x)
{
    const vec shift = vec_set1(0x1.8p23f);
    x = vec_max(vec_set1(-64.0f), x);
    vec shifted = vec_fma(x, vec_set1(0x1.715476p0f), shift);
    return vec_add_exponent(exp_of_rest(x, vec_sub(shifted, shift)), shifted);
}

/* 2^x within 1.02e-4 of itself for x <= 0, x below -64 counting as -64: weights of attention, to be
 * rounded to 14 bits.  x = n + r, |r| <= 1/2, 2^r = 1 + r P(r), P of degree 2: 1 for x = 0, and
 * never more. */
static inline vec vec_exp2_weight(vec x)
{
    const vec shift = vec_set1(0x1.8p23f);
    x = vec_max(vec_set1(-64.0f), x);
    vec shifted = vec_add(x, shift);
    vec r = vec_sub(x, vec_sub(shifted, shift));
    vec p = vec_set1(0x1.c2a218p-5f);
    p = vec_fma(p, r, vec_set1(0x1.f00c50p-3f));
    p = vec_fma(p, r, vec_set1(0x1.62f5fap-1f));
    p = vec_fma(p, r, vec_set1(1.0f));
    return vec_add_exponent(p, shifted);
}

/* Both forms of GELU are x F(x), F a sigmoid with F(-x) = 1 - F(x), so with t = |x|
 *
 *   x F(x) = max(x, 0) - t F(-t).
 *
 * The fourth root of F(-t) is nearly a straight line that has come down to almost 0 at t = 5.6: we
 * take F(-t) = ((5.6 - t) S(t))^4 up to there and 0 beyond, which makes both tails exact without
 * a branch or a division.  S is fitted to make the error of the fourth power least; with the
 * rounding of the power the error stays below 4.5e-7 |x|, and 3e-7 max(1, |x|). */
static inline vec gelu_tail(vec x, vec t, vec w, vec s)
{
    vec root = vec_mul(w, s);
    vec square = vec_mul(root, root);
    return vec_fnma(t, vec_mul(square, square), vec_max(vec_set1(0.0f), x));
}

/* x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2.  S of degree 7; F within 5.4e-8 before rounding. */
static inline vec vec_gelu(vec x)
{
    const vec end = vec_set1(5.6f);
    vec t = vec_min(end, vec_abs(x));
    vec s = vec_set1(0x1.d20e28p-19f);
    s = vec_fma(s, t, vec_set1(-0x1.4f113ap-15f));
    s = vec_fma(s, t, vec_set1(0x1.74d134p-14f));
    s = vec_fma(s, t, vec_set1(0x1.1044a4p-11f));
    s = vec_fma(s, t, vec_set1(-0x1.c710d2p-11f));
    s = vec_fma(s, t, vec_set1(-0x1.381fb6p-7f));
    s = vec_fma(s, t, vec_set1(-0x1.9b4f52p-9f));
    s = vec_fma(s, t, vec_set1(0x1.338720p-3f));
    return gelu_tail(x, t, vec_sub(end, t), s);
}

/* x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.  S of degree 8; F within 1.4e-7 before
 * rounding. */
static inline vec vec_gelu_tanh(vec x)
{
    const vec end = vec_set1(5.6f);
    vec t = vec_min(end, vec_abs(x));
    vec s = vec_set1(-0x1.a24bcap-20f);
    s = vec_fma(s, t, vec_set1(0x1.67247ap-16f));
    s = vec_fma(s, t, vec_set1(-0x1.c499e4p-14f));
    s = vec_fma(s, t, vec_set1(0x1.730188p-13f));
    s = vec_fma(s, t, vec_set1(0x1.ea6aeep-12f));
    s = vec_fma(s, t, vec_set1(-0x1.ab4d9ap-11f));
    s = vec_fma(s, t, vec_set1(-0x1.3849c0p-7f));
    s = vec_fma(s, t, vec_set1(-0x1.9b46eep-9f));
    s = vec_fma(s, t, vec_set1(0x1.338720p-3f));
    return gelu_tail(x, t, vec_sub(end, t), s);
}

/* tanh x within 1.4 units in the last place: x + x^3 T(x^2) up to 0.625, T of degree 4 with the
 * least relative error of tanh, 4.2e-9; beyond, 1 - 2 / (e^(2|x|) + 1) with the sign of x. */
static inline vec vec_tanh(vec x)
{
    const vec one = vec_set1(1.0f), two = vec_set1(2.0f);
    vec t = vec_abs(x);
    vec e = vec_exp(vec_mul(two, t));
    vec far = vec_copysign(vec_sub(one, vec_div(two, vec_add(e, one))), x);
    vec square = vec_mul(x, x);
    vec p = vec_set1(-0x1.76ac10p-8f);
    p = vec_fma(p, square, vec_set1(0x1.5256d4p-6f));
    p = vec_fma(p, square, vec_set1(-0x1.b84448p-5f));
    p = vec_fma(p, square, vec_set1(0x1.110768p-3f));
    p = vec_fma(p, square, vec_set1(-0x1.555534p-2f));
    vec near = vec_fma(vec_mul(x, square), p, x);
    return vec_select_lt(t, vec_set1(0.625f), near, far);
}

/* x / (1 + e^-x) within 2.3e-7 of itself, by vec_exp, a sum and a quotient, or 2.7e-37: where e^-x
 * is no longer finite, below -88.7, the result is -0. */
static inline vec vec_silu(vec x)
{
    const vec lowest = vec_set1(-90.0f);
    x = vec_max(lowest, x);
    vec e = vec_exp(vec_sub(vec_set1(0.0f), x));
    return vec_div(x, vec_add(vec_set1(1.0f), e));
}

#endif
