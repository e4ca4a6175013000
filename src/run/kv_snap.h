/* SPDX-License-Identifier: Apache-2.0 */
/* Votes of the end of a prompt, and what they leave of it: LAC_KV_SNAP. */
#ifndef LACUNA_RUN_KV_SNAP_H
#define LACUNA_RUN_KV_SNAP_H

#include "src/run/kv.h"

/* Votes for the slots of each head.  Behind them is room for the scores of LAC_ROW_QUERIES queries
 * of each key/value head:
 *
 *   at   [n_layers][n_heads][n_slots], then [n_heads][LAC_ROW_QUERIES][n_slots] */
struct lac_kv_votes {
    size_t n_prompt;  /* they are on the first n_prompt tokens */
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

/* How many of the last of n_more tokens, which come next, vote; if any do, there is room for their
 * votes.  n_keys + n_more is at most lac_kv_stop. */
enum lac_status lac_kv_vote(struct lac_kv *kv, size_t n_prompt, size_t n_more, size_t *n_voters,
                            struct lac_error *error);
/* At the end of the prompt: heads over their budget choose, and the votes are forgotten. */
enum lac_status lac_kv_snap(struct lac_kv *kv, struct lac_error *error);
/* `to` gets a copy of `from`'s votes, if there are any. */
enum lac_status lac_kv_copy_votes(struct lac_kv *to, const struct lac_kv *from,
                                  struct lac_error *error);
/* Votes as they were saved: [n_layers * n_heads][n_slots] of them. */
enum lac_status lac_kv_restore_votes(struct lac_kv *kv, const struct lac_kv_votes *sizes,
                                     const float *votes, struct lac_error *error);
size_t lac_kv_votes_bytes(const struct lac_kv *kv);

#endif
