/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that run out of memory anywhere: they say so, and go on when there is some. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generate_suite.h"

/* Allocations until one fails, and all after it; negative: none does. */
static long n_left = -1;

static void *scarce_alloc(void *context, size_t alignment, size_t size)
{
    (void)context;
    if (n_left == 0)
        return NULL;
    if (n_left > 0)
        n_left--;
    return aligned_alloc(alignment, (size + alignment) / alignment * alignment);
}

static void scarce_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

/* One worker: allocations come from this thread alone. */
static struct house open_scarce_house(void)
{
    static const struct lac_allocator allocator = {scarce_alloc, scarce_release, NULL};
    struct house h = {0};
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = 32, .ffn = 72};
    struct lac_engine_options *options;
    tiny_make(&tiny, test_seed());
    ck_assert_int_eq(lac_engine_options_new(&options), LAC_OK);
    lac_engine_options_set_threads(options, 1);
    lac_engine_options_set_bind(options, LAC_BIND_NONE);
    lac_engine_options_set_allocator(options, &allocator);
    ck_assert_int_eq(lac_engine_new(options, &h.engine), LAC_OK);
    lac_engine_options_free(options);
    ck_assert_int_eq(lac_model_open(h.engine, tiny_write(&tiny), NULL, &h.model), LAC_OK);
    tiny_free(&tiny);
    return h;
}

/* Everything that allocates, on a session with texts 0 and 1. */
static enum lac_status call(struct lac_session *session, int what, const char *path)
{
    struct lac_session *clone = NULL;
    struct lac_search search = {.n_beams = 3, .length_penalty = 1};
    const struct lac_attention_tuning tuning = {.error = 1};
    struct lac_attention_tuned tuned;
    size_t found[3], n = 0, made = SIZE_MAX;
    int32_t ids[] = {1, 300, 301, 302};
    double scores[3];
    enum lac_status status = LAC_OK;
    switch (what) {
    case 0:
        status = lac_session_add_ids(session, ids, NULL, 4, &made);
        break;
    case 1:
        status = lac_session_add_text(session, "one two", 7, NULL, 0, &made);
        break;
    case 2:
        status = lac_session_fork(session, 0, 1, &made);
        break;
    case 3:
        status = lac_session_clone(session, &clone);
        lac_session_free(clone);
        break;
    case 4:
        status = lac_session_search(session, 1, &search, 3, found, &n);
        for (size_t i = 0; i < n; i++)
            ck_assert_ok(session, lac_session_remove(session, found[i]));
        break;
    case 5:
        status = lac_session_score(session, ids, 4, 1, LAC_PACE_PASSES, scores, NULL);
        break;
    case 6:
        status = lac_session_save(session, 1, path);
        break;
    case 7:
        status = lac_session_restore(session, path, &made);
        break;
    case 8:
        status = lac_session_prepare(session);
        break;
    case 9:
        status = lac_session_next(session, NULL, NULL);
        break;
    case 10:
        status = lac_session_tune_attention(session, ids, 4, &tuning, &tuned);
        break;
    }
    if (made != SIZE_MAX)
        ck_assert_ok(session, lac_session_remove(session, made));
    return status;
}
enum { N_CALLS = 11, MOST_FAILURES = 100000 };

START_TEST(scarce_memory_changes_no_text)
{
    struct house house = open_scarce_house();
    struct ask ask = {.max_new_tokens = 24,
                      .n_speculated = _i ? 3 : 0,
                      .draft = _i == 2 ? house.model : NULL,
                      .sampling = {.temperature = 0.7, .seed = 4}};
    if (_i == 3) {
        ask.kv_policy =
            (struct lac_kv_policy){.kind = LAC_KV_STREAM, .n_window = 1, .rest = LAC_KV_MEAN};
        ask.max_new_tokens = 130;
        ask.batch_tokens = 9;
    }
    if (_i == 4)
        ask.kv_policy = (struct lac_kv_policy){.kind = LAC_KV_SNAP, .n_budget = 2, .n_observed = 2};
    if (_i == 5) {
        ask.kv_policy = (struct lac_kv_policy){.kind = LAC_KV_HEAVY, .n_budget = 2};
        ask.max_new_tokens = 70;
    }
    if (_i == 6)
        ask.kv_policy = (struct lac_kv_policy){
            .kind = LAC_KV_SNAP, .n_budget = 6, .n_observed = 2, .deal = LAC_KV_BY_MASS};
    char path[300];
    snprintf(path, sizeof path, "%s/scarce", scratch_directory());
    struct outcome expected[2];
    for (size_t i = 0; i < 2; i++) {
        struct lac_session *alone = open_session(house.model, &ask);
        size_t sequence = add_prompt(alone, i);
        ck_assert_ok(alone, lac_session_run(alone));
        expected[i] = outcome_of(alone, sequence);
        lac_session_free(alone);
    }
    struct lac_session *session = open_session(house.model, &ask);
    size_t n_failed = 0;
    for (size_t i = 0; i < 2; i++)
        ck_assert_uint_eq(add_prompt(session, i), i);
    ck_assert_ok(session, lac_session_save(session, 1, path));
    for (int what = 0; what < 3 * N_CALLS; what++) {
        enum lac_status status = LAC_E_MEMORY;
        /* A search of thousands of allocations need not fail at each. */
        for (long k = 0; status == LAC_E_MEMORY; k += 1 + k / 16) {
            ck_assert_int_lt(k, MOST_FAILURES);
            n_left = k;
            status = call(session, what % N_CALLS, path);
            n_left = -1;
            n_failed += status == LAC_E_MEMORY;
        }
        ck_assert_msg(!status, "call %d: %s", what, lac_session_message(session));
        ck_assert_uint_eq(lac_session_sequences(session), 2);
    }
    ck_assert_uint_gt(n_failed, 50);
    ck_assert_ok(session, lac_session_run(session));
    for (size_t i = 0; i < 2; i++) {
        struct outcome o = outcome_of(session, i);
        assert_same(&o, &expected[i]);
        outcome_clear(&o);
        outcome_clear(&expected[i]);
    }
    lac_session_free(session);
    close_house(&house);
}
END_TEST

START_TEST(scarce_memory_opens_no_session)
{
    struct house house = open_scarce_house();
    const struct lac_kv_head head = {0, 0};
    struct ask ask = {
        .stops = {"one", "two"},
        .draft = house.model,
        .n_speculated = 2,
        .kv_policy = {
            .kind = LAC_KV_STREAM, .n_window = 9, .full_heads = &head, .n_full_heads = 1}};
    struct lac_session *session = NULL;
    enum lac_status status = LAC_E_MEMORY;
    for (long k = 0; status == LAC_E_MEMORY; k++) {
        ck_assert_int_lt(k, MOST_FAILURES);
        n_left = k;
        status = try_session(house.model, &ask, &session);
        n_left = -1;
        ck_assert_int_eq(session != NULL, status == LAC_OK);
    }
    ck_assert_int_eq(status, LAC_OK);
    lac_session_free(session);
    close_house(&house);
}
END_TEST

void add_memory_tests(Suite *suite)
{
    TCase *tc = tcase_create("scarce memory");
    tcase_set_timeout(tc, 0);
    tcase_add_loop_test(tc, scarce_memory_changes_no_text, 0, 7);
    suite_add_tcase(suite, tc);
    add_test(suite, "scarce memory, opening", scarce_memory_opens_no_session);
}
