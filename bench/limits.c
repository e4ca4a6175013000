/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench limits: the roof that one core of this machine puts over everything. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/roof.h"
#include "src/base/checked.h"
#include "src/base/host.h"
#include "src/sys/clock.h"
#include "src/sys/topology.h"

static const char *most_memory = "1024";

static const struct bench_option options[] = {
    {"memory", "MIB", "memory to read at most, for caches larger than that [1024]", &most_memory},
    {0},
};

static const struct bench_column columns[] = {
    {"limit", BENCH_TEXT}, {"isa", BENCH_TEXT}, {"size_kib", 0}, {"unit", BENCH_TEXT},
    {"median", 1},         {"best", 1},         {"p5", 1},       {0},
};

/* A place that is read from. */
struct level {
    const char *name;
    size_t size;
};

enum { N_LEVELS = 4, READ_UNIT = 4096 };

static size_t cut(size_t size, size_t most)
{
    size = lac_min_size(size, most);
    return lac_max_size(size - size % READ_UNIT, READ_UNIT);
}

/* Half a cache, so that nothing else pushes it out; L3 well above L2 and inside a core's share;
 * memory three times all caches. */
static enum lac_status choose_levels(struct level *levels, size_t most, struct lac_error *error)
{
    struct lac_topology *topology;
    if (lac_topology_new(&lac_default_host, &topology, error))
        return error->status;
    long l1 = sysconf(_SC_LEVEL1_DCACHE_SIZE), all_l3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t l2 = lac_topology_l2_bytes(topology), l3 = lac_topology_l3_bytes(topology);
    lac_topology_free(topology);
    l2 = l2 ? l2 : 1 << 20;
    l3 = l3 ? l3 : 4 * l2;
    size_t whole_l3 = all_l3 > 0 ? (size_t)all_l3 : l3;
    levels[0] = (struct level){"read L1", cut(l1 > 0 ? (size_t)l1 / 2 : 16384, most)};
    levels[1] = (struct level){"read L2", cut(l2 / 2, most)};
    levels[2] = (struct level){"read L3", cut(lac_min_size(8 * l2, l3 / 2), most)};
    levels[3] = (struct level){"read memory", cut(3 * whole_l3, most)};
    return LAC_OK;
}

/* Fills and sorts the samples' report columns: rates, so the best is the largest. */
static void report_samples(struct bench_report *report, double *rates, size_t n)
{
    bench_report_number(report, "median", bench_quantile(rates, n, 0.5));
    bench_report_number(report, "best", bench_quantile(rates, n, 1));
    bench_report_number(report, "p5", bench_quantile(rates, n, 0.05));
}

static int enough(size_t n, uint64_t begin)
{
    const struct bench_effort *effort = &bench_settings.effort;
    return n == BENCH_MOST_ROUNDS ||
           (n >= effort->min_rounds && (double)(lac_clock_ns() - begin) >= effort->seconds * 1e9);
}

static enum lac_status measure_roof(struct bench_report *report, const struct bench_roof *roof,
                                    struct lac_error *error)
{
    double rates[BENCH_MOST_ROUNDS];
    size_t n = 0;
    for (uint64_t begin = lac_clock_ns(); !enough(n, begin);)
        rates[n++] = bench_roof_gops(roof);
    if (bench_report_row(report, error) ||
        bench_report_text(report, "limit", roof->instruction, error) ||
        bench_report_text(report, "isa", roof->isa, error) ||
        bench_report_text(report, "unit", "GOPS", error))
        return error->status;
    report_samples(report, rates, n);
    return LAC_OK;
}

static enum lac_status measure_level(struct bench_report *report, const struct level *level,
                                     struct lac_error *error)
{
    const struct bench_reader *reader = bench_reader_best();
    double rates[BENCH_MOST_ROUNDS];
    size_t n = 0;
    /* At least a megabyte a sample, so that the clock's own time does not count. */
    size_t passes = lac_max_size((1 << 20) / level->size, 1);
    char *memory = lac_alloc(&lac_default_host, level->size, 1);
    if (!memory)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu bytes to read", level->size);
    /* Written with ones: pages never written would all be the one page of zeros. */
    memset(memory, 1, level->size);
    reader->read(memory, level->size);
    for (uint64_t begin = lac_clock_ns(); !enough(n, begin);) {
        uint64_t start = bench_thread_ns();
        for (size_t i = 0; i < passes; i++)
            reader->read(memory, level->size);
        rates[n++] = (double)(passes * level->size) / (double)(bench_thread_ns() - start);
    }
    lac_free(&lac_default_host, memory);
    if (bench_report_row(report, error) || bench_report_text(report, "limit", level->name, error) ||
        bench_report_text(report, "isa", reader->isa, error) ||
        bench_report_text(report, "unit", "GB/s", error))
        return error->status;
    bench_report_number(report, "size_kib", (double)level->size / 1024);
    report_samples(report, rates, n);
    return LAC_OK;
}

static enum lac_status measure(struct bench_report *report, const struct level *levels,
                               struct lac_error *error)
{
    const struct bench_roof *const *roofs = bench_roofs();
    size_t n_roofs = 0;
    while (roofs[n_roofs])
        n_roofs++;
    struct bench_progress progress;
    bench_progress_begin(&progress, n_roofs + N_LEVELS);
    enum lac_status status = LAC_OK;
    for (size_t i = 0; !status && i < n_roofs; i++) {
        bench_progress_start(&progress, roofs[i]->instruction);
        status = measure_roof(report, roofs[i], error);
        bench_progress_show(&progress, 1);
    }
    for (size_t i = 0; !status && i < N_LEVELS; i++) {
        bench_progress_start(&progress, levels[i].name);
        status = measure_level(report, &levels[i], error);
        bench_progress_show(&progress, 1);
    }
    bench_progress_end(&progress);
    return status;
}

static enum lac_status run(struct lac_error *error)
{
    size_t memory_mib, cpu = bench_settings.cpu;
    struct level levels[N_LEVELS];
    /* The levels come first: once pinned, the caches seem to be all ours. */
    if (bench_read_count("memory", most_memory, 1, 1 << 20, &memory_mib, error) ||
        choose_levels(levels, memory_mib << 20, error))
        return error->status;
    struct bench_report report;
    bench_report_open(&report, "limits", columns);
    char cpus[24];
    enum lac_status status = LAC_OK;
    if (bench_pin(&cpu, error) || snprintf(cpus, sizeof cpus, "%zu", cpu) < 0 ||
        bench_report_context(&report, cpus, error) || measure(&report, levels, error) ||
        bench_report_finish(&report, error))
        status = error->status;
    bench_report_close(&report);
    return status;
}

const struct bench_subject bench_limits = {
    .name = "limits",
    .summary = "the roof of one core: multiplications from registers, reads from caches and memory",
    .options = options,
    .run = run,
};
