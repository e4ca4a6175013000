/* SPDX-License-Identifier: Apache-2.0 */
/* A text with its cache in a file: a safetensors file of its own kind.
 *
 *   "ids"   I32 [n_ids]
 *   "gone"  I64 [n_layers][n_kv_heads]: keys that each head has given up
 *   "gaps"  I64 [n_layers * n_kv_heads][2]: of these, lac_kv_gap_of
 *   "pages" U8  [pages of all heads, one head after another][page bytes], as in memory
 *   "compact" I64 [n_layers][n_kv_heads], where heads have compact pages: how many.  In the file
 *           all pages are whole, so that a session with another policy can go on
 *   "memory" U8 [pages of all memories][page bytes], where heads look keys up: src/run/kv_memory.h
 *   "lost"  F64 [n_layers * n_kv_heads][2 * head_dim + 1], where heads remember: src/run/kv_lost.h
 *   "votes" F32 [n_layers * n_kv_heads][slots], where tokens have voted
 *   __metadata__: the byte order, and numbers as 16 hexadecimal digits (doubles by their bits)
 *
 * A sum over the data and what must agree with the model are among the numbers. */
#ifndef LACUNA_RUN_SAVED_H
#define LACUNA_RUN_SAVED_H

#include <lacuna/generate.h>

#include "src/run/kv.h"
#include "src/run/network.h"

struct lac_saved {
    int32_t *ids; /* [n_ids] */
    size_t n_ids, n_fed;
    enum lac_finish finish;
    double log_probability;
    struct lac_sampling sampling;
    struct lac_kv kv; /* of fewer than n_ids tokens */
};

enum lac_status lac_saved_write(const struct lac_network *network, const struct lac_saved *saved,
                                const char *path, struct lac_error *error);
/* saved->kv is initialised and empty; its shape must be the file's, its rules need not be.  On
 * failure *saved is as it was; else ids, memory of the kv's host, belong to the caller. */
enum lac_status lac_saved_read(const struct lac_network *network, const char *path,
                               struct lac_saved *saved, struct lac_error *error);

#endif
