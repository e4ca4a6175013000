/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers as the rest of the library uses them. */
#ifndef LACUNA_TEXT_TOKENIZER_H
#define LACUNA_TEXT_TOKENIZER_H

#include <stdbool.h>

#include <lacuna/tokenizer.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "src/text/vocab.h"

/* The numbers are kept in packed models. */
enum lac_tokenizer_kind {
    LAC_TOKENIZER_JSON = 1,  /* main: tokenizer.json */
    LAC_TOKENIZER_VOCAB = 2, /* main: vocab.txt of BERT; config */
    LAC_TOKENIZER_MERGES =
        3, /* main: vocab.json of RoBERTa and GPT-2; merges: merges.txt; config */
};

/* All that a tokenizer is made of, as read: UTF-8 texts to keep in a packed model.  config is
 * tokenizer_config.json, or empty. */
struct lac_tokenizer_texts {
    enum lac_tokenizer_kind kind;
    struct lac_slice main, merges, config;
};

/* Opens a directory or a file as lac_tokenizer_open does: tokenizer.json, else vocab.txt, else
 * vocab.json with merges.txt; tokenizer_config.json beside the latter two is read when it is
 * there.  On failure *tokenizer is untouched. */
enum lac_status lac_tokenizer_open_path(const struct lac_host *host, const char *path,
                                        struct lac_tokenizer **tokenizer, struct lac_error *error);

/* The same from texts in memory, which are copied; name begins the messages. */
enum lac_status lac_tokenizer_open_texts(const struct lac_host *host, const char *name,
                                         const struct lac_tokenizer_texts *texts,
                                         struct lac_tokenizer **tokenizer, struct lac_error *error);

/* Belongs to the tokenizer. */
const struct lac_tokenizer_texts *lac_tokenizer_texts(const struct lac_tokenizer *tokenizer);

/* lac_tokenizer_encode with a message. */
enum lac_status lac_tokenizer_encode_text(const struct lac_tokenizer *tokenizer, const char *text,
                                          size_t size, const char *pair, size_t pair_size,
                                          size_t max_tokens, enum lac_truncate truncate,
                                          struct lac_encoding *encoding, struct lac_error *error);

/* The id of the token that hides a word ("[MASK]", "<mask>"), or -1. */
int32_t lac_tokenizer_mask_id(const struct lac_tokenizer *tokenizer);

/* Tokens that tokenizer.json's truncation leaves of a text, special ones included; 0: it has none.
 * Nothing is cut unless a caller passes it on. */
size_t lac_tokenizer_truncation(const struct lac_tokenizer *tokenizer);

bool lac_tokenizer_is_special(const struct lac_tokenizer *tokenizer, int32_t id);

#endif
