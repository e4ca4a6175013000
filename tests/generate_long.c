/* SPDX-License-Identifier: Apache-2.0 */
/* Long texts: keys of one head that workers share, and tokens that choose what they read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

/* More than three ranges of 1,024 keys, and caches large enough for a team. */
enum { PROMPT = 3500, MADE = 5, MOST_TOKENS = PROMPT + MADE };

static struct house open_long(size_t n_threads)
{
    return open_tiny(n_threads, 0, test_seed(),
                     (struct tiny){.family = TINY_LLAMA,
                                   .hidden = 64,
                                   .ffn = 72,
                                   .heads = 4,
                                   .layers = 1,
                                   .max_tokens = MOST_TOKENS});
}

static void make_text(int32_t *ids)
{
    uint64_t state = test_seed();
    ids[0] = 1;
    for (size_t i = 1; i < PROMPT; i++)
        ids[i] = (int32_t)(259 + random_below(&state, TINY_LLAMA_WORDS - 259));
}

/* A text and the log-probabilities of what was made. */
struct made {
    int32_t ids[MOST_TOKENS];
    double log_probabilities[MADE];
};

static void make(size_t n_threads, enum lac_dtype kv_dtype, struct made *made)
{
    struct house h = open_long(n_threads);
    struct ask ask = {.max_new_tokens = MADE,
                      .kv_dtype = kv_dtype,
                      .log_probabilities = LAC_LOG_PROBABILITIES_YES,
                      .sampling = {.temperature = 1, .seed = 5}};
    struct lac_session *session = open_session(h.model, &ask);
    make_text(made->ids);
    ck_assert_ok(session, lac_session_add_ids(session, made->ids, NULL, PROMPT, NULL));
    for (size_t i = 0; i < MADE; i++) {
        const struct lac_event *events;
        size_t n;
        ck_assert_ok(session, lac_session_next(session, &events, &n));
        ck_assert_uint_ge(n, 1);
        made->ids[PROMPT + i] = events[0].id;
        made->log_probabilities[i] = events[0].log_probability;
    }
    lac_session_free(session);
    close_house(&h);
}

/* Whoever works on which keys, and whether a token comes alone or among others. */
START_TEST(test_shared_keys)
{
    static const enum lac_dtype dtypes[] = {LAC_S8, LAC_F32};
    struct made first, other;
    double scored[MADE];
    for (size_t d = 0; d < 2; d++) {
        make(1, dtypes[d], &first);
        for (size_t n_threads = 2; n_threads <= 5; n_threads++) {
            make(n_threads, dtypes[d], &other);
            ck_assert_msg(!memcmp(first.ids, other.ids, sizeof first.ids) &&
                              !memcmp(first.log_probabilities, other.log_probabilities,
                                      sizeof first.log_probabilities),
                          "%zu threads", n_threads);
        }
        struct house h = open_long(3);
        struct ask ask = {.kv_dtype = dtypes[d]};
        struct lac_session *session = open_session(h.model, &ask);
        ck_assert_ok(session, lac_session_score(session, first.ids, MOST_TOKENS, PROMPT,
                                                LAC_PACE_PASSES, scored, NULL));
        ck_assert_msg(!memcmp(scored, first.log_probabilities, sizeof scored), "scored: %a, %a",
                      scored[0], first.log_probabilities[0]);
        lac_session_free(session);
        close_house(&h);
    }
}
END_TEST

/* ---- Tokens that choose ---- */

/* Behind the prompt more tokens follow than a pass has rows. */
enum { CHOOSING = 200, CHOSEN = 70, MOST_CHOSEN = CHOOSING + CHOSEN };

static const size_t layer_budgets[] = {LAC_KV_MOST, 1};
static const struct lac_kv_policy choices[] = {
    {.kind = LAC_KV_QUEST, .n_budget = 1},
    {.kind = LAC_KV_QUEST, .n_part = 2},
    {.kind = LAC_KV_QUEST, .layer_budgets = layer_budgets, .n_layer_budgets = 2},
    {.kind = LAC_KV_CHANNELS, .n_budget = 130},
    {.kind = LAC_KV_CHANNELS, .n_part = LAC_KV_MOST},
};
enum { N_CHOICES = sizeof choices / sizeof *choices };

static struct house open_choosing(size_t n_threads, enum lac_dtype dtype)
{
    return open_tiny(n_threads, dtype, test_seed(),
                     (struct tiny){.family = TINY_LLAMA,
                                   .hidden = 64,
                                   .ffn = 72,
                                   .heads = 4,
                                   .layers = 2,
                                   .max_tokens = MOST_CHOSEN});
}

static struct ask choosing(const struct lac_kv_policy *policy)
{
    return (struct ask){.max_new_tokens = CHOSEN,
                        .kv_policy = *policy,
                        .log_probabilities = LAC_LOG_PROBABILITIES_YES,
                        .sampling = {.temperature = 1, .seed = 9}};
}

static size_t add_choosing(struct lac_session *session)
{
    int32_t ids[PROMPT];
    size_t sequence;
    make_text(ids);
    ck_assert_ok(session, lac_session_add_ids(session, ids, NULL, CHOOSING, &sequence));
    return sequence;
}

static struct outcome write_choosing(struct lac_model *model, const struct ask *ask)
{
    struct lac_session *session = open_session(model, ask);
    size_t sequence = add_choosing(session);
    ck_assert_ok(session, lac_session_run(session));
    struct outcome o = outcome_of(session, sequence);
    lac_session_free(session);
    return o;
}

/* However passes are cut and whoever works on them. */
START_TEST(test_choices)
{
    static const struct way {
        size_t n_threads, batch_tokens, n_speculated;
    } ways[] = {{2, 0, 0}, {3, 7, 0}, {1, 0, 3}, {1, 33, 20}};
    for (size_t d = 0; d < 2; d++) {
        enum lac_dtype dtype = d ? LAC_F32 : LAC_S8;
        struct house h = open_choosing(1, dtype);
        struct ask ask = choosing(&choices[_i]), full = choosing(&(struct lac_kv_policy){0});
        struct outcome first = write_choosing(h.model, &ask), all = write_choosing(h.model, &full);
        ck_assert_msg(memcmp(&first.log_probability, &all.log_probability, sizeof(double)),
                      "nothing was left out");
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            struct house other = open_choosing(ways[i].n_threads, dtype);
            ask.batch_tokens = ways[i].batch_tokens;
            ask.n_speculated = ways[i].n_speculated;
            struct outcome o = write_choosing(other.model, &ask);
            assert_same(&o, &first);
            outcome_clear(&o);
            close_house(&other);
        }
        outcome_clear(&first);
        outcome_clear(&all);
        close_house(&h);
    }
}
END_TEST

/* A budget for everything changes nothing. */
START_TEST(test_large_budgets)
{
    struct house h = open_choosing(1, 0);
    struct ask full = choosing(&(struct lac_kv_policy){0});
    struct outcome expected = write_choosing(h.model, &full);
    for (int kind = LAC_KV_QUEST; kind <= LAC_KV_CHANNELS; kind++) {
        struct ask ask = choosing(&(struct lac_kv_policy){.kind = kind, .n_budget = MOST_CHOSEN});
        struct outcome o = write_choosing(h.model, &ask);
        assert_same(&o, &expected);
        outcome_clear(&o);
    }
    outcome_clear(&expected);
    close_house(&h);
}
END_TEST

/* Copies, files and scores are of the same text. */
START_TEST(test_chosen_copies)
{
    struct house h = open_choosing(2, 0);
    struct ask ask = choosing(&choices[_i]);
    struct outcome expected = write_choosing(h.model, &ask);
    struct lac_session *session = open_session(h.model, &ask), *clone;
    size_t sequence = add_choosing(session), fork, restored;
    const struct lac_event *events;
    char path[] = "/tmp/lacuna-choice-XXXXXX";
    int file = mkstemp(path);
    ck_assert_int_ge(file, 0);
    for (size_t i = 0, n; i < 23; i++)
        ck_assert_ok(session, lac_session_next(session, &events, &n));
    ck_assert_ok(session, lac_session_fork(session, sequence, 9, &fork));
    ck_assert_ok(session, lac_session_clone(session, &clone));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_ok(session, lac_session_restore(session, path, &restored));
    remove(path);
    ck_assert_ok(session, lac_session_run(session));
    assert_outcome(session, sequence, &expected);
    assert_outcome(session, fork, &expected);
    assert_outcome(session, restored, &expected);
    lac_session_free(session);
    ck_assert_ok(clone, lac_session_run(clone));
    assert_outcome(clone, sequence, &expected);
    for (int pace = LAC_PACE_PASSES; pace <= LAC_PACE_STEPS; pace++) {
        double scores[CHOSEN], sum = 0;
        ck_assert_ok(clone, lac_session_score(clone, expected.ids, expected.n, CHOOSING,
                                              (enum lac_pace)pace, scores, NULL));
        for (size_t i = 0; i < expected.n - CHOOSING; i++)
            sum += scores[i];
        ck_assert_msg(!memcmp(&sum, &expected.log_probability, sizeof sum), "%a and %a", sum,
                      expected.log_probability);
    }
    lac_session_free(clone);
    outcome_clear(&expected);
    close_house(&h);
}
END_TEST

/* Beams share what they have in common, and leave nothing behind. */
START_TEST(test_chosen_beams)
{
    const struct lac_search search = {.n_beams = 4};
    size_t best[2][4], n[2];
    double found[2];
    for (size_t threads = 1; threads <= 2; threads++) {
        struct house h = open_choosing(threads, 0);
        struct ask ask = choosing(&choices[_i]);
        ask.max_new_tokens = 40;
        struct lac_session *session = open_session(h.model, &ask);
        size_t sequence = add_choosing(session);
        ck_assert_ok(session, lac_session_search(session, sequence, &search, 1, best[threads - 1],
                                                 &n[threads - 1]));
        struct outcome o = outcome_of(session, best[threads - 1][0]);
        found[threads - 1] = o.log_probability;
        outcome_clear(&o);
        lac_session_free(session);
        close_house(&h);
    }
    ck_assert(!memcmp(&found[0], &found[1], sizeof(double)));
}
END_TEST

START_TEST(test_bad_choices)
{
    static const struct lac_kv_policy bad[] = {
        {.kind = LAC_KV_QUEST},
        {.kind = LAC_KV_CHANNELS, .n_budget = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_QUEST, .n_part = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_QUEST, .layer_budgets = layer_budgets, .n_layer_budgets = 1},
        {.kind = LAC_KV_CHANNELS,
         .n_part = 2,
         .layer_budgets = layer_budgets,
         .n_layer_budgets = 2},
    };
    struct house h = open_choosing(1, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ask ask = {.kv_policy = bad[i]};
        assert_refused(h.model, &ask);
    }
    close_house(&h);
}
END_TEST

/* What is kept of a long text is cut into the same ranges whenever the rest went. */
START_TEST(test_kept_ranges)
{
    static const struct lac_kv_policy kept[] = {
        {.kind = LAC_KV_STREAM, .n_sinks = 64, .n_window = 1500},
        {.kind = LAC_KV_STREAM, .n_window = 1100},
        {.kind = LAC_KV_STREAM, .n_sinks = 70, .n_window = 200, .rest = LAC_KV_MEAN},
        {.kind = LAC_KV_MEMORY, .n_sinks = 64, .n_window = 1100, .n_budget = 300},
        {.kind = LAC_KV_THIN, .share = 0.5},
        {.kind = LAC_KV_ZIP, .share = 0.5},
    };
    static const struct {
        size_t n_threads, batch_tokens;
    } ways[] = {{1, 0}, {2, 70}, {3, 1000}, {1, PROMPT}};
    const struct ask ask_first = {.kv_policy = kept[_i], .kv_dtype = LAC_F32};
    double first[MADE] = {0}, found[MADE];
    int32_t ids[PROMPT + MADE];
    make_text(ids);
    for (size_t i = 0; i < MADE; i++)
        ids[PROMPT + i] = (int32_t)(300 + i);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct house h = open_long(ways[i].n_threads);
        struct ask ask = ask_first;
        ask.batch_tokens = ways[i].batch_tokens;
        struct lac_session *session = open_session(h.model, &ask);
        ck_assert_ok(session, lac_session_score(session, ids, PROMPT + MADE, PROMPT,
                                                i % 2 ? LAC_PACE_STEPS : LAC_PACE_PASSES,
                                                i ? found : first, NULL));
        ck_assert_msg(!i || !memcmp(first, found, sizeof first), "way %zu: %g and %g", i, found[0],
                      first[0]);
        lac_session_free(session);
        close_house(&h);
    }
}
END_TEST

void add_long_tests(Suite *suite)
{
    TCase *tcase = tcase_create("choices");
    tcase_set_timeout(tcase, 0);
    tcase_add_loop_test(tcase, test_choices, 0, N_CHOICES);
    tcase_add_loop_test(tcase, test_chosen_copies, 0, N_CHOICES);
    tcase_add_loop_test(tcase, test_chosen_beams, 0, N_CHOICES);
    tcase_add_loop_test(tcase, test_kept_ranges, 0, 6);
    suite_add_tcase(suite, tcase);
    add_test(suite, "large_budgets", test_large_budgets);
    add_test(suite, "bad_choices", test_bad_choices);
    add_test(suite, "shared_keys", test_shared_keys);
}
