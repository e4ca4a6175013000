/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: states, ranges, messages, memory that runs out, threads. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "tests/support.h"
#include "tests/tiny.h"

static struct lac_engine *new_engine(size_t n_threads)
{
    struct lac_engine_options *options;
    struct lac_engine *engine = NULL;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    lac_engine_options_free(options);
    return engine;
}

static const char *message_of(struct lac_engine *engine)
{
    static char text[512];
    return lac_engine_message(engine, text, sizeof text);
}

/* A model on disk, opened; freed together. */
struct fixture {
    struct tiny tiny;
    const char *path;
    struct lac_engine *engine;
    struct lac_model *model;
};

static struct fixture open_fixture(struct tiny tiny, size_t n_threads)
{
    struct fixture f = {.tiny = tiny};
    tiny_make(&f.tiny, test_seed());
    f.path = tiny_write(&f.tiny);
    f.engine = new_engine(n_threads);
    ck_assert_msg(!lac_model_open(f.engine, f.path, NULL, &f.model), "%s", message_of(f.engine));
    return f;
}

static void close_fixture(struct fixture *f)
{
    lac_model_free(f->model);
    lac_engine_free(f->engine);
    tiny_free(&f->tiny);
}

static struct lac_session *new_session(struct lac_model *model)
{
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_new(model, NULL, &session), LAC_OK);
    return session;
}

static enum lac_status add_text(struct lac_session *session, const char *text, const char *pair)
{
    return lac_session_add_text(session, text, strlen(text), pair, pair ? strlen(pair) : 0, NULL);
}

/* ---- Engines ---- */

START_TEST(environments_are_read_when_asked)
{
    struct lac_engine_options *options;
    struct lac_engine *engine;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    setenv("LACUNA_THREADS", "3", 1);
    setenv("LACUNA_BIND", "none", 1);
    setenv("LACUNA_ISA", "scalar", 1);
    ck_assert_int_eq(lac_engine_options_from_environment(options), LAC_OK);
    ck_assert_str_eq(lac_engine_options_message(options), "");
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    ck_assert_uint_eq(lac_engine_threads(engine), 3);
    ck_assert_str_eq(lac_engine_isa(engine), "scalar");
    lac_engine_free(engine);

    static const char *const wrong[][2] = {
        {"LACUNA_THREADS", "-1"}, {"LACUNA_THREADS", "2x"},  {"LACUNA_THREADS", "99999999999"},
        {"LACUNA_THREADS", " 1"}, {"LACUNA_BIND", "socket"}, {"LACUNA_ISA", "sse9"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv("LACUNA_THREADS", "1", 1);
        setenv("LACUNA_BIND", "core", 1);
        setenv("LACUNA_ISA", "avx2", 1);
        setenv(wrong[i][0], wrong[i][1], 1);
        ck_assert_int_eq(lac_engine_options_from_environment(options), LAC_E_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(lac_engine_options_message(options), wrong[i][0]));
    }
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_OK);
    ck_assert_uint_eq(lac_engine_threads(engine), 3); /* failures changed nothing */
    ck_assert_str_eq(lac_engine_isa(engine), "scalar");
    lac_engine_free(engine);
    lac_engine_options_free(options);
    unsetenv("LACUNA_THREADS");
    unsetenv("LACUNA_BIND");
    unsetenv("LACUNA_ISA");
}
END_TEST

START_TEST(engines_start_and_refuse)
{
    struct lac_engine *engine = NULL;
    struct lac_engine_options *options;
    ck_assert_int_eq(lac_engine_new(NULL, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_engine_new(NULL, &engine), LAC_OK);
    ck_assert_uint_ge(lac_engine_threads(engine), 1);
    ck_assert_str_eq(message_of(engine), "");
    lac_engine_free(engine);
    lac_engine_free(NULL);
    lac_engine_options_free(NULL);
    engine = NULL;

    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_engine_options_set_isa(options, "mmx"), LAC_E_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(lac_engine_options_message(options), "mmx"));
    lac_engine_options_set_threads(options, (size_t)-1);
    ck_assert_int_ne(lac_engine_new(options, &engine), LAC_OK);
    ck_assert_ptr_null(engine);
    ck_assert_str_ne(lac_engine_options_message(options), "");
    lac_engine_options_set_threads(options, 1);
    lac_engine_options_set_bind(options, (enum lac_bind)77);
    ck_assert_int_eq(lac_engine_new(options, &engine), LAC_E_ARGUMENT);
    lac_engine_options_free(options);
}
END_TEST

/* ---- Models ---- */

START_TEST(models_describe_themselves)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_TAG}, 1);
    ck_assert_str_eq(lac_model_architecture(f.model), "bert");
    ck_assert_uint_eq(lac_model_tasks(f.model), LAC_TASK_TAG | LAC_TASK_EMBED);
    ck_assert_int_eq(lac_model_dtype(f.model), LAC_S8);
    ck_assert_uint_eq(lac_model_hidden_size(f.model), 24);
    ck_assert_uint_eq(lac_model_layers(f.model), 2);
    ck_assert_uint_eq(lac_model_heads(f.model), 3);
    ck_assert_uint_eq(lac_model_intermediate_size(f.model), 40);
    ck_assert_uint_eq(lac_model_max_tokens(f.model), 200);
    ck_assert_uint_eq(lac_model_labels(f.model), 5);
    ck_assert_str_eq(lac_model_label(f.model, 4), "L4");
    ck_assert_ptr_null(lac_model_label(f.model, 5));
    ck_assert_int_eq(lac_tokenizer_id(lac_model_tokenizer(f.model), "w7"), 7);
    size_t n = 0;
    for (size_t i = 0; i < f.tiny.n_tensors; i++)
        n += f.tiny.tensors[i].shape[0] *
             (f.tiny.tensors[i].rank == 2 ? f.tiny.tensors[i].shape[1] : 1);
    ck_assert_uint_eq(lac_model_parameters(f.model), n);
    ck_assert_uint_eq(lac_model_weights(f.model), 2 * 6 + 1);
    struct lac_weight_info info;
    ck_assert_int_eq(lac_model_weight_info(f.model, 4, &info), LAC_OK);
    ck_assert_str_eq(info.name, "bert.encoder.layer.0.intermediate.dense.weight");
    ck_assert_uint_eq(info.n_out, 40);
    ck_assert_uint_eq(info.n_in, 24);
    ck_assert(info.zeros > 0.2 && info.zeros < 0.8);
    ck_assert(info.zero_blocks[LAC_PATTERN_DENSE] == 0);
    ck_assert(info.zero_blocks[LAC_PATTERN_1] >= info.zero_blocks[LAC_PATTERN_16]);
    ck_assert(info.predicted_cost[LAC_PATTERN_DENSE] == 1);
    ck_assert_uint_eq(info.bytes_dense, 40 * 24);
    ck_assert_ptr_nonnull(strstr(info.kernel, "linear_token"));
    ck_assert_ptr_nonnull(strstr(info.kernel_few, "linear_"));
    ck_assert_int_eq(lac_model_weight_info(f.model, 13, &info), LAC_E_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(message_of(f.engine), "13"));
    close_fixture(&f);
}
END_TEST

START_TEST(models_refuse_to_open)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_BARE}, 1);
    struct lac_model *model = NULL;
    struct lac_model_options *options;
    ck_assert_int_eq(lac_model_open(f.engine, NULL, NULL, &model), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_model_open(f.engine, f.path, NULL, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_model_open(f.engine, scratch_directory(), NULL, &model), LAC_E_IO);
    ck_assert_ptr_nonnull(strstr(message_of(f.engine), "config.json"));
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, (enum lac_dtype)9);
    ck_assert_int_eq(lac_model_open(f.engine, f.path, options, &model), LAC_E_ARGUMENT);
    lac_model_options_set_dtype(options, LAC_F32);
    lac_model_options_set_pattern(options, (enum lac_pattern)9);
    ck_assert_int_eq(lac_model_open(f.engine, f.path, options, &model), LAC_E_ARGUMENT);
    lac_model_options_free(options);
    ck_assert_ptr_null(model);
    ck_assert_int_eq(lac_model_pack(f.model, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_model_pack(f.model, "/does/not/exist/file"), LAC_E_IO);
    ck_assert_ptr_nonnull(strstr(message_of(f.engine), "/does/not/exist"));

    struct lac_tokenizer *tokenizer = NULL;
    ck_assert_int_eq(lac_tokenizer_open(f.engine, "/does/not/exist", &tokenizer), LAC_E_IO);
    ck_assert_int_eq(lac_tokenizer_open(f.engine, NULL, &tokenizer), LAC_E_ARGUMENT);
    ck_assert_ptr_null(tokenizer);
    ck_assert_int_eq(lac_tokenizer_open(f.engine, f.path, &tokenizer), LAC_OK);
    ck_assert_uint_eq(lac_tokenizer_vocab_size(tokenizer), f.tiny.vocab);
    lac_tokenizer_free(tokenizer);
    lac_model_free(NULL);
    lac_model_options_free(NULL);
    close_fixture(&f);
}
END_TEST

/* ---- Sessions ---- */

static enum lac_status try_session(struct lac_model *model, enum lac_task task,
                                   enum lac_pooling pooling)
{
    struct lac_session_options *options;
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, task);
    lac_session_options_set_pooling(options, pooling, LAC_NORMALIZE_L2);
    enum lac_status status = lac_session_new(model, options, &session);
    ck_assert(!status == (session != NULL));
    lac_session_options_free(options);
    lac_session_free(session);
    return status;
}

START_TEST(sessions_refuse_what_the_model_cannot_do)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_TAG}, 1);
    ck_assert_int_eq(try_session(f.model, LAC_TASK_TAG, LAC_POOL_DEFAULT), LAC_OK);
    ck_assert_int_eq(try_session(f.model, LAC_TASK_EMBED, LAC_POOL_CLS), LAC_OK);
    ck_assert_int_eq(try_session(f.model, LAC_TASK_EMBED, LAC_POOL_POOLER), LAC_E_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(message_of(f.engine), "pooler"));
    ck_assert_int_eq(try_session(f.model, LAC_TASK_FILL, LAC_POOL_DEFAULT), LAC_E_UNSUPPORTED);
    ck_assert_int_eq(try_session(f.model, (enum lac_task)3, LAC_POOL_DEFAULT), LAC_E_ARGUMENT);
    ck_assert_int_eq(try_session(f.model, (enum lac_task)64, LAC_POOL_DEFAULT), LAC_E_ARGUMENT);
    ck_assert_int_eq(try_session(f.model, LAC_TASK_EMBED, (enum lac_pooling)7), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_new(f.model, NULL, NULL), LAC_E_ARGUMENT);
    lac_session_free(NULL);
    lac_session_options_free(NULL);
    close_fixture(&f);
}
END_TEST

START_TEST(sessions_check_what_is_added)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_TAG}, 1);
    struct lac_session *s = new_session(f.model);
    const int32_t negative[] = {2, -1}, large[] = {2, 50}, good[] = {2, 49, 3};
    const uint8_t types[] = {0, 1, 2};
    int32_t *many = calloc(201, sizeof *many);
    size_t sequence = 77;
    ck_assert_int_eq(lac_session_add_ids(s, negative, NULL, 2, &sequence), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_ids(s, large, NULL, 2, &sequence), LAC_E_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(lac_session_message(s), "50"));
    ck_assert_int_eq(lac_session_add_ids(s, good, types, 3, &sequence), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_ids(s, good, NULL, 0, &sequence), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_ids(s, NULL, NULL, 2, &sequence), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_ids(s, many, NULL, 201, &sequence), LAC_E_LIMIT);
    ck_assert_int_eq(lac_session_add_ids(s, many, NULL, (size_t)-1, &sequence), LAC_E_LIMIT);
    ck_assert_int_eq(lac_session_add_text(s, NULL, 3, NULL, 0, &sequence), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_add_text(s, "w7\xff", 3, NULL, 0, &sequence), LAC_E_FORMAT);
    ck_assert_str_ne(lac_session_message(s), "");
    ck_assert_uint_eq(sequence, 77);
    ck_assert_uint_eq(lac_session_sequences(s), 0);
    ck_assert_uint_eq(lac_session_tokens(s), 0);
    ck_assert_int_eq(lac_session_run(s), LAC_OK); /* nothing */
    ck_assert_int_eq(lac_session_add_ids(s, good, NULL, 3, &sequence), LAC_OK);
    ck_assert_str_eq(lac_session_message(s), "");
    ck_assert_uint_eq(sequence, 0);
    ck_assert_int_eq(lac_session_add_text(s, NULL, 0, NULL, 0, &sequence), LAC_OK);
    ck_assert_uint_eq(sequence, 1);
    ck_assert_int_eq(lac_session_add_ids(s, many, NULL, 200, &sequence), LAC_OK);
    ck_assert_uint_eq(lac_session_tokens(s), 3 + 2 + 200);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    free(many);
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(results_know_their_state)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_CLASSIFY}, 1);
    struct lac_session *s = new_session(f.model);
    const float *logits, *again, *probabilities;
    const struct lac_encoding *encoding;
    struct lac_candidate best[9];
    struct lac_answer answers[1];
    size_t n, m;
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, NULL, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, NULL, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_encoding(s, 0, &encoding), LAC_OK);
    ck_assert_uint_eq(encoding->n, 4);
    ck_assert_int_eq(encoding->ids[1], 7);
    ck_assert_int_eq(lac_session_encoding(s, 1, &encoding), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, &probabilities, &n), LAC_OK);
    ck_assert_uint_eq(n, 5);
    float kept[5], sum = 0;
    memcpy(kept, logits, sizeof kept);
    for (size_t i = 0; i < 5; i++)
        sum += probabilities[i];
    ck_assert_float_eq_tol(sum, 1, 1e-6f);
    ck_assert_int_eq(lac_session_tags(s, 0, &logits, NULL, &n, &m), LAC_E_STATE);
    ck_assert_int_eq(lac_session_embedding(s, 0, &logits, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_answers(s, 0, 5, answers, 1, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_masks(s, 0, &n), LAC_E_STATE);

    /* More sequences run later; earlier results stay. */
    ck_assert_int_eq(add_text(s, "w9", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 1, &logits, NULL, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_classes(s, 0, &again, NULL, &n), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &again, NULL, NULL), LAC_OK);
    ck_assert_mem_eq(again, kept, sizeof kept);
    ck_assert_int_eq(lac_session_classes(s, 1, &logits, NULL, &n), LAC_OK);
    ck_assert_mem_ne(logits, kept, sizeof kept);

    ck_assert_int_eq(lac_session_top_classes(s, 0, best, 9, &n), LAC_OK);
    ck_assert_uint_eq(n, 5);
    for (size_t i = 1; i < n; i++)
        ck_assert(best[i - 1].probability >= best[i].probability);
    ck_assert_int_eq(lac_session_top_classes(s, 0, best, 2, &n), LAC_OK);
    ck_assert_uint_eq(n, 2);
    ck_assert_int_eq(lac_session_top_classes(s, 0, NULL, 0, &n), LAC_OK);
    ck_assert_uint_eq(n, 0);
    lac_session_clear(s);
    ck_assert_uint_eq(lac_session_sequences(s), 0);
    ck_assert_int_eq(lac_session_classes(s, 0, &logits, NULL, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_classes(s, 0, &again, NULL, NULL), LAC_OK);
    ck_assert_mem_eq(again, kept, sizeof kept);
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(problems_have_their_probabilities)
{
    static const char *const problems[] = {"single_label_classification",
                                           "multi_label_classification", "regression"};
    for (size_t p = 0; p < 3; p++) {
        struct fixture f = open_fixture(
            (struct tiny){.head = TINY_CLASSIFY, .problem = problems[p], .labels = 9}, 1);
        struct lac_session *s = new_session(f.model);
        const float *logits, *probabilities;
        struct lac_candidate best[9];
        size_t n, n_likely = 0;
        ck_assert_int_eq(add_text(s, "w7 w8", NULL), LAC_OK);
        ck_assert_int_eq(lac_session_run(s), LAC_OK);
        ck_assert_int_eq(lac_session_classes(s, 0, &logits, &probabilities, &n), LAC_OK);
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)logits[i]);
        for (size_t i = 0; i < n; i++) {
            double x = (double)logits[i];
            double expected = p == 0 ? exp(x) / sum : p == 1 ? 1 / (1 + exp(-x)) : x;
            ck_assert_double_eq_tol((double)probabilities[i], expected, 1e-6);
            n_likely += probabilities[i] > 0.5f;
        }
        ck_assert_int_eq(lac_session_top_classes(s, 0, best, 9, &n), LAC_OK);
        ck_assert_uint_eq(n, p != 1 ? 9 : n_likely ? n_likely : 1);
        lac_session_free(s);
        close_fixture(&f);
    }
}
END_TEST

START_TEST(embeddings_have_length_one_when_asked)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_BARE}, 1);
    for (int pooling = LAC_POOL_DEFAULT; pooling <= LAC_POOL_POOLER; pooling++) {
        struct lac_session_options *options;
        struct lac_session *s;
        ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
        lac_session_options_set_pooling(options, (enum lac_pooling)pooling, LAC_NORMALIZE_L2);
        ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_OK);
        lac_session_options_free(options);
        ck_assert_int_eq(add_text(s, "w7 w8", NULL), LAC_OK);
        ck_assert_int_eq(lac_session_run(s), LAC_OK);
        const float *vector;
        size_t n;
        double sum = 0;
        ck_assert_int_eq(lac_session_embedding(s, 0, &vector, &n), LAC_OK);
        ck_assert_uint_eq(n, 24);
        for (size_t i = 0; i < n; i++)
            sum += (double)vector[i] * (double)vector[i];
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        lac_session_free(s);
    }
    close_fixture(&f);
}
END_TEST

START_TEST(answers_lie_in_the_second_text)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_ANSWER}, 1);
    struct lac_session *s = new_session(f.model);
    static const char context[] = "w9 w10  w11 w12 w13";
    static const int32_t ids[] = {2, 7, 3};
    ck_assert_int_eq(add_text(s, "w7 w8", context), LAC_OK);
    ck_assert_int_eq(lac_session_add_ids(s, ids, NULL, 3, NULL), LAC_OK);
    ck_assert_int_eq(add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    const float *start, *end;
    size_t n, n_tokens;
    ck_assert_int_eq(lac_session_answer_logits(s, 0, &start, &end, &n_tokens), LAC_OK);
    ck_assert_uint_eq(n_tokens, 10); /* CLS w7 w8 SEP w9 w10 w11 w12 w13 SEP */
    static const size_t begins[] = {0, 3, 8, 12, 16}, ends[] = {2, 6, 11, 15, 19};
    for (size_t longest = 1; longest <= 6; longest++) {
        struct lac_answer answers[20];
        double total = 0, best = 0, sum = 0;
        size_t from = 0, to = 0, n_spans = 0;
        for (size_t i = 0; i < 5; i++)
            for (size_t k = i; k < 5 && k < i + longest; k++) {
                double weight = exp((double)start[4 + i] + (double)end[4 + k]);
                total += weight;
                n_spans++;
                if (weight > best) {
                    best = weight;
                    from = i;
                    to = k;
                }
            }
        ck_assert_int_eq(lac_session_answers(s, 0, longest, answers, 20, &n), LAC_OK);
        ck_assert_uint_eq(n, n_spans);
        ck_assert_uint_eq(answers[0].begin, begins[from]);
        ck_assert_uint_eq(answers[0].end, ends[to]);
        ck_assert_double_eq_tol((double)answers[0].probability, best / total, 1e-6);
        for (size_t i = 0; i < n; i++) {
            sum += (double)answers[i].probability;
            ck_assert(!i || answers[i - 1].probability >= answers[i].probability);
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        struct lac_answer two[2];
        ck_assert_int_eq(lac_session_answers(s, 0, longest, two, 2, &n), LAC_OK);
        ck_assert_uint_eq(n, 2);
        for (size_t i = 0; i < 2; i++)
            ck_assert(two[i].begin == answers[i].begin && two[i].end == answers[i].end &&
                      two[i].probability == answers[i].probability);
    }
    struct lac_answer none[1];
    ck_assert_int_eq(lac_session_answers(s, 0, 0, none, 1, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_answers(s, 1, 5, none, 1, &n), LAC_E_STATE);
    ck_assert_int_eq(lac_session_answers(s, 2, 5, none, 1, &n), LAC_OK);
    ck_assert_uint_eq(n, 0); /* there is no second text */
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(masks_are_filled)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_FILL}, 2);
    struct lac_session *s = new_session(f.model);
    struct lac_candidate best[60];
    size_t n;
    ck_assert_int_eq(add_text(s, "w7 w8", NULL), LAC_OK);
    ck_assert_int_eq(add_text(s, "w7 [MASK] w9 [MASK]", NULL), LAC_OK);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    ck_assert_int_eq(lac_session_masks(s, 0, &n), LAC_OK);
    ck_assert_uint_eq(n, 0);
    ck_assert_int_eq(lac_session_fill(s, 0, 0, best, 3, &n), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_session_masks(s, 1, &n), LAC_OK);
    ck_assert_uint_eq(n, 2);
    for (size_t mask = 0; mask < 2; mask++) {
        double sum = 0;
        ck_assert_int_eq(lac_session_fill(s, 1, mask, best, 60, &n), LAC_OK);
        ck_assert_uint_eq(n, 50);
        for (size_t i = 0; i < n; i++) {
            sum += (double)best[i].probability;
            ck_assert(!i || best[i - 1].probability >= best[i].probability);
        }
        ck_assert_double_eq_tol(sum, 1, 1e-5);
        int32_t first = best[0].id;
        ck_assert_int_eq(lac_session_fill(s, 1, mask, best, 1, &n), LAC_OK);
        ck_assert_int_eq(best[0].id, first);
    }
    lac_session_free(s);
    close_fixture(&f);
}
END_TEST

START_TEST(long_texts_are_cut_or_refused)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_CLASSIFY, .max_tokens = 20}, 1);
    char text[600] = "";
    for (int i = 0; i < 100; i++)
        strcat(text, "w7 ");
    struct lac_session_options *options;
    struct lac_session *s;
    const struct lac_encoding *encoding;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_OK);
    ck_assert_int_eq(add_text(s, text, "w8"), LAC_OK);
    ck_assert_int_eq(lac_session_encoding(s, 0, &encoding), LAC_OK);
    ck_assert_uint_eq(encoding->n, 20);
    ck_assert_uint_eq(encoding->n_dropped, 100 + 1 + 3 - 20);
    ck_assert_int_eq(lac_session_run(s), LAC_OK);
    lac_session_free(s);
    lac_session_options_set_truncate(options, LAC_TRUNCATE_ERROR);
    ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_OK);
    ck_assert_int_eq(add_text(s, text, NULL), LAC_E_LIMIT);
    ck_assert_uint_eq(lac_session_sequences(s), 0);
    lac_session_free(s);
    lac_session_options_set_truncate(options, (enum lac_truncate)9);
    s = NULL;
    ck_assert_int_eq(lac_session_new(f.model, options, &s), LAC_E_ARGUMENT);
    lac_session_options_free(options);
    close_fixture(&f);
}
END_TEST

/* ---- Memory that runs out ---- */

struct counter {
    atomic_long n_left; /* allocations until they fail */
    atomic_long n_live, n_all;
};

static void *count_alloc(void *context, size_t alignment, size_t size)
{
    struct counter *c = context;
    atomic_fetch_add(&c->n_all, 1);
    void *memory;
    if (atomic_fetch_sub(&c->n_left, 1) <= 0 || posix_memalign(&memory, alignment, size))
        return NULL;
    memset(memory, 0xa5, size);
    atomic_fetch_add(&c->n_live, 1);
    return memory;
}

static void count_release(void *context, void *memory)
{
    struct counter *c = context;
    ck_assert_ptr_nonnull(memory);
    atomic_fetch_sub(&c->n_live, 1);
    free(memory);
}

/* Everything a program does once; the status of the first call that fails. */
static enum lac_status do_all(struct lac_engine_options *options, const char *path,
                              const char *packed)
{
    struct lac_engine *engine = NULL;
    struct lac_model *model = NULL, *again = NULL;
    struct lac_session *session = NULL;
    const struct lac_encoding *encoding;
    static const int32_t ids[] = {2, 7, 8, 4, 3};
    enum lac_status status = lac_engine_new(options, &engine);
    if (!status)
        status = lac_model_open(engine, path, NULL, &model);
    if (!status)
        status = lac_model_pack(model, packed);
    if (!status)
        status = lac_model_open(engine, packed, NULL, &again);
    if (!status)
        status = lac_session_new(again, NULL, &session);
    for (int i = 0; i < 10 && !status; i++)
        status = i % 2 ? lac_session_add_ids(session, ids, NULL, 5, NULL)
                       : add_text(session, "w7 [MASK]", NULL);
    if (!status)
        status = lac_session_run(session);
    if (!status)
        status = lac_session_encoding(session, 9, &encoding);
    if (session) { /* usable after a failure */
        lac_session_clear(session);
        ck_assert_uint_eq(lac_session_tokens(session), 0);
    }
    lac_session_free(session);
    lac_model_free(again);
    lac_model_free(model);
    lac_engine_free(engine);
    return status;
}

static void fail_every_allocation(enum tiny_head head, size_t n_threads)
{
    struct tiny tiny = {.head = head, .layers = 1};
    tiny_make(&tiny, test_seed());
    const char *path = tiny_write(&tiny);
    char packed[400];
    snprintf(packed, sizeof packed, "%s/packed", path);
    struct counter counter;
    struct lac_allocator allocator = {count_alloc, count_release, &counter};
    struct lac_engine_options *options;
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, n_threads);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    lac_engine_options_set_allocator(options, &allocator);
    atomic_init(&counter.n_left, 1L << 40);
    atomic_init(&counter.n_live, 0);
    atomic_init(&counter.n_all, 0);
    ck_assert_int_eq(do_all(options, path, packed), LAC_OK);
    ck_assert_int_eq(atomic_load(&counter.n_live), 0);
    long total = atomic_load(&counter.n_all);
    ck_assert_int_gt(total, 30);
    for (long k = 0; k < total; k++) {
        atomic_store(&counter.n_left, k);
        ck_assert_msg(do_all(options, path, packed) == LAC_E_MEMORY, "allocation %ld of %ld", k,
                      total);
        ck_assert_msg(!atomic_load(&counter.n_live), "allocation %ld of %ld leaks", k, total);
    }
    lac_engine_options_free(options);
    tiny_free(&tiny);
}

START_TEST(every_allocation_may_fail)
{
    fail_every_allocation(TINY_CLASSIFY, 1);
    fail_every_allocation(TINY_FILL, 2);
}
END_TEST

/* ---- Threads ---- */

enum { N_THREADS = 4, N_ROUNDS = 25, N_TEXTS = 6 };

struct user {
    struct lac_model *model;
    const float (*expected)[5];
    unsigned number;
    size_t n_wrong;
};

static const char *const words[N_TEXTS] = {
    "w7", "w8 w9", "w10 w11 w12", "w13 w14 w15 w16", "w17 w18 w19 w20 w21", "w22"};

static void *use_model(void *arg)
{
    struct user *u = arg;
    struct lac_session *s = new_session(u->model);
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        lac_session_clear(s);
        unsigned n = 1 + (u->number + round) % N_TEXTS;
        for (unsigned i = 0; i < n; i++)
            u->n_wrong += add_text(s, words[(i + round) % N_TEXTS], NULL) != LAC_OK;
        u->n_wrong += lac_session_run(s) != LAC_OK;
        for (unsigned i = 0; i < n; i++) {
            const float *logits = NULL;
            u->n_wrong += lac_session_classes(s, i, &logits, NULL, NULL) != LAC_OK ||
                          memcmp(logits, u->expected[(i + round) % N_TEXTS], 5 * sizeof(float));
        }
    }
    lac_session_free(s);
    return NULL;
}

START_TEST(threads_share_a_model)
{
    for (size_t n_workers = 1; n_workers <= 3; n_workers += 2) {
        struct fixture f = open_fixture((struct tiny){.head = TINY_CLASSIFY}, n_workers);
        float expected[N_TEXTS][5];
        struct lac_session *s = new_session(f.model);
        for (size_t i = 0; i < N_TEXTS; i++)
            ck_assert_int_eq(add_text(s, words[i], NULL), LAC_OK);
        ck_assert_int_eq(lac_session_run(s), LAC_OK);
        for (size_t i = 0; i < N_TEXTS; i++) {
            const float *logits;
            ck_assert_int_eq(lac_session_classes(s, i, &logits, NULL, NULL), LAC_OK);
            memcpy(expected[i], logits, sizeof expected[i]);
        }
        lac_session_free(s);
        pthread_t threads[N_THREADS];
        struct user users[N_THREADS];
        for (unsigned i = 0; i < N_THREADS; i++) {
            users[i] = (struct user){f.model, expected, i, 0};
            ck_assert_int_eq(pthread_create(&threads[i], NULL, use_model, &users[i]), 0);
        }
        for (unsigned i = 0; i < N_THREADS; i++) {
            pthread_join(threads[i], NULL);
            ck_assert_uint_eq(users[i].n_wrong, 0);
        }
        close_fixture(&f);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");
    add_test(suite, "environment", environments_are_read_when_asked);
    add_test(suite, "engines", engines_start_and_refuse);
    add_test(suite, "models", models_describe_themselves);
    add_test(suite, "refusals", models_refuse_to_open);
    add_test(suite, "tasks", sessions_refuse_what_the_model_cannot_do);
    add_test(suite, "adding", sessions_check_what_is_added);
    add_test(suite, "states", results_know_their_state);
    add_test(suite, "problems", problems_have_their_probabilities);
    add_test(suite, "embeddings", embeddings_have_length_one_when_asked);
    add_test(suite, "answers", answers_lie_in_the_second_text);
    add_test(suite, "masks", masks_are_filled);
    add_test(suite, "long texts", long_texts_are_cut_or_refused);
    add_test(suite, "memory", every_allocation_may_fail);
    add_test(suite, "threads", threads_share_a_model);
    return run_suite(suite);
}
