/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench attention: one head over a whole sequence, each kernel beside plain C. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/ceiling.h"
#include "bench/names.h"
#include "bench/sweep.h"
#include "simd/attention.h"
#include "src/base/arena.h"
#include "src/base/checked.h"

static struct {
    const char *length, *head_dim, *dtype, *isa;
} texts = {.length = "128,512", .head_dim = "64", .dtype = "int8,fp32", .isa = "best"};

static const struct bench_option options[] = {
    {"length", "LIST", "tokens of the sequence [128,512]", &texts.length},
    {"head-dim", "LIST", "features of the head [64]", &texts.head_dim},
    {"dtype", "LIST", "int8, as in networks of int8, and fp32 [int8,fp32]", &texts.dtype},
    {"isa", "LIST", "caps of the instruction set: avx2, avx512_vnni, ... [best]", &texts.isa},
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

static const char *const dtype_names[] = {"int8", "fp32", NULL};
static const enum lac_op ops[] = {LAC_OP_ATTENTION_S8, LAC_OP_ATTENTION};

static struct bench_counts lengths, head_dims;
static struct bench_choices dtypes, isas;

/* Queries, keys and values of one head, tile by tile; in int8 also pages of the keys. */
struct head {
    struct lac_arena arena;
    size_t length, dim, n_tiles;
    float **q, **y; /* [n_tiles][dim][lanes] */
    struct lac_kv_segment *segments;
    char *pages;
    void **page_at; /* [ceil(length / LAC_LANES)] */
};

struct entry {
    const struct lac_kernel *kernel, *pager; /* pager: of int8, else NULL */
    struct head *head;
    struct bench_peak peak;
};

struct comparison {
    struct bench_crew crew;
    struct head head;
    size_t n;
    struct entry entries[MOST_KERNELS]; /* plain C last */
    struct bench_contender contenders[MOST_KERNELS];
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
                                                    .k_ld = ld,
                                                    .v_ld = ld,
                                                    .v_step = 1,
                                                    .n_keys = n};
        failed = !head->q[i] || !head->y[i] || !head->segments[i].k || !head->segments[i].v;
    }
    size_t n_pages = lac_ceil_div(length, LAC_LANES), page = lac_kv_page_bytes(LAC_S8, dim);
    head->pages = lac_arena_alloc(&head->arena, n_pages, page);
    head->page_at = lac_arena_alloc(&head->arena, n_pages, sizeof *head->page_at);
    if (failed || !head->pages || !head->page_at)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu tokens", length);
    for (size_t i = 0; i < n_pages; i++)
        head->page_at[i] = head->pages + i * page;
    return LAC_OK;
}

static struct lac_attention_args args_of(const struct head *head, size_t tile)
{
    size_t n = tile_tokens(head, tile), ld = lac_round_up(n, LAC_LANES);
    return (struct lac_attention_args){
        .q = head->q[tile],
        .q_ld = ld,
        .n_lanes = ld,
        .lane_mask = (UINT64_C(1) << n) - 1,
        .head_dim = head->dim,
        .scale = 1 / sqrtf((float)head->dim),
        .segments = head->segments,
        .n_segments = head->n_tiles,
        .y = head->y[tile],
        .y_ld = ld,
    };
}

static void attend_f32(const struct entry *entry)
{
    for (size_t i = 0; i < entry->head->n_tiles; i++) {
        struct lac_attention_args args = args_of(entry->head, i);
        entry->kernel->run.attention(&args);
    }
}

/* Keys and values are quantised once, as for a head of a network. */
static void attend_s8(const struct entry *entry)
{
    const struct head *head = entry->head;
    struct lac_kv_pages_args pages = {head->segments, head->n_tiles, head->dim, head->page_at, 0};
    entry->pager->run.kv_pages(&pages);
    for (size_t i = 0; i < head->n_tiles; i++) {
        struct lac_attention_args f32 = args_of(head, i);
        struct lac_attention_s8_args args = {
            .q = f32.q,
            .q_ld = f32.q_ld,
            .n_lanes = f32.n_lanes,
            .lane_mask = f32.lane_mask,
            .head_dim = f32.head_dim,
            .scale = f32.scale,
            .pages = (const void *const *)head->page_at,
            .n_keys = head->length,
            .y = f32.y,
            .y_ld = f32.y_ld,
        };
        entry->kernel->run.attention_s8(&args);
    }
}

static void attend(void *context)
{
    const struct entry *entry = context;
    if (entry->pager)
        attend_s8(entry);
    else
        attend_f32(entry);
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

static enum lac_status report_entry(struct bench_report *report, struct comparison *c, size_t at,
                                    struct lac_error *error)
{
    const struct head *head = &c->head;
    struct entry *entry = &c->entries[at], *scalar = &c->entries[c->n - 1];
    const struct bench_contender *contender = &c->contenders[at];
    double ns = bench_times_of(contender).median_ns, most = error_of(entry, scalar, error);
    if (isnan(most) || bench_report_row(report, error) ||
        bench_report_text(report, "kernel", entry->kernel->name, error) ||
        bench_report_text(report, "isa", bench_kernel_isa(entry->kernel), error) ||
        bench_report_text(report, "dtype", dtype_names[!entry->pager], error) ||
        bench_report_text(report, "binding", c->crew.places, error) ||
        bench_report_roof(report, contender, error))
        return error->status;
    bench_report_number(report, "length", (double)head->length);
    bench_report_number(report, "head_dim", (double)head->dim);
    bench_report_number(report, "threads", 1);
    bench_report_times(report, contender, BENCH_US);
    bench_report_number(report, "nnz_gops", contender->load / ns);
    /* Queries, keys, values and results, each once. */
    bench_report_number(report, "gbps", 16.0 * (double)head->length * (double)head->dim / ns);
    bench_report_number(report, "vs_scalar", bench_speedup(contender, &c->contenders[c->n - 1]));
    bench_report_number(report, "max_err", most);
    return LAC_OK;
}

/* The kernels of all caps, and last plain C. */
static void add_kernels(struct comparison *c, enum lac_op op)
{
    int quantized = op == LAC_OP_ATTENTION_S8;
    double length = (double)c->head.length;
    for (size_t i = 0; i <= isas.n; i++) {
        unsigned features = i < isas.n ? bench_isa_features(isas.at[i]) : 0;
        struct entry *entry = &c->entries[c->n];
        *entry = (struct entry){
            .kernel = lac_kernel_find_dtype(op, quantized ? LAC_S8 : LAC_F32, features),
            .pager = quantized ? lac_kernel_find_dtype(LAC_OP_KV_PAGES, LAC_S8, features) : NULL,
            .head = &c->head,
        };
        const struct bench_roof *roof =
            bench_roof_find(bench_kernel_isa(entry->kernel), dtype_names[!quantized]);
        c->contenders[c->n++] = (struct bench_contender){
            .turn = turn,
            .context = entry,
            .ceiling = bench_peak_ceiling(&entry->peak, roof, &c->crew),
            /* Scores and sums: a product and an addition each, for every pair and feature. */
            .load = 4.0 * length * length * (double)c->head.dim,
            .most_rounds = i == isas.n ? 2 : 0,
        };
    }
}

/* The lists of the sweep. */
enum { HEAD_DIMS, LENGTHS, DTYPES };

static void name_comparison(const size_t at[BENCH_MOST_LISTS], char *text, size_t size)
{
    snprintf(text, size, "%zu tokens, %zu features, %s", lengths.at[at[LENGTHS]],
             head_dims.at[at[HEAD_DIMS]], dtype_names[dtypes.at[at[DTYPES]]]);
}

static enum lac_status compare(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    struct comparison *c = comparison;
    if (bench_crew_open(&c->crew, 1, BENCH_ALONE, error) ||
        open_head(&c->head, lengths.at[at[LENGTHS]], head_dims.at[at[HEAD_DIMS]], error))
        return error->status;
    add_kernels(c, ops[dtypes.at[at[DTYPES]]]);
    if (bench_measure(c->contenders, c->n, &bench_settings.effort, &record->progress, error))
        return error->status;
    for (size_t i = 0; i < c->n; i++)
        if (report_entry(&record->report, c, i, error))
            return error->status;
    return LAC_OK;
}

static void close_comparison(void *comparison)
{
    struct comparison *c = comparison;
    bench_contenders_clear(c->contenders, c->n);
    if (c->head.arena.host)
        lac_arena_clear(&c->head.arena);
    bench_crew_close(&c->crew);
}

static enum lac_status run(struct lac_error *error)
{
    if (bench_read_counts("length", texts.length, 1, MOST_LENGTH, &lengths, error) ||
        bench_read_counts("head-dim", texts.head_dim, 1, LAC_MAX_HEAD_DIM, &head_dims, error) ||
        bench_read_choices("dtype", texts.dtype, dtype_names, &dtypes, error) ||
        bench_read_isas(texts.isa, &isas, error))
        return error->status;
    if (isas.n >= MOST_KERNELS)
        return lac_fail(error, LAC_E_ARGUMENT, "--isa: more than %d names", (int)MOST_KERNELS - 1);
    const struct bench_sweep sweep = {
        .columns = columns,
        .binding = "each row says where",
        .n_values = {head_dims.n, lengths.n, dtypes.n},
        .comparison_bytes = sizeof(struct comparison),
        .name = name_comparison,
        .compare = compare,
        .close = close_comparison,
    };
    return bench_sweep_run(&sweep, error);
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
