/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_generate share. */
#ifndef LACUNA_TESTS_GENERATE_SUITE_H
#define LACUNA_TESTS_GENERATE_SUITE_H

#include <lacuna/lacuna.h>

#include "tests/support.h"
#include "tests/tiny.h"

/* The same tiny decoder everywhere. */
struct house {
    struct lac_engine *engine;
    struct lac_model *model;
};
/* dtype 0: int8. */
struct house open_tiny(size_t n_threads, enum lac_dtype dtype, uint64_t seed, struct tiny tiny);
struct house open_house(size_t n_threads, enum lac_dtype dtype, uint64_t seed);
/* Prepared to leave neurons out. */
struct house open_house_for(size_t n_threads, enum lac_dtype dtype, enum lac_activations_rule rule);
/* int8, with texts of at most max_tokens that end with `end`. */
struct house open_other_house(size_t max_tokens, size_t end);
void close_house(struct house *house);

/* How a session is opened; zeros are defaults. */
struct ask {
    struct lac_sampling sampling;
    size_t max_new_tokens, batch_tokens, n_speculated;
    const char *stops[4];
    enum lac_dtype kv_dtype;
    enum lac_log_probabilities log_probabilities;
    struct lac_model *draft;
    struct lac_kv_policy kv_policy;
    struct lac_activations_policy activations;
};
struct lac_session *open_session(struct lac_model *model, const struct ask *ask);
/* The status instead; *session may be NULL. */
enum lac_status try_session(struct lac_model *model, const struct ask *ask,
                            struct lac_session **session);
/* None is opened: what is asked for is no good. */
void assert_refused(struct lac_model *model, const struct ask *ask);

/* 1 to most tokens of words, the first "<s>"; the same for the same number. */
enum { MOST_PROMPT = 40 };
size_t make_prompt(size_t number, size_t most, int32_t *ids);
size_t add_prompt(struct lac_session *session, size_t number);

/* All that a text became. */
struct outcome {
    size_t n, n_fed;
    int32_t *ids;
    char *text;
    size_t size;
    enum lac_finish finish;
    double log_probability;
};
struct outcome outcome_of(struct lac_session *session, size_t sequence);
void outcome_clear(struct outcome *outcome);
void assert_same(const struct outcome *a, const struct outcome *b);
void assert_outcome(struct lac_session *session, size_t sequence, const struct outcome *expected);

#define ck_assert_ok(session, call)                                                                \
    ck_assert_msg(!(call), "%s: %s", #call, lac_session_message(session))

/* A file in the scratch directory. */
void save_path(char *path, size_t size, const char *name);

void add_sample_tests(Suite *suite);
void add_text_tests(Suite *suite);
void add_copy_tests(Suite *suite);
void add_kv_tests(Suite *suite);
void add_long_tests(Suite *suite);
void add_memory_tests(Suite *suite);
void add_activation_tests(Suite *suite);

#endif
