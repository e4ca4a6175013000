/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders: spellings of tokens back to text, one token after the other. */
#ifndef LACUNA_TEXT_DECODE_H
#define LACUNA_TEXT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lacuna/tokenizer.h>

#include "src/text/pretokenize.h"
#include "src/text/vocab.h"

enum lac_decode_kind {
    LAC_DECODE_REPLACE,   /* from -> to */
    LAC_DECODE_STRIP,     /* as many as n_left and n_right of one character at the ends */
    LAC_DECODE_METASPACE, /* back to spaces; those of the first token go */
    LAC_DECODE_WORDPIECE, /* a space before each token that does not continue a word */
};

struct lac_decode_step {
    enum lac_decode_kind kind;
    struct lac_slice from;          /* REPLACE; the character of STRIP; the prefix of WORDPIECE */
    struct lac_slice to;            /* REPLACE */
    size_t n_left, n_right;         /* STRIP */
    struct lac_metaspace metaspace; /* METASPACE */
    bool cleanup;                   /* WORDPIECE: no spaces before punctuation and contractions */
};

/* How the spellings become one text. */
enum lac_join {
    LAC_JOIN_SPACES,     /* with spaces between */
    LAC_JOIN_PLAIN,      /* one after the other */
    LAC_JOIN_BYTES,      /* the same, "<0x41>" is a byte: what is not UTF-8 becomes U+FFFD each */
    LAC_JOIN_BYTE_LEVEL, /* bytes from their characters; what is not UTF-8 becomes U+FFFD */
};

enum {
    LAC_MAX_DECODED_BYTES = 1 << 14, /* of a token before it is joined */
    LAC_MAX_TEXT_FROM = 64,          /* bytes that a step on the text looks for */
};

/*   spelling -> token steps -> join -> text steps -> text
 * Token steps see one spelling each; text steps, at most LAC_DECODE_TEXT_STEPS, see the text as if
 * all of it were there: they hold back what may still change, as counts in the state. */
struct lac_decoder {
    struct lac_decode_step *steps;
    size_t n_token_steps, n_steps;
    enum lac_join join;
    size_t room; /* that suffices for one token */
};

/* What decoding writes to: what does not fit is counted only. */
struct lac_decode_sink {
    char *text;
    size_t size; /* of text */
    size_t n;    /* bytes so far */
};

/* Fills in room for spellings of at most max_bytes; false when a token may become longer than
 * LAC_MAX_DECODED_BYTES. */
bool lac_decoder_prepare(struct lac_decoder *decoder, size_t max_bytes);

void lac_decode_token(const struct lac_decoder *decoder, struct lac_decode_state *state,
                      const char *spelling, size_t size, struct lac_decode_sink *sink);
/* Gives out what was held back; the state is as at the beginning. */
void lac_decode_end(const struct lac_decoder *decoder, struct lac_decode_state *state,
                    struct lac_decode_sink *sink);

#endif
