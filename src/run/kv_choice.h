/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys heads keep whose votes decide: LAC_KV_SNAP, LAC_KV_HEAVY. */
#ifndef LACUNA_RUN_KV_CHOICE_H
#define LACUNA_RUN_KV_CHOICE_H

#include "src/run/kv.h"

/* Heads over their budget choose, by the votes that there are; a second time changes nothing.
 * LAC_E_MEMORY: none has. */
enum lac_status lac_kv_choose(struct lac_kv *kv, struct lac_error *error);

#endif
