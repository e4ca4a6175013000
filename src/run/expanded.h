/* SPDX-License-Identifier: Apache-2.0 */
/* Reading caches whose pages may be compact, or have moved up from their places. */
#ifndef LACUNA_RUN_EXPANDED_H
#define LACUNA_RUN_EXPANDED_H

#include "src/run/member.h"

/* The pages of a head's first n keys, as attention counts them, whole ones in their places: the
 * cache's own table, or one with expanded copies of those that are compact, which stay until the
 * member asks for others. */
void *const *lac_whole_pages(const struct lac_member *m, const struct lac_kv *kv, size_t layer,
                             size_t head, size_t n_keys);

/* Attention for one token on a head's pages, which the arguments do not name.  Compact ones are
 * expanded block by block, as they are read. */
void lac_run_row(const struct lac_member *m, const struct lac_kv *kv, size_t layer, size_t head,
                 const struct lac_attention_row_args *args);

#endif
