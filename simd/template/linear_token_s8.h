/* SPDX-License-Identifier: Apache-2.0 */
/* From integer sums to scaled floats, for token-lane int8 linear layers of any vector width.
 *
 * Before inclusion: lanes.h of the instruction set. */
#include "simd/kernel.h"

#define ACC veci

static inline veci acc_zero(void)
{
    return veci_set1(0);
}

static inline veci acc_add(veci a, veci b)
{
    return veci_add(a, b);
}

static inline veci acc_begin(const struct lac_weight *w, size_t out)
{
    return veci_set1(w->start[out]);
}

static inline vec load_x_scale(const struct lac_linear_args *a, size_t lane)
{
    return vec_load(a->x_scale + lane);
}

/* Why this may be nothing: sparse/sums.h. */
static inline vec acc_to_float(const struct lac_weight *w, veci acc)
{
    return w->has_float_sums ? vec_from_bits(acc) : vec_from_int(acc);
}

static inline vec acc_finish(const struct lac_weight *w, size_t out, vec sum, vec x_scale)
{
    vec scaled = vec_fma(sum, vec_set1(w->scale[out]), vec_set1(w->shift[out]));
    return vec_fma(scaled, x_scale, vec_set1(w->bias[out]));
}
