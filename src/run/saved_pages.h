/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a cache as a file has them: whole, one head after another. */
#ifndef LACUNA_RUN_SAVED_PAGES_H
#define LACUNA_RUN_SAVED_PAGES_H

#include "src/run/kv.h"
#include "src/run/network.h"

/* Pages of all heads, of which each has those of n_keys less what it has given up. */
size_t lac_saved_pages(const struct lac_kv *kv, size_t n_keys, const int64_t *gone);
/* Copies the pages of all heads to an array. */
void lac_saved_copy(const struct lac_network *network, const struct lac_kv *kv, unsigned char *to);
/* Fills them, which are all whole. */
void lac_saved_fill(const struct lac_kv *kv, const unsigned char *from);

/* Heads that have a memory. */
size_t lac_saved_memories(const struct lac_kv *kv);
/* Copies the pages of all memories between the cache and one array, the other being NULL. */
void lac_saved_copy_memories(const struct lac_kv *kv, unsigned char *to, const unsigned char *from);

#endif
