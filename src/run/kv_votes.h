/* SPDX-License-Identifier: Apache-2.0 */
/* What queries say of the keys of each head: the votes by which LAC_KV_SNAP, LAC_KV_HEAVY and
 * LAC_KV_ZIP choose; or of the features of keys, for LAC_KV_THIN. */
#ifndef LACUNA_RUN_KV_VOTES_H
#define LACUNA_RUN_KV_VOTES_H

#include "src/run/kv.h"

/* Votes for the slots of each head; those that no key is in have none.  Behind them is room for the
 * scores of LAC_ROW_QUERIES queries of each key/value head:
 *
 *   at   [n_layers][n_heads][n_slots], then [n_heads][LAC_ROW_QUERIES][n_slots] */
struct lac_kv_votes {
    size_t n_prompt;  /* they are on the first n_prompt tokens.  HEAVY: 0, on all */
    size_t is_thin;   /* 1: on features, in place of slots: the squares of the queries' own */
    size_t n_counted; /* the votes of tokens before this are among them, or never will be */
    size_t n_slots;   /* a multiple of LAC_KEY_BLOCK */
    float at[];
};

static inline float *lac_kv_head_votes(const struct lac_kv *kv, size_t layer, size_t head)
{
    return kv->votes->at + (layer * kv->shape.n_heads + head) * kv->votes->n_slots;
}

static inline float *lac_kv_scores(const struct lac_kv *kv, size_t head)
{
    size_t rows = kv->shape.n_layers * kv->shape.n_heads + head * LAC_ROW_QUERIES;
    return kv->votes->at + rows * kv->votes->n_slots;
}

/* Do votes on keys decide what a head of this rule keeps? */
static inline bool lac_kv_is_voted(const struct lac_kv_rule *rule)
{
    return rule->kind == LAC_KV_SNAP || rule->kind == LAC_KV_HEAVY || rule->kind == LAC_KV_ZIP;
}

/* How many of the last of n_more tokens, which come next, vote; if any do, there is room for their
 * votes.  n_keys + n_more is at most lac_kv_stop. */
enum lac_status lac_kv_vote(struct lac_kv *kv, size_t n_prompt, size_t n_more, size_t *n_voters,
                            struct lac_error *error);
/* Those on a prompt are forgotten; those of HEAVY keep no more memory than slots need, if there is
 * memory for so few. */
void lac_kv_close_votes(struct lac_kv *kv);
/* `to` gets a copy of `from`'s votes, if there are any. */
enum lac_status lac_kv_copy_votes(struct lac_kv *to, const struct lac_kv *from,
                                  struct lac_error *error);
/* Votes as they were saved: [n_layers * n_heads][n_slots] of them. */
enum lac_status lac_kv_restore_votes(struct lac_kv *kv, const struct lac_kv_votes *sizes,
                                     const float *votes, struct lac_error *error);
size_t lac_kv_votes_bytes(const struct lac_kv *kv);

#endif
