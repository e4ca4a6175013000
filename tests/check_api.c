/* SPDX-License-Identifier: Apache-2.0 */
/* The public interface: options, engines, models, sessions and what they refuse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api_suite.h"

struct lac_engine *api_engine(size_t n_threads)
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

const char *api_message(struct lac_engine *engine)
{
    static char text[512];
    return lac_engine_message(engine, text, sizeof text);
}

struct fixture open_fixture(struct tiny tiny, size_t n_threads)
{
    struct fixture f = {.tiny = tiny};
    tiny_make(&f.tiny, test_seed());
    f.path = tiny_write(&f.tiny);
    f.engine = api_engine(n_threads);
    ck_assert_msg(!lac_model_open(f.engine, f.path, NULL, &f.model), "%s", api_message(f.engine));
    return f;
}

void close_fixture(struct fixture *f)
{
    lac_model_free(f->model);
    lac_engine_free(f->engine);
    tiny_free(&f->tiny);
}

struct lac_session *api_session(struct lac_model *model)
{
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_new(model, NULL, &session), LAC_OK);
    return session;
}

enum lac_status api_add_text(struct lac_session *session, const char *text, const char *pair)
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
    ck_assert_str_eq(api_message(engine), "");
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
    ck_assert_ptr_nonnull(strstr(api_message(f.engine), "13"));
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
    ck_assert_ptr_nonnull(strstr(api_message(f.engine), "config.json"));
    ck_assert_int_eq(lac_model_options_new(&options), LAC_OK);
    lac_model_options_set_dtype(options, LAC_N_DTYPES);
    ck_assert_int_eq(lac_model_open(f.engine, f.path, options, &model), LAC_E_ARGUMENT);
    lac_model_options_set_dtype(options, LAC_F32);
    lac_model_options_set_pattern(options, LAC_N_PATTERNS);
    ck_assert_int_eq(lac_model_open(f.engine, f.path, options, &model), LAC_E_ARGUMENT);
    lac_model_options_free(options);
    ck_assert_ptr_null(model);
    ck_assert_int_eq(lac_model_pack(f.model, NULL), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_model_pack(f.model, "/does/not/exist/file"), LAC_E_IO);
    ck_assert_ptr_nonnull(strstr(api_message(f.engine), "/does/not/exist"));

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
    ck_assert_ptr_nonnull(strstr(api_message(f.engine), "pooler"));
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

static void write_beside(const char *path, const char *name, const char *text)
{
    char full[400];
    snprintf(full, sizeof full, "%s/%s", path, name);
    FILE *file = fopen(full, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Tokens of a long text in a session of that task. */
static size_t tokens_of_text(struct lac_model *model, enum lac_task task)
{
    struct lac_session_options *options;
    struct lac_session *s;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    lac_session_options_set_task(options, task);
    ck_assert_int_eq(lac_session_new(model, options, &s), LAC_OK);
    lac_session_options_free(options);
    ck_assert_int_eq(api_add_text(s, "w7 w8 w9 w7 w8 w9 w7 w8 w9 w7", NULL), LAC_OK);
    size_t n = lac_session_tokens(s);
    lac_session_free(s);
    return n;
}

/* Where the model's files say how much of a text it takes: 12 tokens with the special ones. */
START_TEST(texts_are_cut_as_files_say)
{
    static const char vocab[] =
        "{\"truncation\":{\"direction\":\"Right\",\"max_length\":8,\"strategy\":\"LongestFirst\"},"
        "\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"post_processor\":{\"type\":"
        "\"BertProcessing\","
        "\"sep\":[\"w3\",3],\"cls\":[\"w2\",2]},\"model\":{\"type\":\"WordPiece\",\"unk_token\":"
        "\"w1\","
        "\"vocab\":{\"w1\":1,\"w2\":2,\"w3\":3,\"w7\":7,\"w8\":8,\"w9\":9}}}";
    struct fixture f = open_fixture((struct tiny){.head = TINY_TAG}, 1);
    ck_assert_uint_eq(lac_model_text_tokens(f.model), 200);
    ck_assert_uint_eq(tokens_of_text(f.model, LAC_TASK_EMBED), 12);
    static const struct {
        const char *name, *text;
        size_t n_tokens;
    } files[] = {
        {"tokenizer.json", vocab, 8},
        {"sentence_bert_config.json", "{\"max_seq_length\":6}", 6},
        {"sentence_bert_config.json", "{\"max_seq_length\":1000}", 12},
    };
    char packed[400];
    snprintf(packed, sizeof packed, "%s/packed", f.path);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        write_beside(f.path, files[i].name, files[i].text);
        lac_model_free(f.model);
        ck_assert_msg(!lac_model_open(f.engine, f.path, NULL, &f.model), "%s",
                      api_message(f.engine));
        ck_assert_uint_eq(tokens_of_text(f.model, LAC_TASK_EMBED), files[i].n_tokens);
        ck_assert_uint_eq(tokens_of_text(f.model, LAC_TASK_TAG), 12);
        ck_assert_int_eq(lac_model_pack(f.model, packed), LAC_OK);
        struct lac_model *again;
        ck_assert_int_eq(lac_model_open(f.engine, packed, NULL, &again), LAC_OK);
        ck_assert_uint_eq(tokens_of_text(again, LAC_TASK_EMBED), files[i].n_tokens);
        lac_model_free(again);
    }
    ck_assert_uint_eq(lac_model_text_tokens(f.model), 200);
    remove(packed);
    close_fixture(&f);
}
END_TEST

START_TEST(sessions_check_what_is_added)
{
    struct fixture f = open_fixture((struct tiny){.head = TINY_TAG}, 1);
    struct lac_session *s = api_session(f.model);
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

int main(void)
{
    Suite *suite = suite_create("api");
    add_test(suite, "environment", environments_are_read_when_asked);
    add_test(suite, "engines", engines_start_and_refuse);
    add_test(suite, "models", models_describe_themselves);
    add_test(suite, "refusals", models_refuse_to_open);
    add_test(suite, "tasks", sessions_refuse_what_the_model_cannot_do);
    add_test(suite, "adding", sessions_check_what_is_added);
    add_test(suite, "text lengths", texts_are_cut_as_files_say);
    add_result_tests(suite);
    add_limit_tests(suite);
    add_attention_plan_tests(suite);
    add_tuning_tests(suite);
    return run_suite(suite);
}
