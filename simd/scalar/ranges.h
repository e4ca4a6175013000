/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax and weighted sum of a query, of a range or of several joined: simd/attention.h. */
#ifndef LACUNA_SIMD_SCALAR_RANGES_H
#define LACUNA_SIMD_SCALAR_RANGES_H

#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "src/base/checked.h"

struct lac_range {
    float max, sum;
    float o[LAC_MAX_HEAD_DIM];
};

static inline struct lac_range lac_range_begin(void)
{
    return (struct lac_range){.max = -INFINITY};
}

/* The range that comes next. */
static inline void lac_range_join(struct lac_range *to, const struct lac_range *r, size_t head_dim,
                                  float (*power)(float))
{
    float max = to->max > r->max ? to->max : r->max;
    float old = power(to->max - max), new = power(r->max - max);
    to->max = max;
    to->sum = fmaf(to->sum, old, r->sum * new);
    for (size_t d = 0; d < head_dim; d++)
        to->o[d] = fmaf(to->o[d], old, r->o[d] * new);
}

/* lost may be NULL; unit: log2 e for powers of 2, or 1. */
static inline void lac_range_join_lost(struct lac_range *to, const struct lac_lost_keys *lost,
                                       const float *q, size_t q_ld, size_t head_dim, float scale,
                                       float unit, float (*power)(float))
{
    struct lac_range r = {.sum = 1};
    float dot = 0;
    if (!lost)
        return;
    for (size_t d = 0; d < head_dim; d++)
        dot = fmaf(lost->k[d], q[d * q_ld], dot);
    r.max = (dot * scale + lost->log_n) * unit;
    memcpy(r.o, lost->v, head_dim * sizeof *r.o);
    lac_range_join(to, &r, head_dim, power);
}

/* Returns max|y|. */
static inline float lac_range_finish(const struct lac_range *r, size_t head_dim, float *y,
                                     size_t y_ld)
{
    float share = r->sum > 0 ? 1.0f / r->sum : 0, most = 0;
    for (size_t d = 0; d < head_dim; d++) {
        y[d * y_ld] = r->o[d] * share + 0.0f;
        most = fmaxf(most, fabsf(y[d * y_ld]));
    }
    return most;
}

static inline void lac_range_store(const struct lac_range *r, size_t head_dim, float *part)
{
    size_t behind = lac_round_up(head_dim, LAC_LANES);
    memcpy(part, r->o, head_dim * sizeof *part);
    part[behind] = r->max;
    part[behind + 1] = r->sum;
}

static inline struct lac_range lac_range_load(const float *part, size_t head_dim)
{
    size_t behind = lac_round_up(head_dim, LAC_LANES);
    struct lac_range r = {.max = part[behind], .sum = part[behind + 1]};
    memcpy(r.o, part, head_dim * sizeof *part);
    return r;
}

#endif
