/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane linear layers of fp32, bf16 or fp16 weights, for any vector width.
 *
 * Before inclusion: lanes.h and spread.h of the instruction set, and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need
 *   WIDE_GROUPS, wide_line()     for 16 bits, as linear_output_wide.h says
 *   expand(mask, values)  where there is something better for their bitmaps than expand_words()
 * What it leaves to be made kernels of 16 bits is what linear_output.h makes. */
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ACC        vec
#define ACC_SCALAR float
#define ACC_LOAD   vec_load
#define ACC_STORE  vec_store
/* Of 16 registers, or 32; a line's weights take eight with short vectors and 16 bits. */
#ifdef WIDE_GROUPS
#define MOST_ACCS (VEC_LANES == 8 ? 8 : VEC_LANES == 4 ? 16 : 24)
#else
#define MOST_ACCS (VEC_LANES == 8 ? 8 : 24)
#endif
/* One: a token's sum has the same order however many tokens come with it, and for 16 rows and
 * dense weights the order of the token-lane kernels.  A line in 4 cycles is faster than memory, and
 * so is one of 16 bits in 8. */
#define SETS(n) 1

struct x_reg {
    vec floats;
};

struct w_reg {
    vec floats;
};

static inline struct x_reg x_of(veci dwords)
{
    return (struct x_reg){vec_from_bits(dwords)};
}

static inline struct w_reg w_of(veci dwords)
{
    return (struct w_reg){vec_from_bits(dwords)};
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

static inline void acc_fold(float *sums, vec acc, const size_t rows)
{
    fold_floats(sums, acc, rows);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t, vec sum)
{
    (void)t;
    return vec_add(sum, vec_load(a->w->bias + out));
}

#ifdef WIDE_GROUPS
#define ELEMENT_BYTES 2
#ifndef expand
#define expand(mask, values) expand_words(mask, values)
#endif
#else
#define ELEMENT_BYTES        4
#define expand(mask, values) expand_dwords(mask, values)
#endif

#include "simd/template/linear_output.h"

#ifndef WIDE_GROUPS
static void output_16x16(const struct lac_linear_args *a)
{
    output_tokens(a, 16, 16);
}

static void output_32x32(const struct lac_linear_args *a)
{
    output_tokens(a, 32, 32);
}

LAC_TILE_KERNELS(WIDE_OUTPUT_KERNEL, ISA, output, f32, LAC_F32)
LAC_WIDE_KERNELS(WIDE_OUTPUT_KERNEL, ISA, output, 1, f32, LAC_F32)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_BITMAP, LAC_F32, linear_output_bitmap_f32,
              output_bitmap)
#endif
