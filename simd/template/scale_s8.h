/* SPDX-License-Identifier: Apache-2.0 */
/* From integer sums to scaled floats, for token-lane int8 linear layers of any vector width.
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
