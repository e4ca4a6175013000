/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that do the measured work together, each in its place. */
#include "bench/crew.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "src/sys/clock.h"

/* What this process was given, read before anything is pinned. */
static cpu_set_t given;
static int given_known;

static enum lac_status reset_affinity(struct lac_error *error)
{
    if (!given_known && sched_getaffinity(0, sizeof given, &given))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be read");
    given_known = 1;
    if (sched_setaffinity(0, sizeof given, &given))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be set");
    return LAC_OK;
}

/* Visits all places and leaves the thread with their union. */
static enum lac_status allow_places(struct bench_crew *crew, struct lac_error *error)
{
    cpu_set_t all, one;
    CPU_ZERO(&all);
    for (size_t i = 0; i < crew->size; i++) {
        char text[32];
        size_t used = strlen(crew->places);
        lac_placement_describe(crew->placement, i, text, sizeof text);
        snprintf(crew->places + used, sizeof crew->places - used, "%s%s", i ? " " : "",
                 *text ? text : "any");
        lac_placement_bind(crew->placement, i);
        if (sched_getaffinity(0, sizeof one, &one))
            return lac_fail(error, LAC_E_IO, "the allowed processors cannot be read");
        CPU_OR(&all, &all, &one);
    }
    if (sched_setaffinity(0, sizeof all, &all))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be set");
    return LAC_OK;
}

enum lac_status bench_crew_open(struct bench_crew *crew, size_t n, enum bench_company company,
                                struct lac_error *error)
{
    *crew = (struct bench_crew){.size = n};
    if (reset_affinity(error))
        return error->status;
    if (company == BENCH_ALONE && n == 1) {
        size_t cpu = bench_settings.cpu;
        if (bench_pin(&cpu, error))
            return error->status;
        snprintf(crew->places, sizeof crew->places, "%zu", cpu);
        return LAC_OK;
    }
    if (lac_topology_new(&lac_default_host, &crew->topology, error) ||
        lac_placement_new(crew->topology, n, bench_settings.bind, &crew->placement, error) ||
        allow_places(crew, error))
        return error->status;
    return LAC_OK;
}

enum lac_status bench_crew_start(struct bench_crew *crew, struct lac_error *error)
{
    if (!crew->placement)
        return LAC_OK;
    if (crew->size > 1 && lac_pool_new(&lac_default_host, crew->topology, crew->size,
                                       bench_settings.bind, &crew->pool, error))
        return error->status;
    lac_placement_bind(crew->placement, 0);
    return LAC_OK;
}

void bench_crew_close(struct bench_crew *crew)
{
    struct lac_error ignored;
    lac_pool_free(crew->pool);
    lac_placement_free(crew->placement);
    lac_topology_free(crew->topology);
    *crew = (struct bench_crew){0};
    reset_affinity(&ignored);
}

struct job {
    const struct bench_crew *crew;
    void (*function)(size_t rank, void *context);
    void *context;
};

static void work_in_pool(const struct lac_team *team, size_t rank, void *arg)
{
    const struct job *job = arg;
    (void)team;
    job->function(rank, job->context);
}

static void run_job(void *context)
{
    struct job *job = context;
    if (job->crew->pool)
        lac_pool_run(job->crew->pool, work_in_pool, job);
    else
        job->function(0, job->context);
}

void bench_crew_run(const struct bench_crew *crew, void (*function)(size_t rank, void *context),
                    void *context)
{
    struct job job = {crew, function, context};
    run_job(&job);
}

uint64_t bench_crew_time(const struct bench_crew *crew,
                         void (*function)(size_t rank, void *context), void *context,
                         int repeatable)
{
    struct job job = {crew, function, context};
    if (crew->size == 1)
        return repeatable ? bench_time_alone(run_job, &job) : bench_time_once(run_job, &job);
    uint64_t begin = lac_clock_ns();
    run_job(&job);
    return lac_clock_ns() - begin;
}
