/* SPDX-License-Identifier: Apache-2.0 */
/* Long texts: keys of one head that workers share. */
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

void add_long_tests(Suite *suite)
{
    add_test(suite, "shared_keys", test_shared_keys);
}
