/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of a cache's pages: their order by votes, and copying them. */
#ifndef LACUNA_RUN_KV_SLOTS_H
#define LACUNA_RUN_KV_SLOTS_H

#include "src/run/kv.h"

struct lac_kv_candidate {
    float votes;
    uint32_t slot;
};

/* Those with the most votes first; of equals the later slot. */
void lac_kv_sort_by_votes(struct lac_kv_candidate *candidates, size_t n);
void lac_kv_sort_by_slot(struct lac_kv_candidate *candidates, size_t n);

/* An empty page. */
void lac_kv_clear_page(const struct lac_kv_shape *shape, void *page);
/* Key and value of slot j of a page become those of slot i of another. */
void lac_kv_copy_slot(const struct lac_kv_shape *shape, void *to, size_t i, const void *from,
                      size_t j);

#endif
