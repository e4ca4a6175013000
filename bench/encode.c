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
#include "bench/sweep.h"
#include "sparse/layout.h"
#include "src/sys/topology.h"
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
    .isa = "best",
};

static const struct bench_option options[] = {
    {"model", "LIST", "of bert-base, bert-large, ..., or LAYERSxHIDDENxINTERMEDIATE [bert-base]",
     &texts.model},
    {"pattern", "LIST", "as of spmm [4x4]", &texts.pattern},
    {"sparsity", "LIST", "share of blocks that are zero [0.8]", &texts.sparsity},
    {"dtype", "LIST", "of the pruned models, as of spmm [int8]", &texts.dtype},
    {"threads", "LIST", "worker threads [1]", &texts.threads},
    {"sequences", "N", "sequences in a batch [32]", &texts.sequences},
    {"length", "LIST", "tokens of each sequence, or mixed [mixed]", &texts.length},
    {"max-length", "N", "longest of mixed lengths, the shortest is 4 [128]", &texts.max_length},
    {"layout", "WHICH", "planned, or pruned: always that of the pattern [planned]", &texts.layout},
    {"isa", "LIST", "caps of the instruction set [best]", &texts.isa},
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

static const char *const layout_names[] = {"planned", "pruned", NULL};

enum { MIXED = 0, SHORTEST = 4, MOST_SEQUENCES = 4096, MOST_MODELS = 64 };

static struct bench_models models;
static struct bench_choices patterns, dtypes, layouts, isas;
static struct bench_reals sparsities;
static struct bench_counts threads, lengths; /* a length of MIXED is random ones */
static size_t n_sequences, max_length;
static cpu_set_t allowed; /* before anything was pinned */

/* One model of a comparison; the first is dense int8, the second dense fp32. */
struct entry {
    struct bench_pruning pruning; /* pattern dense: a dense twin */
    struct lac_model *model;
    struct lac_session *session;
    const struct comparison *comparison;
};

enum { DENSE_INT8, DENSE_FP32, N_DENSE };

struct comparison {
    const struct bench_stack *encoder;
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
    c->n_tokens = 0;
    for (size_t i = 0; i < n_sequences; i++) {
        c->lengths[i] = c->length == MIXED
                            ? SHORTEST + bench_random_below(&random, max_length - SHORTEST + 1)
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
    for (size_t i = 0; i < n_sequences; i++) {
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
    int as_planned = !layouts.at[0];
    struct entry *entry = &c->entries[c->n_entries];
    struct lac_model_options *model_options;
    struct lac_session_options *session_options = NULL;
    enum lac_status status = lac_model_options_new(&model_options);
    if (status)
        return lac_fail(error, status, "no memory for options");
    *entry = (struct entry){.pruning = pruning, .comparison = c};
    c->contenders[c->n_entries++] = (struct bench_contender){.turn = turn, .context = entry};
    lac_model_options_set_dtype(model_options, pruning.dtype);
    if (pruning.pattern.layout == LAC_PATTERN_DENSE || !as_planned)
        lac_model_options_set_pattern(model_options, pruning.pattern.layout);
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

static struct bench_pruning dense_twin(enum lac_dtype dtype)
{
    return (struct bench_pruning){.pattern = bench_pattern_at(LAC_PATTERN_DENSE, dtype),
                                  .dtype = dtype};
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
        struct bench_pruning dense = dense_twin(LAC_S8);
        status = open_entry(c, directory, dense, error);
        dense = dense_twin(LAC_F32);
        if (!status)
            status = open_entry(c, directory, dense, error);
    }
    if (!status && pruning.pattern.layout != LAC_PATTERN_DENSE)
        status = open_entry(c, directory, pruning, error);
    bench_scratch_close();
    return status;
}

/* The models of one pattern. */
static enum lac_status add_pattern(struct comparison *c, struct bench_pattern pattern,
                                   enum lac_dtype dtype, struct lac_error *error)
{
    if ((pattern.layout == LAC_PATTERN_DENSE && c->n_entries) ||
        !lac_pattern_holds(pattern.layout, dtype))
        return LAC_OK;
    for (size_t s = 0; s < (pattern.blocks.of ? 1 : sparsities.n); s++) {
        struct bench_pruning pruning = {pattern, dtype, sparsities.at[s]};
        if (pattern.blocks.of)
            pruning.sparsity = 1 - (double)pattern.blocks.kept / (double)pattern.blocks.of;
        if (c->n_entries + N_DENSE >= MOST_MODELS)
            return lac_fail(error, LAC_E_ARGUMENT, "more than %d models at once", (int)MOST_MODELS);
        if (add_model(c, pruning, error))
            return error->status;
    }
    return LAC_OK;
}

static enum lac_status add_models(struct comparison *c, struct lac_error *error)
{
    for (size_t d = 0; d < dtypes.n; d++)
        for (size_t p = 0; p < patterns.n; p++) {
            enum lac_dtype dtype = bench_dtype_at(dtypes.at[d]);
            if (add_pattern(c, bench_pattern_at(patterns.at[p], dtype), dtype, error))
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
        snprintf(length, sizeof length, "%d-%zu", (int)SHORTEST, max_length);
    else
        snprintf(length, sizeof length, "%zu", c->length);
    if (bench_report_row(report, error) ||
        bench_report_text(report, "model", c->encoder->name, error) ||
        bench_report_text(report, "pattern", entry->pruning.pattern.name, error) ||
        bench_report_text(report, "layout", summary->layout, error) ||
        bench_report_text(report, "dtype", lac_dtype_name(entry->pruning.dtype), error) ||
        bench_report_text(report, "isa", lac_engine_isa(c->engine), error) ||
        bench_report_text(report, "length", length, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status report_entry(struct bench_report *report, const struct comparison *c,
                                    size_t at, struct lac_error *error)
{
    const struct entry *entry = &c->entries[at];
    struct summary summary = summarise(entry->model);
    if (report_texts(report, c, entry, &summary, error))
        return error->status;
    int is_pruned = entry->pruning.pattern.layout != LAC_PATTERN_DENSE;
    double ns = bench_times_of(&c->contenders[at]).median_ns, tokens = (double)c->n_tokens;
    double share = is_pruned ? 1 - summary.zeros / summary.elements : 1;
    double ops = 2.0 * (double)bench_encoder_elements(c->encoder) * tokens;
    bench_report_number(report, "sparsity", is_pruned ? entry->pruning.sparsity : 0);
    bench_report_number(report, "sparsity_real", 1 - share);
    bench_report_number(report, "threads", (double)lac_engine_threads(c->engine));
    bench_report_number(report, "sequences", (double)n_sequences);
    bench_report_number(report, "tokens", tokens);
    bench_report_times(report, &c->contenders[at], BENCH_MS);
    bench_report_number(report, "tokens_per_s", tokens / ns * 1e9);
    bench_report_number(report, "sequences_per_s", (double)n_sequences / ns * 1e9);
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
static enum lac_status start_engine(struct comparison *c, int isa, struct lac_error *error)
{
    struct lac_engine_options *engine_options;
    size_t cpu = bench_settings.cpu;
    if (sched_setaffinity(0, sizeof allowed, &allowed))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be set");
    if (c->n_threads == 1 && bench_pin(&cpu, error))
        return error->status;
    enum lac_status status = lac_engine_options_new(&engine_options);
    if (status)
        return lac_fail(error, status, "no memory for options");
    lac_engine_options_set_threads(engine_options, c->n_threads);
    if (isa != BENCH_ISA_BEST)
        status = lac_engine_options_set_isa(engine_options, bench_isa_names()[isa]);
    if (!status)
        status = lac_engine_new(engine_options, &c->engine);
    if (status)
        lac_fail(error, status, "%s", lac_engine_options_message(engine_options));
    lac_engine_options_free(engine_options);
    return status;
}

/* The lists of the sweep. */
enum { MODELS, ISAS, THREADS, LENGTHS };

static void name_comparison(const size_t at[BENCH_MOST_LISTS], char *text, size_t size)
{
    size_t length = lengths.at[at[LENGTHS]];
    char tokens[32] = "mixed lengths";
    if (length != MIXED)
        snprintf(tokens, sizeof tokens, "%zu tokens", length);
    snprintf(text, size, "%s, %s", models.at[at[MODELS]].name, tokens);
}

static enum lac_status compare(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error)
{
    struct comparison *c = comparison;
    c->encoder = &models.at[at[MODELS]];
    c->n_threads = threads.at[at[THREADS]];
    c->length = lengths.at[at[LENGTHS]];
    if (make_batch(c, error) || start_engine(c, isas.at[at[ISAS]], error) || add_models(c, error) ||
        bench_measure(c->contenders, c->n_entries, &bench_settings.effort, &record->progress,
                      error))
        return error->status;
    for (size_t i = 0; i < c->n_entries; i++)
        if (report_entry(&record->report, c, i, error))
            return error->status;
    return LAC_OK;
}

static void close_comparison(void *comparison)
{
    struct comparison *c = comparison;
    for (size_t i = 0; i < c->n_entries; i++) {
        lac_session_free(c->entries[i].session);
        lac_model_free(c->entries[i].model);
    }
    bench_contenders_clear(c->contenders, c->n_entries);
    lac_free(&lac_default_host, c->ids);
    lac_engine_free(c->engine);
}

static enum lac_status read_lengths(struct lac_error *error)
{
    size_t most = SIZE_MAX;
    for (size_t i = 0; i < models.n; i++)
        most = models.at[i].max_positions < most ? models.at[i].max_positions : most;
    if (bench_read_count("max-length", texts.max_length, SHORTEST, most, &max_length, error))
        return error->status;
    if (!strcmp(texts.length, "mixed")) {
        lengths = (struct bench_counts){.n = 1, .at = {MIXED}};
        return LAC_OK;
    }
    return bench_read_counts("length", texts.length, 1, most, &lengths, error);
}

static enum lac_status run(struct lac_error *error)
{
    if (bench_read_models("model", texts.model, 1, &models, error) ||
        bench_read_choices("pattern", texts.pattern, bench_pattern_names(), &patterns, error) ||
        bench_read_choices("dtype", texts.dtype, bench_dtype_names(), &dtypes, error) ||
        bench_read_reals("sparsity", texts.sparsity, 0, 1, &sparsities, error) ||
        bench_read_counts("threads", texts.threads, 1, LAC_MAX_THREADS, &threads, error) ||
        bench_read_count("sequences", texts.sequences, 1, MOST_SEQUENCES, &n_sequences, error) ||
        bench_read_choices("layout", texts.layout, layout_names, &layouts, error) ||
        bench_read_isas(texts.isa, &isas, error) || read_lengths(error))
        return error->status;
    for (size_t i = 0; i < isas.n; i++)
        if (!bench_isa_is_a_cap(isas.at[i]))
            return lac_fail(error, LAC_E_ARGUMENT, "--isa %s: not of whole models",
                            bench_isa_names()[isas.at[i]]);
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        return lac_fail(error, LAC_E_IO, "the allowed processors cannot be read");
    const struct bench_sweep sweep = {
        .columns = columns,
        .binding = "one worker a core",
        .facts = {{"clock", "real time; processor time of runs of one thread that were "
                            "interrupted"}},
        .n_values = {models.n, isas.n, threads.n, lengths.n},
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
