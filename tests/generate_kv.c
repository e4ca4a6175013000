/* SPDX-License-Identifier: Apache-2.0 */
/* Caches that keep less: what texts then see, against the definition; what they weigh; and that
 * they still depend on nothing but themselves. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_naive.h"
#include "tests/generate_policies.h"
#include "tests/generate_suite.h"

enum { PAGE = NAIVE_PAGE, LAYERS = NAIVE_LAYERS, KV_HEADS = NAIVE_KV_HEADS, HEAD = NAIVE_HEAD };
enum { MOST_TOKENS = NAIVE_TOKENS, N_WORDS = TINY_LLAMA_WORDS };

/* ---- Against it ---- */

static void make_text(size_t n, uint64_t number, int32_t *ids)
{
    uint64_t state = test_seed() + number;
    ids[0] = 1;
    for (size_t i = 1; i < n; i++)
        ids[i] = (int32_t)(259 + random_below(&state, N_WORDS - 259));
}

static void score(struct lac_model *model, const struct ask *ask, const int32_t *ids, size_t n,
                  size_t n_prompt, double *found, size_t *cache_bytes)
{
    struct lac_session *session = open_session(model, ask);
    struct lac_generation_counts counts;
    ck_assert_ok(session,
                 lac_session_score(session, ids, n, n_prompt, LAC_PACE_PASSES, found, NULL));
    ck_assert_ok(session, lac_session_counts(session, &counts));
    *cache_bytes = counts.score_cache_bytes;
    lac_session_free(session);
}

enum { SCORED_PROMPT = 250 };

/* Beside the pages there may be votes, on as many slots as the fullest head has, and what comes
 * until heads choose again.  Budgets that are dealt may leave each head with a page more or less.
 */
static void check_bytes(size_t bytes, size_t n_pages, size_t page_bytes,
                        const struct lac_kv_policy *policy)
{
    if (policy->kind == LAC_KV_MEMORY) { /* and labels */
        ck_assert_uint_ge(bytes, n_pages * page_bytes);
        ck_assert_uint_le(bytes, n_pages * page_bytes + LAYERS * KV_HEADS * 2 * (64 + 4 * 64));
        return;
    }
    if (policy->kind == LAC_KV_THIN || policy->kind == LAC_KV_ZIP) {
        /* Pages of so narrow heads are not smaller for a few features less. */
        ck_assert_uint_le(bytes, n_pages * (page_bytes + (policy->kind == LAC_KV_THIN ? 64 : 0)));
        ck_assert_uint_gt(bytes, n_pages * page_bytes / 4);
        return;
    }
    size_t n_rows = LAYERS * KV_HEADS + 8 * KV_HEADS, n_slots = policy->n_full_heads ? 448 : 320;
    if (policy->deal == LAC_KV_BY_MASS) {
        size_t slack = LAYERS * KV_HEADS * page_bytes;
        ck_assert_uint_ge(bytes + slack, n_pages * page_bytes);
        ck_assert_uint_le(bytes, n_pages * page_bytes + slack);
        return;
    }
    ck_assert_uint_ge(bytes, n_pages * page_bytes);
    bytes -= n_pages * page_bytes;
    if (policy->rest == LAC_KV_MEAN)
        ck_assert_uint_eq(bytes, LAYERS * KV_HEADS * (2 * HEAD + 1) * 8);
    else if (policy->kind == LAC_KV_HEAVY)
        ck_assert_uint_le(bytes, 64 + n_rows * n_slots * 4);
    else
        ck_assert_uint_eq(bytes, 0);
}

static void check_scores(size_t window, const struct lac_kv_policy *policy)
{
    static const size_t batches[] = {0, 7, 100};
    struct tiny tiny = naive_tiny(window);
    int32_t ids[MOST_TOKENS];
    double expected[MOST_TOKENS], first[MOST_TOKENS], found[MOST_TOKENS];
    tiny_make(&tiny, test_seed());
    size_t n_prompt = policy->kind == LAC_KV_STREAM ? 1 : SCORED_PROMPT, number = 0;
    do
        make_text(MOST_TOKENS, number++, ids);
    while (!naive_score(&tiny, policy, ids, MOST_TOKENS, n_prompt, expected));
    tiny_free(&tiny);
    for (size_t i = 0; i < 3; i++) {
        struct house house = open_tiny(1 + i % 2, LAC_F32, test_seed(), naive_tiny(window));
        struct ask ask = {.kv_policy = *policy, .batch_tokens = batches[i]};
        size_t bytes, n = MOST_TOKENS - 1;
        score(house.model, &ask, ids, MOST_TOKENS, n_prompt, i ? found : first, &bytes);
        bool is_defined = policy != &policies[LOOKED_UP] || window;
        for (size_t k = n_prompt; k <= n && !i && is_defined; k++)
            ck_assert_msg(fabs(first[k - n_prompt] - expected[k - 1]) < 1e-3,
                          "window %zu, token %zu: %g and %g", window, k, first[k - n_prompt],
                          expected[k - 1]);
        ck_assert(!i || !memcmp(first, found, (MOST_TOKENS - n_prompt) * sizeof *found));
        check_bytes(bytes, naive_pages(policy, window, n, n, n_prompt), 2 * PAGE * HEAD * 4,
                    policy);
        close_house(&house);
    }
}

START_TEST(kept_keys_are_seen)
{
    check_scores(0, &policies[_i]);
}
END_TEST

START_TEST(windows_are_kept)
{
    static const size_t windows[] = {50, 129};
    for (size_t i = 0; i < 2; i++)
        check_scores(windows[i], &policies[_i]);
}
END_TEST

/* The policies must matter, or these tests find nothing. */
START_TEST(less_is_not_the_same)
{
    struct house house = open_tiny(1, LAC_F32, test_seed(), naive_tiny(0));
    struct ask full = {0};
    int32_t ids[MOST_TOKENS];
    double a[MOST_TOKENS], b[MOST_TOKENS];
    size_t all_bytes, bytes;
    make_text(MOST_TOKENS, 0, ids);
    size_t n = MOST_TOKENS - 1, n_prompt = SCORED_PROMPT;
    score(house.model, &full, ids, n + 1, n_prompt, a, &all_bytes);
    ck_assert_uint_eq(all_bytes,
                      naive_pages(&full.kv_policy, 0, n, n, n_prompt) * 2 * PAGE * HEAD * 4);
    static const struct {
        size_t policy;
        double share; /* of the bytes, at most */
    } some[] = {
        {0, 0.8},           {FIRST_MEAN, 0.8},  {FIRST_SNAP, 0.8}, {FIRST_DEALT, 0.8},
        {FIRST_HEAVY, 0.8}, {FIRST_THIN, 0.93}, {FIRST_ZIP, 0.9},
    };
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct ask less = {.kv_policy = policies[some[i].policy]};
        score(house.model, &less, ids, n + 1, n_prompt, b, &bytes);
        ck_assert_double_lt((double)bytes, (double)all_bytes * some[i].share);
        ck_assert(memcmp(a, b, (MOST_TOKENS - n_prompt) * sizeof *a));
    }
    close_house(&house);
}
END_TEST

/* ---- Texts ---- */

enum { PROMPT = 230, MADE = 100 };

static const struct ask drawn = {.max_new_tokens = MADE, .sampling = {.temperature = 1, .seed = 3}};

static struct ask ask_of(const struct lac_kv_policy *policy)
{
    struct ask ask = drawn;
    ask.kv_policy = *policy;
    return ask;
}

static size_t add_text(struct lac_session *session, size_t n)
{
    int32_t ids[MOST_TOKENS];
    size_t sequence;
    make_text(n, 0, ids);
    ck_assert_ok(session, lac_session_add_ids(session, ids, NULL, n, &sequence));
    return sequence;
}

static struct outcome run_text(struct lac_model *model, const struct ask *ask, size_t n)
{
    struct lac_session *session = open_session(model, ask);
    size_t sequence = add_text(session, n);
    ck_assert_ok(session, lac_session_run(session));
    struct outcome o = outcome_of(session, sequence);
    lac_session_free(session);
    return o;
}

START_TEST(texts_stay_their_own)
{
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    struct house pair = open_tiny(2, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[_i]), others[4] = {ask, ask, ask, ask};
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    others[1].batch_tokens = 5;
    others[2].n_speculated = 4;
    others[2].draft = house.model; /* its guesses see everything */
    others[3].n_speculated = 8;
    others[3].batch_tokens = 3; /* passes of guesses alone */
    for (size_t i = 0; i < 4; i++) {
        struct outcome o = run_text(i ? house.model : pair.model, &others[i], PROMPT);
        assert_same(&o, &expected);
        outcome_clear(&o);
    }
    struct lac_session *session = open_session(pair.model, &ask);
    add_prompt(session, 3);
    size_t sequence = add_text(session, PROMPT);
    ck_assert_ok(session, lac_session_prepare(session));
    ck_assert_ok(session, lac_session_run(session));
    assert_outcome(session, sequence, &expected);
    lac_session_free(session);
    outcome_clear(&expected);
    close_house(&house);
    close_house(&pair);
}
END_TEST

/* Forks, clones and files in the middle go on as the text itself; other turns follow. */
START_TEST(copies_go_on)
{
    struct house house = open_tiny(2, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[_i]);
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    struct lac_session *session = open_session(house.model, &ask), *clone;
    size_t sequence = add_text(session, PROMPT), fork, restored;
    char path[512];
    snprintf(path, sizeof path, "%s/text", scratch_directory());
    for (size_t i = 0; i < MADE / 2; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_fork(session, sequence, ask.sampling.seed, &fork));
    ck_assert_ok(session, lac_session_clone(session, &clone));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_ok(session, lac_session_run(session));
    ck_assert_ok(session, lac_session_run(clone));
    ck_assert_ok(session, lac_session_restore(session, path, &restored));
    ck_assert_ok(session, lac_session_run(session));
    assert_outcome(session, sequence, &expected);
    assert_outcome(session, fork, &expected);
    assert_outcome(session, restored, &expected);
    assert_outcome(clone, sequence, &expected);
    size_t all[] = {sequence, fork, restored};
    struct outcome fed = {0};
    for (size_t i = 0; i < 3; i++) {
        int32_t more[] = {300, 301, 302};
        ck_assert_ok(session, lac_session_feed_ids(session, all[i], more, 3));
        ck_assert_ok(session, lac_session_set_max_new_tokens(session, all[i], 9));
        ck_assert_ok(session, lac_session_run(session));
        if (i)
            assert_outcome(session, all[i], &fed);
        else
            fed = outcome_of(session, all[i]);
    }
    outcome_clear(&fed);
    outcome_clear(&expected);
    lac_session_free(clone);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* Copies made while a prompt's end votes, and of a prompt whose heads have not yet chosen. */
START_TEST(votes_are_copied)
{
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[_i]);
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    char path[512];
    snprintf(path, sizeof path, "%s/votes", scratch_directory());
    for (size_t n_steps = 0; n_steps < 3; n_steps++) {
        struct lac_session *session = open_session(house.model, &ask), *clone;
        size_t sequence = add_text(session, PROMPT), fork, restored;
        ck_assert_ok(session, lac_session_prepare(session));
        for (size_t i = 0; i < n_steps; i++)
            ck_assert_ok(session, lac_session_next(session, NULL, NULL));
        ck_assert_ok(session, lac_session_save(session, sequence, path));
        ck_assert_ok(session, lac_session_fork(session, sequence, ask.sampling.seed, &fork));
        ck_assert_ok(session, lac_session_clone(session, &clone));
        ck_assert_ok(session, lac_session_restore(session, path, &restored));
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(clone, lac_session_run(clone));
        assert_outcome(session, sequence, &expected);
        assert_outcome(session, fork, &expected);
        assert_outcome(session, restored, &expected);
        assert_outcome(clone, sequence, &expected);
        lac_session_free(clone);
        lac_session_free(session);
    }
    outcome_clear(&expected);
    close_house(&house);
}
END_TEST

/* Whatever a file's policy was, a session goes on by its own with what is there: the same however
 * often, with any passes. */
START_TEST(files_change_policies)
{
    static const struct lac_kv_policy full = {0};
    static const size_t some[] = {0,           FIRST_MEAN, FIRST_SNAP, FIRST_DEALT,
                                  FIRST_HEAVY, FIRST_THIN, FIRST_ZIP,  N_POLICIES};
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[_i]);
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_text(session, PROMPT), restored;
    char path[512];
    snprintf(path, sizeof path, "%s/other", scratch_directory());
    ck_assert_ok(session, lac_session_prepare(session));
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        struct ask other = ask_of(some[i] < N_POLICIES ? &policies[some[i]] : &full);
        struct outcome expected = {0};
        ck_assert_ok(session, lac_session_save(session, sequence, path));
        for (size_t k = 0; k < 2; k++) {
            int32_t more[90];
            make_text(90, i, more);
            other.batch_tokens = k ? 7 : 0;
            struct lac_session *next = open_session(house.model, &other);
            ck_assert_ok(next, lac_session_restore(next, path, &restored));
            ck_assert_ok(next, lac_session_feed_ids(next, restored, more + 1, 89));
            ck_assert_ok(next, lac_session_set_max_new_tokens(next, restored, 5));
            ck_assert_ok(next, lac_session_run(next));
            if (k)
                assert_outcome(next, restored, &expected);
            else
                expected = outcome_of(next, restored);
            lac_session_free(next);
        }
        outcome_clear(&expected);
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    }
    lac_session_free(session);
    close_house(&house);
}
END_TEST

/* A second prompt chooses anew among what is left. */
START_TEST(turns_depend_on_no_batch)
{
    static const size_t batches[] = {0, 7, 50};
    struct house house = open_tiny(2, 0, test_seed(), naive_tiny(0));
    struct outcome expected = {0};
    for (size_t i = 0; i < 3; i++) {
        struct ask ask = ask_of(&policies[_i]);
        struct lac_generation_counts counts;
        ask.batch_tokens = batches[i];
        ask.n_speculated = i;
        ask.max_new_tokens = 20;
        struct lac_session *session = open_session(house.model, &ask);
        size_t sequence = add_text(session, PROMPT);
        int32_t more[120];
        make_text(120, 9, more);
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(session, lac_session_feed_ids(session, sequence, more + 1, 119));
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(session, lac_session_counts(session, &counts));
        size_t n_pages = LAYERS * KV_HEADS * ((PROMPT + 119 + 20) / PAGE);
        size_t all = n_pages * 2 * (PAGE * 4 + PAGE * HEAD);
        ck_assert(policies[_i].n_window > MOST_TOKENS || policies[_i].kind == LAC_KV_HEAVY ||
                  policies[_i].kind == LAC_KV_THIN || policies[_i].kind == LAC_KV_MEMORY ||
                  counts.cache_bytes < all);
        if (i)
            assert_outcome(session, sequence, &expected);
        else
            expected = outcome_of(session, sequence);
        lac_session_free(session);
    }
    outcome_clear(&expected);
    close_house(&house);
}
END_TEST

/* A cancelled prompt goes on where it was, though what is gone is gone. */
START_TEST(cancelled_texts_go_on)
{
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[_i]);
    struct outcome expected = run_text(house.model, &ask, PROMPT);
    ask.batch_tokens = 33;
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_text(session, PROMPT), n = 1;
    for (size_t i = 0; n; i++) {
        if (i % 3 == 0)
            lac_session_cancel(session);
        enum lac_status status = lac_session_next(session, NULL, &n);
        ck_assert_int_eq(status, i % 3 ? LAC_OK : LAC_E_CANCELLED);
        n = status ? 1 : n;
    }
    assert_outcome(session, sequence, &expected);
    outcome_clear(&expected);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(caches_stay_small)
{
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    const struct lac_kv_policy *policy = &policies[_i];
    struct ask ask = ask_of(policy);
    struct lac_session *session = open_session(house.model, &ask);
    struct lac_generation_counts counts;
    size_t page_bytes = 2 * (PAGE * 4 + PAGE * HEAD), n_events;
    add_text(session, PROMPT);
    ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    for (size_t i = 1; i < 70; i++) {
        ck_assert_ok(session, lac_session_next(session, NULL, &n_events));
        if (!n_events)
            break; /* the model ended it */
        ck_assert_ok(session, lac_session_counts(session, &counts));
        size_t sure = PROMPT + i - 1;
        check_bytes(counts.cache_bytes, naive_pages(policy, 0, sure, sure + 1, PROMPT), page_bytes,
                    policy);
    }
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(bad_policies_are_refused)
{
    static const size_t more[3] = {40, 40, 40};
    static const struct lac_kv_head no_layer = {LAYERS, 0}, no_head = {0, KV_HEADS};
    static const struct lac_kv_policy bad[] = {
        {.kind = LAC_KV_STREAM},
        {.kind = LAC_KV_STREAM, .n_sinks = 4},
        {.kind = LAC_KV_STREAM, .n_window = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_STREAM, .n_window = 1, .n_sinks = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_SNAP},
        {.kind = LAC_KV_SNAP, .n_budget = 31},
        {.kind = LAC_KV_SNAP, .n_budget = 99, .n_observed = 100},
        {.kind = LAC_KV_SNAP, .n_budget = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_SNAP, .layer_budgets = budgets, .n_layer_budgets = 1},
        {.kind = LAC_KV_SNAP,
         .layer_budgets = budgets,
         .n_layer_budgets = LAYERS,
         .deal = LAC_KV_BY_MASS},
        {.kind = LAC_KV_SNAP, .n_budget = 90, .deal = (enum lac_kv_deal)2},
        {.kind = LAC_KV_HEAVY, .n_budget = 90, .deal = LAC_KV_BY_MASS},
        {.kind = LAC_KV_SNAP, .n_budget = 90, .rest = LAC_KV_MEAN},
        {.kind = LAC_KV_STREAM, .n_window = 90, .rest = (enum lac_kv_rest)2},
        {.kind = LAC_KV_HEAVY},
        {.kind = LAC_KV_HEAVY, .n_budget = 9, .n_window = 10},
        {.kind = LAC_KV_HEAVY, .n_budget = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_HEAVY, .layer_budgets = more, .n_layer_budgets = 3},
        {.kind = LAC_KV_THIN},
        {.kind = LAC_KV_THIN, .share = 1.01},
        {.kind = LAC_KV_THIN, .share = NAN},
        {.kind = LAC_KV_ZIP, .share = -0.5},
        {.kind = LAC_KV_MEMORY, .n_window = 1},
        {.kind = LAC_KV_MEMORY, .n_budget = 1},
        {.kind = LAC_KV_MEMORY, .n_budget = 1, .n_window = (size_t)LAC_KV_MOST + 1},
        {.kind = LAC_KV_MEMORY, .n_budget = (size_t)LAC_KV_MOST + 1, .n_window = 1},
        {.kind = LAC_KV_ZIP, .share = 0.5, .n_observed = (size_t)LAC_KV_MOST + 1},
        {.kind = (enum lac_kv_policy_kind)99, .n_window = 1},
        {.kind = LAC_KV_STREAM, .n_window = 1, .full_heads = &no_layer, .n_full_heads = 1},
        {.kind = LAC_KV_STREAM, .n_window = 1, .full_heads = &no_head, .n_full_heads = 1},
    };
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ask ask = ask_of(&bad[i]);
        assert_refused(house.model, &ask);
    }
    close_house(&house);
}
END_TEST

/* A memory takes a text beyond the model's positions. */
START_TEST(memories_are_long)
{
    struct house house = open_tiny(2, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[LOOKED_UP]), full = drawn;
    const struct lac_event *events;
    ask.max_new_tokens = full.max_new_tokens = 60;
    for (size_t i = 0; i < 2; i++) {
        struct lac_session *session = open_session(house.model, i ? &ask : &full);
        size_t sequence = add_text(session, MOST_TOKENS - 5), n, n_made = 0, n_ids, n_fed;
        const int32_t *ids;
        enum lac_finish finish = LAC_FINISH_NONE;
        do {
            ck_assert_ok(session, lac_session_next(session, &events, &n));
            finish = n ? events[n - 1].finish : finish;
            n_made += n;
        } while (n && !finish);
        ck_assert_ok(session, lac_session_ids(session, sequence, &ids, &n_ids, &n_fed));
        if (finish == LAC_FINISH_END)
            ck_assert_uint_le(n_ids, i ? MOST_TOKENS + 55 : MOST_TOKENS);
        else
            ck_assert_int_eq(finish, i ? LAC_FINISH_LENGTH : LAC_FINISH_CONTEXT);
        ck_assert(i || n_ids <= MOST_TOKENS);
        ck_assert_uint_ge(n_made, 1);
        lac_session_free(session);
    }
    close_house(&house);
}
END_TEST

/* Files of other policies have no memory. */
START_TEST(memories_are_not_made_up)
{
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    struct ask full = drawn, ask = ask_of(&policies[FIRST_MEMORY]);
    struct lac_session *session = open_session(house.model, &full);
    struct lac_session *next = open_session(house.model, &ask);
    size_t sequence = add_text(session, PROMPT), restored = 77;
    char path[512];
    snprintf(path, sizeof path, "%s/full", scratch_directory());
    ck_assert_ok(session, lac_session_prepare(session));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_int_eq(lac_session_restore(next, path, &restored), LAC_E_UNSUPPORTED);
    ck_assert_uint_eq(restored, 77);
    lac_session_free(session);
    /* Nor more of a window than they had. */
    session = open_session(house.model, &ask);
    sequence = add_text(session, PROMPT);
    ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_ok(session, lac_session_restore(next, path, &restored));
    lac_session_free(next);
    ask.kv_policy.n_window = 130;
    next = open_session(house.model, &ask);
    ck_assert_int_eq(lac_session_restore(next, path, &restored), LAC_E_UNSUPPORTED);
    lac_session_free(session);
    lac_session_free(next);
    close_house(&house);
}
END_TEST

/* Whatever a damaged file says of gaps, compact pages and memories: it is refused or goes on. */
START_TEST(damage_is_harmless)
{
    static unsigned char good[1 << 18];
    struct house house = open_tiny(1, 0, test_seed(), naive_tiny(0));
    struct ask ask = ask_of(&policies[_i]);
    struct lac_session *session = open_session(house.model, &ask);
    size_t sequence = add_text(session, PROMPT), n_refused = 0;
    uint64_t state = test_seed();
    char path[512];
    snprintf(path, sizeof path, "%s/damaged", scratch_directory());
    for (size_t i = 0; i < 3; i++)
        ck_assert_ok(session, lac_session_next(session, NULL, NULL));
    ck_assert_ok(session, lac_session_save(session, sequence, path));
    ck_assert_ok(session, lac_session_remove(session, sequence));
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(good, 1, sizeof good, file);
    fclose(file);
    ck_assert_uint_lt(n, sizeof good);
    for (size_t i = 0; i < 150; i++) {
        /* Small tensors are what no sum covers: bytes in the file's first half are theirs too. */
        size_t at = i % 3 ? random_below(&state, n) : random_below(&state, n / 8);
        unsigned char byte = good[at];
        good[at] ^= (unsigned char)(1 + random_below(&state, 255));
        file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(good, 1, n, file), n);
        fclose(file);
        good[at] = byte;
        if (lac_session_restore(session, path, &sequence)) {
            ck_assert_str_ne(lac_session_message(session), "");
            n_refused++;
            continue;
        }
        ck_assert_ok(session, lac_session_set_max_new_tokens(session, sequence, 5));
        ck_assert_ok(session, lac_session_run(session));
        ck_assert_ok(session, lac_session_remove(session, sequence));
    }
    ck_assert_uint_gt(n_refused, 50);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

void add_kv_tests(Suite *suite)
{
    TCase *tc = tcase_create("kv policies");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, kept_keys_are_seen, 0, N_POLICIES);
    tcase_add_loop_test(tc, windows_are_kept, 0, N_POLICIES);
    tcase_add_test(tc, less_is_not_the_same);
    tcase_add_loop_test(tc, texts_stay_their_own, 0, N_POLICIES);
    tcase_add_loop_test(tc, copies_go_on, 0, N_POLICIES);
    tcase_add_loop_test(tc, votes_are_copied, FIRST_SNAP, N_POLICIES);
    tcase_add_loop_test(tc, files_change_policies, 0, N_POLICIES);
    tcase_add_loop_test(tc, turns_depend_on_no_batch, 0, N_POLICIES);
    tcase_add_loop_test(tc, cancelled_texts_go_on, 0, N_POLICIES);
    tcase_add_loop_test(tc, caches_stay_small, 0, N_POLICIES);
    tcase_add_loop_test(tc, damage_is_harmless, 0, N_POLICIES);
    tcase_add_test(tc, memories_are_long);
    tcase_add_test(tc, memories_are_not_made_up);
    tcase_add_test(tc, bad_policies_are_refused);
    suite_add_tcase(suite, tc);
}
