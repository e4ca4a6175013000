/* SPDX-License-Identifier: Apache-2.0 */
/* Timing of contenders side by side. */
#include "bench/harness.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "src/base/host.h"
#include "src/sys/clock.h"

static enum lac_status open_results(struct bench_contender *c, struct lac_error *error)
{
    c->n_rounds = c->n_times = 0;
    c->turn_ns = lac_alloc(&lac_default_host, BENCH_MOST_ROUNDS, sizeof(double));
    c->rates = lac_alloc(&lac_default_host, BENCH_MOST_ROUNDS, sizeof(double));
    c->all_ns = lac_alloc(&lac_default_host, BENCH_MOST_ROUNDS * BENCH_MOST_TIMES, sizeof(double));
    return c->turn_ns && c->rates && c->all_ns
               ? LAC_OK
               : lac_fail(error, LAC_E_MEMORY, "no memory for the times");
}

void bench_contenders_clear(struct bench_contender *contenders, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lac_free(&lac_default_host, contenders[i].turn_ns);
        lac_free(&lac_default_host, contenders[i].rates);
        lac_free(&lac_default_host, contenders[i].all_ns);
        contenders[i].turn_ns = contenders[i].rates = contenders[i].all_ns = NULL;
        contenders[i].n_rounds = contenders[i].n_times = 0;
    }
}

/* The best of three samples: whoever takes the processor away in between makes one too low. */
static double sample_ceiling(const struct bench_ceiling *ceiling)
{
    double best = 0;
    if (!ceiling->name)
        return NAN;
    for (int i = 0; i < 3; i++) {
        double rate = ceiling->rate(ceiling->context);
        best = rate > best ? rate : best;
    }
    return best;
}

/* Work of less than 5 ms is done once more at the start of each turn, unmeasured, because the
 * contender before emptied the caches; and several times, up to about 2 ms. */
static int take_turn(struct bench_contender *c)
{
    enum { WARM_NS = 5000000, TURN_NS = 2000000 };
    uint64_t ns[BENCH_MOST_TIMES];
    double values[BENCH_MOST_TIMES];
    double last = c->n_rounds ? c->turn_ns[c->n_rounds - 1] : 0;
    size_t warm = last < WARM_NS, n = BENCH_MOST_TIMES - 1;
    if (!c->n_rounds)
        n = 1;
    else if (last * (double)n > TURN_NS)
        n = last > TURN_NS ? 1 : (size_t)(TURN_NS / last);
    if (c->turn(c->context, n + warm, ns))
        return -1;
    for (size_t i = 0; i < n; i++)
        c->all_ns[c->n_times++] = values[i] = (double)ns[i + warm];
    c->turn_ns[c->n_rounds] = bench_quantile(values, n, 0.5);
    c->rates[c->n_rounds++] = sample_ceiling(&c->ceiling);
    return 0;
}

enum lac_status bench_measure(struct bench_contender *contenders, size_t n,
                              const struct bench_effort *effort, struct bench_progress *progress,
                              struct lac_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (open_results(&contenders[i], error))
            return error->status;
    uint64_t begin = lac_clock_ns();
    double most_ns = effort->seconds * 1e9 * (double)n;
    for (size_t round = 0; round < BENCH_MOST_ROUNDS; round++) {
        /* Whichever of the two conditions is further from being met. */
        double by_time = (double)(lac_clock_ns() - begin) / most_ns;
        double by_rounds = (double)round / (double)effort->min_rounds;
        double share = by_rounds < by_time ? by_rounds : by_time;
        if (share >= 1 || (round >= effort->min_rounds && !(most_ns > 0)))
            break;
        bench_progress_show(progress, share > 0 ? share : 0);
        for (size_t i = 0; i < n; i++)
            if ((!contenders[i].most_rounds || round < contenders[i].most_rounds) &&
                take_turn(&contenders[i]))
                return lac_fail(error, LAC_E_STATE, "contender %zu stopped in round %zu", i, round);
    }
    bench_progress_show(progress, 1);
    return LAC_OK;
}

uint64_t bench_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t time_alone(void (*work)(void *context), void *context, int most_tries)
{
    enum { SHORT_NS = 5000000, READING_NS = 1000 };
    for (int i = 1;; i++) {
        uint64_t thread_begin = bench_thread_ns(), begin = lac_clock_ns();
        work(context);
        uint64_t real = lac_clock_ns() - begin, own = bench_thread_ns() - thread_begin;
        /* own holds the reading of the clock as well: without interruption it is the larger. */
        if (real <= own + own / 100 + READING_NS)
            return real;
        if (real >= SHORT_NS || i == most_tries)
            return own;
    }
}

uint64_t bench_time_alone(void (*work)(void *context), void *context)
{
    return time_alone(work, context, 4);
}

uint64_t bench_time_once(void (*work)(void *context), void *context)
{
    return time_alone(work, context, 1);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t n, double q)
{
    if (!n)
        return NAN;
    qsort(values, n, sizeof *values, compare);
    double at = q * (double)(n - 1);
    size_t low = (size_t)at;
    size_t high = low + 1 < n ? low + 1 : low;
    return values[low] + (at - (double)low) * (values[high] - values[low]);
}

struct bench_times bench_times_of(const struct bench_contender *c)
{
    /* Sorting in place is harmless: nothing else asks for the order of single times. */
    return (struct bench_times){
        .median_ns = bench_quantile(c->all_ns, c->n_times, 0.5),
        .min_ns = bench_quantile(c->all_ns, c->n_times, 0),
        .p95_ns = bench_quantile(c->all_ns, c->n_times, 0.95),
    };
}

double bench_speedup(const struct bench_contender *c, const struct bench_contender *other)
{
    double ratios[BENCH_MOST_ROUNDS];
    size_t n = c->n_rounds < other->n_rounds ? c->n_rounds : other->n_rounds;
    for (size_t i = 0; i < n; i++)
        ratios[i] = other->turn_ns[i] / c->turn_ns[i];
    return bench_quantile(ratios, n, 0.5);
}

double bench_roof_of(const struct bench_contender *c)
{
    double values[BENCH_MOST_ROUNDS];
    if (!c->ceiling.name)
        return NAN;
    memcpy(values, c->rates, c->n_rounds * sizeof *values);
    return bench_quantile(values, c->n_rounds, 0.5);
}

double bench_roof_share(const struct bench_contender *c)
{
    double shares[BENCH_MOST_ROUNDS];
    if (!c->ceiling.name)
        return NAN;
    for (size_t i = 0; i < c->n_rounds; i++)
        shares[i] = c->load / c->turn_ns[i] / c->rates[i];
    return bench_quantile(shares, c->n_rounds, 0.5);
}

enum lac_status bench_pin(size_t *cpu, struct lac_error *error)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be read");
    for (size_t i = 0; *cpu == SIZE_MAX && i < CPU_SETSIZE; i++)
        if (CPU_ISSET(CPU_SETSIZE - 1 - i, &allowed))
            *cpu = CPU_SETSIZE - 1 - i;
    if (*cpu >= CPU_SETSIZE || !CPU_ISSET(*cpu, &allowed))
        return lac_fail(error, LAC_E_ARGUMENT, "processor %zu is not among the allowed ones", *cpu);
    CPU_ZERO(&one);
    CPU_SET(*cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one))
        return lac_fail(error, LAC_E_IO, "the system refuses to pin to processor %zu", *cpu);
    return LAC_OK;
}

void bench_progress_begin(struct bench_progress *progress, size_t all)
{
    *progress = (struct bench_progress){
        .shown = isatty(STDERR_FILENO), .begin_ns = lac_clock_ns(), .all = (double)all, .now = ""};
}

void bench_progress_start(struct bench_progress *progress, const char *name)
{
    progress->now = name;
    bench_progress_show(progress, 0);
}

void bench_progress_show(struct bench_progress *progress, double share)
{
    double done = (progress->done + share) / progress->all;
    if (share >= 1)
        progress->done++;
    if (!progress->shown)
        return;
    fprintf(stderr, "\r\033[K%3.0f %%", 100 * done);
    if (done > 0) {
        double left = (double)(lac_clock_ns() - progress->begin_ns) * 1e-9 * (1 / done - 1);
        fprintf(stderr, ", %.0f:%02.0f left", floor(left / 60), floor(fmod(left, 60)));
    }
    fprintf(stderr, "  %s", progress->now);
}

void bench_progress_end(struct bench_progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
}

uint64_t bench_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t bench_random_below(uint64_t *state, size_t n)
{
    return (size_t)(bench_random(state) % n);
}

float bench_random_float(uint64_t *state)
{
    return (float)(bench_random(state) >> 40) * 0x1p-23f - 1.0f;
}
