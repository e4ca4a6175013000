/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads that all run the same function: teams, barriers, even shares.
 *
 * A pool has n workers.  Worker 0 is whoever calls lac_pool_run; the others are threads of the
 * pool, pinned by the placement.  The caller is never pinned: it belongs to the application, and
 * an unpinned thread is moved by the system to the place the others leave free. */
#ifndef LACUNA_SYS_POOL_H
#define LACUNA_SYS_POOL_H

#include <stddef.h>

#include <lacuna/engine.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "src/sys/topology.h"

struct lac_barrier;

/* Workers with ranks 0 to size - 1 that meet at barriers. */
struct lac_team {
    size_t size;
    struct lac_barrier *barrier; /* NULL in a team of one */
};

/* A team of one: for work that a single worker does while its neighbours do theirs. */
extern const struct lac_team lac_team_self;

/* Returns when every worker of the team has called it; what any wrote before it, all see after.
 * All workers of a team pass the same barriers.  Nothing to do in a team of one. */
void lac_team_barrier(const struct lac_team *team, size_t rank);

/* Rank's share [*begin, *end) of n items: whole units (at least 1; the last one may be cut short
 * by n), at most one unit more than anybody else's.  May be empty. */
void lac_team_range(const struct lac_team *team, size_t rank, size_t n, size_t unit, size_t *begin,
                    size_t *end);

struct lac_pool;

/* The pool's part of a computation, run once on each worker. */
typedef void lac_pool_function(const struct lac_team *team, size_t rank, void *arg);

/* Starts workers 1 and up; n_threads and bind as for lac_placement_new.  The threads are named
 * lacuna/1 and so on, and take no signals.  Borrows host and topology.  LAC_E_IO when the system
 * refuses a thread. */
enum lac_status lac_pool_new(const struct lac_host *host, const struct lac_topology *topology,
                             size_t n_threads, enum lac_bind bind, struct lac_pool **pool,
                             struct lac_error *error);
/* Nobody runs on the pool any more.  Joins the threads.  Takes NULL. */
void lac_pool_free(struct lac_pool *pool);

size_t lac_pool_size(const struct lac_pool *pool);

/* Runs function(team, rank, arg) on all workers and returns when all are done.  Callers on several
 * threads take turns; in a pool of one each caller simply runs.  function must not call
 * lac_pool_run on the same pool.  Cannot fail and allocates nothing. */
void lac_pool_run(struct lac_pool *pool, lac_pool_function *function, void *arg);

#endif
