/* SPDX-License-Identifier: Apache-2.0 */
/* What the text tests share: hosts that run out of memory, small tokenizers, comparisons. */
#ifndef LACUNA_TESTS_TEXT_SUPPORT_H
#define LACUNA_TESTS_TEXT_SUPPORT_H

#include "src/text/tokenizer.h"
#include "tests/support.h"

/* A host that counts what is allocated and refuses allocation number `fail_at`, from 1 on. */
struct counting_host {
    struct lac_host host;
    size_t n_allocations, n_live, fail_at;
};
void counting_host_init(struct counting_host *counting, size_t fail_at);

/* A file of tests/data/text; fails the test when it does not open. */
struct lac_tokenizer *open_data(const char *name);
/* tokenizer.json from a string, where ' stands for ". */
enum lac_status open_quoted(const char *json, struct lac_tokenizer **tokenizer,
                            struct lac_error *error);
struct lac_tokenizer *must_open_quoted(const char *json);

/* Encodes text (and pair, unless NULL) and compares with "id:begin:end ..." . */
void expect_tokens(const struct lac_tokenizer *tokenizer, const char *text, size_t size,
                   const char *pair, const char *expected);
/* The ids of an encoding as text, "1 2 3"; lives until the next call. */
const char *ids_of(const struct lac_encoding *encoding);

/* Random well-formed UTF-8 of up to max_chars code points below `limit`, into text; its bytes. */
size_t random_utf8(uint64_t *state, size_t max_chars, uint32_t limit, char *text);

void add_text_file_tests(Suite *suite);

#endif
