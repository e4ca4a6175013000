/* SPDX-License-Identifier: Apache-2.0 */
/* --kv: what caches keep. */
#ifndef LACUNA_CLI_KV_H
#define LACUNA_CLI_KV_H

#include <stdbool.h>

#include <lacuna/lacuna.h>

/* "full", "stream:SINKS+WINDOW", "duo:FILE", or "snap:", "quest:" or "channels:" and
 * "BUDGET[,BUDGET]...", the latter two also with "1/N", "thin:SHARE", "zip:SHARE",
 * "memory:SINKS+WINDOW+BUDGET"; NULL is full.
 * false after a complaint on stderr. kv_free takes what it left, either way. */
bool kv_parse(const char *text, struct lac_kv_policy *policy);
void kv_free(struct lac_kv_policy *policy);

#endif
