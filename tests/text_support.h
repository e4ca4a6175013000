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
/* Bytes from hexadecimal digits up to anything else, with a final 0; returns their number. */
size_t from_hex(const char *hex, char *text);
/* "id:begin:size ..." to "id:begin:end ..." */
void with_ends(char *line, char *out);
/* The ids of an encoding as text, "1 2 3"; lives until the next call. */
const char *ids_of(const struct lac_encoding *encoding);

/* A small vocabulary; ids in the order of their letters. */
#define SMALL                                                                                      \
    "'model':{'type':'WordPiece','unk_token':'[UNK]','continuing_subword_prefix':'##',"            \
    "'max_input_chars_per_word':100,'vocab':{'[UNK]':0,'a':1,'b':2,'##a':3,'##b':4,'ab':5,"        \
    "'cafe':6,'.':7,'#':8,'\xe4\xb8\xad':9,'[CLS]':10,'[SEP]':11,'[MASK]':12,'ss':13,"             \
    "'\xc3\xa9':14,'##\xc3\xa9':15,'i':16,'##\xcc\x87':17,'##s':18,'x':19,'\xc3\x9f':20}}"
#define BERT                                                                                       \
    "'normalizer':{'type':'BertNormalizer','clean_text':true,'handle_chinese_chars':true,"         \
    "'strip_accents':null,'lowercase':true},'pre_tokenizer':{'type':'BertPreTokenizer'},"
#define MASK                                                                                       \
    "'added_tokens':[{'id':12,'content':'[MASK]','single_word':false,'lstrip':true,"               \
    "'rstrip':false,'normalized':false,'special':true}],"

struct by_hand {
    const char *text, *expected; /* expected as for expect_tokens */
};
void check_cases(const char *json, const struct by_hand *cases, size_t n);
#define CHECK_CASES(json, cases) check_cases(json, cases, sizeof(cases) / sizeof *(cases))

/* Random well-formed UTF-8 of up to max_chars code points below `limit`, into text; its bytes. */
size_t random_utf8(uint64_t *state, size_t max_chars, uint32_t limit, char *text);

void add_text_part_tests(Suite *suite);
void add_text_file_tests(Suite *suite);
void add_text_family_tests(Suite *suite);

#endif
