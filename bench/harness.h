/* SPDX-License-Identifier: Apache-2.0 */
/* Timing of contenders side by side.
 *
 * Clocks change and neighbours disturb, from one moment to the next.  So contenders take turns
 * (A, B, C, A, B, C, ...), each turn ends with a sample of the contender's roof, and what is
 * compared is always the turns of one round: ratios are medians of the rounds' ratios. */
#ifndef LACUNA_BENCH_HARNESS_H
#define LACUNA_BENCH_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"

/* A line on stderr, when that is a terminal: how much is done and how long the rest takes.  The
 * work is counted in comparisons. */
struct bench_progress {
    int shown;
    uint64_t begin_ns;
    double done, all;
    const char *now;
};
void bench_progress_begin(struct bench_progress *progress, size_t all);
/* The comparison called name begins; the string outlives it. */
void bench_progress_start(struct bench_progress *progress, const char *name);
/* A share of the comparison is done; 1: it is over. */
void bench_progress_show(struct bench_progress *progress, double share);
void bench_progress_end(struct bench_progress *progress);

enum { BENCH_MOST_ROUNDS = 1000, BENCH_MOST_TIMES = 8 };

/* What bounds a contender: how much of something the machine does at most in a nanosecond. */
struct bench_ceiling {
    const char *name;              /* "vpdpbusd zmm", "read memory"; NULL for none */
    double (*rate)(void *context); /* one sample */
    void *context;
};

struct bench_contender {
    /* Does the work n times (at most BENCH_MOST_TIMES) and writes what each took.  Not 0: it
     * cannot. */
    int (*turn)(void *context, size_t n, uint64_t *ns);
    void *context;
    struct bench_ceiling ceiling;
    double load;        /* of doing the work once, in what the ceiling counts: operations, bytes */
    size_t most_rounds; /* slow ones may leave before the others; 0: they do not */
    /* Results */
    size_t n_rounds, n_times;
    double *turn_ns; /* [n_rounds] median of each turn */
    double *rates;   /* [n_rounds] of the ceiling beside it */
    double *all_ns;  /* [n_times] */
};

struct bench_effort {
    double seconds;    /* for each contender */
    size_t min_rounds; /* however long they take */
};

/* Lets n contenders take turns, a comparison of the progress.  Results are freed by
 * bench_contenders_clear, also after a failure. */
enum lac_status bench_measure(struct bench_contender *contenders, size_t n,
                              const struct bench_effort *effort, struct bench_progress *progress,
                              struct lac_error *error);
void bench_contenders_clear(struct bench_contender *contenders, size_t n);

/* Processor time of the calling thread: like the clock, but it stands still while the system runs
 * something else on the processor.  For work that one thread does alone. */
uint64_t bench_thread_ns(void);

/* What work takes that one thread does alone: real time when nothing came between.  Work of less
 * than 5 ms that was interrupted is done again, a few times; what is interrupted all the same
 * counts by its processor time, which is too coarse for short work. */
uint64_t bench_time_alone(void (*work)(void *context), void *context);
/* The same for work that is not the same when done again. */
uint64_t bench_time_once(void (*work)(void *context), void *context);

/* Sorts values. */
double bench_quantile(double *values, size_t n, double q);

struct bench_times {
    double median_ns, min_ns, p95_ns;
};
struct bench_times bench_times_of(const struct bench_contender *contender);
/* How many times faster than other; NaN when either has no results. */
double bench_speedup(const struct bench_contender *contender, const struct bench_contender *other);
/* The ceiling in 10^9 a second, and the share of it that was reached; NaN without one. */
double bench_roof_of(const struct bench_contender *contender);
double bench_roof_share(const struct bench_contender *contender);

/* Pins the calling thread, and what it starts later, to one processor: cpu, or the last allowed
 * one when cpu is SIZE_MAX.  *cpu gets its number. */
enum lac_status bench_pin(size_t *cpu, struct lac_error *error);

/* splitmix64 (Vigna). */
uint64_t bench_random(uint64_t *state);
/* Uniform in [0, n), n > 0; the bias of at most n / 2^64 is nobody's concern here. */
size_t bench_random_below(uint64_t *state, size_t n);
/* Uniform in [-1, 1). */
float bench_random_float(uint64_t *state);

#endif
