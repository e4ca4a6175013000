/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that a query sees. */
#ifndef LACUNA_SIMD_SCALAR_KEYS_H
#define LACUNA_SIMD_SCALAR_KEYS_H

#include <stddef.h>

#include "src/base/checked.h"

struct lac_keys_seen {
    size_t begin, end;
};

/* Of n_keys by the query at `position`, as struct lac_attention_args says. */
static inline struct lac_keys_seen lac_keys_seen(ptrdiff_t position, size_t window, size_t n_keys)
{
    if (!window)
        return (struct lac_keys_seen){0, n_keys};
    if (position < 0)
        return (struct lac_keys_seen){0, 0};
    size_t after = (size_t)position + 1, end = lac_min_size(after, n_keys);
    return (struct lac_keys_seen){after > window ? lac_min_size(after - window, end) : 0, end};
}

#endif
