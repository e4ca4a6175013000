/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as they are at position 0, with their values: what LAC_KV_MEMORY looks up.
 *
 *   at[layer][head][i]   keys [16 i, 16 i + 16) of the text: simd/attention.h
 *
 * They are turned back when they come, whatever becomes of the others, which are turned by their
 * positions and of which a head keeps its window.  Counted references, as pages are; heads without
 * a memory have none.  Their labels are those of LAC_KV_QUEST (src/run/kv_labels.h). */
#ifndef LACUNA_RUN_KV_MEMORY_H
#define LACUNA_RUN_KV_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "src/base/error.h"

struct lac_kv;

struct lac_kv_memory {
    size_t n_pages;  /* of each head that has one */
    size_t capacity; /* of each head's table */
    void **at;       /* [n_layers][n_heads][capacity] */
};

/* Has a head one? */
bool lac_kv_remembers(const struct lac_kv *kv, size_t layer, size_t head);
/* Pages for all keys up to n_pages, the one that comes next the cache's own. */
enum lac_status lac_kv_memory_reserve(struct lac_kv *kv, size_t n_pages, struct lac_error *error);
void lac_kv_memory_truncate(struct lac_kv *kv, size_t n_pages);
/* `to` has none; gets n_pages pages by reference. */
enum lac_status lac_kv_memory_share(struct lac_kv *to, const struct lac_kv *from, size_t n_pages,
                                    struct lac_error *error);
void lac_kv_memory_clear(struct lac_kv *kv);
size_t lac_kv_memory_bytes(const struct lac_kv *kv);

/* The pages of a head. */
void **lac_kv_head_memory(const struct lac_kv *kv, size_t layer, size_t head);

#endif
