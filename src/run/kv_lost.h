/* SPDX-License-Identifier: Apache-2.0 */
/* What streaming heads remember of what they have given up: LAC_KV_MEAN.
 *
 * A query has lost the keys between its sinks and its window.  Those that its head has given up are
 * in sums, those that it still has in pages: which of them does not depend on how a text was cut,
 * and sums are over keys in their order, so the bits of a mean do not either. */
#ifndef LACUNA_RUN_KV_LOST_H
#define LACUNA_RUN_KV_LOST_H

#include "src/run/kv.h"

/* Doubles of a head in lac_kv.lost: sums of keys [head_dim] and of values [head_dim], and how many.
 */
static inline size_t lac_kv_lost_size(const struct lac_kv *kv)
{
    return 2 * kv->shape.head_dim + 1;
}

static inline size_t lac_kv_lost_bytes(const struct lac_kv *kv)
{
    size_t n = kv->shape.n_layers * kv->shape.n_heads * lac_kv_lost_size(kv);
    return kv->lost ? n * sizeof *kv->lost : 0;
}

/* Memory for the sums of a cache whose rules ask for them, if it has none. */
enum lac_status lac_kv_open_lost(struct lac_kv *kv, struct lac_error *error);
/* Pages [from, to) of head t, all full, are about to go. */
void lac_kv_lose(struct lac_kv *kv, size_t t, size_t from, size_t to);
/* What a query in this place has lost, its means in room [2][head_dim].  false: nothing. */
bool lac_kv_find_lost(const struct lac_kv *kv, size_t layer, size_t head, size_t place, float *room,
                      struct lac_lost_keys *lost);

#endif
