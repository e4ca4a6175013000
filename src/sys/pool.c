/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads that all run the same function. */
#include "src/sys/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/sys/event.h"

/* Long enough to cover the uneven ends of a layer's phases, shorter than it takes to feel: waking
 * a sleeper costs 5 to 50 us, so a spin of that order at most doubles what waiting costs. */
enum { SPIN_NS = 20000 };

/* The last to arrive opens it: resets the counter, then raises the event the others wait for.  A
 * worker that has passed cannot lap one that still waits, because the next round needs all. */
struct lac_barrier {
    alignas(LAC_ALIGNMENT) _Atomic size_t n_arrived;
    alignas(LAC_ALIGNMENT) struct lac_event open;
    uint64_t spin_ns;
};

struct worker {
    struct lac_pool *pool;
    size_t rank;
    pthread_t thread;
};

/* One run: the caller writes function, arg and n_running, then signals start; each worker runs
 * and takes itself off n_running; the last one signals done. */
struct lac_pool {
    const struct lac_host *host;
    struct lac_placement *placement;
    struct lac_team team;
    struct lac_barrier barrier;
    uint64_t spin_ns; /* 0 when the workers are more than can run at once */
    pthread_mutex_t turn;
    alignas(LAC_ALIGNMENT) struct lac_event start;
    lac_pool_function *function; /* NULL: the workers leave */
    void *arg;
    alignas(LAC_ALIGNMENT) struct lac_event done;
    _Atomic size_t n_running;
    struct worker *workers; /* [team.size]; entry 0 is the caller's and has no thread */
    size_t n_started;       /* threads that run: workers 1 to n_started */
};

const struct lac_team lac_team_self = {.size = 1};

void lac_team_barrier(const struct lac_team *team, size_t rank)
{
    (void)rank;
    struct lac_barrier *b = team->barrier;
    if (!b)
        return;
    uint32_t seen = lac_event_count(&b->open);
    if (atomic_fetch_add_explicit(&b->n_arrived, 1, memory_order_acq_rel) + 1 == team->size) {
        atomic_store_explicit(&b->n_arrived, 0, memory_order_relaxed);
        lac_event_signal(&b->open);
    } else {
        lac_event_wait(&b->open, seen, b->spin_ns);
    }
}

void lac_team_range(const struct lac_team *team, size_t rank, size_t n, size_t unit, size_t *begin,
                    size_t *end)
{
    size_t n_units = n / unit + (n % unit != 0);
    size_t each = n_units / team->size, rest = n_units % team->size;
    size_t first = rank * each + lac_min_size(rank, rest);
    size_t past = first + each + (rank < rest);
    /* A unit that is not past the last one begins inside n, so the products cannot overflow. */
    *begin = first < n_units ? first * unit : n;
    *end = past < n_units ? past * unit : n;
}

static void *worker_main(void *argument)
{
    struct worker *self = argument;
    struct lac_pool *pool = self->pool;
    char name[16]; /* the kernel's limit */
    snprintf(name, sizeof name, "lacuna/%zu", self->rank);
    pthread_setname_np(pthread_self(), name);
    lac_placement_bind(pool->placement, self->rank);

    for (uint32_t seen = 0;; seen++) {
        lac_event_wait(&pool->start, seen, pool->spin_ns);
        if (!pool->function)
            return NULL;
        pool->function(&pool->team, self->rank, pool->arg);
        if (atomic_fetch_sub_explicit(&pool->n_running, 1, memory_order_acq_rel) == 1)
            lac_event_signal(&pool->done);
    }
}

/* The application's signal handlers run on its own threads. */
static enum lac_status start_threads(struct lac_pool *pool, struct lac_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum lac_status status = LAC_OK;
    for (size_t i = 1; i < pool->team.size; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .rank = i};
        int refused = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (refused) {
            status = lac_fail(error, LAC_E_IO, "thread %zu of %zu cannot be started: %s", i + 1,
                              pool->team.size, strerror(refused));
            break;
        }
        pool->n_started = i;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

enum lac_status lac_pool_new(const struct lac_host *host, const struct lac_topology *topology,
                             size_t n_threads, enum lac_bind bind, struct lac_pool **pool,
                             struct lac_error *error)
{
    struct lac_pool *p = lac_alloc_zero(host, 1, sizeof *p);
    if (!p)
        return lac_fail(error, LAC_E_MEMORY, "threads: no memory");
    p->host = host;
    pthread_mutex_init(&p->turn, NULL);
    enum lac_status status = lac_placement_new(topology, n_threads, bind, &p->placement, error);
    if (status)
        goto out;
    size_t n = lac_placement_size(p->placement);
    p->team.size = n;
    p->team.barrier = n > 1 ? &p->barrier : NULL;
    p->spin_ns = n > lac_placement_capacity(p->placement) ? 0 : SPIN_NS;
    p->barrier.spin_ns = p->spin_ns;
    p->workers = lac_alloc_zero(host, n, sizeof *p->workers);
    if (!p->workers) {
        status = lac_fail(error, LAC_E_MEMORY, "threads: no memory for %zu", n);
        goto out;
    }
    status = start_threads(p, error);
    if (status)
        goto out;
    *pool = p;
    p = NULL;
out:
    lac_pool_free(p);
    return status;
}

void lac_pool_free(struct lac_pool *pool)
{
    if (!pool)
        return;
    pool->function = NULL;
    lac_event_signal(&pool->start);
    for (size_t i = 1; i <= pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_mutex_destroy(&pool->turn);
    lac_free(pool->host, pool->workers);
    lac_placement_free(pool->placement);
    lac_free(pool->host, pool);
}

size_t lac_pool_size(const struct lac_pool *pool)
{
    return pool->team.size;
}

void lac_pool_run(struct lac_pool *pool, lac_pool_function *function, void *arg)
{
    if (pool->team.size == 1) {
        function(&lac_team_self, 0, arg);
        return;
    }
    pthread_mutex_lock(&pool->turn);
    uint32_t seen = lac_event_count(&pool->done);
    pool->function = function;
    pool->arg = arg;
    atomic_store_explicit(&pool->n_running, pool->team.size - 1, memory_order_relaxed);
    lac_event_signal(&pool->start);
    function(&pool->team, 0, arg);
    lac_event_wait(&pool->done, seen, pool->spin_ns);
    pthread_mutex_unlock(&pool->turn);
}
