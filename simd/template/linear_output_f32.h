/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane fp32 linear layers, for any vector width.
 *
 * Before inclusion: lanes.h and spread.h of the instruction set, and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need */
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ACC        vec
#define ACC_SCALAR float
/* One: a token's sum has the same order however many tokens come with it, and for 16 rows and
 * dense weights the order of the token-lane kernels.  A line in 4 cycles is faster than memory. */
#define SETS(tokens)     1
#define ADD_SCALAR(a, b) ((a) + (b))

struct x_reg {
    vec floats;
};

struct w_reg {
    vec floats;
};

static inline struct x_reg x_broadcast(const uint8_t *x)
{
    return (struct x_reg){vec_from_bits(dword_broadcast(x))};
}

static inline struct x_reg x_spread(const uint8_t *x, size_t stride, const uint16_t *index,
                                    const size_t rows)
{
    return (struct x_reg){vec_from_bits(dword_spread(x, stride, index, rows))};
}

static inline struct w_reg w_line(const uint8_t *line, size_t n)
{
    return (struct w_reg){vec_from_bits(dword_line(line, n))};
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

static inline void acc_store(float *lanes, vec acc)
{
    vec_store(lanes, acc);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t,
                              const float *sums)
{
    (void)t;
    return vec_add(vec_load(sums), vec_load(a->w->bias + out));
}

#include "simd/template/linear_output.h"

#ifndef WIDE_GROUPS
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_DENSE, LAC_F32, linear_output_dense_f32,
              output_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_16, LAC_F32, linear_output_16x1_f32, output_16)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_8, LAC_F32, linear_output_8x1_f32, output_8)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_4, LAC_F32, linear_output_4x1_f32, output_4)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_1, LAC_F32, linear_output_1x1_f32, output_1)
#endif
