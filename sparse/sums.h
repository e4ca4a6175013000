/* SPDX-License-Identifier: Apache-2.0 */
/* Integer sums that need no conversion to be read as floats.
 *
 * An accumulator that begins at offset + LAC_SUM_BITS, the bits of LAC_SUM_ONES = 1.5 * 2^23, and
 * adds up to |sum| <= 2^22, is as a float exactly LAC_SUM_ONES + sum, and
 *
 *   fma(accumulator as float, scale, shift) = sum * scale,    shift = -LAC_SUM_ONES * scale,
 *
 * rounded once.  shift is exact as 3 * 2^22 times a scale of LAC_SCALE_BITS bits.  This is for
 * weights that keep little: |sum| <= 128 * (sum of |w| over an output), as |x| <= 128. */
#ifndef LACUNA_SPARSE_SUMS_H
#define LACUNA_SPARSE_SUMS_H

#include "sparse/layout.h"

enum { LAC_SUM_BITS = 0x4b400000, LAC_SCALE_BITS = 22 };
#define LAC_SUM_ONES 0x1.8p23f

/* Without the bits after the first LAC_SCALE_BITS: less than 2^-21 of the scale. */
float lac_scale_shorten(float scale);

/* Fills has_float_sums, start and shift of an int8 or int4 weight; of others nothing. */
enum lac_status lac_weight_derive(struct lac_weight *weight, struct lac_arena *arena,
                                  struct lac_error *error);

#endif
