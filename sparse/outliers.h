/* SPDX-License-Identifier: Apache-2.0 */
/* Outliers of an int8 or int4 weight: the few weights that are far larger than the others of their
 * output, kept in fp32 beside it.  The rest is then quantised in smaller steps. */
#ifndef LACUNA_SPARSE_OUTLIERS_H
#define LACUNA_SPARSE_OUTLIERS_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/error.h"

/* Those of output o are [begin[o], begin[o + 1]), in ascending order of their input. */
struct lac_outliers {
    size_t n;              /* 0: there are none, and the rest is NULL */
    const uint32_t *begin; /* [lac_outliers_rows(n_out) + 1] */
    const uint32_t *index; /* [n] input */
    const float *values;   /* [n] */
};

/* More than this share of the weights kept would cost more than it gains. */
#define LAC_MOST_OUTLIERS 0.1

/* n_out, padded so that kernels may ask for four outputs at a time. */
size_t lac_outliers_rows(size_t n_out);
size_t lac_outliers_bytes(const struct lac_outliers *outliers, size_t n_out);

/* Takes at most `share` (0 to LAC_MOST_OUTLIERS) of the weights of w[n_out, n_in] that are not zero
 * out of it, leaving zeros: those with the largest |w| relative to the root mean square of their
 * output's weights that are not zero.  All finite; or LAC_E_FORMAT, LAC_E_LIMIT, LAC_E_MEMORY. */
enum lac_status lac_outliers_take(float *w, size_t n_out, size_t n_in, double share,
                                  struct lac_arena *arena, struct lac_outliers *outliers,
                                  struct lac_error *error);

/* Believes nothing of outliers that came from a file, but that the arrays have their sizes. */
enum lac_status lac_outliers_check(const struct lac_outliers *outliers, size_t n_out, size_t n_in,
                                   struct lac_error *error);

#endif
