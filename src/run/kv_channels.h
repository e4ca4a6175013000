/* SPDX-License-Identifier: Apache-2.0 */
/* The features of a head that say most of its scores: LAC_KV_CHANNELS. */
#ifndef LACUNA_RUN_KV_CHANNELS_H
#define LACUNA_RUN_KV_CHANNELS_H

#include "src/run/kv_rules.h"
#include "src/run/network.h"

/* Fills the channels of rules that want them; NULL: nothing to do. */
enum lac_status lac_kv_find_channels(struct lac_kv_rules *rules, const struct lac_network *network,
                                     struct lac_error *error);

#endif
