/* SPDX-License-Identifier: Apache-2.0 */
/* Around a product that another library makes: what it needs before, and our epilogue after.
 *
 * An int8 product s8 (weights, u8 = s8 + 128) by s8 (activations) of the other library gives
 * sum((w + 128) * x) = sum(w * x) + 128 * sum(x): what is too much depends on the token alone. */
#ifndef LACUNA_SIMD_OUTSIDE_H
#define LACUNA_SIMD_OUTSIDE_H

#include "simd/kernel.h"

/* y[n_dwords][ld][4] = x - 128 as s8, and lane_offset[t] = -128 * sum of token t.  ld is a multiple
 * of LAC_LANES; needs LAC_CPU_AVX512. */
void lac_outside_center_avx512(const uint8_t *x, size_t n_dwords, size_t ld, int8_t *y,
                               int32_t *lane_offset);

/* Finishes the rows [out_begin, out_end) of args from their sums, [out_end - out_begin][ld] of
 * int32 or float; in int8 lane_offset[t] takes the place of the weight's offset.  Needs
 * LAC_CPU_AVX512. */
void lac_outside_finish_s8_avx512(const struct lac_linear_args *args, const int32_t *sums,
                                  const int32_t *lane_offset);
void lac_outside_finish_f32_avx512(const struct lac_linear_args *args, const float *sums);

#endif
