/* SPDX-License-Identifier: Apache-2.0 */
/* Making pages of a cache compact: LAC_KV_THIN, LAC_KV_ZIP. */
#ifndef LACUNA_RUN_KV_COMPACT_H
#define LACUNA_RUN_KV_COMPACT_H

#include "src/run/kv.h"

/* A prompt is in: heads make compact what their rules say, by the votes that there are.  A second
 * time changes nothing.  LAC_E_MEMORY: some heads may have. */
enum lac_status lac_kv_compact(struct lac_kv *kv, struct lac_error *error);
/* Of a cache whose pages are all whole: up to n_pages [n_layers][n_heads] of each head, as far as
 * nothing is lost. */
enum lac_status lac_kv_pack_pages(struct lac_kv *kv, const int64_t *n_pages,
                                  struct lac_error *error);

#endif
