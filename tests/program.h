/* SPDX-License-Identifier: Apache-2.0 */
/* Running the built programs as a user would, for the parts of check_cli. */
#ifndef LACUNA_TESTS_PROGRAM_H
#define LACUNA_TESTS_PROGRAM_H

#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "tests/support.h"
#include "tests/tiny.h"

enum { MAX_ARGUMENTS = 16, MAX_PATH = 4096 };

/* Path of the built `lacuna`. */
extern const char lacuna[];

struct outcome {
    int status; /* of exit, or -signal */
    char *out, *err;
    size_t out_size, err_size;
};

/* argv ends with NULL; input goes to its standard input.  It runs in the source directory, where
 * the shipped models are. */
struct outcome run_with(const char *const *argv, const char *input, size_t size);
/* RUN("input", "command", "argument"...): lacuna. */
#define RUN(input, ...)                                                                            \
    run_with((const char *const[]){lacuna, __VA_ARGS__, NULL}, input, sizeof(input) - 1)
void release(struct outcome *outcome);
/* Fails the test, showing stderr, unless the status is this one. */
void expect(const struct outcome *outcome, int status);

/* The same in two steps; NULL leaves a descriptor as it is. */
pid_t start_program(const char *const *argv, const char *in, const char *out, const char *err);
int finish_program(pid_t pid);

/* Paths below the scratch directory; they live for the whole test. */
const char *scratch_path(const char *name);
const char *write_file(const char *name, const char *data, size_t size);
/* The file and a final 0; free it. */
char *read_file(const char *path, size_t *size);
/* A tiny BERT of width MODEL_WIDTH in the scratch directory, with the labels L0, L1, L2, that knows
 * a few words (program.c), single letters and "##" + single letters. */
enum { MODEL_WIDTH = 32 };
const char *make_model(enum tiny_head head);

size_t count_lines(const char *text);
/* Line number `index` (from 0) of text as JSON, a new reference; the test fails without it. */
json_t *line_json(const char *text, size_t index);
/* Members that must be there. */
long long get_int(const json_t *json, const char *key);
const char *get_text(const json_t *json, const char *key);
double get_real(const json_t *json, const char *key);

void add_result_tests(Suite *suite);
void add_file_tests(Suite *suite);
void add_generate_tests(Suite *suite);
void add_score_tests(Suite *suite);
void add_tune_tests(Suite *suite);

#endif
