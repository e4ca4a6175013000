/* SPDX-License-Identifier: Apache-2.0 */
/* Attention plans of sessions: as those of a model's configuration, one beside another. */
#include <stdlib.h>
#include <string.h>

#include "tests/api_suite.h"

enum { N = 200, LABELS = 3, CONTEXT = 150 };

static const char plan[] = "{\"rules\": {\"near\": [{\"kind\": \"window\", \"left\": 20},"
                           " {\"kind\": \"sinks\", \"n\": 2}],"
                           " \"some\": [{\"kind\": \"pooled\", \"blocks\": 1, \"first\": 0}]},"
                           " \"layers\": [[\"near\", \"some\"], [\"usual\", \"near\"]]}";
static const char usual[] = "{\"layers\": \"usual\"}";

static struct tiny tiny_of(enum tiny_family family, const char *attention)
{
    return (struct tiny){.family = family,
                         .head = TINY_TAG,
                         .layers = 2,
                         .heads = 2,
                         .hidden = 64,
                         .ffn = 72,
                         .max_tokens = N,
                         .labels = LABELS,
                         .attention = attention};
}

static enum lac_status try_session(struct lac_model *model, const char *attention,
                                   struct lac_session **session)
{
    struct lac_session_options *options;
    ck_assert_int_eq(lac_session_options_new(&options), LAC_OK);
    ck_assert_int_eq(
        lac_session_options_set_attention(options, attention, attention ? strlen(attention) : 0),
        LAC_OK);
    enum lac_status status = lac_session_new(model, options, session);
    lac_session_options_free(options);
    return status;
}

/* All that a session finds of the same ids. */
struct found {
    float tags[N * LABELS];
    double scores[N - CONTEXT];
};

static void ask(struct lac_session *session, enum tiny_family family, const int32_t *ids,
                struct found *found)
{
    const float *x, *y;
    size_t n_tokens, n_labels;
    memset(found, 0, sizeof *found);
    if (family == TINY_LLAMA) {
        ck_assert_msg(
            !lac_session_score(session, ids, N, CONTEXT, LAC_PACE_PASSES, found->scores, NULL),
            "%s", lac_session_message(session));
        return;
    }
    ck_assert_int_eq(lac_session_add_ids(session, ids, NULL, N, NULL), LAC_OK);
    ck_assert_msg(!lac_session_run(session), "%s", lac_session_message(session));
    ck_assert_int_eq(lac_session_tags(session, 0, &x, &y, &n_tokens, &n_labels), LAC_OK);
    ck_assert_uint_eq(n_tokens * n_labels, N * LABELS);
    memcpy(found->tags, x, sizeof found->tags);
}

static void check_family(enum tiny_family family, size_t n_threads)
{
    struct fixture plain = open_fixture(tiny_of(family, NULL), n_threads);
    struct fixture planned = open_fixture(tiny_of(family, plan), n_threads);
    /* The first two are full attention, the others the plan's. */
    const struct {
        struct lac_model *model;
        const char *attention;
    } ways[] = {
        {plain.model, NULL}, {planned.model, usual}, {planned.model, NULL},
        {plain.model, plan}, {planned.model, plan},
    };
    enum { N_WAYS = sizeof ways / sizeof *ways };
    struct lac_session *sessions[N_WAYS];
    struct found *found = calloc(N_WAYS, sizeof *found);
    int32_t ids[N];
    uint64_t state = test_seed() + 4;
    ck_assert_ptr_nonnull(found);
    for (size_t i = 0; i < N; i++)
        ids[i] = (int32_t)(TINY_FIRST_WORD + random_below(&state, plain.tiny.vocab - 10));
    for (size_t i = 0; i < N_WAYS; i++)
        ck_assert_msg(!try_session(ways[i].model, ways[i].attention, &sessions[i]), "%s",
                      api_message(plain.engine));
    for (size_t i = 0; i < N_WAYS; i++)
        ask(sessions[i], family, ids, &found[i]);
    for (size_t i = 0; i < N_WAYS; i++)
        ck_assert_msg(!memcmp(&found[i], &found[i < 2 ? 0 : 2], sizeof *found), "way %zu", i);
    ck_assert(memcmp(&found[0], &found[2], sizeof *found) != 0);
    if (family == TINY_LLAMA) {
        struct lac_session *clone;
        ck_assert_int_eq(lac_session_clone(sessions[3], &clone), LAC_OK);
        lac_session_free(sessions[3]);
        sessions[3] = clone;
        ask(clone, family, ids, &found[0]);
        ck_assert(!memcmp(&found[0], &found[2], sizeof *found));
    }
    for (size_t i = 0; i < N_WAYS; i++)
        lac_session_free(sessions[i]);
    free(found);
    close_fixture(&planned);
    close_fixture(&plain);
}

START_TEST(sessions_have_plans)
{
    for (size_t n_threads = 1; n_threads <= 2; n_threads++) {
        check_family(TINY_BERT, n_threads);
        check_family(TINY_LLAMA, n_threads);
    }
}
END_TEST

START_TEST(plans_are_checked)
{
    static const struct {
        const char *plan, *says;
        enum lac_status status;
    } wrong[] = {
        {"", "attention: line 1", LAC_E_FORMAT},
        {"{\"layers\": \"usual\"", "attention: line 1", LAC_E_FORMAT},
        {"[]", "attention: expected an object", LAC_E_FORMAT},
        {"{}", "attention: layers", LAC_E_FORMAT},
        {"{\"layers\": [\"usual\"]}", "attention: layers: 1 items for 2 layers", LAC_E_FORMAT},
        {"{\"layers\": [\"usual\", [\"usual\"]]}", "attention: layers: 1 items for 2 heads of",
         LAC_E_FORMAT},
        {"{\"rules\": {\"a\": [{\"kind\": \"odd\"}]}, \"layers\": \"a\"}",
         "attention: rule \"a\": kind \"odd\"", LAC_E_UNSUPPORTED},
        {"{\"layers\": \"b\"}", "attention: layers: no rule \"b\"", LAC_E_FORMAT},
    };
    static const enum tiny_family families[] = {TINY_BERT, TINY_LLAMA};
    for (size_t k = 0; k < 2; k++) {
        struct fixture f = open_fixture(tiny_of(families[k], NULL), 1);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            struct lac_session *session = (void *)&f;
            ck_assert_int_eq(try_session(f.model, wrong[i].plan, &session), wrong[i].status);
            ck_assert_msg(strstr(api_message(f.engine), wrong[i].says) != NULL, "case %zu: %s", i,
                          api_message(f.engine));
            ck_assert_ptr_eq(session, (void *)&f);
        }
        close_fixture(&f);
    }
}
END_TEST

void add_attention_plan_tests(Suite *suite)
{
    add_test(suite, "plans", sessions_have_plans);
    add_test(suite, "plans, wrong", plans_are_checked);
}
