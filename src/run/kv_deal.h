/* SPDX-License-Identifier: Apache-2.0 */
/* One budget for all layers, dealt out by what their votes would lose. */
#ifndef LACUNA_RUN_KV_DEAL_H
#define LACUNA_RUN_KV_DEAL_H

#include "src/run/kv.h"

/* budgets [n_layers] of the heads that votes decide on, where their rules' budgets are means: at
 * the end of a prompt.  Each layer gets the fewest keys that have a share p of its votes, p being
 * the largest for which there are keys enough (Wang et al., PrefixKV: adaptive prefix KV cache,
 * 2024).  Where rules have a share (ZIP) it is p, and what has it is budgets, the last keys left
 * out.  Without votes nothing goes. */
enum lac_status lac_kv_deal(const struct lac_kv *kv, size_t *budgets, struct lac_error *error);

#endif
