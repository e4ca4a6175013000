/* SPDX-License-Identifier: Apache-2.0 */
/* exp, 2^x, GELU, tanh and SiLU of every instruction set: within the bounds that
 * simd/template/math.h states, and the same bits everywhere.
 *
 * Bit patterns are taken LACUNA_TEST_STRIDE apart (default 2053: every exponent 4085 times; 1 takes
 * all 2^32 of them, in half an hour). */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "simd/cpu.h"
#include "tests/math_probe.h"
#include "tests/support.h"

typedef void probe(enum math_function function, const float *x, float *y, size_t n);

static const struct {
    const char *name;
    unsigned needs;
    probe *run;
} isas[] = {
    {"scalar", 0, math_probe_scalar},
#ifdef LACUNA_HAVE_AVX2
    {"avx2", LAC_CPU_AVX2, math_probe_avx2},
#endif
#ifdef LACUNA_HAVE_AVX512
    {"avx512", LAC_CPU_AVX512, math_probe_avx512},
#endif
#ifdef LACUNA_HAVE_NEON
    {"neon", LAC_CPU_NEON, math_probe_neon},
#endif
};

enum { N_ISAS = sizeof isas / sizeof isas[0], CHUNK = 4096 };

/* For negative numbers: of the others' arguments with the sign taken off. */
static double exp_weight(double x)
{
    return exp(fmax(-fabs(x), -64));
}

static double exp2_weight(double x)
{
    return exp2(fmax(-fabs(x), -64));
}

static double exp2_weight_bound(double x, double y)
{
    return x == 0 ? 0 : 1.02e-4 * y;
}

static double gelu(double x)
{
    return x * 0.5 * erfc(-x / sqrt(2));
}

static double gelu_tanh(double x)
{
    return x / (1 + exp(-2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

/* Distance between floats around y. */
static double ulp(double y)
{
    double a = fabs(y);
    return a < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(fmin(a, 0x1p127)) - 23);
}

static double exp_bound(double x, double y)
{
    (void)x;
    return 0.92 * ulp(y);
}

static double gelu_bound(double x, double y)
{
    (void)y; /* a result below the smallest normal number is rounded to a multiple of 2^-149 */
    return fmin(4.5e-7 * fabs(x), 3e-7 * fmax(1, fabs(x))) + 0x1p-149;
}

static double tanh_bound(double x, double y)
{
    (void)x;
    return 1.4 * ulp(y);
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double silu_bound(double x, double y)
{
    (void)x;
    return 2.3e-7 * fabs(y) + 2.7e-37;
}

static const struct {
    const char *name;
    double (*exact)(double);
    double (*bound)(double x, double y);
} functions[N_MATH_FUNCTIONS] = {
    [MATH_EXP] = {"exp", exp, exp_bound},
    [MATH_EXP_WEIGHT] = {"exp_weight", exp_weight, exp_bound},
    [MATH_EXP2_WEIGHT] = {"exp2_weight", exp2_weight, exp2_weight_bound},
    [MATH_GELU] = {"gelu", gelu, gelu_bound},
    [MATH_GELU_TANH] = {"gelu_tanh", gelu_tanh, gelu_bound},
    [MATH_TANH] = {"tanh", tanh, tanh_bound},
    [MATH_SILU] = {"silu", silu, silu_bound},
};

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int is_weight(enum math_function f)
{
    return f == MATH_EXP_WEIGHT || f == MATH_EXP2_WEIGHT;
}

static int is_within(enum math_function f, float x, float y)
{
    if (isnan(x))
        return isnan(y);
    if (isinf(x) && !is_weight(f)) /* x Phi(x) has its limits there, which the formulas do not */
        return f == MATH_TANH ? y == copysignf(1, x) : x > 0 ? y == x : y == 0;
    double exact = functions[f].exact(x);
    if (f == MATH_EXP && isinf(y))
        return (float)exact == y || exact > 0x1.fffffcp127;
    return fabs(y - exact) <= functions[f].bound(x, exact);
}

static int is_same(float a, float b)
{
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

/* What is asked of a function: of weights, negative numbers only. */
static void take_arguments(enum math_function f, const float *from, float *x)
{
    for (size_t i = 0; i < CHUNK; i++)
        x[i] = !is_weight(f) ? from[i] : isnan(from[i]) ? 0 : -fabsf(from[i]);
}

static void check_chunk(enum math_function f, const float *from)
{
    static float x[CHUNK];
    take_arguments(f, from, x);
    static float y[N_ISAS][CHUNK];
    unsigned features = lac_cpu_features();
    for (size_t k = 0; k < N_ISAS; k++) {
        if (isas[k].needs & ~features)
            continue;
        isas[k].run(f, x, y[k], CHUNK);
        for (size_t i = 0; i < CHUNK; i++) {
            if (k == 0 && !is_within(f, x[i], y[0][i]))
                ck_abort_msg("%s(%a) = %a", functions[f].name, x[i], y[0][i]);
            if (!is_same(y[k][i], y[0][i]))
                ck_abort_msg("%s(%a) = %a in scalar, %a in %s", functions[f].name, x[i], y[0][i],
                             y[k][i], isas[k].name);
        }
    }
}

START_TEST(bounds_and_bits)
{
    const char *text = getenv("LACUNA_TEST_STRIDE");
    uint64_t stride = text ? strtoull(text, NULL, 0) : 2053;
    ck_assert(stride > 0);
    static float x[CHUNK];
    for (uint64_t first = 0; first < UINT64_C(1) << 32; first += CHUNK * stride) {
        /* Past the last pattern it wraps. */
        for (size_t i = 0; i < CHUNK; i++)
            x[i] = float_of((uint32_t)(first + i * stride));
        for (int f = 0; f < N_MATH_FUNCTIONS; f++)
            check_chunk(f, x);
    }
}
END_TEST

START_TEST(special_values)
{
    static const float values[] = {0.0f,      -0.0f,      INFINITY,    -INFINITY, NAN,
                                   88.72283f, 88.722844f, -87.336545f, -103.972f, -103.973f,
                                   -104.0f,   0.625f,     5.6f,        -5.6f,     -5.7f,
                                   -1e30f,    3e38f,      1e-40f};
    static float x[CHUNK];
    memcpy(x, values, sizeof values);
    for (int f = 0; f < N_MATH_FUNCTIONS; f++)
        check_chunk(f, x);
    float y[16];
    math_probe_scalar(MATH_EXP, x, y, 16);
    ck_assert(y[0] == 1 && y[1] == 1 && isinf(y[2]) && y[3] == 0 && y[10] == 0);
    math_probe_scalar(MATH_GELU, x, y, 16);
    ck_assert(bits_of(y[0]) == 0 && bits_of(y[1]) == bits_of(-0.0f));
    ck_assert(y[12] == 5.6f && y[13] == 0 && y[14] == 0 && y[15] == 0);
}
END_TEST

int main(void)
{
    for (size_t k = 0; k < N_ISAS; k++)
        if (isas[k].needs & ~lac_cpu_features())
            printf("not run on this machine: math/%s\n", isas[k].name);
    Suite *suite = suite_create("math");
    add_test(suite, "bounds_and_bits", bounds_and_bits);
    add_test(suite, "special_values", special_values);
    return run_suite(suite);
}
