/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench crossover: measures every linear kernel for the planner's cache, and says from which
 * sparsity on each pattern beats the best dense kernel. */
#include <math.h>
#include <stdio.h>

#include "bench/bench.h"
#include "bench/known.h"
#include "src/run/plan_measure.h"

static const char *shape_text = "768x768,3072x768,768x3072", *token_text = "1,4,16,48,384",
                  *no_cache;

static const struct bench_option options[] = {
    {"shape", "LIST", "OUTPUTSxINPUTS or names of models [768x768,3072x768,768x3072]", &shape_text},
    {"tokens", "LIST", "tokens at once [1,4,16,48,384]", &token_text},
    {"no-cache", NULL, "do not keep the measurements for the planner", &no_cache},
    {0},
};

static const struct bench_column columns[] = {
    {"pattern", BENCH_TEXT},
    {"dtype", BENCH_TEXT},
    {"m", 0},
    {"k", 0},
    {"n", 0},
    {"crossover", 3},
    {"vs_dense_80", 2},
    {"vs_dense_90", 2},
    {"dense_us", 1},
    {"dense_kernel", BENCH_TEXT},
    {0},
};

/* A product of which only the share that is kept is open. */
struct question {
    const struct lac_plan_table *table;
    unsigned features;
    enum lac_dtype dtype;
    enum lac_pattern pattern;
    size_t n_out, n_in, n_tokens;
};

/* The fastest kernel, whichever way round it works; NULL when there is none. */
static const struct lac_kernel *fastest(const struct question *q, double kept, double *ns)
{
    size_t n_all = lac_pattern_blocks(q->pattern, q->dtype, q->n_out, q->n_in);
    struct lac_plan_load load =
        lac_plan_load(q->pattern, q->dtype, q->n_out, q->n_in, (size_t)(kept * (double)n_all));
    double token = INFINITY, output = INFINITY;
    const struct lac_plan_row *by_token =
        lac_plan_table_best(q->table, LAC_OP_LINEAR_TOKEN, &load, q->n_tokens, q->features, &token);
    const struct lac_plan_row *by_output = lac_plan_table_best(
        q->table, LAC_OP_LINEAR_OUTPUT, &load, q->n_tokens, q->features, &output);
    const struct lac_plan_row *best = output < token ? by_output : by_token;
    *ns = fmin(token, output);
    return best ? best->kernel : NULL;
}

/* The least sparsity with which the pattern is faster than dense; NaN when there is none.  Time
 * only grows with what is kept. */
static double crossover(const struct question *q, double dense_ns)
{
    double low = 0, high = 1, ns;
    fastest(q, 0, &ns);
    if (!(ns < dense_ns))
        return NAN;
    for (int i = 0; i < 20; i++) {
        double kept = (low + high) / 2;
        fastest(q, kept, &ns);
        *(ns < dense_ns ? &low : &high) = kept;
    }
    return 1 - low;
}

static enum lac_status add_row(struct bench_report *report, const struct question *q,
                               struct lac_error *error)
{
    struct question dense = *q;
    dense.pattern = LAC_PATTERN_DENSE;
    double dense_ns, ns;
    const struct lac_kernel *dense_kernel = fastest(&dense, 1, &dense_ns);
    if (!dense_kernel || !fastest(q, 0.1, &ns))
        return LAC_OK;
    if (bench_report_row(report, error) ||
        bench_report_text(report, "pattern", lac_pattern_name(q->pattern, q->dtype), error) ||
        bench_report_text(report, "dtype", lac_dtype_name(q->dtype), error) ||
        bench_report_text(report, "dense_kernel", dense_kernel->name, error))
        return error->status;
    bench_report_number(report, "m", (double)q->n_out);
    bench_report_number(report, "k", (double)q->n_in);
    bench_report_number(report, "n", (double)q->n_tokens);
    bench_report_number(report, "crossover", crossover(q, dense_ns));
    bench_report_number(report, "dense_us", dense_ns / 1e3);
    bench_report_number(report, "vs_dense_90", dense_ns / ns);
    fastest(q, 0.2, &ns);
    bench_report_number(report, "vs_dense_80", dense_ns / ns);
    return LAC_OK;
}

static enum lac_status add_rows(struct bench_report *report, const struct lac_plan_table *table,
                                const struct bench_shapes *shapes,
                                const struct bench_counts *tokens, struct lac_error *error)
{
    struct question q = {.table = table, .features = lac_cpu_features()};
    for (int d = LAC_S8; d < LAC_N_DTYPES; d++)
        for (int p = LAC_PATTERN_DENSE + 1; p < LAC_N_PATTERNS; p++)
            for (size_t s = 0; s < shapes->n; s++)
                for (size_t t = 0; t < tokens->n; t++) {
                    q.dtype = (enum lac_dtype)d;
                    q.pattern = (enum lac_pattern)p;
                    q.n_out = shapes->at[s].n_out;
                    q.n_in = shapes->at[s].n_in;
                    q.n_tokens = tokens->at[t];
                    if (add_row(report, &q, error))
                        return error->status;
                }
    return LAC_OK;
}

/* A measurement of a kernel is a comparison to the progress line. */
static void show(void *context, const char *kernel, double share)
{
    struct bench_progress *progress = context;
    bench_progress_start(progress, kernel);
    bench_progress_show(progress, share);
}

static enum lac_status measure(struct lac_plan_table **table, struct lac_error *error)
{
    /* A row of the table has so many times. */
    enum { TIMES_OF_KERNEL = 5 * LAC_PLAN_N_COUNTS };
    struct lac_topology *topology;
    if (lac_topology_new(&lac_default_host, &topology, error))
        return error->status;
    struct lac_plan_machine machine;
    lac_plan_machine_here(topology, &machine);
    lac_topology_free(topology);
    struct bench_progress line;
    struct lac_plan_progress progress = {show, &line};
    bench_progress_begin(&line, 1);
    enum lac_status status =
        lac_plan_measure(&lac_default_host, &machine, machine.features,
                         bench_settings.effort.seconds / TIMES_OF_KERNEL, &progress, table, error);
    bench_progress_end(&line);
    return status;
}

static enum lac_status keep(struct bench_report *report, const struct lac_plan_table *table,
                            struct lac_error *error)
{
    char path[4096];
    if (bench_cache_path("plan", path, sizeof path, error) ||
        lac_plan_table_write(table, path, error))
        return error->status;
    return bench_report_fact(report, error, "plan", "%zu kernels kept in %s", table->n_rows, path);
}

static enum lac_status report_table(const struct lac_plan_table *table, const char *cpus,
                                    const struct bench_shapes *shapes,
                                    const struct bench_counts *tokens, struct lac_error *error)
{
    struct bench_report report;
    bench_report_open(&report, "crossover", columns);
    enum lac_status status = bench_report_context(&report, cpus, error);
    if (!status && !no_cache)
        status = keep(&report, table, error);
    if (!status)
        status = add_rows(&report, table, shapes, tokens, error);
    if (!status)
        status = bench_report_finish(&report, error);
    bench_report_close(&report);
    return status;
}

static enum lac_status run(struct lac_error *error)
{
    struct bench_shapes shapes;
    struct bench_counts tokens;
    size_t cpu = bench_settings.cpu;
    char cpus[32];
    if (bench_read_shapes("shape", shape_text, 1 << 20, &shapes, error) ||
        bench_read_counts("tokens", token_text, 1, 1 << 20, &tokens, error) ||
        bench_pin(&cpu, error))
        return error->status;
    snprintf(cpus, sizeof cpus, "%zu", cpu);
    struct lac_plan_table *table;
    if (measure(&table, error))
        return error->status;
    enum lac_status status = report_table(table, cpus, &shapes, &tokens, error);
    lac_free(&lac_default_host, table);
    return status;
}

const struct bench_subject bench_crossover = {
    .name = "crossover",
    .summary = "from which sparsity on each pattern beats dense; the times that the planner uses",
    .options = options,
    .run = run,
};
