/* SPDX-License-Identifier: Apache-2.0 */
/* Plans for attention that are found on a text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/api_suite.h"

enum { N = 300, WINDOW = 190, MOST_PLAN = 4096 };

static const char rules[] = "{\"rules\": {\"all\": [{\"kind\": \"all\"}],"
                            " \"near\": [{\"kind\": \"window\", \"left\": 0, \"right\": 0}],"
                            " \"some\": [{\"kind\": \"pooled\", \"blocks\": 1, \"first\": 0}]}}";
static const char only_all[] = "{\"rules\": {\"all\": [{\"kind\": \"all\"}]}}";

static struct fixture open_family(enum tiny_family family, size_t n_threads)
{
    return open_fixture(
        (struct tiny){
            .family = family, .layers = 2, .heads = 2, .hidden = 64, .ffn = 72, .max_tokens = 200},
        n_threads);
}

static void make_ids(const struct fixture *f, int32_t *ids)
{
    uint64_t state = test_seed() + 5;
    for (size_t i = 0; i < N; i++)
        ids[i] = (int32_t)(TINY_FIRST_WORD + random_below(&state, f->tiny.vocab - 10));
}

static struct lac_session *session_with(struct lac_model *model, const char *plan, size_t size)
{
    struct lac_session_options *options;
    struct lac_session *session = NULL;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    ck_assert_int_eq(lac_session_options_set_attention(options, plan, size), LAC_OK);
    ck_assert_int_eq(lac_session_new(model, options, &session), LAC_OK);
    lac_session_options_free(options);
    return session;
}

/* As the tuning does it: each window by itself. */
static double perplexity(struct lac_session *session, const int32_t *ids)
{
    double scores[WINDOW], sum = 0;
    size_t n_scored = 0;
    for (size_t at = 0; at < N; at += WINDOW) {
        size_t n = N - at < WINDOW ? N - at : WINDOW;
        ck_assert_int_eq(lac_session_score(session, ids + at, n, 1, LAC_PACE_PASSES, scores, NULL),
                         LAC_OK);
        for (size_t i = 0; i + 1 < n; i++)
            sum += scores[i];
        n_scored += n - 1;
    }
    return exp(-sum / (double)n_scored);
}

struct watch {
    double last;
    size_t n_calls, stop_at;
};

static int watch(void *context, double share)
{
    struct watch *w = context;
    ck_assert(share > w->last && share <= 1 + 1e-12);
    w->last = share;
    return ++w->n_calls == w->stop_at;
}

/* *plan is the text, which ends with 0. */
static struct lac_attention_tuned tune(const struct fixture *f, struct lac_session *session,
                                       const int32_t *ids, double error, const char *given,
                                       char plan[MOST_PLAN])
{
    struct watch w = {0};
    struct lac_attention_tuned tuned;
    const struct lac_attention_tuning tuning = {
        .error = error,
        .rules = given,
        .rules_size = given ? strlen(given) : 0,
        .window = WINDOW,
        .progress = watch,
        .context = &w,
    };
    ck_assert_msg(!lac_session_tune_attention(session, ids, N, &tuning, &tuned), "%s",
                  lac_session_message(session));
    ck_assert(w.last > 0.95 && tuned.size < MOST_PLAN);
    memcpy(plan, tuned.plan, tuned.size);
    plan[tuned.size] = '\0';
    /* It is a plan for the model. */
    lac_session_free(session_with(f->model, plan, tuned.size));
    return tuned;
}

START_TEST(plans_are_found)
{
    static const enum tiny_family families[] = {TINY_BERT, TINY_LLAMA};
    char first[MOST_PLAN], plan[MOST_PLAN];
    int32_t ids[N];
    for (size_t k = 0; k < 2; k++)
        for (size_t n_threads = 1; n_threads <= 3; n_threads++) {
            struct fixture f = open_family(families[k], n_threads);
            struct lac_session *session = api_session(f.model);
            make_ids(&f, ids);
            struct lac_attention_tuned tuned = tune(&f, session, ids, 0.5, rules, plan);
            ck_assert(tuned.density > 0 && tuned.density <= 1 && tuned.error <= 0.5);
            if (n_threads == 1)
                memcpy(first, plan, sizeof first);
            ck_assert_str_eq(first, plan);
            /* With "all" alone nothing is gained, and with any error the least is read. */
            tuned = tune(&f, session, ids, 0.5, only_all, plan);
            ck_assert(tuned.density == 1 && tuned.error == 0);
            ck_assert(tuned.perplexity == tuned.full_perplexity);
            tuned = tune(&f, session, ids, 1e6, rules, plan);
            ck_assert(tuned.density < 0.95 && tuned.error > 0.01);
            tuned = tune(&f, session, ids, 0.1, NULL, plan);
            ck_assert(tuned.error <= 0.1);
            lac_session_free(session);
            close_fixture(&f);
        }
}
END_TEST

/* Of a model that has some: the usual set knows them, and a plan with them is read again. */
START_TEST(gates_are_tried)
{
    static const char gates[] =
        "{\"rules\": {\"gate\": [{\"kind\": \"gate\", \"threshold\": 0.9}]}}";
    struct fixture f = open_fixture((struct tiny){.family = TINY_LLAMA,
                                                  .layers = 2,
                                                  .heads = 2,
                                                  .hidden = 64,
                                                  .ffn = 72,
                                                  .max_tokens = 200,
                                                  .gates = "Qavg_Kmaxminavg",
                                                  .gate_width = 32},
                                    2);
    struct lac_session *session = api_session(f.model);
    char plan[MOST_PLAN];
    int32_t ids[N];
    make_ids(&f, ids);
    tune(&f, session, ids, 0.2, NULL, plan);
    struct lac_attention_tuned tuned = tune(&f, session, ids, 1e6, gates, plan);
    ck_assert(tuned.density < 1 && tuned.error > 0);
    ck_assert_ptr_nonnull(strstr(plan, "\"gate\""));
    lac_session_free(session);
    close_fixture(&f);
}
END_TEST

START_TEST(perplexities_are_those_of_sessions)
{
    struct fixture f = open_family(TINY_LLAMA, 2);
    struct lac_session *session = api_session(f.model);
    char plan[MOST_PLAN];
    int32_t ids[N];
    make_ids(&f, ids);
    size_t sequence;
    ck_assert_int_eq(lac_session_add_ids(session, ids, NULL, 5, &sequence), LAC_OK);
    struct lac_attention_tuned tuned = tune(&f, session, ids, 1e6, rules, plan);
    struct lac_session *planned = session_with(f.model, plan, tuned.size);
    ck_assert_double_eq_tol(tuned.full_perplexity, perplexity(session, ids),
                            1e-9 * tuned.full_perplexity);
    ck_assert_double_eq_tol(tuned.perplexity, perplexity(planned, ids), 1e-9 * tuned.perplexity);
    ck_assert(fabs(tuned.perplexity - tuned.full_perplexity) > 1e-6 * tuned.perplexity);
    ck_assert_uint_eq(lac_session_tokens(session), 5); /* texts are as they were */
    lac_session_free(planned);
    lac_session_free(session);
    close_fixture(&f);
}
END_TEST

static int stop(void *context, double share)
{
    (void)share;
    lac_session_cancel(context);
    return 0;
}

START_TEST(tunings_are_checked)
{
    static const enum tiny_family families[] = {TINY_BERT, TINY_LLAMA};
    static const char odd[] = "{\"rules\": {\"odd\": [{\"kind\": \"odd\"}]}}";
    static const char taken[] = "{\"rules\": {\"usual\": []}}";
    struct watch once = {.stop_at = 1};
    const struct {
        struct lac_attention_tuning tuning;
        size_t n;
        enum lac_status status;
        const char *says;
    } wrong[] = {
        {{.error = 0}, N, LAC_E_ARGUMENT, "one of them"},
        {{.error = 1, .density = 1}, N, LAC_E_ARGUMENT, "one of them"},
        {{.error = NAN}, N, LAC_E_ARGUMENT, "one of them"},
        {{.error = 1}, 1, LAC_E_ARGUMENT, "1 tokens"},
        {{.error = 1, .window = 2}, N, LAC_E_ARGUMENT, "windows of 2"},
        {{.error = 1, .window = 201}, N, LAC_E_LIMIT, "takes 200"},
        {{.density = 1e-3}, N, LAC_E_ARGUMENT, "no less than"},
        {{.error = 1, .rules = "{", .rules_size = 1}, N, LAC_E_FORMAT, "rules to try: line 1"},
        {{.error = 1, .rules = "{}", .rules_size = 2}, N, LAC_E_FORMAT, "rules to try: rules"},
        {{.error = 1, .rules = odd, .rules_size = sizeof odd - 1},
         N,
         LAC_E_UNSUPPORTED,
         "rules to try: rule \"odd\""},
        {{.error = 1, .rules = taken, .rules_size = sizeof taken - 1}, N, LAC_E_FORMAT, "usual"},
        {{.error = 1, .progress = watch, .context = &once}, N, LAC_E_CANCELLED, "cancelled"},
    };
    int32_t ids[N];
    for (size_t k = 0; k < 2; k++) {
        struct fixture f = open_family(families[k], 1);
        struct lac_session *session = api_session(f.model);
        struct lac_attention_tuned tuned = {.density = 7};
        make_ids(&f, ids);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            once = (struct watch){.stop_at = 1};
            ck_assert_int_eq(
                lac_session_tune_attention(session, ids, wrong[i].n, &wrong[i].tuning, &tuned),
                wrong[i].status);
            ck_assert_msg(strstr(lac_session_message(session), wrong[i].says) != NULL,
                          "case %zu: %s", i, lac_session_message(session));
            ck_assert(tuned.density == 7);
        }
        const struct lac_attention_tuning good = {.error = 1};
        ck_assert_int_eq(lac_session_tune_attention(session, NULL, N, &good, &tuned),
                         LAC_E_ARGUMENT);
        ck_assert_int_eq(lac_session_tune_attention(session, ids, N, NULL, &tuned), LAC_E_ARGUMENT);
        ck_assert_int_eq(lac_session_tune_attention(session, ids, N, &good, NULL), LAC_E_ARGUMENT);
        ids[N - 1] = (int32_t)f.tiny.vocab;
        ck_assert_int_eq(lac_session_tune_attention(session, ids, N, &good, &tuned),
                         LAC_E_ARGUMENT);
        ck_assert_ptr_nonnull(strstr(lac_session_message(session), "token 299"));
        ids[N - 1] = TINY_FIRST_WORD;
        if (families[k] == TINY_LLAMA) {
            struct lac_attention_tuning stopped = {
                .error = 1, .progress = stop, .context = session};
            ck_assert_int_eq(lac_session_tune_attention(session, ids, N, &stopped, &tuned),
                             LAC_E_CANCELLED);
        }
        ck_assert_int_eq(lac_session_tune_attention(session, ids, N, &good, &tuned), LAC_OK);
        lac_session_free(session);
        close_fixture(&f);
    }
}
END_TEST

void add_tuning_tests(Suite *suite)
{
    add_test(suite, "tuning", plans_are_found);
    add_test(suite, "tuning, gates", gates_are_tried);
    add_test(suite, "tuning, perplexity", perplexities_are_those_of_sessions);
    add_test(suite, "tuning, wrong", tunings_are_checked);
}
