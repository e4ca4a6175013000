/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna-bench encode: whole encoders with random pruned weights beside their dense twins.
 *
 * A comparison is one size of model, number of threads and choice of lengths: all its models take
 * turns on the same batch. */
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "bench/bench.h"
#include "bench/encoder.h"
#include "bench/scratch.h"
#include "sparse/layout.h"
#include "src/base/host.h"
#include "src/sys/clock.h"

static struct {
    const char *model, *pattern, *sparsity, *dtype, *threads, *sequences, *length, *max_length,
        *layout, *isa;
} texts = {
    .model = "bert-base",
    .pattern = "4x4",
    .sparsity = "0.8",
    .dtype = "int8",
    .threads = "1",
    .sequences = "32",
    .length = "mixed",
    .max_length = "128",
    .layout = "planned",
};

static const struct bench_option options[] = {
    {"model", "LIST", "of bert-mini, wordnet, distilbert, bert-base, bert-large [bert-base]",
     &texts.model},
    {"pattern", "LIST", "of dense, 16x4, 8x4, 4x4 and 1x4, named as for int8 [4x4]",
     &texts.pattern},
    {"sparsity", "LIST", "share of blocks that are zero [0.8]", &texts.sparsity},
    {"dtype", "LIST", "of int8 and fp32, for the pruned models [int8]", &texts.dtype},
    {"threads", "LIST", "worker threads [1]", &texts.threads},
    {"sequences", "N", "sequences in a batch [32]", &texts.sequences},
    {"length", "LIST", "tokens of each sequence, or mixed [mixed]", &texts.length},
    {"max-length", "N", "longest of mixed lengths, the shortest is 4 [128]", &texts.max_length},
    {"layout", "WHICH", "planned, or pruned: always that of the pattern [planned]", &texts.layout},
    {"isa", "NAME", "cap of the instruction set [none]", &texts.isa},
    {0},
};

static const struct bench_column columns[] = {
    {"model", BENCH_TEXT},  {"pattern", BENCH_TEXT},
    {"layout", BENCH_TEXT}, {"dtype", BENCH_TEXT},
    {"isa", BENCH_TEXT},    {"sparsity", 2},
    {"sparsity_real", 3},   {"threads", 0},
    {"sequences", 0},       {"length", BENCH_TEXT},
    {"tokens", 0},          {"time_ms_median", 2},
    {"time_ms_min", 2},     {"time_ms_p95", 2},
    {"tokens_per_s", 0},    {"sequences_per_s", 1},
    {"nnz_gops", 1},        {"dense_gops", 1},
    {"stored_mib", 1},      {"vs_dense_int8", 2},
    {"vs_dense_fp32", 2},   {0},
};

static const char *const pattern_names[] = {"dense", "1x4", "4x4", "8x4", "16x4", NULL};
static const char *const dtype_names[] = {"int8", "fp32", NULL};
static const enum lac_dtype dtypes[] = {LAC_S8, LAC_F32};
static const char *const layout_names[] = {"planned", "pruned", NULL};

enum { MIXED = 0, SHORTEST = 4, MOST_SEQUENCES = 4096, MOST_MODELS = 64, MOST_NAMES = 16 };

struct sweep {
    struct bench_choices models, patterns, dtypes, layouts;
    struct bench_reals sparsities;
    struct bench_counts threads, lengths; /* a length of MIXED is random ones */
    size_t n_sequences, max_length;
    cpu_set_t allowed; /* before anything was pinned */
    struct bench_report report;
    struct bench_progress progress;
};

/* One model of a comparison; the first is dense int8, the second dense fp32. */
struct entry {
    struct bench_pruning pruning; /* pattern dense: a dense twin */
    struct lac_model *model;
    struct lac_session *session;
    const struct comparison *comparison;
};

enum { DENSE_INT8, DENSE_FP32, N_DENSE };

struct comparison {
    struct sweep *sweep;
    const struct bench_encoder *encoder;
    size_t n_threads, length;
    struct lac_engine *engine;
    size_t n_entries;
    struct entry entries[MOST_MODELS];
    struct bench_contender contenders[MOST_MODELS];
    size_t n_tokens;
    size_t lengths[MOST_SEQUENCES];
    int32_t *ids; /* of all sequences, one after another */
};

/* ---- The batch ---- */

static enum lac_status make_batch(struct comparison *c, struct lac_error *error)
{
    uint64_t random = bench_settings.seed;
    const struct sweep *sweep = c->sweep;
    c->n_tokens = 0;
    for (size_t i = 0; i < sweep->n_sequences; i++) {
        c->lengths[i] =
            c->length == MIXED
                ? SHORTEST + bench_random_below(&random, sweep->max_length - SHORTEST + 1)
                : c->length;
        c->n_tokens += c->lengths[i];
    }
    c->ids = lac_alloc(&lac_default_host, c->n_tokens, sizeof *c->ids);
    if (!c->ids)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu tokens", c->n_tokens);
    for (size_t i = 0; i < c->n_tokens; i++)
        c->ids[i] = (int32_t)bench_random_below(&random, c->encoder->vocab);
    return LAC_OK;
}

/* All that an application does with a batch of ids, from an empty session to results. */
static enum lac_status encode(const struct comparison *c, struct lac_session *session)
{
    const int32_t *ids = c->ids;
    lac_session_clear(session);
    for (size_t i = 0; i < c->sweep->n_sequences; i++) {
        enum lac_status status = lac_session_add_ids(session, ids, NULL, c->lengths[i], NULL);
        if (status)
            return status;
        ids += c->lengths[i];
    }
    return lac_session_run(session);
}

/* A run and whether any failed. */
struct execution {
    const struct entry *entry;
    int failed;
};

static void execute(void *context)
{
    struct execution *e = context;
    e->failed |= encode(e->entry->comparison, e->entry->session) != LAC_OK;
}

static int turn(void *context, size_t n, uint64_t *ns)
{
    struct execution execution = {.entry = context};
    for (size_t i = 0; i < n; i++) {
        uint64_t begin = lac_clock_ns();
        if (execution.entry->comparison->n_threads == 1) {
            ns[i] = bench_time_alone(execute, &execution);
        } else {
            execute(&execution);
            ns[i] = lac_clock_ns() - begin;
        }
    }
    return execution.failed;
}

/* ---- Models ---- */

static enum lac_status engine_failure(struct lac_engine *engine, enum lac_status status,
                                      struct lac_error *error)
{
    char text[LAC_ERROR_TEXT_SIZE];
    return lac_fail(error, status, "%s", lac_engine_message(engine, text, sizeof text));
}

static enum lac_status open_entry(struct comparison *c, const char *directory,
                                  struct bench_pruning pruning, struct lac_error *error)
{
    int as_planned = !c->sweep->layouts.at[0];
    struct entry *entry = &c->entries[c->n_entries];
    struct lac_model_options *model_options;
    struct lac_session_options *session_options = NULL;
    enum lac_status status = lac_model_options_new(&model_options);
    if (status)
        return lac_fail(error, status, "no memory for options");
    *entry = (struct entry){.pruning = pruning, .comparison = c};
    c->contenders[c->n_entries++] = (struct bench_contender){.turn = turn, .context = entry};
    lac_model_options_set_dtype(model_options, pruning.dtype);
    if (pruning.pattern == LAC_PATTERN_DENSE || !as_planned)
        lac_model_options_set_pattern(model_options, pruning.pattern);
    status = lac_model_open(c->engine, directory, model_options, &entry->model);
    lac_model_options_free(model_options);
    if (status)
        return engine_failure(c->engine, status, error);
    status = lac_session_options_new(&session_options);
    if (status)
        return lac_fail(error, status, "no memory for options");
    lac_session_options_set_task(session_options, LAC_TASK_EMBED);
    status = lac_session_new(entry->model, session_options, &entry->session);
    lac_session_options_free(session_options);
    if (status)
        return engine_failure(c->engine, status, error);
    if (encode(c, entry->session))
        return lac_fail(error, LAC_E_STATE, "%s", lac_session_message(entry->session));
    return LAC_OK;
}

/* Opens a synthetic model; the first comes with its dense twins, which are all there is to a dense
 * one: zeros cost a dense layer as much as anything. */
static enum lac_status add_model(struct comparison *c, struct bench_pruning pruning,
                                 struct lac_error *error)
{
    const char *directory;
    if (bench_scratch_open(&directory, error))
        return error->status;
    enum lac_status status =
        bench_encoder_write(c->encoder, &pruning, bench_settings.seed, directory, error);
    if (!status && !c->n_entries) {
        struct bench_pruning dense = {.pattern = LAC_PATTERN_DENSE, .dtype = LAC_S8};
        status = open_entry(c, directory, dense, error);
        dense.dtype = LAC_F32;
        if (!status)
            status = open_entry(c, directory, dense, error);
    }
    if (!status && pruning.pattern != LAC_PATTERN_DENSE)
        status = open_entry(c, directory, pruning, error);
    bench_scratch_close();
    return status;
}

static enum lac_status add_models(struct comparison *c, struct lac_error *error)
{
    const struct sweep *sweep = c->sweep;
    for (size_t d = 0; d < sweep->dtypes.n; d++)
        for (size_t p = 0; p < sweep->patterns.n; p++)
            for (size_t s = 0; s < sweep->sparsities.n; s++) {
                /* pattern_names are in the order of the enum. */
                struct bench_pruning pruning = {
                    .pattern = (enum lac_pattern)sweep->patterns.at[p],
                    .dtype = dtypes[sweep->dtypes.at[d]],
                    .sparsity = sweep->sparsities.at[s],
                };
                if (pruning.pattern == LAC_PATTERN_DENSE && c->n_entries)
                    continue;
                if (c->n_entries + N_DENSE >= MOST_MODELS)
                    return lac_fail(error, LAC_E_ARGUMENT, "more than %d models at once",
                                    (int)MOST_MODELS);
                if (add_model(c, pruning, error))
                    return error->status;
            }
    return LAC_OK;
}

/* ---- Rows ---- */

/* The layouts of the weights and how many have each ("4x4:70 dense:2"), their zeros and bytes. */
struct summary {
    char layout[128];
    double zeros, elements, bytes;
};

static struct summary summarise(const struct lac_model *model)
{
    struct summary s = {.layout = ""};
    const char *names[LAC_N_PATTERNS] = {NULL};
    size_t counts[LAC_N_PATTERNS] = {0};
    for (size_t i = 0; i < lac_model_weights(model); i++) {
        struct lac_weight_info info;
        if (lac_model_weight_info(model, i, &info))
            continue;
        double n = (double)info.n_out * (double)info.n_in;
        s.zeros += info.zeros * n;
        s.elements += n;
        s.bytes += (double)info.bytes_stored;
        names[info.pattern] = info.pattern_name;
        counts[info.pattern]++;
    }
    for (int p = 0; p < LAC_N_PATTERNS; p++)
        if (counts[p])
            snprintf(s.layout + strlen(s.layout), sizeof s.layout - strlen(s.layout), "%s%s:%zu",
                     *s.layout ? " " : "", names[p], counts[p]);
    return s;
}

static enum lac_status report_texts(struct bench_report *report, const struct comparison *c,
                                    const struct entry *entry, const struct summary *summary,
                                    struct lac_error *error)
{
    char length[48];
    if (c->length == MIXED)
        snprintf(length, sizeof length, "%d-%zu", (int)SHORTEST, c->sweep->max_length);
    else
        snprintf(length, sizeof length, "%zu", c->length);
    if (bench_report_row(report, error) ||
        bench_report_text(report, "model", c->encoder->name, error) ||
        bench_report_text(report, "pattern",
                          lac_pattern_name(entry->pruning.pattern, entry->pruning.dtype), error) ||
        bench_report_text(report, "layout", summary->layout, error) ||
        bench_report_text(report, "dtype", dtype_names[entry->pruning.dtype == LAC_F32], error) ||
        bench_report_text(report, "isa", lac_engine_isa(c->engine), error) ||
        bench_report_text(report, "length", length, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status report_entry(const struct comparison *c, size_t at, struct lac_error *error)
{
    struct bench_report *report = &c->sweep->report;
    const struct entry *entry = &c->entries[at];
    struct summary summary = summarise(entry->model);
    if (report_texts(report, c, entry, &summary, error))
        return error->status;
    struct bench_times times = bench_times_of(&c->contenders[at]);
    double ns = times.median_ns, tokens = (double)c->n_tokens;
    double share = entry->pruning.pattern ? 1 - summary.zeros / summary.elements : 1;
    double ops = 2.0 * (double)bench_encoder_elements(c->encoder) * tokens;
    bench_report_number(report, "sparsity", entry->pruning.pattern ? entry->pruning.sparsity : 0);
    bench_report_number(report, "sparsity_real", 1 - share);
    bench_report_number(report, "threads", (double)lac_engine_threads(c->engine));
    bench_report_number(report, "sequences", (double)c->sweep->n_sequences);
    bench_report_number(report, "tokens", tokens);
    bench_report_number(report, "time_ms_median", ns / 1e6);
    bench_report_number(report, "time_ms_min", times.min_ns / 1e6);
    bench_report_number(report, "time_ms_p95", times.p95_ns / 1e6);
    bench_report_number(report, "tokens_per_s", tokens / ns * 1e9);
    bench_report_number(report, "sequences_per_s", (double)c->sweep->n_sequences / ns * 1e9);
    bench_report_number(report, "nnz_gops", share * ops / ns);
    bench_report_number(report, "dense_gops", ops / ns);
    bench_report_number(report, "stored_mib", summary.bytes / 1048576);
    bench_report_number(report, "vs_dense_int8",
                        bench_speedup(&c->contenders[at], &c->contenders[DENSE_INT8]));
    bench_report_number(report, "vs_dense_fp32",
                        bench_speedup(&c->contenders[at], &c->contenders[DENSE_FP32]));
    return LAC_OK;
}

/* ---- Comparisons ---- */

/* One worker is this thread, and is pinned; several find their own places in what was allowed. */
static enum lac_status start_engine(struct comparison *c, struct lac_error *error)
{
    struct lac_engine_options *engine_options;
    size_t cpu = bench_settings.cpu;
    if (sched_setaffinity(0, sizeof c->sweep->allowed, &c->sweep->allowed))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be set");
    if (c->n_threads == 1 && bench_pin(&cpu, error))
        return error->status;
    enum lac_status status = lac_engine_options_new(&engine_options);
    if (status)
        return lac_fail(error, status, "no memory for options");
    lac_engine_options_set_threads(engine_options, c->n_threads);
    status = lac_engine_options_set_isa(engine_options, texts.isa);
    if (!status)
        status = lac_engine_new(engine_options, &c->engine);
    if (status)
        lac_fail(error, status, "%s", lac_engine_options_message(engine_options));
    lac_engine_options_free(engine_options);
    return status;
}

static void close_comparison(struct comparison *c)
{
    for (size_t i = 0; i < c->n_entries; i++) {
        lac_session_free(c->entries[i].session);
        lac_model_free(c->entries[i].model);
    }
    bench_contenders_clear(c->contenders, c->n_entries);
    lac_free(&lac_default_host, c->ids);
    lac_engine_free(c->engine);
}

static enum lac_status compare(struct sweep *sweep, const struct bench_encoder *encoder,
                               size_t n_threads, size_t length, struct lac_error *error)
{
    struct comparison *c = lac_alloc_zero(&lac_default_host, 1, sizeof *c);
    if (!c)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a comparison");
    c->sweep = sweep;
    c->encoder = encoder;
    c->n_threads = n_threads;
    c->length = length;
    enum lac_status status = LAC_OK;
    if (make_batch(c, error) || start_engine(c, error) || add_models(c, error) ||
        bench_measure(c->contenders, c->n_entries, &bench_settings.effort, &sweep->progress, error))
        status = error->status;
    for (size_t i = 0; !status && i < c->n_entries; i++)
        status = report_entry(c, i, error);
    close_comparison(c);
    lac_free(&lac_default_host, c);
    return status ? lac_fail_in(error, status, "%s", encoder->name) : LAC_OK;
}

static enum lac_status run_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    bench_progress_begin(&sweep->progress, sweep->models.n * sweep->threads.n * sweep->lengths.n);
    for (size_t m = 0; m < sweep->models.n; m++)
        for (size_t t = 0; t < sweep->threads.n; t++)
            for (size_t l = 0; !status && l < sweep->lengths.n; l++) {
                const struct bench_encoder *encoder = &bench_encoders[sweep->models.at[m]];
                bench_progress_start(&sweep->progress, encoder->name);
                status = compare(sweep, encoder, sweep->threads.at[t], sweep->lengths.at[l], error);
            }
    bench_progress_end(&sweep->progress);
    return status;
}

static enum lac_status read_lengths(struct sweep *sweep, struct lac_error *error)
{
    size_t most = SIZE_MAX;
    for (size_t i = 0; i < sweep->models.n; i++) {
        size_t positions = bench_encoders[sweep->models.at[i]].max_positions;
        most = positions < most ? positions : most;
    }
    if (bench_read_count("max-length", texts.max_length, SHORTEST, most, &sweep->max_length, error))
        return error->status;
    if (!strcmp(texts.length, "mixed")) {
        sweep->lengths = (struct bench_counts){.n = 1, .at = {MIXED}};
        return LAC_OK;
    }
    return bench_read_counts("length", texts.length, 1, most, &sweep->lengths, error);
}

static enum lac_status read_sweep(struct sweep *sweep, struct lac_error *error)
{
    enum { MOST_THREADS = 4096 };
    const char *models[MOST_NAMES] = {NULL};
    for (size_t i = 0; bench_encoders[i].name && i + 1 < MOST_NAMES; i++)
        models[i] = bench_encoders[i].name;
    if (bench_read_choices("model", texts.model, models, &sweep->models, error) ||
        bench_read_choices("pattern", texts.pattern, pattern_names, &sweep->patterns, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sweep->sparsities, error) ||
        bench_read_choices("dtype", texts.dtype, dtype_names, &sweep->dtypes, error) ||
        bench_read_counts("threads", texts.threads, 1, MOST_THREADS, &sweep->threads, error) ||
        bench_read_count("sequences", texts.sequences, 1, MOST_SEQUENCES, &sweep->n_sequences,
                         error) ||
        bench_read_choices("layout", texts.layout, layout_names, &sweep->layouts, error) ||
        read_lengths(sweep, error))
        return error->status;
    if (sched_getaffinity(0, sizeof sweep->allowed, &sweep->allowed))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be read");
    return LAC_OK;
}

static enum lac_status run(struct lac_error *error)
{
    static struct sweep sweep;
    if (read_sweep(&sweep, error))
        return error->status;
    bench_report_open(&sweep.report, "encode", columns);
    enum lac_status status = LAC_OK;
    if (bench_report_context(&sweep.report, "one worker a core", error) ||
        bench_report_fact(
            &sweep.report, error, "clock",
            "real time; processor time of runs of one thread that were interrupted") ||
        run_sweep(&sweep, error) || bench_report_finish(&sweep.report, error))
        status = error->status;
    bench_report_close(&sweep.report);
    return status;
}

static const struct bench_picture pictures[] = {
    {
        .kind = BENCH_PICTURE_LINES,
        .title = "Speed-up over the dense int8 model (medians over lengths)",
        .x = "sparsity",
        .y = "vs_dense_int8",
        .x_title = "sparsity of the layers",
        .y_title = "times faster",
        .ideal = 1,
        .series = {"model", "pattern", "dtype", "threads"},
    },
    {0},
};

const struct bench_subject bench_encode = {
    .name = "encode",
    .summary = "whole encoders with pruned weights beside their dense twins",
    .options = options,
    .pictures = pictures,
    .run = run,
};
