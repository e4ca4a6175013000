/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_trained. */
#ifndef LACUNA_TESTS_TRAINED_SUITE_H
#define LACUNA_TESTS_TRAINED_SUITE_H

#include <jansson.h>
#include <lacuna/lacuna.h>

#include "tests/support.h"

extern const char *const trained_models[2]; /* "dense", "sparse" */

/* As the environment says. */
struct lac_engine *trained_engine(void);

/* kind: "encoder", "decoder". */
struct lac_model *trained_model(struct lac_engine *engine, const char *kind, const char *name,
                                enum lac_dtype dtype);

/* A file of the sources, ended by a zero byte; to be freed. */
char *trained_file(const char *relative, size_t *size);
json_t *trained_expected(const char *relative);

/* What is expected was written for this model. */
void trained_assert_weights(const char *kind, const char *name, const json_t *expected);

/* tests/trained_decoder.c */
void add_decoder_tests(Suite *suite);
/* tests/trained_needle.c */
void add_needle_tests(Suite *suite);

#endif
