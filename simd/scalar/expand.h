/* SPDX-License-Identifier: Apache-2.0 */
/* Pages from compact ones, element by element: the definition. */
#ifndef LACUNA_SIMD_SCALAR_EXPAND_H
#define LACUNA_SIMD_SCALAR_EXPAND_H

#include <string.h>

#include "simd/compact.h"

/* Calls one for each page. */
static inline void lac_expand_each(const struct lac_expand_args *a,
                                   void (*one)(const struct lac_compact *c, const void *from,
                                               void *to))
{
    size_t n_bytes = lac_kv_page_bytes(a->compact->dtype, a->compact->head_dim);
    for (size_t i = 0; i < a->n_pages; i++)
        one(a->compact, a->from[i], (char *)a->to + i * n_bytes);
}

#endif
