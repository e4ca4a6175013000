/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 and the character classes that tokenizers ask about. */
#ifndef LACUNA_TEXT_UNICODE_H
#define LACUNA_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Offset of the first byte that is not part of a well-formed sequence; size when all is well. */
size_t lac_utf8_check(const void *text, size_t size);

/* Is every byte below 0x80? */
bool lac_text_is_ascii(const void *text, size_t size);

/* Bytes of the sequence that begins with lead; the text is known to be well-formed. */
static inline size_t lac_utf8_size(uint8_t lead)
{
    return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Reads one code point of well-formed text; returns its bytes. */
static inline size_t lac_utf8_get(const uint8_t *at, uint32_t *c)
{
    uint32_t lead = at[0];
    if (lead < 0x80) {
        *c = lead;
        return 1;
    }
    if (lead < 0xe0) {
        *c = (lead & 0x1f) << 6 | (at[1] & 0x3fu);
        return 2;
    }
    if (lead < 0xf0) {
        *c = (lead & 0x0f) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        return 3;
    }
    *c = (lead & 0x07) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
    return 4;
}

/* Writes one code point into room for 4 bytes; returns its bytes. */
static inline size_t lac_utf8_put(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* Start of the character that ends before at; at is past the beginning of the text. */
static inline const uint8_t *lac_utf8_before(const uint8_t *at)
{
    do
        at--;
    while ((*at & 0xc0) == 0x80);
    return at;
}

enum lac_char_class {
    LAC_CHAR_SPACE = 1,       /* property White_Space */
    LAC_CHAR_PUNCTUATION = 2, /* category P, and all ASCII that is not letter, digit or control */
    LAC_CHAR_LETTER = 4,      /* category L */
    LAC_CHAR_NUMBER = 8,      /* category N */
    LAC_CHAR_WORD = 16,       /* \w of Unicode Technical Standard 18 */
    LAC_CHAR_CONTROL = 32,    /* categories Cc, Cf, Co */
    LAC_CHAR_NONSPACING = 64, /* category Mn */
    LAC_CHAR_MARK = 128,      /* category M */
};

/* The set of enum lac_char_class of a code point. */
unsigned lac_char_class(uint32_t c);

/* Ideographs that BERT sets apart from their neighbours. */
bool lac_char_is_cjk(uint32_t c);

/* Byte-level alphabet (GPT-2): printable Latin-1 stands for itself, the 68 other bytes, in order,
 * for U+0100 and on. */
static inline uint32_t lac_byte_to_char(uint8_t byte)
{
    if (byte <= 32)
        return 256u + byte;
    if (byte >= 127 && byte <= 160)
        return 256u + 33u + (byte - 127u);
    return byte == 173 ? 256u + 67u : byte;
}

/* The byte, or -1 for a character outside the alphabet. */
static inline int lac_char_to_byte(uint32_t c)
{
    if (c >= 256)
        return c < 289 ? (int)c - 256 : c < 323 ? (int)c - 289 + 127 : c == 323 ? 173 : -1;
    return lac_byte_to_char((uint8_t)c) == c ? (int)c : -1;
}

#endif
