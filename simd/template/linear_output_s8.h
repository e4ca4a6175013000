/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 and int4 linear layers, for any vector width.
 *
 * Before inclusion: lanes.h and spread.h of the instruction set, its dot_s8.h, which has
 *   ACC, acc_zero(), acc_add(a, b), acc_sums(acc)   as in int_sums.h
 *   X_IS_SIGNED           as in scale_s8.h
 *   struct x_reg, x_of(veci)     a vector of activation dwords, u8 = s8 + 128
 *   struct w_reg, w_of(veci)     a vector of weight dwords
 *   dot(acc, x, w)               acc + x times w, lane by lane
 *   MOST_ACCS                    as linear_output.h says
 *   IN_FLIGHT                    accumulators that hide the latency of dot, or nearly
 * and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need
 *   expand(mask, values)  where there is something better for bitmaps than expand_bytes()
 *   WIDE_GROUPS, wide_line()     for int4, as linear_output_wide.h says */
#include "simd/kernel.h"
#include "simd/template/kernels.h"
#include "simd/template/scale_s8.h"

#define ACC_SCALAR int32_t
#define ACC_LOAD   veci_load
/* Sums leave registers as one int32 a lane. */
#define ACC_STORE(to, acc) veci_store(to, acc_sums(acc))
/* Sums of a token may be split as we like: integers add up exactly.  int4: no more than the lines
 * of a group, in which widening takes its time as well. */
#ifdef WIDE_GROUPS
#define SETS(n) ((n)*4 <= IN_FLIGHT ? 4 : (n)*2 <= IN_FLIGHT ? 2 : 1)
#else
#define ENOUGH_SETS(n) ((IN_FLIGHT + (n)-1) / (n))
#define SETS(n)        ((n)*ENOUGH_SETS(n) <= MOST_ACCS ? ENOUGH_SETS(n) : MOST_ACCS / (n))
#define ELEMENT_BYTES  1
#define HAS_LOOSE
#ifndef expand
#define expand(mask, values) expand_bytes(mask, values)
#endif
#endif

static inline ACC acc_dot(ACC acc, struct x_reg x, struct w_reg w)
{
    return dot(acc, x, w);
}

static inline void acc_fold(int32_t *sums, ACC acc, const size_t rows)
{
    fold_ints(sums, acc_sums(acc), rows);
}

#include "simd/template/linear_output.h"

#ifdef WIDE_GROUPS
LAC_WIDE_KERNELS(WIDE_OUTPUT_KERNEL, ISA, output, 8, s4, LAC_S4)
#else
#ifndef ONLY_BITMAP
static void output_16x16(const struct lac_linear_args *a)
{
    output_tokens(a, 16, 16 / 4);
}

static void output_32x32(const struct lac_linear_args *a)
{
    output_tokens(a, 32, 32 / 4);
}

static void output_4x1(const struct lac_linear_args *a)
{
    output_loose(a);
}

LAC_TILE_KERNELS(WIDE_OUTPUT_KERNEL, ISA, output, s8, LAC_S8)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_4X1, LAC_S8, linear_output_4x1_s8, output_4x1)
LAC_WIDE_KERNELS(WIDE_OUTPUT_KERNEL, ISA, output, 4, s8, LAC_S8)
#endif
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_BITMAP, LAC_S8, linear_output_bitmap_s8,
              output_bitmap)
#endif
