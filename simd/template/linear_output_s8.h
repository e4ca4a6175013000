/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers, for any vector width.
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
 *   expand(mask, values)  where there is something better for bitmaps than expand_bytes() */
#include "simd/kernel.h"
#include "simd/template/kernels.h"
#include "simd/template/scale_s8.h"

#define PARTS      1
#define ACC_SCALAR int32_t
#define ACC_LOAD   veci_load
/* Sums leave registers as one int32 a lane. */
#define ACC_STORE(to, acc) veci_store(to, acc_sums(acc))
/* Sums of a token may be split as we like: integers add up exactly. */
#define SETS(n) ((n) < IN_FLIGHT ? IN_FLIGHT / (n) : 1)

static inline ACC acc_dot(ACC acc, struct x_reg x, struct w_reg w, size_t part)
{
    (void)part;
    return dot(acc, x, w);
}

static inline void acc_fold(int32_t *sums, ACC acc, const size_t rows)
{
    fold_ints(sums, acc_sums(acc), rows);
}

#define ELEMENT_BYTES 1
#ifndef expand
#define expand(mask, values) expand_bytes(mask, values)
#endif

#include "simd/template/linear_output.h"

#ifndef ONLY_BITMAP
LAC_WIDE_KERNELS(WIDE_OUTPUT_KERNEL, ISA, output, 4, s8, LAC_S8)
#endif
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_BITMAP, LAC_S8, linear_output_bitmap_s8,
              output_bitmap)
