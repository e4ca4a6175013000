/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench crossover: measures every linear kernel for the planner's cache, and says from which
 * sparsity on each pattern beats the best dense kernel. */
#include <math.h>
#include <stdio.h>

#include "bench/bench.h"
#include "bench/known.h"
#include "bench/names.h"
#include "src/run/plan_measure.h"

static struct {
    const char *pattern, *dtype, *shape, *tokens, *no_cache;
} texts = {.shape = "bert-base", .tokens = "1,4,16,48,384"};

static const struct bench_option options[] = {
    {"pattern", "LIST", "32x4, 16x4, ..., bitmap, named as for int8 [all]", &texts.pattern},
    {"dtype", "LIST", "int8, fp32, ... [all]", &texts.dtype},
    {"shape", "LIST", "OUTPUTSxINPUTS, or models: bert-base, llama-7b, ... [those of bert-base]",
     &texts.shape},
    {"tokens", "LIST", "tokens at once [1,4,16,48,384]", &texts.tokens},
    {"no-cache", NULL, "do not keep the measurements for the planner", &texts.no_cache},
    {0},
};

static struct bench_choices patterns, dtypes;
static struct bench_shapes shapes;
static struct bench_counts tokens;

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
                                enum lac_dtype dtype, enum lac_pattern pattern,
                                struct lac_error *error)
{
    for (size_t s = 0; s < shapes.n; s++)
        for (size_t t = 0; t < tokens.n; t++) {
            const struct question q = {
                .table = table,
                .features = lac_cpu_features(),
                .dtype = dtype,
                .pattern = pattern,
                .n_out = shapes.at[s].n_out,
                .n_in = shapes.at[s].n_in,
                .n_tokens = tokens.at[t],
            };
            if (add_row(report, &q, error))
                return error->status;
        }
    return LAC_OK;
}

/* Patterns that are no layout of their own are pruned otherwise, and cost what their layout does.
 */
static enum lac_status add_all_rows(struct bench_report *report, const struct lac_plan_table *table,
                                    struct lac_error *error)
{
    for (size_t d = 0; d < dtypes.n; d++)
        for (size_t p = 0; p < patterns.n; p++)
            if (patterns.at[p] != LAC_PATTERN_DENSE && patterns.at[p] < LAC_N_PATTERNS &&
                add_rows(report, table, bench_dtype_at(dtypes.at[d]),
                         (enum lac_pattern)patterns.at[p], error))
                return error->status;
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
    bench_say("kept in %s", path);
    return bench_report_fact(report, error, "plan", "%zu kernels kept for the planner",
                             table->n_rows);
}

static enum lac_status report_table(const struct lac_plan_table *table, const char *cpus,
                                    struct lac_error *error)
{
    struct bench_report report;
    bench_report_open(&report, "crossover", columns);
    enum lac_status status = bench_report_context(&report, cpus, error);
    if (!status && !texts.no_cache)
        status = keep(&report, table, error);
    if (!status)
        status = add_all_rows(&report, table, error);
    if (!status)
        status = bench_report_finish(&report, error);
    bench_report_close(&report);
    return status;
}

static enum lac_status read_lists(struct lac_error *error)
{
    if (bench_read_choices("pattern", texts.pattern, bench_pattern_names(), &patterns, error) ||
        bench_read_choices("dtype", texts.dtype, bench_dtype_names(), &dtypes, error) ||
        bench_read_shapes("shape", texts.shape, 1 << 20, &shapes, error) ||
        bench_read_counts("tokens", texts.tokens, 1, 1 << 20, &tokens, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    size_t cpu = bench_settings.cpu;
    char cpus[32];
    struct lac_plan_table *table;
    if (read_lists(error) || bench_pin(&cpu, error) || measure(&table, error))
        return error->status;
    snprintf(cpus, sizeof cpus, "%zu", cpu);
    enum lac_status status = report_table(table, cpus, error);
    lac_free(&lac_default_host, table);
    return status;
}

static const struct bench_picture pictures[] = {
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Sparsity from which on a pattern beats dense (medians over shapes)",
        .x = "n",
        .y = "crossover",
        .x_title = "tokens",
        .y_title = "sparsity",
        .log_x = 1,
        .series = {"pattern", "dtype"},
    },
    {0},
};

const struct bench_subject bench_crossover = {
    .name = "crossover",
    .summary = "from which sparsity on each pattern beats dense; the times that the planner uses",
    .options = options,
    .pictures = pictures,
    .run = run,
};
