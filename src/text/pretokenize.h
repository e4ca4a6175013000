/* SPDX-License-Identifier: Apache-2.0 */
/* Pre-tokenizers: how normalized text is split into the words that the model sees. */
#ifndef LACUNA_TEXT_PRETOKENIZE_H
#define LACUNA_TEXT_PRETOKENIZE_H

#include "src/base/error.h"
#include "src/text/pattern.h"
#include "src/text/scratch.h"

enum lac_split_kind {
    LAC_SPLIT_BERT,             /* white space goes, punctuation stands alone */
    LAC_SPLIT_WHITESPACE,       /* \w+|[^\w\s]+ */
    LAC_SPLIT_WHITESPACE_SPLIT, /* white space goes */
    LAC_SPLIT_PUNCTUATION,
    LAC_SPLIT_DIGITS,
    LAC_SPLIT_PATTERN,
    LAC_SPLIT_BYTE_LEVEL, /* prefix space, GPT-2 words, bytes to their characters */
    LAC_SPLIT_METASPACE,  /* spaces to a character that begins words */
};

/* Where a text gets a space that it does not begin with. */
enum lac_prepend_scheme {
    LAC_PREPEND_ALWAYS, /* every piece */
    LAC_PREPEND_FIRST,  /* the piece at the beginning of the text */
    LAC_PREPEND_NEVER,
};

/* The character that stands for a space. */
struct lac_metaspace {
    uint8_t bytes[4];
    size_t size;
    enum lac_prepend_scheme scheme;
};

/* What becomes of the delimiters a split finds. */
enum lac_split_behavior {
    LAC_DELIMITER_REMOVED,
    LAC_DELIMITER_ISOLATED,
    LAC_DELIMITER_WITH_PREVIOUS,
    LAC_DELIMITER_WITH_NEXT,
    LAC_DELIMITER_CONTIGUOUS, /* neighbouring delimiters form one piece */
};

struct lac_split_step {
    enum lac_split_kind kind;
    enum lac_split_behavior behavior; /* PUNCTUATION, DIGITS, PATTERN */
    bool invert;                      /* PATTERN: matches are the words */
    struct lac_text_pattern *pattern;
    bool prefix_space; /* BYTE_LEVEL */
    bool gpt2_words;
    struct lac_metaspace metaspace; /* METASPACE */
    bool split;
};

struct lac_pretokenizer {
    struct lac_split_step *steps;
    size_t n_steps;
};

/* Splits the pieces of scratch->text that have no token yet.  Uses split and mapped; text and
 * pieces hold the result. */
enum lac_status lac_pretokenize(const struct lac_pretokenizer *pretokenizer,
                                struct lac_scratch *scratch, uint64_t *budget,
                                struct lac_error *error);

#endif
