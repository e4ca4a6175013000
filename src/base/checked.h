/* SPDX-License-Identifier: Apache-2.0 */
/* Size arithmetic that notices overflow: every size computed from a file goes through it. */
#ifndef LACUNA_BASE_CHECKED_H
#define LACUNA_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each returns false, and leaves *out unspecified, when the result does not fit. */
static inline bool lac_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool lac_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Smallest multiple of unit (not 0) that is at least a. */
static inline bool lac_round_up_size(size_t a, size_t unit, size_t *out)
{
    size_t raised;
    if (!lac_add_size(a, unit - 1, &raised))
        return false;
    *out = raised - raised % unit;
    return true;
}

/* The same for numbers already known to be small. */
static inline size_t lac_round_up(size_t a, size_t unit)
{
    return (a + unit - 1) / unit * unit;
}

static inline size_t lac_ceil_div(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static inline size_t lac_min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t lac_max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

#endif
