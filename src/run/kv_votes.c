/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of votes, and who votes. */
#include "src/run/kv_votes.h"

#include <string.h>

#include "src/base/checked.h"

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

static size_t bytes_of(const struct lac_kv *kv, size_t n_slots)
{
    size_t n_rows = n_tables(kv) + kv->shape.n_heads * LAC_ROW_QUERIES;
    return sizeof(struct lac_kv_votes) + n_rows * n_slots * sizeof(float);
}

size_t lac_kv_votes_bytes(const struct lac_kv *kv)
{
    return kv->votes ? bytes_of(kv, kv->votes->n_slots) : 0;
}

static enum lac_status no_memory(size_t n_slots, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for the votes on %zu keys", n_slots);
}

static bool is_about(const struct lac_kv_votes *votes, size_t n_prompt, size_t is_thin)
{
    return votes && votes->n_prompt == n_prompt && votes->is_thin == is_thin;
}

/* Takes over what was said of the slots that both have room for; votes on another prompt do not
 * count for this one. */
static bool resize(struct lac_kv *kv, size_t n_prompt, size_t is_thin, size_t n_slots)
{
    struct lac_kv_votes *old = kv->votes, *votes;
    votes = lac_alloc_zero(kv->host, 1, bytes_of(kv, n_slots));
    if (!votes)
        return false;
    votes->n_prompt = n_prompt;
    votes->is_thin = is_thin;
    votes->n_slots = n_slots;
    if (is_about(old, n_prompt, is_thin)) {
        size_t n = lac_min_size(old->n_slots, n_slots);
        votes->n_counted = old->n_counted;
        for (size_t t = 0; t < n_tables(kv); t++)
            memcpy(votes->at + t * n_slots, old->at + t * old->n_slots, n * sizeof *votes->at);
    }
    lac_free(kv->host, old);
    kv->votes = votes;
    return true;
}

/* There are as many votes on features as on slots: in files one cannot be told from the other. */
static enum lac_status open_votes(struct lac_kv *kv, size_t n_prompt, size_t is_thin, size_t n_keys,
                                  struct lac_error *error)
{
    size_t n_slots = lac_kv_most_slots(kv) + n_keys - kv->n_keys;
    n_slots = lac_round_up(lac_max_size(n_slots, is_thin ? kv->shape.head_dim : 0), LAC_KEY_BLOCK);
    bool is_open = is_about(kv->votes, n_prompt, is_thin) && kv->votes->n_slots >= n_slots;
    return is_open || resize(kv, n_prompt, is_thin, n_slots) ? LAC_OK : no_memory(n_slots, error);
}

/* Does a prompt that is not in yet ask for votes, by the rule of a head with n_gone keys fewer? */
static bool asks(const struct lac_kv_rule *rule, size_t n_prompt, size_t n_gone)
{
    return rule->kind == LAC_KV_THIN || rule->kind == LAC_KV_ZIP ||
           (rule->kind == LAC_KV_SNAP && n_prompt - n_gone >= rule->budget + LAC_LANES);
}

/* The kind of rule by which heads choose, and how many tokens at the prompt's end it asks. */
static enum lac_kv_policy_kind find_voters(const struct lac_kv *kv, size_t n_prompt,
                                           size_t *n_observed)
{
    enum lac_kv_policy_kind kind = LAC_KV_FULL;
    for (size_t t = 0; kv->shape.rules && t < n_tables(kv); t++) {
        const struct lac_kv_rule *rule = &kv->shape.rules->of[t];
        size_t n_gone = kv->n_gone ? kv->n_gone[t] : 0;
        bool is_asked = kv->n_keys < n_prompt && asks(rule, n_prompt, n_gone);
        if (rule->kind != LAC_KV_HEAVY && !is_asked)
            continue;
        kind = rule->kind;
        *n_observed = rule->n_observed;
    }
    return kind;
}

enum lac_status lac_kv_vote(struct lac_kv *kv, size_t n_prompt, size_t n_more, size_t *n_voters,
                            struct lac_error *error)
{
    size_t n_observed = 0, end = kv->n_keys + n_more;
    enum lac_kv_policy_kind kind = find_voters(kv, n_prompt, &n_observed);
    size_t first = n_prompt - lac_min_size(n_prompt, n_observed);
    *n_voters = 0;
    if (kind == LAC_KV_FULL || end <= first)
        return LAC_OK;
    bool is_on_all = kind == LAC_KV_HEAVY;
    enum lac_status status = open_votes(kv, is_on_all ? 0 : n_prompt, kind == LAC_KV_THIN,
                                        is_on_all ? end : n_prompt, error);
    if (status)
        return status;
    first = lac_max_size(first, kv->votes->n_counted);
    *n_voters = end > first ? lac_min_size(n_more, end - first) : 0;
    return LAC_OK;
}

void lac_kv_close_votes(struct lac_kv *kv)
{
    if (kv->votes && kv->votes->n_prompt) {
        lac_free(kv->host, kv->votes);
        kv->votes = NULL;
        return;
    }
    /* Those that come before heads choose again. */
    size_t n_slots = lac_round_up(lac_kv_most_slots(kv) + LAC_KEY_BLOCK, LAC_KEY_BLOCK);
    if (kv->votes && kv->votes->n_slots > n_slots)
        resize(kv, 0, 0, n_slots);
}

enum lac_status lac_kv_copy_votes(struct lac_kv *to, const struct lac_kv *from,
                                  struct lac_error *error)
{
    if (!from->votes)
        return LAC_OK;
    to->votes = lac_alloc(to->host, 1, lac_kv_votes_bytes(from));
    if (!to->votes)
        return no_memory(from->votes->n_slots, error);
    memcpy(to->votes, from->votes, lac_kv_votes_bytes(from));
    return LAC_OK;
}

enum lac_status lac_kv_restore_votes(struct lac_kv *kv, const struct lac_kv_votes *sizes,
                                     const float *votes, struct lac_error *error)
{
    kv->votes = lac_alloc_zero(kv->host, 1, bytes_of(kv, sizes->n_slots));
    if (!kv->votes)
        return no_memory(sizes->n_slots, error);
    *kv->votes = *sizes;
    memcpy(kv->votes->at, votes, n_tables(kv) * sizes->n_slots * sizeof *votes);
    return LAC_OK;
}
