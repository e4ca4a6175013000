/* SPDX-License-Identifier: Apache-2.0 */
/* From integer sums to scaled floats, for int8 linear layers of any vector width.
 *
 * Before inclusion: lanes.h of the instruction set, ACC and acc_sums (int_sums.h), and
 *   X_IS_SIGNED           1 where u8 activations are made s8 before they are multiplied, so that no
 *                         offset enters the sums; else 0 */
#include "simd/kernel.h"

static inline ACC acc_begin(const struct lac_weight *w, size_t out)
{
#if X_IS_SIGNED
    (void)w, (void)out;
    return acc_zero();
#else
    return veci_set1(w->start[out]);
#endif
}

static inline vec load_x_scale(const struct lac_linear_args *a, size_t lane)
{
    return vec_load(a->x_scale + lane);
}

/* Why this may be nothing: sparse/sums.h. */
static inline vec acc_to_float(const struct lac_weight *w, ACC acc)
{
    return !X_IS_SIGNED && w->has_float_sums ? vec_from_bits(acc_sums(acc))
                                             : vec_from_int(acc_sums(acc));
}

static inline vec acc_finish(const struct lac_weight *w, size_t out, vec sum, vec x_scale)
{
    vec scaled = X_IS_SIGNED ? vec_mul(sum, vec_set1(w->scale[out]))
                             : vec_fma(sum, vec_set1(w->scale[out]), vec_set1(w->shift[out]));
    return vec_fma(scaled, x_scale, vec_set1(w->bias[out]));
}

/* Lanes are outputs from `out` on, of token t; the sum began at 0. */
static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t, veci sum)
{
    const struct lac_weight *w = a->w;
    veci acc = X_IS_SIGNED ? sum : veci_add(sum, veci_load(w->offset + out));
    vec scaled = vec_mul(vec_from_int(acc), vec_load(w->scale + out));
    return vec_fma(scaled, vec_set1(a->x_scale[t]), vec_load(w->bias + out));
}
