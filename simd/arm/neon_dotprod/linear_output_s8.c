/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on NEON with dot products. */
#include "simd/arm/neon/lanes.h"

#include "simd/arm/neon/spread.h"
#include "simd/arm/neon_dotprod/dot.h"
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ISA        neon_dotprod
#define ISA_NEEDS  (LAC_CPU_NEON | LAC_CPU_DOTPROD)
#define ACC        veci
#define ACC_SCALAR int32_t
/* Sums of a token may be split as we like: integers add up exactly.  Four vectors a line, so 8 or
 * more in flight. */
#define SETS(tokens) ((tokens) < 2 ? 2 : 1)
/* Wraps, as the vectors do. */
#define ADD_SCALAR(a, b) ((int32_t)((uint32_t)(a) + (uint32_t)(b)))

struct x_reg {
    int8x16_t bytes;
};

struct w_reg {
    int8x16_t bytes;
};

static inline struct x_reg x_broadcast(const uint8_t *x)
{
    return (struct x_reg){dot_x(dword_broadcast(x))};
}

static inline struct x_reg x_spread(const uint8_t *x, size_t stride, const uint16_t *index,
                                    const size_t rows)
{
    return (struct x_reg){dot_x(dword_spread(x, stride, index, rows))};
}

static inline struct w_reg w_line(const uint8_t *line, size_t n)
{
    return (struct w_reg){vreinterpretq_s8_s32(dword_line(line, n))};
}

static inline veci acc_zero(void)
{
    return veci_set1(0);
}

static inline veci acc_add(veci a, veci b)
{
    return veci_add(a, b);
}

static inline veci acc_dot(veci acc, struct x_reg x, struct w_reg w)
{
    return dot_lanes(acc, x.bytes, w.bytes);
}

static inline void acc_store(int32_t *lanes, veci acc)
{
    veci_store(lanes, acc);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t,
                              const int32_t *sums)
{
    const struct lac_weight *w = a->w;
    vec scaled = vec_mul(vec_from_int(veci_load(sums)), vec_load(w->scale + out));
    return vec_fma(scaled, vec_set1(a->x_scale[t]), vec_load(w->bias + out));
}

#include "simd/template/linear_output.h"

LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_DENSE, LAC_S8, linear_output_dense_s8, output_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_16, LAC_S8, linear_output_16x4_s8, output_16)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_8, LAC_S8, linear_output_8x4_s8, output_8)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_4, LAC_S8, linear_output_4x4_s8, output_4)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_1, LAC_S8, linear_output_1x4_s8, output_1)
