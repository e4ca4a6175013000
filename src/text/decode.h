/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders: spellings of tokens back to text. */
#ifndef LACUNA_TEXT_DECODE_H
#define LACUNA_TEXT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/text/vocab.h"

enum lac_decoder_kind {
    LAC_DECODER_NONE,       /* spellings with spaces between */
    LAC_DECODER_WORDPIECE,  /* a space before each token that does not continue a word */
    LAC_DECODER_BYTE_LEVEL, /* bytes from their characters; what is not UTF-8 becomes U+FFFD */
};

struct lac_decoder {
    enum lac_decoder_kind kind;
    struct lac_slice prefix; /* WORDPIECE */
    bool cleanup;            /* WORDPIECE: no spaces before punctuation and contractions */
};

/* Text on its way out: what does not fit is counted only. */
struct lac_decoding {
    const struct lac_decoder *decoder;
    char *text;
    size_t size;        /* of text */
    size_t n;           /* bytes so far */
    size_t n_tokens;    /* so far */
    uint8_t pending[4]; /* the beginning of a character */
    size_t n_pending;
};

void lac_decode_token(struct lac_decoding *decoding, const char *spelling, size_t size);
/* Ends the text with a 0 when there is room; returns its full length. */
size_t lac_decode_end(struct lac_decoding *decoding);

#endif
