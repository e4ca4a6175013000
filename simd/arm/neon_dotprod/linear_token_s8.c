/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on NEON with dot products. */
#include "simd/arm/neon/lanes.h"

#include "simd/arm/neon/finish_s8.h"
#include "simd/arm/neon/tile.h"
#include "simd/arm/neon_dotprod/dot.h"
#include "simd/arm/neon/spread.h"
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ISA       neon_dotprod
#define ISA_NEEDS (LAC_CPU_NEON | LAC_CPU_DOTPROD)
#define ACC       veci
/* sdot takes 3 or 4 cycles and two or four start in each. */
#define SETS(rows, vecs) ((rows) == 1 ? 4 : 1)

struct x_reg {
    int8x16_t bytes;
};

struct w_reg {
    int8x16_t bytes;
};

static inline struct x_reg x_load(const uint8_t *x)
{
    return (struct x_reg){dot_x(veci_load(x))};
}

static inline struct w_reg w_load(const uint8_t *w, const size_t n)
{
    return (struct w_reg){vreinterpretq_s8_f32(vec_weights(w, n))};
}

static inline veci acc_zero(void)
{
    return veci_set1(0);
}

static inline veci acc_add(veci a, veci b)
{
    return veci_add(a, b);
}

static inline veci acc_dot(veci acc, struct x_reg x, struct w_reg w, const size_t i)
{
    return dot_weight(acc, x.bytes, w.bytes, i);
}

static inline veci acc_begin(const struct lac_weight *w, size_t out)
{
    (void)w, (void)out;
    return veci_set1(0);
}

static inline vec acc_to_float(const struct lac_weight *w, veci acc)
{
    (void)w;
    return vec_from_int(acc);
}

#define ELEMENT_BYTES        1
#define expand(mask, values) expand_bytes(mask, values)

#include "simd/template/bitmap.h"
#include "simd/template/linear_token.h"
#include "simd/template/linear_token_bitmap.h"

LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_DENSE, LAC_S8, linear_token_dense_s8, token_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_S8, linear_token_bitmap_s8, token_bitmap)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_32, LAC_S8, linear_token_32x4_s8, token_32)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_16, LAC_S8, linear_token_16x4_s8, token_16)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_8, LAC_S8, linear_token_8x4_s8, token_8)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_4, LAC_S8, linear_token_4x4_s8, token_4)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_1, LAC_S8, linear_token_1x4_s8, token_1)
