/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders: spellings of tokens back to text. */
#include "src/text/decode.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/text/unicode.h"

static void put(struct lac_decoding *out, const char *bytes, size_t n)
{
    if (out->n < out->size)
        memcpy(out->text + out->n, bytes, lac_min_size(n, out->size - out->n));
    out->n += n;
}

/* In place; `to` is not longer than `from`. */
static size_t substitute(char *text, size_t size, const char *from, const char *to)
{
    size_t n_from = strlen(from), n_to = strlen(to), out = 0;
    for (size_t i = 0; i < size;) {
        if (size - i >= n_from && !memcmp(text + i, from, n_from)) {
            memcpy(text + out, to, n_to);
            out += n_to;
            i += n_from;
        } else {
            text[out++] = text[i++];
        }
    }
    return out;
}

/* Undoes what splitting did to English, one substitution after the other in each token. */
static size_t clean_up(char *text, size_t size)
{
    static const char *const pairs[][2] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        size = substitute(text, size, pairs[i][0], pairs[i][1]);
    return size;
}

static void decode_wordpiece(struct lac_decoding *out, const char *spelling, size_t size)
{
    char token[LAC_MAX_TOKEN_BYTES + 1];
    const struct lac_slice *prefix = &out->decoder->prefix;
    size_t n = 0;
    if (out->n_tokens) {
        if (size >= prefix->size && !memcmp(spelling, prefix->text, prefix->size)) {
            spelling += prefix->size;
            size -= prefix->size;
        } else {
            token[n++] = ' ';
        }
    }
    memcpy(token + n, spelling, size);
    n += size;
    put(out, token, out->decoder->cleanup ? clean_up(token, n) : n);
}

enum sequence_state { COMPLETE, INCOMPLETE, INVALID };

/* What n bytes, the last one new, are the beginning of (Unicode, table 3-7). */
static enum sequence_state judge(const uint8_t *bytes, size_t n)
{
    uint8_t lead = bytes[0], last = bytes[n - 1];
    if (n == 1)
        return lead < 0x80 ? COMPLETE : lead >= 0xc2 && lead <= 0xf4 ? INCOMPLETE : INVALID;
    uint8_t lowest = 0x80, highest = 0xbf;
    if (n == 2) {
        lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    }
    if (last < lowest || last > highest)
        return INVALID;
    return n == lac_utf8_size(lead) ? COMPLETE : INCOMPLETE;
}

static const char replacement[] = "\xef\xbf\xbd";

/* Each longest beginning of a character that does not go on becomes one U+FFFD. */
static void put_byte(struct lac_decoding *out, uint8_t byte)
{
    out->pending[out->n_pending++] = byte;
    switch (judge(out->pending, out->n_pending)) {
    case INCOMPLETE:
        return;
    case COMPLETE:
        put(out, (const char *)out->pending, out->n_pending);
        out->n_pending = 0;
        return;
    case INVALID:
        put(out, replacement, 3);
        bool first = out->n_pending == 1;
        out->n_pending = 0;
        /* A byte that ends a beginning may begin a character itself. */
        if (!first)
            put_byte(out, byte);
        return;
    }
}

/* A token with a character outside the byte alphabet stands for itself. */
static void decode_byte_level(struct lac_decoding *out, const char *spelling, size_t size)
{
    const uint8_t *at = (const uint8_t *)spelling;
    uint32_t c;
    bool mapped = true;
    for (size_t i = 0; i < size && mapped;) {
        i += lac_utf8_get(at + i, &c);
        mapped = lac_char_to_byte(c) >= 0;
    }
    for (size_t i = 0; i < size;) {
        if (!mapped) {
            put_byte(out, at[i++]);
            continue;
        }
        i += lac_utf8_get(at + i, &c);
        put_byte(out, (uint8_t)lac_char_to_byte(c));
    }
}

void lac_decode_token(struct lac_decoding *decoding, const char *spelling, size_t size)
{
    switch (decoding->decoder->kind) {
    case LAC_DECODER_NONE:
        if (decoding->n_tokens)
            put(decoding, " ", 1);
        put(decoding, spelling, size);
        break;
    case LAC_DECODER_WORDPIECE:
        decode_wordpiece(decoding, spelling, size);
        break;
    case LAC_DECODER_BYTE_LEVEL:
        decode_byte_level(decoding, spelling, size);
        break;
    }
    decoding->n_tokens++;
}

size_t lac_decode_end(struct lac_decoding *decoding)
{
    if (decoding->n_pending)
        put(decoding, replacement, 3);
    decoding->n_pending = 0;
    if (decoding->size)
        decoding->text[lac_min_size(decoding->n, decoding->size - 1)] = '\0';
    return decoding->n;
}
