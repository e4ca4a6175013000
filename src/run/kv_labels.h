/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of the pages of a cache, by which a token chooses those that it reads: LAC_KV_QUEST and
 * LAC_KV_CHANNELS; or of the pages of its memory, LAC_KV_MEMORY, which are as QUEST's.
 *
 *   at[layer][head][i]   labels of pages [16 i, 16 i + 16): struct lac_labels
 *
 * A page is labelled when it is full, from what is in it: whatever was cut off and came anew,
 * labels of full pages are right.  Heads that do not choose have none.  Counted references, as
 * pages are.
 *
 * QUEST: a page has one label, of the largest and then the least of each feature of its keys,
 * rounded away from zero, so that q+ . largest + q- . least is not less than any q . k, q+ and q-
 * being the positive and the negative parts of the query.  CHANNELS: each key has one, of some of
 * its features. */
#ifndef LACUNA_RUN_KV_LABELS_H
#define LACUNA_RUN_KV_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/error.h"

struct lac_kv;

struct lac_kv_labels {
    size_t n_blocks; /* of each head that chooses */
    size_t capacity; /* of each head's table */
    void **at;       /* [n_layers][n_heads][capacity] */
};

/* Room for the labels of n_pages pages, those from the cache's last on its own. */
enum lac_status lac_kv_labels_reserve(struct lac_kv *kv, size_t n_pages, struct lac_error *error);
void lac_kv_labels_truncate(struct lac_kv *kv, size_t n_pages);
/* `to` has none; gets those of n_pages pages by reference. */
enum lac_status lac_kv_labels_share(struct lac_kv *to, const struct lac_kv *from, size_t n_pages,
                                    struct lac_error *error);
void lac_kv_labels_clear(struct lac_kv *kv);
size_t lac_kv_labels_bytes(const struct lac_kv *kv);

/* Labels the pages of a head that n keys behind the first n_before fill, if it chooses. */
void lac_kv_label(const struct lac_kv *kv, size_t layer, size_t head, size_t n_before, size_t n);
/* The full pages of all heads. */
void lac_kv_label_all(const struct lac_kv *kv);

/* The labels of a head. */
const void *const *lac_kv_head_labels(const struct lac_kv *kv, size_t layer, size_t head);

#endif
