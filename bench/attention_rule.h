/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of attention that are measured, by name. */
#ifndef LACUNA_BENCH_ATTENTION_RULE_H
#define LACUNA_BENCH_ATTENTION_RULE_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/generate.h>

#include "sparse/pick.h"
#include "sparse/sight.h"
#include "src/base/arena.h"

/* What the numbers of all rules are made from. */
struct bench_rule_settings {
    size_t window, block;
    double threshold;
    uint64_t seed;
};

enum { BENCH_RULE_TERMS = 4 };

struct bench_rule {
    struct lac_pick choice; /* in place of sight, if is_chosen */
    int is_chosen;
    struct lac_sight sight;
    struct lac_sight_term terms[BENCH_RULE_TERMS];
    double asked; /* share of all pairs that are seen, as asked for; NaN where the rule says */
};

/* "dense", "window", ...; the last is NULL. */
extern const char *const bench_rule_names[];
/* Does it depend on the share of zeros? */
int bench_rule_has_zeros(int name);

/* How a token of a decoder chooses what it reads under the rule; LAC_KV_FULL: it does not. */
enum lac_kv_policy_kind bench_rule_policy(int name);

/* A rule for sequences of so many tokens; zeros: the share of blocks that are hidden, where they
 * are drawn.  Memory of the mask is the arena's. */
enum lac_status bench_rule_make(struct bench_rule *rule, int name, double zeros, int is_causal,
                                size_t length, const struct bench_rule_settings *settings,
                                struct lac_arena *arena, struct lac_error *error);

#endif
