/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that do the measured work together, each in its place. */
#ifndef LACUNA_BENCH_CREW_H
#define LACUNA_BENCH_CREW_H

#include <stddef.h>
#include <stdint.h>

#include "src/sys/pool.h"

enum { BENCH_CREW_TEXT = 128 };

/* All zeros is no crew. */
struct bench_crew {
    size_t size;
    char places[BENCH_CREW_TEXT]; /* hardware threads of each worker: "1", "0 1", "any" */
    struct lac_topology *topology;
    struct lac_placement *placement;
    struct lac_pool *pool;
};

enum bench_company { BENCH_ALONE, BENCH_BESIDE_OTHERS };

/* Chooses the places by the library's own rules; a single worker that is not to be compared with
 * crews of several has bench_settings.cpu.
 * The calling thread may use all of them afterwards, and so may what it forks; threads are started
 * by bench_crew_start. */
enum lac_status bench_crew_open(struct bench_crew *crew, size_t n, enum bench_company company,
                                struct lac_error *error);
/* Pins the calling thread to the first place and starts the others. */
enum lac_status bench_crew_start(struct bench_crew *crew, struct lac_error *error);
/* Gives the calling thread back what it was allowed before. */
void bench_crew_close(struct bench_crew *crew);

/* function(rank, context) on every worker; in a crew that is not started, on the first alone. */
void bench_crew_run(const struct bench_crew *crew, void (*function)(size_t rank, void *context),
                    void *context);

/* What that takes: of a crew of one as bench_time_alone measures it (or bench_time_once, unless it
 * is repeatable), else in real time. */
uint64_t bench_crew_time(const struct bench_crew *crew,
                         void (*function)(size_t rank, void *context), void *context,
                         int repeatable);

#endif
