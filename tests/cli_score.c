/* SPDX-License-Identifier: Apache-2.0 */
/* `lacuna score --tasks` and its columns, against what the library says. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "tests/program.h"

enum { MOST_IDS = 64 };

static const struct task {
    const char *prompt, *continuation;
} tasks[] = {
    {"the cat sat on", " the mat."},
    {"who is", " big? the sun"},
    {"sun and moon", " and cat"},
};
enum { N_TASKS = sizeof tasks / sizeof *tasks };

static const char *make_decoder(void)
{
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = 32, .ffn = 72};
    tiny_make(&tiny, test_seed());
    const char *path = tiny_write(&tiny);
    tiny_free(&tiny);
    return path;
}

struct answer {
    double log_probability;
    size_t n_tokens;
    int is_exact;
};

/* Tokens of a continuation are those that are not the prompt's: here both are whole words. */
static struct answer ask_library(struct lac_session *session, const struct lac_tokenizer *tokenizer,
                                 const struct task *task)
{
    struct answer answer = {.is_exact = 1};
    struct lac_encoding e = {0};
    char text[200];
    double scores[MOST_IDS];
    int32_t best[MOST_IDS];
    ck_assert_int_eq(lac_tokenizer_encode(tokenizer, task->prompt, strlen(task->prompt), NULL, 0, 0,
                                          LAC_TRUNCATE_ERROR, &e),
                     0);
    size_t n_context = e.n;
    snprintf(text, sizeof text, "%s%s", task->prompt, task->continuation);
    ck_assert_int_eq(
        lac_tokenizer_encode(tokenizer, text, strlen(text), NULL, 0, 0, LAC_TRUNCATE_ERROR, &e), 0);
    ck_assert_uint_le(e.n, MOST_IDS);
    ck_assert_int_eq(
        lac_session_score(session, e.ids, e.n, n_context, LAC_PACE_STEPS, scores, best), 0);
    for (size_t i = n_context; i < e.n; i++) {
        answer.log_probability += scores[i - n_context];
        answer.is_exact &= best[i - n_context] == e.ids[i];
        answer.n_tokens++;
    }
    lac_encoding_clear(&e);
    return answer;
}

static void ask_all(const char *path, struct answer *answers)
{
    struct lac_engine_options *options;
    struct lac_engine *engine;
    struct lac_model *model;
    struct lac_session *session;
    ck_assert_int_eq(lac_engine_options_new(&options), 0);
    ck_assert_int_eq(lac_engine_options_from_environment(options), 0);
    ck_assert_int_eq(lac_engine_new(options, &engine), 0);
    lac_engine_options_free(options);
    ck_assert_int_eq(lac_model_open(engine, path, NULL, &model), 0);
    ck_assert_int_eq(lac_session_new(model, NULL, &session), 0);
    for (size_t i = 0; i < N_TASKS; i++)
        answers[i] = ask_library(session, lac_model_tokenizer(model), &tasks[i]);
    lac_session_free(session);
    lac_model_free(model);
    lac_engine_free(engine);
}

static void assert_record(const char *out, size_t line, const char *group, const char *kv,
                          const struct answer *answers, size_t n)
{
    struct answer sum = {0};
    int n_exact = 0;
    for (size_t i = 0; i < n; i++) {
        sum.log_probability += answers[i].log_probability;
        sum.n_tokens += answers[i].n_tokens;
        n_exact += answers[i].is_exact;
    }
    json_t *json = line_json(out, line);
    ck_assert_str_eq(get_text(json, "kv"), kv);
    if (group)
        ck_assert_str_eq(get_text(json, "group"), group);
    else
        ck_assert_ptr_null(json_object_get(json, "group"));
    ck_assert_int_eq(get_int(json, "tasks"), (json_int_t)n);
    ck_assert_int_eq(get_int(json, "exact"), n_exact);
    ck_assert_int_eq(get_int(json, "tokens"), (json_int_t)sum.n_tokens);
    ck_assert_double_eq_tol(get_real(json, "log_probability"), sum.log_probability, 1e-3);
    ck_assert(get_real(json, "tokens_per_second") > 0);
    ck_assert_int_gt(get_int(json, "cache_bytes"), 0);
    json_decref(json);
}

/* Groups of one and two tasks; a window that is longer than the texts keeps all. */
START_TEST(tasks_are_counted)
{
    static const char *const groups[N_TASKS] = {"two", "one", "two"};
    const char *model = make_decoder();
    struct answer answers[N_TASKS];
    char in[600] = "";
    ask_all(model, answers);
    for (size_t i = 0; i < N_TASKS; i++)
        snprintf(in + strlen(in), sizeof in - strlen(in),
                 "{\"prompt\": \"%s\", \"continuation\": \"%s\", \"group\": \"%s\"}\n",
                 tasks[i].prompt, tasks[i].continuation, groups[i]);
    const char *const argv[] = {lacuna, "score", "--tasks",      "-m",     model, "--kv",
                                "full", "--kv",  "stream:64+64", "--json", NULL};
    struct outcome o = run_with(argv, in, strlen(in));
    expect(&o, 0);
    ck_assert_uint_eq(count_lines(o.out), 6);
    const struct answer two[] = {answers[0], answers[2]};
    static const char *const policies[] = {"full", "stream:64+64"};
    for (size_t k = 0; k < 2; k++) {
        assert_record(o.out, 2 * k, "two", policies[k], two, 2);
        assert_record(o.out, 2 * k + 1, "one", policies[k], &answers[1], 1);
        assert_record(o.out, 4 + k, NULL, policies[k], answers, N_TASKS);
    }
    release(&o);
    const char *const plain[] = {lacuna, "score", "--tasks", "-m",           model,
                                 "--kv", "full",  "--kv",    "stream:64+64", NULL};
    o = run_with(plain, in, strlen(in));
    expect(&o, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "stream:64+64"));
    ck_assert_ptr_nonnull(strstr(o.out, "two  "));
    ck_assert_ptr_nonnull(strstr(o.out, "exact, %"));
    release(&o);
}
END_TEST

START_TEST(columns_are_tasks_too)
{
    const char *model = make_decoder();
    struct outcome o = RUN("the cat sat on\t the mat.\n", "score", "--tasks", "-m", model, "--json",
                           "--format", "tsv");
    expect(&o, 0);
    json_t *json = line_json(o.out, 0);
    ck_assert_int_eq(get_int(json, "tasks"), 1);
    ck_assert_ptr_null(json_object_get(json, "kv"));
    json_decref(json);
    release(&o);
    o = RUN("g\tthe cat\t sat\n", "score", "--tasks", "-m", model, "--json", "--columns",
            "group,prompt,continuation");
    expect(&o, 0);
    ck_assert_uint_eq(count_lines(o.out), 2);
    release(&o);
}
END_TEST

START_TEST(bad_tasks_are_reported)
{
    const char *model = make_decoder();
    struct outcome o =
        RUN("{\"prompt\": \"the cat\"}\n{\"prompt\": \"the\", \"continuation\": \"\"}\n"
            "{\"prompt\": \"the\", \"continuation\": \" cat\"}\n",
            "score", "--tasks", "-m", model, "--json");
    expect(&o, 1);
    ck_assert_ptr_nonnull(strstr(o.err, "\"line\":1"));
    ck_assert_ptr_nonnull(strstr(o.err, "\"line\":2"));
    ck_assert_uint_eq(count_lines(o.out), 1);
    release(&o);
    o = RUN("\n", "score", "--tasks", "-m", model);
    expect(&o, 3);
    release(&o);
    o = RUN("the cat sat", "score", "-m", model, "--header");
    expect(&o, 2);
    release(&o);
    o = RUN("", "generate", "-m", model, "-p", "x", "--kv", "full", "--kv", "stream:1+1");
    expect(&o, 2);
    release(&o);
}
END_TEST

/* A plan that sees all changes nothing, one that sees little does; each beside its cache. */
START_TEST(plans_are_columns)
{
    static const char near[] = "{\"rules\": {\"near\": [{\"kind\": \"window\", \"left\": 1}]},"
                               " \"layers\": \"near\"}";
    static const char all[] = "{\"rules\": {\"all\": [{\"kind\": \"all\"}]}, \"layers\": \"all\"}";
    static const char text[] = "the cat sat on the mat.\nwho is big? the sun and the moon.\n";
    const char *model = make_decoder();
    const char *little = write_file("near.json", near, sizeof near - 1);
    const char *much = write_file("all.json", all, sizeof all - 1);
    double perplexity[3];
    struct outcome o = RUN(text, "score", "-m", model, "--json", "--attention", "full",
                           "--attention", much, "--attention", little, "--window", "30");
    expect(&o, 0);
    ck_assert_uint_eq(count_lines(o.out), 3);
    for (size_t i = 0; i < 3; i++) {
        const char *const names[] = {"full", much, little};
        json_t *json = line_json(o.out, i);
        ck_assert_str_eq(get_text(json, "attention"), names[i]);
        ck_assert_int_gt(get_int(json, "cache_bytes"), 0);
        perplexity[i] = get_real(json, "perplexity");
        json_decref(json);
    }
    ck_assert(perplexity[0] == perplexity[1] && perplexity[0] != perplexity[2]);
    release(&o);
    o = RUN(text, "score", "-m", model, "--attention", "full", "--attention", little, "--kv",
            "full", "--kv", "stream:1+1", "--kv", "stream:2+1");
    expect(&o, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "--attention and --kv: 2 and 3"));
    release(&o);
}
END_TEST

START_TEST(plans_are_named_when_wrong)
{
    static const char odd[] = "{\"rules\": {\"x\": [{\"kind\": \"odd\"}]}, \"layers\": \"x\"}";
    const char *path = write_file("odd.json", odd, sizeof odd - 1);
    const char *decoder = make_decoder(), *encoder = make_model(TINY_CLASSIFY);
    const char *const commands[][5] = {{"score", "-m", decoder},
                                       {"generate", "-m", decoder, "-p", "the"},
                                       {"embed", "-m", encoder}};
    for (size_t i = 0; i < 3; i++) {
        const char *const *c = commands[i];
        struct outcome o = RUN("the cat\n", c[0], "--attention", path, c[1], c[2], c[3], c[4]);
        expect(&o, 3);
        ck_assert_ptr_nonnull(strstr(o.err, "odd.json: rule \"x\": kind \"odd\" is not known"));
        release(&o);
        o = RUN("the cat\n", c[0], "--attention", "/no/such/plan", c[1], c[2], c[3], c[4]);
        expect(&o, 3);
        ck_assert_ptr_nonnull(strstr(o.err, "/no/such/plan"));
        release(&o);
    }
    struct outcome o =
        RUN("the cat\n", "embed", "-m", encoder, "--attention", "full", "--attention", "full");
    expect(&o, 2);
    release(&o);
    struct outcome full = RUN("the cat\n", "embed", "-m", encoder, "--attention", "full");
    o = RUN("the cat\n", "embed", "-m", encoder);
    expect(&full, 0);
    ck_assert_str_eq(full.out, o.out);
    release(&full);
    release(&o);
}
END_TEST

/* One by one or together, tokens are as probable. */
START_TEST(steps_change_no_score)
{
    static const char text[] = "the cat sat on the mat.\nwho is big? the sun and the moon.\n";
    const char *model = make_decoder();
    double perplexity[2];
    for (size_t i = 0; i < 2; i++) {
        struct outcome o =
            RUN(text, "score", "-m", model, "--json", i ? "--steps" : "--quiet", "--window", "20");
        expect(&o, 0);
        json_t *json = line_json(o.out, 0);
        perplexity[i] = get_real(json, "perplexity");
        json_decref(json);
        release(&o);
    }
    ck_assert(perplexity[0] == perplexity[1]);
}
END_TEST

void add_score_tests(Suite *suite)
{
    add_test(suite, "score --tasks", tasks_are_counted);
    add_test(suite, "score --tasks, columns", columns_are_tasks_too);
    add_test(suite, "score --tasks, wrong", bad_tasks_are_reported);
    add_test(suite, "score --steps", steps_change_no_score);
    add_test(suite, "score --attention", plans_are_columns);
    add_test(suite, "--attention, wrong", plans_are_named_when_wrong);
}
