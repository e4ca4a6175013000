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

/* A vocabulary as plain arrays, such as a model file with its tokenizer inside has. */
enum lac_parts_kind {
    LAC_PARTS_BYTE_LEVEL, /* tokens in the byte alphabet, merges in order, a pattern of words */
    LAC_PARTS_SCORED,     /* SentencePiece's BPE: the pair with the best score merges first */
};
enum lac_token_type { /* the numbers of GGUF */
                      LAC_TOKEN_NORMAL = 1,
                      LAC_TOKEN_UNKNOWN = 2,
                      LAC_TOKEN_CONTROL = 3,
                      LAC_TOKEN_USER_DEFINED = 4,
                      LAC_TOKEN_UNUSED = 5,
                      LAC_TOKEN_BYTE = 6,
};
struct lac_tokenizer_parts {
    enum lac_parts_kind kind;
    size_t n_tokens;
    const struct lac_slice *tokens; /* places are ids */
    const uint8_t *types;           /* enum lac_token_type, or NULL */
    const float *scores;            /* SCORED */
    size_t n_merges;
    const struct lac_slice *merges; /* BYTE_LEVEL: "left right" */
    const char *pattern;            /* BYTE_LEVEL: the regular expression of words */
    bool add_space_prefix;
    bool whole_words;      /* BYTE_LEVEL: a word that is a token is never made of smaller ones */
    bool compose;          /* BYTE_LEVEL: text is brought into NFC first */
    int32_t unknown;       /* or -1 */
    int32_t before, after; /* tokens round each text, or -1 */
};

/* The same as lac_tokenizer_open_texts from arrays, which are borrowed for the call. */
enum lac_status lac_tokenizer_open_parts(const struct lac_host *host, const char *name,
                                         const struct lac_tokenizer_parts *parts,
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
