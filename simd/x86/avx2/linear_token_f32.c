/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane fp32 linear layers on AVX2. */
#include "simd/x86/avx2/lanes.h"

#include <string.h>

#include "simd/kernel.h"

#define ACC       vec
#define TILE_VECS 2
#define TILE_ROWS 4
/* vfmadd takes 4 cycles and two start in each.  The same number for every width, so that the order
 * of a sum does not depend on where in a tile the token lies. */
#define SETS(rows, vecs) ((rows) == 1 ? 4 : 1)

struct x_reg {
    vec floats;
};

struct w_reg {
    vec floats;
};

static inline struct x_reg x_load(const uint8_t *x)
{
    return (struct x_reg){vec_load((const float *)(const void *)x)};
}

static inline struct w_reg w_load(const uint8_t *w)
{
    float weight;
    memcpy(&weight, w, sizeof weight);
    return (struct w_reg){vec_set1(weight)};
}

static inline vec acc_zero(void)
{
    return vec_set1(0);
}

static inline vec acc_add(vec a, vec b)
{
    return vec_add(a, b);
}

static inline vec acc_dot(vec acc, struct x_reg x, struct w_reg w)
{
    return vec_fma(x.floats, w.floats, acc);
}

static inline vec acc_begin(const struct lac_weight *w, size_t out)
{
    (void)w, (void)out;
    return vec_set1(0);
}

static inline vec load_x_scale(const struct lac_linear_args *a, size_t lane)
{
    (void)a, (void)lane;
    return vec_set1(0);
}

static inline vec acc_finish(const struct lac_linear_args *a, size_t out, vec acc, vec x_scale)
{
    (void)x_scale;
    return vec_add(acc, vec_set1(a->w->bias[out]));
}

#include "simd/template/linear_token.h"

#define KERNEL(pattern_, name_, run_)                                                              \
    const struct lac_kernel lac_linear_token_##name_##_f32_avx2 = {                                \
        .name = "linear_token_" #name_ "_f32/avx2",                                                \
        .op = LAC_OP_LINEAR_TOKEN,                                                                 \
        .pattern = pattern_,                                                                       \
        .dtype = LAC_F32,                                                                          \
        .needs = LAC_CPU_AVX2,                                                                     \
        .run.linear = run_,                                                                        \
    };

KERNEL(LAC_PATTERN_DENSE, dense, token_dense)
KERNEL(LAC_PATTERN_16, 16x1, token_16)
KERNEL(LAC_PATTERN_8, 8x1, token_8)
KERNEL(LAC_PATTERN_4, 4x1, token_4)
KERNEL(LAC_PATTERN_1, 1x1, token_1)
