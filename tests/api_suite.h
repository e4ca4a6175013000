/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_api share. */
#ifndef LACUNA_TESTS_API_SUITE_H
#define LACUNA_TESTS_API_SUITE_H

#include <lacuna/lacuna.h>

#include "tests/support.h"
#include "tests/tiny.h"

/* A model on disk, opened; freed together. */
struct fixture {
    struct tiny tiny;
    const char *path;
    struct lac_engine *engine;
    struct lac_model *model;
};

struct fixture open_fixture(struct tiny tiny, size_t n_threads);
void close_fixture(struct fixture *fixture);

/* Not bound to cores. */
struct lac_engine *api_engine(size_t n_threads);
/* The engine's message; lives until the next call. */
const char *api_message(struct lac_engine *engine);
struct lac_session *api_session(struct lac_model *model);
/* pair may be NULL. */
enum lac_status api_add_text(struct lac_session *session, const char *text, const char *pair);

/* The tests of each file. */
void add_result_tests(Suite *suite);
void add_limit_tests(Suite *suite);
void add_attention_plan_tests(Suite *suite);
void add_tuning_tests(Suite *suite);

#endif
