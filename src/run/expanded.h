/* SPDX-License-Identifier: Apache-2.0 */
/* Reading caches whose pages may be compact. */
#ifndef LACUNA_RUN_EXPANDED_H
#define LACUNA_RUN_EXPANDED_H

#include "src/run/member.h"

/* The pages of a head that hold its first n keys, whole ones: the cache's own, or with expanded
 * copies of those that are compact, which stay until the member asks for others. */
void *const *lac_whole_pages(const struct lac_member *m, const struct lac_kv *kv, size_t layer,
                             size_t head, size_t n_slots);

/* Attention for one token on a head's pages, which the arguments do not name.  Compact ones are
 * expanded block by block, as they are read. */
void lac_run_row(const struct lac_member *m, const struct lac_kv *kv, size_t layer, size_t head,
                 const struct lac_attention_row_args *args);

#endif
