/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that several owners hold: caches share what they have in common. */
#ifndef LACUNA_RUN_COUNTED_H
#define LACUNA_RUN_COUNTED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "src/base/host.h"

/* What stands before the bytes, which are aligned as it is. */
struct lac_counted {
    _Alignas(LAC_ALIGNMENT) atomic_size_t n_owners;
};

static inline struct lac_counted *lac_counted_of(void *bytes)
{
    return (struct lac_counted *)bytes - 1;
}

/* Of one owner; NULL without memory. */
static inline void *lac_counted_new(const struct lac_host *host, size_t n_bytes)
{
    struct lac_counted *counted = lac_alloc(host, 1, sizeof *counted + n_bytes);
    if (!counted)
        return NULL;
    atomic_init(&counted->n_owners, 1);
    return counted + 1;
}

static inline void *lac_counted_hold(void *bytes)
{
    atomic_fetch_add_explicit(&lac_counted_of(bytes)->n_owners, 1, memory_order_relaxed);
    return bytes;
}

static inline void lac_counted_drop(const struct lac_host *host, void *bytes)
{
    struct lac_counted *counted = lac_counted_of(bytes);
    if (atomic_fetch_sub_explicit(&counted->n_owners, 1, memory_order_acq_rel) == 1)
        lac_free(host, counted);
}

static inline bool lac_counted_is_shared(void *bytes)
{
    return atomic_load_explicit(&lac_counted_of(bytes)->n_owners, memory_order_acquire) > 1;
}

#endif
