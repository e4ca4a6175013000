/* SPDX-License-Identifier: Apache-2.0 */
/* From integer sums to scaled floats, where activations were multiplied as s8, so that no offset
 * has entered the sums (pairs.h, dot.h). */
#ifndef LACUNA_SIMD_NEON_FINISH_S8_H
#define LACUNA_SIMD_NEON_FINISH_S8_H

#include "simd/arm/neon/lanes.h"
#include "simd/kernel.h"

static inline vec load_x_scale(const struct lac_linear_args *a, size_t lane)
{
    return vec_load(a->x_scale + lane);
}

static inline vec acc_finish(const struct lac_weight *w, size_t out, vec sum, vec x_scale)
{
    return vec_fma(vec_mul(sum, vec_set1(w->scale[out])), x_scale, vec_set1(w->bias[out]));
}

#endif
