/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_run share. */
#ifndef LACUNA_TESTS_RUN_SUITE_H
#define LACUNA_TESTS_RUN_SUITE_H

#include <lacuna/lacuna.h>

#include "tests/support.h"
#include "tests/tiny.h"

/* Not bound to cores; isa NULL: the best. */
struct lac_engine *run_engine(size_t n_threads, const char *isa);
/* dtype 0: the model's; pattern -1: the plan's. */
struct lac_model *run_model(struct lac_engine *engine, const char *path, enum lac_dtype dtype,
                            int pattern);
/* The same with a share of outliers. */
struct lac_model *run_model_with(struct lac_engine *engine, const char *path, enum lac_dtype dtype,
                                 int pattern, double outliers);
struct lac_session *run_session(struct lac_model *model, enum lac_task task, size_t batch_tokens,
                                enum lac_pooling pooling);

/* Lengths round the edges of lane groups, tiles, key blocks and batches. */
enum { N_LENGTHS = 17, MOST_TOKENS = 200 };
extern const size_t lengths[N_LENGTHS];

struct text {
    int32_t ids[MOST_TOKENS];
    uint8_t type_ids[MOST_TOKENS];
    size_t n;
};

/* One text of each length; free it. */
struct text *make_texts(const struct tiny *tiny, uint64_t seed);

/* The task of each head of a tiny model. */
extern const enum lac_task tasks[TINY_N_HEADS];

/* Room for a sequence's results. */
enum { MOST_NUMBERS = MOST_TOKENS * 64 };

/* The session's numbers for a sequence, as tiny_forward lays them out; FILL: the probabilities of
 * all words, a row a mask.  Returns how many. */
size_t read_numbers(struct lac_session *session, enum lac_task task, size_t sequence,
                    float *numbers);

/* Runs the texts in the given order (NULL: as they are) and reads their numbers:
 * [N_LENGTHS][MOST_NUMBERS], to be freed. */
float *run_texts(struct lac_model *model, enum lac_task task, enum lac_pooling pooling,
                 size_t batch_tokens, const struct text *texts, const size_t *order);

/* Are the results of two runs the same, bit by bit? */
void check_same(const float *a, const float *b, const char *what);

/* The tests of each file. */
void add_division_tests(Suite *suite);
void add_packed_tests(Suite *suite);
void add_core_tests(Suite *suite);
void add_gguf_tests(Suite *suite);
void add_sight_tests(Suite *suite);
void add_choice_tests(Suite *suite);

#endif
