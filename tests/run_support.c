/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_run share: models opened, sequences run, numbers read. */
#include "tests/run_suite.h"

#include <stdlib.h>
#include <string.h>

struct lac_engine *run_engine(size_t n_threads, const char *isa)
{
    struct lac_engine_options *options;
    struct lac_engine *engine = NULL;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    ck_assert_int_eq(lac_engine_options_set_isa(options, isa), LAC_OK);
    ck_assert_msg(!lac_engine_new(options, &engine), "%s", lac_engine_options_message(options));
    lac_engine_options_free(options);
    return engine;
}

struct lac_model *run_model(struct lac_engine *engine, const char *path, enum lac_dtype dtype,
                            int pattern)
{
    return run_model_with(engine, path, dtype, pattern, 0);
}

struct lac_model *run_model_with(struct lac_engine *engine, const char *path, enum lac_dtype dtype,
                                 int pattern, double outliers)
{
    struct lac_model_options *options;
    struct lac_model *model = NULL;
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    if (dtype)
        lac_model_options_set_dtype(options, dtype);
    if (pattern >= 0)
        lac_model_options_set_pattern(options, (enum lac_pattern)pattern);
    lac_model_options_set_outliers(options, outliers);
    char message[512];
    enum lac_status status = lac_model_open(engine, path, options, &model);
    ck_assert_msg(!status, "%s", lac_engine_message(engine, message, sizeof message));
    lac_model_options_free(options);
    return model;
}

struct lac_session *run_session(struct lac_model *model, enum lac_task task, size_t batch_tokens,
                                enum lac_pooling pooling)
{
    struct lac_session_options *options;
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, task);
    lac_session_options_set_batch_tokens(options, batch_tokens);
    lac_session_options_set_pooling(options, pooling, LAC_NORMALIZE_NONE);
    ck_assert_int_eq(lac_session_new(model, options, &session), LAC_OK);
    lac_session_options_free(options);
    return session;
}

/* ---- Sequences ---- */

const size_t lengths[N_LENGTHS] = {1,  2,  7,  15, 16, 17, 31,  47, 48,
                                   49, 63, 64, 65, 96, 97, 130, 200};

struct text *make_texts(const struct tiny *tiny, uint64_t seed)
{
    struct text *texts = calloc(N_LENGTHS, sizeof *texts);
    for (size_t i = 0; i < N_LENGTHS; i++) {
        texts[i].n = lengths[i];
        tiny_ids(tiny, &seed, lengths[i], texts[i].ids);
        for (size_t k = 0; k < lengths[i]; k++)
            texts[i].type_ids[k] = tiny->types > 1 && k > lengths[i] / 2;
        for (size_t k = 3; k < lengths[i] && tiny->head == TINY_FILL; k += 11)
            texts[i].ids[k] = TINY_MASK;
    }
    return texts;
}

const enum lac_task tasks[TINY_N_HEADS] = {LAC_TASK_EMBED, LAC_TASK_CLASSIFY, LAC_TASK_TAG,
                                           LAC_TASK_ANSWER, LAC_TASK_FILL};

/* The session's numbers for a sequence, as tiny_forward lays them out; FILL: the probabilities of
 * all words, a row a mask.  Returns how many. */
size_t read_numbers(struct lac_session *session, enum lac_task task, size_t sequence,
                    float *numbers)
{
    const float *x = NULL, *y = NULL;
    size_t n = 0, m = 1;
    enum lac_status status = LAC_OK;
    switch (task) {
    case LAC_TASK_EMBED:
        status = lac_session_embedding(session, sequence, &x, &n);
        break;
    case LAC_TASK_CLASSIFY:
        status = lac_session_classes(session, sequence, &x, &y, &n);
        break;
    case LAC_TASK_TAG:
        status = lac_session_tags(session, sequence, &x, &y, &m, &n);
        break;
    case LAC_TASK_ANSWER:
        status = lac_session_answer_logits(session, sequence, &x, &y, &n);
        for (size_t i = 0; !status && i < n; i++) {
            numbers[2 * i] = x[i];
            numbers[2 * i + 1] = y[i];
        }
        ck_assert_int_eq(status, LAC_OK);
        return 2 * n;
    case LAC_TASK_FILL: {
        struct lac_candidate best[50];
        size_t n_masks;
        ck_assert_int_eq(lac_session_masks(session, sequence, &n_masks), LAC_OK);
        for (size_t mask = 0; mask < n_masks; mask++) {
            ck_assert_int_eq(lac_session_fill(session, sequence, mask, best, 50, &n), LAC_OK);
            ck_assert_uint_eq(n, 50);
            for (size_t i = 0; i < n; i++)
                numbers[mask * 50 + (size_t)best[i].id] = best[i].probability;
        }
        return n_masks * 50;
    }
    case LAC_TASK_GENERATE:
        ck_abort_msg("no encoder generates");
    }
    ck_assert_int_eq(status, LAC_OK);
    memcpy(numbers, x, m * n * sizeof *x);
    return m * n;
}

/* Runs sequences in the given order and reads their numbers: [N_LENGTHS][MOST_NUMBERS]. */
float *run_texts(struct lac_model *model, enum lac_task task, enum lac_pooling pooling,
                 size_t batch_tokens, const struct text *texts, const size_t *order)
{
    struct lac_session *session = run_session(model, task, batch_tokens, pooling);
    float *numbers = calloc(N_LENGTHS * MOST_NUMBERS, sizeof *numbers);
    for (size_t i = 0; i < N_LENGTHS; i++) {
        const struct text *text = &texts[order ? order[i] : i];
        size_t sequence = 99;
        ck_assert_int_eq(
            lac_session_add_ids(session, text->ids, text->type_ids, text->n, &sequence), LAC_OK);
        ck_assert_uint_eq(sequence, i);
    }
    ck_assert_msg(!lac_session_run(session), "%s", lac_session_message(session));
    for (size_t i = 0; i < N_LENGTHS; i++)
        read_numbers(session, task, i, numbers + (order ? order[i] : i) * MOST_NUMBERS);
    lac_session_free(session);
    return numbers;
}

void check_same(const float *a, const float *b, const char *what)
{
    for (size_t i = 0; i < N_LENGTHS; i++)
        for (size_t k = i * MOST_NUMBERS; k < (i + 1) * MOST_NUMBERS; k++)
            check_each(!memcmp(&a[k], &b[k], sizeof *a), "%s: %zu tokens, number %zu: %.9g, %.9g",
                       what, lengths[i], k - i * MOST_NUMBERS, (double)a[k], (double)b[k]);
}
