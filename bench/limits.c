/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench limits: the roof that this machine puts over everything, on one core and on all. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/ceiling.h"
#include "bench/known.h"
#include "src/base/checked.h"
#include "src/sys/clock.h"

static const char *most_memory = "1024", *no_cache;

static const struct bench_option options[] = {
    {"memory", "MIB", "memory each core reads at most, for caches larger than that [1024]",
     &most_memory},
    {"no-cache", NULL, "do not keep the figures for later runs", &no_cache},
    {0},
};

static const struct bench_column columns[] = {
    {"limit", BENCH_TEXT},
    {"isa", BENCH_TEXT},
    {"dtype", BENCH_TEXT},
    {"threads", 0},
    {"binding", BENCH_TEXT},
    {"size_kib", 0},
    {"unit", BENCH_TEXT},
    {"median", 1},
    {"best", 1},
    {"p5", 1},
    {0},
};

struct measurement {
    struct bench_report report;
    struct bench_progress progress;
    struct bench_limits limits;
    size_t most_bytes;
};

/* A place that is read from. */
struct level {
    const char *name;
    size_t size;
};

enum { N_CACHES = 3 };

/* Half a cache, so that nothing else pushes it out; L3 well above L2 and inside a core's share. */
static void choose_caches(struct level levels[N_CACHES], size_t most)
{
    const struct bench_settings *s = &bench_settings;
    size_t l1 = s->l1_bytes ? s->l1_bytes : 32 << 10, l2 = s->l2_bytes ? s->l2_bytes : 1 << 20;
    size_t l3 = s->l3_bytes ? s->l3_bytes : 4 * l2;
    levels[0] = (struct level){"read L1", lac_min_size(l1 / 2, most)};
    levels[1] = (struct level){"read L2", lac_min_size(l2 / 2, most)};
    levels[2] = (struct level){"read L3", lac_min_size(lac_min_size(8 * l2, l3 / 2), most)};
}

static int enough(size_t n, uint64_t begin)
{
    const struct bench_effort *effort = &bench_settings.effort;
    return n == BENCH_MOST_ROUNDS ||
           (n >= effort->min_rounds && (double)(lac_clock_ns() - begin) >= effort->seconds * 1e9);
}

/* What is measured, beside its ceiling. */
struct kind {
    const char *isa, *dtype, *unit;
    double size_kib; /* NaN where there is none */
};

static void keep(struct bench_limits *limits, const char *name, const char *dtype, size_t threads,
                 double rate)
{
    struct bench_limit *limit = &limits->at[limits->n];
    if (limits->n == BENCH_MOST_LIMITS)
        return;
    snprintf(limit->name, sizeof limit->name, "%s", name);
    snprintf(limit->dtype, sizeof limit->dtype, "%s", dtype ? dtype : "");
    limit->threads = threads;
    limit->rate = rate;
    limits->n++;
}

static enum lac_status measure(struct measurement *m, const struct bench_crew *crew,
                               const struct bench_ceiling *ceiling, const struct kind *kind,
                               struct lac_error *error)
{
    struct bench_report *report = &m->report;
    double rates[BENCH_MOST_ROUNDS];
    size_t n = 0;
    bench_progress_start(&m->progress, ceiling->name);
    for (uint64_t begin = lac_clock_ns(); !enough(n, begin);)
        rates[n++] = ceiling->rate(ceiling->context);
    bench_progress_show(&m->progress, 1);
    if (bench_report_row(report, error) ||
        bench_report_text(report, "limit", ceiling->name, error) ||
        bench_report_text(report, "isa", kind->isa, error) ||
        bench_report_text(report, "dtype", kind->dtype, error) ||
        bench_report_text(report, "binding", crew->places, error) ||
        bench_report_text(report, "unit", kind->unit, error))
        return error->status;
    double median = bench_quantile(rates, n, 0.5);
    bench_report_number(report, "threads", (double)crew->size);
    bench_report_number(report, "size_kib", kind->size_kib);
    /* Rates, so the best is the largest. */
    bench_report_number(report, "median", median);
    bench_report_number(report, "best", bench_quantile(rates, n, 1));
    bench_report_number(report, "p5", bench_quantile(rates, n, 0.05));
    keep(&m->limits, ceiling->name, kind->dtype, crew->size, median);
    return LAC_OK;
}

static enum lac_status measure_roofs(struct measurement *m, const struct bench_crew *crew,
                                     struct lac_error *error)
{
    for (const struct bench_roof *const *roof = bench_roofs(); *roof; roof++) {
        struct bench_peak peak;
        struct bench_ceiling ceiling = bench_peak_ceiling(&peak, *roof, crew);
        struct kind kind = {(*roof)->isa, (*roof)->dtype, "GOPS", NAN};
        if (measure(m, crew, &ceiling, &kind, error))
            return error->status;
    }
    return LAC_OK;
}

/* An open stream; closes it. */
static enum lac_status measure_stream(struct measurement *m, const struct bench_crew *crew,
                                      struct bench_stream *stream, struct lac_error *error)
{
    struct bench_ceiling ceiling = bench_stream_ceiling(stream);
    struct kind kind = {stream->reader->isa, NULL, "GB/s", (double)stream->share / 1024};
    /* Once through, so that caches hold it. */
    ceiling.rate(ceiling.context);
    enum lac_status status = measure(m, crew, &ceiling, &kind, error);
    bench_stream_close(stream);
    return status;
}

static enum lac_status measure_levels(struct measurement *m, const struct bench_crew *crew,
                                      struct lac_error *error)
{
    struct level levels[N_CACHES];
    struct bench_stream stream;
    choose_caches(levels, m->most_bytes);
    for (size_t i = 0; i < N_CACHES; i++)
        if (bench_stream_open(&stream, levels[i].name, crew, levels[i].size, 0, error) ||
            measure_stream(m, crew, &stream, error))
            return error->status;
    if (bench_stream_open_memory(&stream, crew, m->most_bytes, error) ||
        measure_stream(m, crew, &stream, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status measure_crew(struct measurement *m, size_t n_threads,
                                    struct lac_error *error)
{
    struct bench_crew crew;
    enum lac_status status = LAC_OK;
    if (bench_crew_open(&crew, n_threads, BENCH_ALONE, error) || bench_crew_start(&crew, error) ||
        measure_roofs(m, &crew, error) || measure_levels(m, &crew, error))
        status = error->status;
    bench_crew_close(&crew);
    return status;
}

static enum lac_status measure_all(struct measurement *m, struct lac_error *error)
{
    size_t n_roofs = 0, n_cores = bench_settings.n_cores;
    while (bench_roofs()[n_roofs])
        n_roofs++;
    bench_progress_begin(&m->progress, (n_roofs + N_CACHES + 1) * (n_cores > 1 ? 2 : 1));
    enum lac_status status = measure_crew(m, 1, error);
    if (!status && n_cores > 1)
        status = measure_crew(m, n_cores, error);
    bench_progress_end(&m->progress);
    return status;
}

static enum lac_status remember(struct measurement *m, struct lac_error *error)
{
    char path[4096];
    if (no_cache)
        return LAC_OK;
    if (bench_limits_save(&m->limits, path, sizeof path, error))
        return error->status;
    bench_say("kept in %s", path);
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    static struct measurement m;
    size_t memory_mib;
    if (bench_read_count("memory", most_memory, 1, 1 << 20, &memory_mib, error))
        return error->status;
    m.most_bytes = memory_mib << 20;
    bench_report_open(&m.report, "limits", columns);
    enum lac_status status = LAC_OK;
    if (bench_report_context(&m.report, "each row says where", error) || measure_all(&m, error) ||
        remember(&m, error) || bench_report_finish(&m.report, error))
        status = error->status;
    bench_report_close(&m.report);
    return status;
}

static const struct bench_picture pictures[] = {
    {.kind = BENCH_PICTURE_ROOFLINE, .title = "Limits of one core", .series = {"limit"}},
    {0},
};

const struct bench_subject bench_limits = {
    .name = "limits",
    .summary = "what the machine can do at most: multiplying from registers, reading from caches "
               "and memory",
    .options = options,
    .pictures = pictures,
    .run = run,
};
