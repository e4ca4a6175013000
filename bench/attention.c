/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench attention: one head over a whole sequence, each kernel beside plain C. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/ceiling.h"
#include "bench/names.h"
#include "simd/kernel.h"
#include "src/base/arena.h"
#include "src/base/checked.h"

static struct {
    const char *length, *head_dim, *isa;
} texts = {.length = "128,512", .head_dim = "64", .isa = "best"};

static const struct bench_option options[] = {
    {"length", "LIST", "tokens of the sequence [128,512]", &texts.length},
    {"head-dim", "LIST", "features of the head [64]", &texts.head_dim},
    {"isa", "LIST", "of scalar, avx2, avx512, avx512_vnni, amx_int8 and best [best]", &texts.isa},
    {0},
};

static const struct bench_column columns[] = {
    {"kernel", BENCH_TEXT},  {"isa", BENCH_TEXT},   {"dtype", BENCH_TEXT},
    {"length", 0},           {"head_dim", 0},       {"threads", 0},
    {"binding", BENCH_TEXT}, {"time_us_median", 1}, {"time_us_min", 1},
    {"time_us_p95", 1},      {"nnz_gops", 1},       {"gbps", 2},
    {"roof", BENCH_TEXT},    {"roof_rate", 1},      {"roof_share", 3},
    {"vs_scalar", 2},        {"max_err", 2},        {0},
};

enum { MOST_KERNELS = 16, MOST_LENGTH = 8192 };

struct sweep {
    struct bench_counts lengths, head_dims;
    struct bench_choices isas;
    struct bench_report report;
    struct bench_progress progress;
};

/* Queries, keys and values of one head, tile by tile. */
struct head {
    struct lac_arena arena;
    size_t length, dim, n_tiles;
    float **q, **y; /* [n_tiles][dim][lanes] */
    struct lac_kv_segment *segments;
};

struct entry {
    const struct lac_kernel *kernel;
    struct head *head;
    struct bench_peak peak;
};

static size_t tile_tokens(const struct head *head, size_t tile)
{
    return lac_min_size(LAC_TILE, head->length - tile * LAC_TILE);
}

static float *random_panel(struct head *head, size_t ld, uint64_t *random)
{
    float *panel = lac_arena_alloc(&head->arena, head->dim * ld, sizeof *panel);
    for (size_t i = 0; panel && i < head->dim * ld; i++)
        panel[i] = bench_random_float(random);
    return panel;
}

static enum lac_status open_head(struct head *head, size_t length, size_t dim,
                                 struct lac_error *error)
{
    uint64_t random = bench_settings.seed;
    *head = (struct head){.arena = {.host = &lac_default_host},
                          .length = length,
                          .dim = dim,
                          .n_tiles = lac_ceil_div(length, LAC_TILE)};
    head->q = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->q);
    head->y = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->y);
    head->segments = lac_arena_alloc(&head->arena, head->n_tiles, sizeof *head->segments);
    int failed = !head->q || !head->y || !head->segments;
    for (size_t i = 0; !failed && i < head->n_tiles; i++) {
        size_t n = tile_tokens(head, i), ld = lac_round_up(n, LAC_LANES);
        head->q[i] = random_panel(head, ld, &random);
        head->y[i] = random_panel(head, ld, &random);
        head->segments[i] = (struct lac_kv_segment){.k = random_panel(head, ld, &random),
                                                    .v = random_panel(head, ld, &random),
                                                    .ld = ld,
                                                    .n_keys = n};
        failed = !head->q[i] || !head->y[i] || !head->segments[i].k || !head->segments[i].v;
    }
    return failed ? lac_fail(error, LAC_E_MEMORY, "no memory for %zu tokens", length) : LAC_OK;
}

static void attend(void *context)
{
    const struct entry *entry = context;
    struct head *head = entry->head;
    for (size_t i = 0; i < head->n_tiles; i++) {
        size_t n = tile_tokens(head, i), ld = lac_round_up(n, LAC_LANES);
        struct lac_attention_args args = {
            .q = head->q[i],
            .q_ld = ld,
            .n_lanes = ld,
            .lane_mask = (UINT64_C(1) << n) - 1,
            .head_dim = head->dim,
            .scale = 1 / sqrtf((float)head->dim),
            .segments = head->segments,
            .n_segments = head->n_tiles,
            .y = head->y[i],
            .y_ld = ld,
        };
        entry->kernel->run.attention(&args);
    }
}

static int turn(void *context, size_t n, uint64_t *ns)
{
    for (size_t i = 0; i < n; i++)
        ns[i] = bench_time_alone(attend, context);
    return 0;
}

/* Largest difference of what an entry writes from what another does. */
static double error_of(struct entry *entry, struct entry *definition, struct lac_error *error)
{
    struct head *head = entry->head;
    size_t size = head->length * head->dim, at = 0;
    float *expected = lac_arena_alloc(&head->arena, size, sizeof *expected);
    double most = 0;
    if (!expected) {
        lac_fail(error, LAC_E_MEMORY, "no memory for %zu results", size);
        return NAN;
    }
    for (int pass = 0; pass < 2; pass++, at = 0) {
        attend(pass ? entry : definition);
        for (size_t i = 0; i < head->n_tiles; i++) {
            size_t n = tile_tokens(head, i), ld = lac_round_up(n, LAC_LANES);
            for (size_t d = 0; d < head->dim; d++)
                for (size_t t = 0; t < n; t++, at++) {
                    if (!pass)
                        expected[at] = head->y[i][d * ld + t];
                    else
                        most = fmax(most, fabs((double)(head->y[i][d * ld + t] - expected[at])));
                }
        }
    }
    return most;
}

static enum lac_status report_entry(struct bench_report *report, const struct bench_crew *crew,
                                    struct entry *entry, struct entry *scalar,
                                    const struct bench_contender *contender,
                                    const struct bench_contender *of_scalar,
                                    struct lac_error *error)
{
    const struct head *head = entry->head;
    struct bench_times times = bench_times_of(contender);
    double most = error_of(entry, scalar, error);
    if (isnan(most) || bench_report_row(report, error) ||
        bench_report_text(report, "kernel", entry->kernel->name, error) ||
        bench_report_text(report, "isa", bench_kernel_isa(entry->kernel), error) ||
        bench_report_text(report, "dtype", "fp32", error) ||
        bench_report_text(report, "binding", crew->places, error) ||
        bench_report_text(report, "roof", contender->ceiling.name, error))
        return error->status;
    bench_report_number(report, "length", (double)head->length);
    bench_report_number(report, "head_dim", (double)head->dim);
    bench_report_number(report, "threads", 1);
    bench_report_number(report, "time_us_median", times.median_ns / 1e3);
    bench_report_number(report, "time_us_min", times.min_ns / 1e3);
    bench_report_number(report, "time_us_p95", times.p95_ns / 1e3);
    bench_report_number(report, "nnz_gops", contender->load / times.median_ns);
    /* Queries, keys, values and results, each once. */
    bench_report_number(report, "gbps",
                        16.0 * (double)head->length * (double)head->dim / times.median_ns);
    bench_report_number(report, "roof_rate", bench_roof_of(contender));
    bench_report_number(report, "roof_share", bench_roof_share(contender));
    bench_report_number(report, "vs_scalar", bench_speedup(contender, of_scalar));
    bench_report_number(report, "max_err", most);
    return LAC_OK;
}

/* The kernels of all caps, plain C last. */
static size_t collect(const struct sweep *sweep, struct head *head, const struct bench_crew *crew,
                      struct entry *entries, struct bench_contender *contenders)
{
    size_t n = 0;
    for (size_t i = 0; i <= sweep->isas.n && n < MOST_KERNELS; i++) {
        unsigned features = i < sweep->isas.n ? bench_isa_features(sweep->isas.at[i]) : 0;
        const struct lac_kernel *kernel = lac_kernel_find(LAC_OP_ATTENTION, features);
        struct entry *entry = &entries[n];
        *entry = (struct entry){.kernel = kernel, .head = head};
        contenders[n++] = (struct bench_contender){
            .turn = turn,
            .context = entry,
            .ceiling = bench_peak_ceiling(&entry->peak,
                                          bench_roof_find(bench_kernel_isa(kernel), "fp32"), crew),
            /* Scores and sums: a product and an addition each, for every pair and feature. */
            .load = 4.0 * (double)head->length * (double)head->length * (double)head->dim,
            .most_rounds = i == sweep->isas.n ? 2 : 0,
        };
    }
    return n;
}

static enum lac_status compare(struct sweep *sweep, size_t length, size_t dim,
                               struct lac_error *error)
{
    struct head head;
    struct bench_crew crew;
    struct entry entries[MOST_KERNELS];
    struct bench_contender contenders[MOST_KERNELS] = {{0}};
    size_t n = 0;
    enum lac_status status = LAC_OK;
    if (bench_crew_open(&crew, 1, BENCH_ALONE, error) || open_head(&head, length, dim, error))
        return error->status;
    n = collect(sweep, &head, &crew, entries, contenders);
    status = bench_measure(contenders, n, &bench_settings.effort, &sweep->progress, error);
    for (size_t i = 0; !status && i < n; i++)
        status = report_entry(&sweep->report, &crew, &entries[i], &entries[n - 1], &contenders[i],
                              &contenders[n - 1], error);
    bench_contenders_clear(contenders, n);
    lac_arena_clear(&head.arena);
    bench_crew_close(&crew);
    return status;
}

static enum lac_status run_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    bench_progress_begin(&sweep->progress, sweep->lengths.n * sweep->head_dims.n);
    for (size_t d = 0; d < sweep->head_dims.n; d++)
        for (size_t l = 0; !status && l < sweep->lengths.n; l++) {
            bench_progress_start(&sweep->progress, "attention");
            status = compare(sweep, sweep->lengths.at[l], sweep->head_dims.at[d], error);
        }
    bench_progress_end(&sweep->progress);
    return status;
}

static enum lac_status run(struct lac_error *error)
{
    static struct sweep sweep;
    if (bench_read_counts("length", texts.length, 1, MOST_LENGTH, &sweep.lengths, error) ||
        bench_read_counts("head-dim", texts.head_dim, 1, LAC_MAX_HEAD_DIM, &sweep.head_dims,
                          error) ||
        bench_read_choices("isa", texts.isa, bench_isa_names, &sweep.isas, error))
        return error->status;
    if (sweep.isas.n >= MOST_KERNELS)
        return lac_fail(error, LAC_E_ARGUMENT, "--isa: more than %d names", (int)MOST_KERNELS - 1);
    bench_report_open(&sweep.report, "attention", columns);
    enum lac_status status = LAC_OK;
    if (bench_report_context(&sweep.report, "each row says where", error) ||
        run_sweep(&sweep, error) || bench_report_finish(&sweep.report, error))
        status = error->status;
    bench_report_close(&sweep.report);
    return status;
}

static const struct bench_picture pictures[] = {
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Attention of one head",
        .x = "length",
        .y = "nnz_gops",
        .x_title = "tokens",
        .y_title = "10^9 operations a second",
        .log_x = 1,
        .series = {"kernel", "head_dim"},
    },
    {0},
};

const struct bench_subject bench_attention = {
    .name = "attention",
    .summary = "one head of attention over a whole sequence",
    .options = options,
    .pictures = pictures,
    .run = run,
};
