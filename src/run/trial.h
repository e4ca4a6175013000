/* SPDX-License-Identifier: Apache-2.0 */
/* Attention on trial: what heads would make of the same queries, keys and values by other rules.
 *
 * A pass with a trial goes on as one without: each layer's attention is done by the rules of the
 * pass.  Beside that it is done by each of the trial's, and every head's output compared with what
 * the first of them gives; so one rule's errors are not the next layer's.  Sums do not depend on
 * the number of workers. */
#ifndef LACUNA_RUN_TRIAL_H
#define LACUNA_RUN_TRIAL_H

#include "src/run/member.h"

/* One head by one of the rules. */
struct lac_trial_head {
    double square;   /* of its output */
    double error;    /* square of the difference from the first rule's output */
    double n_blocks; /* of keys that queries met in lanes */
    double worst;    /* the most that a tile's tokens add to error */
    double n_tokens;
};

struct lac_trial {
    const struct lac_host *host;
    const struct lac_network *network;
    const struct lac_sights *sights; /* [n_sights], borrowed; the first is what others are measured
                                        by */
    size_t n_sights;
    size_t pick_unit; /* the largest of theirs */
    size_t n_lanes, n_members;
    float *outputs;               /* [n_lanes][n_heads * head_dim]: of the first, laid out as the
                                     region's */
    size_t *n_blocks;             /* [n_members][n_heads]: of the rules and layer in work */
    struct lac_trial_head *heads; /* [n_sights][n_layers][n_heads]: sums of all passes so far */
};

/* For passes of up to n_tokens by teams of up to n_members. */
enum lac_status lac_trial_open(struct lac_trial *trial, const struct lac_host *host,
                               const struct lac_network *network, const struct lac_sights *sights,
                               size_t n_sights, size_t n_tokens, size_t n_members,
                               struct lac_error *error);
/* Takes a zeroed one. */
void lac_trial_close(struct lac_trial *trial);

/* In place of lac_attend: every member of the team calls it. */
void lac_run_trial(const struct lac_member *m, size_t layer, bool is_last);

#endif
