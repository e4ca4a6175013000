/* SPDX-License-Identifier: Apache-2.0 */
/* Any number of sequences on all workers: which go together, and who runs them.
 *
 * Sequences are cut into groups of at most batch_tokens tokens (at least one sequence each).  Most
 * groups are run by a single worker, which needs no barriers; a sequence so long that its worker
 * would still be busy when the others are done is run by the whole team.  Neither changes a bit of
 * the results. */
#ifndef LACUNA_RUN_SCHEDULE_H
#define LACUNA_RUN_SCHEDULE_H

#include "src/run/forward.h"
#include "src/run/region.h"

/* Sequences [begin, end) of the order. */
struct lac_group {
    size_t begin, end;
    size_t n_tokens;
};

/* What runs need, kept from one to the next and grown only between them. */
struct lac_workspace {
    const struct lac_host *host;
    const struct lac_network *network;
    struct lac_pool *pool;
    struct lac_head head;
    const struct lac_sights *sights;
    const struct lac_trial *trial; /* or NULL */
    size_t batch_tokens;
    struct lac_region shared; /* the whole team's */
    struct lac_region *own;   /* [workers] */
    /* [capacity] each, in sequences */
    const struct lac_sequence **order, **sorted;
    size_t *bin;  /* of order */
    size_t *cost; /* of groups */
    struct lac_group *groups;
    size_t capacity;
};

/* Borrows all it is given; sights NULL: the network's. */
enum lac_status lac_workspace_open(struct lac_workspace *workspace, const struct lac_host *host,
                                   const struct lac_network *network, struct lac_pool *pool,
                                   const struct lac_head *head, const struct lac_sights *sights,
                                   size_t batch_tokens, struct lac_error *error);
void lac_workspace_close(struct lac_workspace *workspace);

/* Before the first run, which then and later is of one sequence at a time. */
void lac_workspace_try(struct lac_workspace *workspace, const struct lac_trial *trial);

/* Runs n sequences; none is run when there is no memory. */
enum lac_status lac_workspace_run(struct lac_workspace *workspace,
                                  const struct lac_sequence *sequences, size_t n,
                                  struct lac_error *error);

#endif
