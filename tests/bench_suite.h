/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_bench. */
#ifndef LACUNA_TESTS_BENCH_SUITE_H
#define LACUNA_TESTS_BENCH_SUITE_H

#include <jansson.h>

#include "tests/support.h"

/* What lacuna-bench printed when it last ran. */
enum { MOST_OUTPUT = 1 << 20 };
extern char output[MOST_OUTPUT];

/* Runs it with arguments; the result is its exit status. */
int run(const char *arguments);
/* The same, and it must succeed and print JSON, which the caller frees. */
json_t *run_json(const char *arguments);

/* A key's value, which must be there and of that kind. */
json_t *member(const json_t *object, const char *key);
double number(const json_t *row, const char *key);
const char *text(const json_t *row, const char *key);

/* A file's bytes and a zero; the caller frees them. */
char *read_text(const char *path);

/* A report of the subject that says where it was made; each key is in the manual page. */
void check_context(const json_t *json, const char *subject);

/* tests/bench_output.c */
void add_output_tests(Suite *suite);

#endif
