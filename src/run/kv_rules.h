/* SPDX-License-Identifier: Apache-2.0 */
/* What each key/value head of a network keeps of a text, by a session's policy. */
#ifndef LACUNA_RUN_KV_RULES_H
#define LACUNA_RUN_KV_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lacuna/generate.h>

#include "simd/compact.h"
#include "sparse/sight.h"
#include "src/base/error.h"
#include "src/base/host.h"
#include "src/model/config.h"

/* A sixteenth of the features, rounded up to whole dwords, of the widest heads. */
enum { LAC_KV_MOST_CHANNELS = 16 };

/* Of a head.  Blocks are LAC_KEY_BLOCK slots: src/run/kv.h. */
struct lac_kv_rule {
    enum lac_kv_policy_kind kind;
    const struct lac_sight *sight; /* in slots, in place of the network's; or NULL */
    /* STREAM: besides its own block a query needs the first n_sinks blocks and the n_left before
     * its own. */
    size_t n_sinks, n_left;
    bool remembers;        /* STREAM: what goes, by its means */
    size_t n_memory;       /* MEMORY: the first blocks that are always read; n_left as above, and
                              budget in blocks */
    size_t budget, n_last; /* SNAP and HEAVY, in keys: all that stay, those that do unasked.  THIN
                              and ZIP: n_last stay as they are */
    size_t n_observed;     /* tokens of a prompt's end that vote, if any do */
    size_t part;           /* one key of so many */
    uint8_t channels[LAC_KV_MOST_CHANNELS]; /* CHANNELS */
};

/* Does a head give up what its window does not hold? */
static inline bool lac_kv_streams(const struct lac_kv_rule *rule)
{
    return rule->kind == LAC_KV_STREAM || rule->kind == LAC_KV_MEMORY;
}

/* Have its pages, or those of its memory, labels? */
static inline bool lac_kv_is_labelled(const struct lac_kv_rule *rule)
{
    return rule->kind == LAC_KV_QUEST || rule->kind == LAC_KV_CHANNELS ||
           rule->kind == LAC_KV_MEMORY;
}

/* Does a token choose the pages that it reads, by their labels? */
static inline bool lac_kv_chooses(const struct lac_kv_rule *rule)
{
    return rule->kind == LAC_KV_QUEST || rule->kind == LAC_KV_CHANNELS;
}

struct lac_kv_rules {
    enum lac_kv_rest rest; /* of what streaming heads give up */
    enum lac_kv_deal deal; /* of the heads' budgets */
    size_t n_labels,
        n_dwords;      /* of a page's label: simd/attention.h; n_labels 0: no head has any */
    size_t n_channels; /* CHANNELS */
    bool has_memory;
    /* MEMORY: of the angles that queries are turned by who meet keys at position 0. */
    float edge_cos[LAC_MAX_HEAD_DIM / 2], edge_sin[LAC_MAX_HEAD_DIM / 2];
    enum lac_compact_form form;     /* of pages that heads of THIN and ZIP have compact, or none */
    size_t n_key_dwords;            /* THIN: of features that stay */
    double share;                   /* ZIP */
    struct lac_sight_term terms[2]; /* of a streaming head: the window, the sinks */
    struct lac_sight streaming, windowed; /* with sinks and without */
    struct lac_kv_rule of[];              /* [n_layers][n_kv_heads] */
};

/* A copy with arrays of its own, which lac_kv_policy_clear frees. */
enum lac_status lac_kv_policy_copy(const struct lac_host *host, const struct lac_kv_policy *policy,
                                   struct lac_kv_policy *copy, struct lac_error *error);
void lac_kv_policy_clear(const struct lac_host *host, struct lac_kv_policy *policy);

/* LAC_E_ARGUMENT when the policy cannot be had, or not with this model. */
enum lac_status lac_kv_policy_check(const struct lac_kv_policy *policy,
                                    const struct lac_config *config, struct lac_error *error);
/* *rules of a checked policy, one piece of the host's memory; NULL for a policy that keeps all. */
enum lac_status lac_kv_rules_make(const struct lac_host *host, const struct lac_kv_policy *policy,
                                  const struct lac_config *config, struct lac_kv_rules **rules,
                                  struct lac_error *error);

/* How long texts may be; rules may be NULL. */
static inline size_t lac_kv_most_tokens(const struct lac_kv_rules *rules,
                                        const struct lac_config *config)
{
    return rules && rules->has_memory ? LAC_KV_MOST_TOKENS : config->max_tokens;
}

#endif
