/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models through the public API against an independent implementation's numbers.
 *
 * tests/data/reference/reference.py computed them in double precision.  fp32 must come within
 * 1e-4 of every one of them (the outputs are of order 1); int8 must not err much more, against the
 * same exact numbers, than that script's own emulation of int8 does. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lacuna/lacuna.h>

#include "tests/reference_case.h"
#include "tests/support.h"

enum { MAX_SEQUENCES = 16, N_PROJECTIONS = 4 };

static const double fp32_tolerance = 1e-4;
/* The same quantisation up to which way a few values round: the errors are nearly equal, but a
 * value that rounds the other way changes those after it. */
static const double int8_ratio = 1.5, int8_slack = 1e-3;

static const struct {
    const char *name;
    int large;
} cases[] = {
    {"bert-base", 1},
    {"bert-base-pruned", 1},
    {"roberta-base", 1},
    {"roberta-base-pruned", 1},
    {"distilbert", 1},
    {"distilbert-pruned", 1},
    {"minilm", 1},
    {"minilm-pruned", 1},
    {"bert-relu-tag", 0},
    {"bert-tanh-fill", 0},
    {"bert-answer-pruned", 0},
    {"bert-regression", 0},
    {"bert-one-head", 0},
    {"bert-empty-rows", 0},
    {"roberta-tag", 0},
    {"roberta-fill", 0},
    {"roberta-answer", 0},
    {"roberta-near", 0},
    {"bert-blocks", 0},
    {"longformer-tag", 0},
    {"longformer-classify", 0},
    {"longformer-answer", 0},
    {"longformer-long", 1},
    {"bigbird-tag", 0},
    {"bigbird-fill", 0},
    {"bigbird-embed", 0},
    {"bigbird-full", 0},
    {"bigbird-long", 1},
    {"distilbert-tag", 0},
    {"distilbert-fill", 0},
};

/* Workers and tokens at once; 0: the session's default. */
static const struct {
    size_t n_threads, batch_tokens;
} schedules[] = {{1, 0}, {2, 61}};

enum { N_SCHEDULES = sizeof schedules / sizeof schedules[0] };

/* How each model is run: the instruction set named caps the engine.  LACUNA_ISA leaves only those
 * of its name. */
static const struct setup {
    enum lac_dtype dtype;
    const char *isa;
    size_t n_schedules_on_large; /* how many of the schedules large models go through */
} setups[] = {
    {LAC_F32, "scalar", 0},     {LAC_F32, "avx2", 1},    {LAC_F32, "avx512", 2},
    {LAC_S8, "scalar", 0},      {LAC_S8, "avx2", 1},     {LAC_S8, "avx512", 0},
    {LAC_S8, "avx512_vnni", 2}, {LAC_S8, "amx_int8", 1},
};

enum { N_SETUPS = sizeof setups / sizeof setups[0] };

/* The numbers of one output, a row for each sequence, as the case's file keeps them. */
struct rows {
    size_t n;
    size_t length[MAX_SEQUENCES];
    float *values[MAX_SEQUENCES];
};

static void rows_add(struct rows *rows, const float *values, size_t n)
{
    ck_assert_uint_lt(rows->n, MAX_SEQUENCES);
    float *copy = malloc((n ? n : 1) * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, values, n * sizeof *copy);
    rows->values[rows->n] = copy;
    rows->length[rows->n++] = n;
}

static void rows_clear(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        free(rows->values[i]);
    rows->n = 0;
}

/* Results do not depend on how the work was cut: same bits. */
static void assert_same_rows(const struct rows *a, const struct rows *b, const char *output)
{
    ck_assert_uint_eq(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) {
        ck_assert_uint_eq(a->length[i], b->length[i]);
        ck_assert_msg(!memcmp(a->values[i], b->values[i], a->length[i] * sizeof(float)),
                      "%s of sequence %zu changes with threads and batches", output, i);
    }
}

static double squared(double x)
{
    return x * x;
}

static void assert_probabilities(const json_t *config, const float *logits,
                                 const float *probabilities, size_t n)
{
    const char *problem = json_string_value(json_object_get(config, "problem_type"));
    double sum = 0, largest = logits[0];
    for (size_t i = 1; i < n; i++)
        largest = fmax(largest, logits[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(logits[i] - largest);
    for (size_t i = 0; i < n; i++) {
        double expected = exp(logits[i] - largest) / sum;
        if (problem && !strcmp(problem, "regression"))
            expected = logits[i];
        else if (problem && !strcmp(problem, "multi_label_classification"))
            expected = 1 / (1 + exp(-logits[i]));
        ck_assert_double_lt(fabs(expected - probabilities[i]), 1e-6);
    }
}

static size_t size_of(const json_t *object, const char *key)
{
    return (size_t)json_integer_value(reference_get(object, key));
}

/* Adds one of every so many components, then projections on vectors of hashed signs, which see
 * all of them. */
static void rows_add_shortened(struct rows *rows, const float *vector, size_t size, size_t every)
{
    size_t n = 0;
    float *row = malloc((size + N_PROJECTIONS) * sizeof *row);
    ck_assert_ptr_nonnull(row);
    for (size_t at = 0; at < size; at += every)
        row[n++] = vector[at];
    for (size_t p = 0; p < N_PROJECTIONS; p++) {
        double sum = 0;
        for (size_t at = 0; at < size; at++) {
            uint32_t drawn = reference_draw(reference_key("signs"), p * size + at);
            sum += drawn >> 23 ? -vector[at] : vector[at];
        }
        row[n++] = (float)(sum / sqrt((double)size));
    }
    rows_add(rows, row, n);
    free(row);
}

/* Collectors: the session has run; each adds the row of one sequence. */

static void collect_classes(struct lac_session *session, const json_t *json, size_t i,
                            struct rows *rows)
{
    const float *logits, *probabilities;
    size_t n;
    ck_assert_int_eq(lac_session_classes(session, i, &logits, &probabilities, &n), LAC_OK);
    assert_probabilities(reference_get(json, "config"), logits, probabilities, n);
    rows_add(rows, logits, n);
}

static void collect_tags(struct lac_session *session, const json_t *json, size_t i,
                         struct rows *rows)
{
    const float *logits, *probabilities;
    size_t n, n_labels;
    ck_assert_int_eq(lac_session_tags(session, i, &logits, &probabilities, &n, &n_labels), LAC_OK);
    for (size_t t = 0; t < n; t++)
        assert_probabilities(reference_get(json, "config"), logits + t * n_labels,
                             probabilities + t * n_labels, n_labels);
    rows_add_shortened(rows, logits, n * n_labels, size_of(json, "every_logit"));
}

static void collect_answers(struct lac_session *session, const json_t *json, size_t i,
                            struct rows *rows)
{
    const float *start, *end;
    size_t n;
    ck_assert_int_eq(lac_session_answer_logits(session, i, &start, &end, &n), LAC_OK);
    float *both = malloc(2 * n * sizeof *both);
    ck_assert_ptr_nonnull(both);
    memcpy(both, start, n * sizeof *both);
    memcpy(both + n, end, n * sizeof *both);
    rows_add_shortened(rows, both, 2 * n, size_of(json, "every_logit"));
    free(both);
}

/* For each mask the logarithms of the probabilities of the ids that the file lists. */
static void collect_filled(struct lac_session *session, const json_t *json, size_t i,
                           struct rows *rows)
{
    const json_t *listed = reference_get(reference_get(json, "outputs"), "fill");
    const json_t *masks = json_array_get(listed, i);
    size_t n_words = size_of(reference_get(json, "config"), "vocab_size");
    struct lac_candidate *candidates = malloc(n_words * sizeof *candidates);
    float *by_id = malloc(n_words * sizeof *by_id), values[256];
    ck_assert(candidates && by_id);
    size_t n_masks, n_values = 0;
    ck_assert_int_eq(lac_session_masks(session, i, &n_masks), LAC_OK);
    ck_assert_uint_eq(n_masks, json_array_size(masks));
    for (size_t mask = 0; mask < n_masks; mask++) {
        size_t n;
        ck_assert_int_eq(lac_session_fill(session, i, mask, candidates, n_words, &n), LAC_OK);
        ck_assert_uint_eq(n, n_words);
        double sum = 0;
        for (size_t c = 0; c < n; c++) {
            if (c)
                ck_assert(candidates[c].probability <= candidates[c - 1].probability);
            sum += candidates[c].probability;
            by_id[candidates[c].id] = logf(candidates[c].probability);
        }
        ck_assert_double_lt(fabs(sum - 1), 1e-5);
        const json_t *ids = json_array_get(json_array_get(masks, mask), 0), *id;
        size_t at;
        json_array_foreach(ids, at, id)
        {
            ck_assert_uint_lt(n_values, 256);
            values[n_values++] = by_id[json_integer_value(id)];
        }
    }
    rows_add(rows, values, n_values);
    free(candidates);
    free(by_id);
}

static void collect_embedding(struct lac_session *session, const json_t *json, size_t i,
                              struct rows *rows)
{
    const float *vector;
    size_t size;
    ck_assert_int_eq(lac_session_embedding(session, i, &vector, &size), LAC_OK);
    rows_add_shortened(rows, vector, size, size_of(json, "every"));
}

static const struct output {
    const char *name;
    enum lac_task task;
    enum lac_pooling pooling;
    void (*collect)(struct lac_session *session, const json_t *json, size_t i, struct rows *rows);
} outputs[] = {
    {"classify", LAC_TASK_CLASSIFY, LAC_POOL_DEFAULT, collect_classes},
    {"tag", LAC_TASK_TAG, LAC_POOL_DEFAULT, collect_tags},
    {"answer", LAC_TASK_ANSWER, LAC_POOL_DEFAULT, collect_answers},
    {"fill", LAC_TASK_FILL, LAC_POOL_DEFAULT, collect_filled},
    {"mean", LAC_TASK_EMBED, LAC_POOL_MEAN, collect_embedding},
    {"cls", LAC_TASK_EMBED, LAC_POOL_CLS, collect_embedding},
    {"pooler", LAC_TASK_EMBED, LAC_POOL_POOLER, collect_embedding},
};

enum { N_OUTPUTS = sizeof outputs / sizeof outputs[0] };

/* What the file says about an output, flattened: fill keeps [[ids], [log probabilities]]. */
static double expected_at(const json_t *row, const char *output, size_t at)
{
    if (strcmp(output, "fill"))
        return json_number_value(json_array_get(row, at));
    size_t n = json_array_size(json_array_get(json_array_get(row, 0), 1));
    return json_number_value(
        json_array_get(json_array_get(json_array_get(row, at / n), 1), at % n));
}

static size_t expected_length(const json_t *row, const char *output)
{
    if (strcmp(output, "fill"))
        return json_array_size(row);
    size_t n = 0, at;
    json_t *mask;
    json_array_foreach(row, at, mask) n += json_array_size(json_array_get(mask, 0));
    return n;
}

static void compare(const json_t *json, const char *output, const struct setup *setup,
                    const struct rows *rows)
{
    const json_t *expected = json_object_get(reference_get(json, "outputs"), output);
    double largest = 0, wrong = 0, right = 0;
    ck_assert_uint_eq(rows->n, json_array_size(expected));
    for (size_t i = 0; i < rows->n; i++) {
        const json_t *row = json_array_get(expected, i);
        ck_assert_uint_eq(rows->length[i], expected_length(row, output));
        for (size_t at = 0; at < rows->length[i]; at++) {
            double exact = expected_at(row, output, at), ours = rows->values[i][at];
            ck_assert_msg(isfinite(ours), "%s of sequence %zu: %g at %zu", output, i, ours, at);
            largest = fmax(largest, fabs(ours - exact));
            wrong += squared(ours - exact);
            right += squared(exact);
        }
    }
    double error = sqrt(wrong / right);
    printf("  %-8s %-11s %-8s largest difference %.2e, relative error %.2e", output, setup->isa,
           setup->dtype == LAC_F32 ? "fp32" : "int8", largest, error);
    if (setup->dtype == LAC_F32) {
        printf("\n");
        ck_assert_msg(largest <= fp32_tolerance, "%s: %g", output, largest);
        return;
    }
    double emulated = json_number_value(reference_get(reference_get(json, "int8_error"), output));
    printf(", emulated %.2e\n", emulated);
    ck_assert_msg(error <= int8_ratio * emulated + int8_slack, "%s: %g", output, error);
}

static struct lac_engine *open_engine(const char *isa, size_t n_threads)
{
    struct lac_engine_options *options;
    struct lac_engine *engine;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_engine_options_set_isa(options, isa), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_options_free(options);
    return engine;
}

static struct lac_model *open_model(struct lac_engine *engine, const char *directory,
                                    enum lac_dtype dtype)
{
    struct lac_model_options *options;
    struct lac_model *model;
    char message[512];
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, dtype);
    enum lac_status status = lac_model_open(engine, directory, options, &model);
    ck_assert_msg(status == LAC_OK, "%s", lac_engine_message(engine, message, sizeof message));
    lac_model_options_free(options);
    return model;
}

static void add_sequences(struct lac_session *session, const json_t *json)
{
    size_t n_sequences = json_array_size(reference_get(json, "ids")), n_tokens = 0;
    for (size_t i = 0; i < n_sequences; i++) {
        int32_t *ids;
        uint8_t *types;
        size_t number, n = reference_sequence(json, i, &ids, &types);
        enum lac_status status = lac_session_add_ids(session, ids, types, n, &number);
        ck_assert_msg(status == LAC_OK, "%s", lac_session_message(session));
        ck_assert_uint_eq(number, i);
        n_tokens += n;
        free(ids);
        free(types);
    }
    ck_assert_uint_eq(lac_session_sequences(session), n_sequences);
    ck_assert_uint_eq(lac_session_tokens(session), n_tokens);
}

static void run_output(struct lac_model *model, const json_t *json, const struct output *output,
                       size_t batch_tokens, struct rows *rows)
{
    struct lac_session_options *options;
    struct lac_session *session;
    char message[512];
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, output->task);
    lac_session_options_set_pooling(options, output->pooling, LAC_NORMALIZE_NONE);
    lac_session_options_set_batch_tokens(options, batch_tokens);
    enum lac_status status = lac_session_new(model, options, &session);
    ck_assert_msg(status == LAC_OK, "%s: %d", output->name, (int)status);
    lac_session_options_free(options);
    add_sequences(session, json);
    status = lac_session_run(session);
    snprintf(message, sizeof message, "%s", lac_session_message(session));
    ck_assert_msg(status == LAC_OK, "%s: %s", output->name, message);
    for (size_t i = 0; i < lac_session_sequences(session); i++)
        output->collect(session, json, i, rows);
    lac_session_free(session);
}

/* A model whose files ask for unit vectors gives them without being asked. */
static void check_defaults(struct lac_model *model, const json_t *json)
{
    if (!json_object_get(reference_get(json, "files"), "modules.json"))
        return;
    struct rows mean = {0}, pooled = {0};
    const struct output by_mean = {"mean", LAC_TASK_EMBED, LAC_POOL_MEAN, collect_embedding};
    run_output(model, json, &by_mean, 0, &mean);
    struct lac_session *session;
    ck_assert_int_eq(lac_session_new(model, NULL, &session), LAC_OK);
    add_sequences(session, json);
    ck_assert_int_eq(lac_session_run(session), LAC_OK);
    for (size_t i = 0; i < mean.n; i++) {
        const float *vector;
        size_t size;
        double norm = 0;
        ck_assert_int_eq(lac_session_embedding(session, i, &vector, &size), LAC_OK);
        for (size_t at = 0; at < size; at++)
            norm += squared(vector[at]);
        ck_assert_double_lt(fabs(norm - 1), 1e-5);
        collect_embedding(session, json, i, &pooled);
        double stretch = mean.values[i][0] / pooled.values[i][0];
        for (size_t at = 0; at < mean.length[i]; at++)
            ck_assert_double_lt(fabs(mean.values[i][at] - stretch * pooled.values[i][at]), 1e-4);
    }
    lac_session_free(session);
    rows_clear(&mean);
    rows_clear(&pooled);
}

static void check_model(const json_t *json, const struct setup *setup, size_t n_schedules,
                        const char *directory)
{
    struct rows first[N_OUTPUTS] = {{0}};
    for (size_t s = 0; s < n_schedules; s++) {
        struct lac_engine *engine = open_engine(setup->isa, schedules[s].n_threads);
        if (strcmp(lac_engine_isa(engine), setup->isa)) {
            printf("  this machine has no %s\n", setup->isa);
            lac_engine_free(engine);
            return;
        }
        struct lac_model *model = open_model(engine, directory, setup->dtype);
        ck_assert_int_eq(lac_model_dtype(model), setup->dtype);
        for (size_t o = 0; o < N_OUTPUTS; o++) {
            struct rows rows = {0};
            if (!json_object_get(reference_get(json, "outputs"), outputs[o].name))
                continue;
            run_output(model, json, &outputs[o], schedules[s].batch_tokens, &rows);
            if (s) {
                assert_same_rows(&first[o], &rows, outputs[o].name);
                rows_clear(&rows);
            } else {
                compare(json, outputs[o].name, setup, &rows);
                first[o] = rows;
            }
        }
        check_defaults(model, json);
        lac_model_free(model);
        lac_engine_free(engine);
    }
    for (size_t o = 0; o < N_OUTPUTS; o++)
        rows_clear(&first[o]);
}

/* Made by the process that starts the tests, so that it goes even when a test crashes. */
static const char *scratch;

/* The schedules that a model goes through in a setup. */
static size_t n_schedules_of(size_t model, const struct setup *setup)
{
    const char *only = getenv("LACUNA_ISA");
    if (only && strcmp(only, setup->isa))
        return 0;
    return cases[model].large ? setup->n_schedules_on_large : N_SCHEDULES;
}

START_TEST(agrees_with_the_reference)
{
    size_t model = (size_t)_i, n_runs = 0;
    for (size_t i = 0; i < N_SETUPS; i++)
        n_runs += n_schedules_of(model, &setups[i]);
    printf("%s%s\n", cases[model].name, n_runs ? "" : ": too large for this instruction set");
    fflush(stdout);
    if (!n_runs)
        return;
    char name[64];
    snprintf(name, sizeof name, "reference/%s", cases[model].name);
    json_t *json = reference_load(name);
    char directory[512];
    snprintf(directory, sizeof directory, "%s/%s", scratch, cases[model].name);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
    reference_write(json, directory);
    for (size_t i = 0; i < N_SETUPS; i++)
        check_model(json, &setups[i], n_schedules_of(model, &setups[i]), directory);
    reference_remove_weights(directory);
    json_decref(json);
}
END_TEST

int main(void)
{
    scratch = scratch_directory();
    Suite *suite = suite_create("reference");
    add_loop_test(suite, "models", agrees_with_the_reference, sizeof cases / sizeof cases[0]);
    return run_suite(suite);
}
