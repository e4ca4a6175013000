/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of tests/data/reference and decoder: checkpoints made of hashes, written where tests
 * need them. */
#ifndef LACUNA_TESTS_REFERENCE_CASE_H
#define LACUNA_TESTS_REFERENCE_CASE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* Reads tests/data/NAME.json ("reference/minilm"); fails the test when it cannot. */
json_t *reference_load(const char *name);

/* Looks a key up that must be there. */
json_t *reference_get(const json_t *object, const char *key);

/* Writes config.json, model.safetensors and the case's other files into an existing directory and
 * checks the sum of all weights' bits. */
void reference_write(const json_t *json, const char *directory);

/* Removes the one large file that reference_write made. */
void reference_remove_weights(const char *directory);

/* The first number of 0 .. 2^24 - 1 that key's stream has after i others. */
uint32_t reference_draw(uint64_t key, uint64_t i);
uint64_t reference_key(const char *text);

/* Ids and types of a sequence; both belong to the caller, with one free for each.  Returns the
 * number of tokens. */
size_t reference_sequence(const json_t *json, size_t sequence, int32_t **ids, uint8_t **types);

#endif
