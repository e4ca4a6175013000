/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of tokens that look up what is before their window: LAC_KV_MEMORY.
 *
 * Blocks of the memory and then those of the window are one list, the latter as if they came
 * LAC_WINDOW_SHIFT blocks later: no range has some of both.  Their numbers count from the text's
 * first key, so that ranges are the same whatever the head has given up. */
#ifndef LACUNA_RUN_LOOKED_UP_H
#define LACUNA_RUN_LOOKED_UP_H

#include "simd/attention.h"
#include "src/run/rows.h"

enum { LAC_WINDOW_SHIFT = LAC_RANGE_BLOCKS };

/* Is something before the window of a token in that place? */
bool lac_looks_up(const struct lac_kv *kv, size_t layer, size_t head, size_t place);

/* Into the memory of a head that has one: the batch's keys and values. */
void lac_store_memory(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head);

/* What a token reads.  Returns the number of entries. */
size_t lac_list_looked_up(const struct lac_member *m, const struct lac_row *row,
                          struct lac_seen_keys *seen);
/* How many they are at most, and what choosing them costs, in blocks of keys. */
size_t lac_looked_up_cost(const struct lac_row *row);
/* As lac_run_row, of some of the entries. */
void lac_run_looked_up(const struct lac_member *m, const struct lac_row *row,
                       const struct lac_attention_row_args *args);

#endif
