/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 and the character classes that tokenizers ask about. */
#include "src/text/unicode.h"

#include <string.h>

#include <utf8proc.h>

/* Bytes at the front that are below 0x80, eight at a time. */
static size_t ascii_prefix(const uint8_t *bytes, size_t size)
{
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t eight;
        memcpy(&eight, bytes + i, 8);
        if (eight & 0x8080808080808080u)
            break;
    }
    while (i < size && bytes[i] < 0x80)
        i++;
    return i;
}

bool lac_text_is_ascii(const void *text, size_t size)
{
    return ascii_prefix(text, size) == size;
}

size_t lac_utf8_check(const void *text, size_t size)
{
    const uint8_t *bytes = text;
    for (size_t i = 0; i < size;) {
        if (bytes[i] < 0x80) {
            i += ascii_prefix(bytes + i, size - i);
            continue;
        }
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(bytes + i, (utf8proc_ssize_t)(size - i), &c);
        if (n < 1)
            return i;
        i += (size_t)n;
    }
    return size;
}

enum {
    WORD = LAC_CHAR_WORD,
    LETTER = LAC_CHAR_LETTER | LAC_CHAR_WORD,
    MARK = LAC_CHAR_MARK | LAC_CHAR_WORD,
};

static const uint8_t category_class[32] = {
    [UTF8PROC_CATEGORY_LU] = LETTER,
    [UTF8PROC_CATEGORY_LL] = LETTER,
    [UTF8PROC_CATEGORY_LT] = LETTER,
    [UTF8PROC_CATEGORY_LM] = LETTER,
    [UTF8PROC_CATEGORY_LO] = LETTER,
    [UTF8PROC_CATEGORY_MN] = MARK | LAC_CHAR_NONSPACING,
    [UTF8PROC_CATEGORY_MC] = MARK,
    [UTF8PROC_CATEGORY_ME] = MARK,
    [UTF8PROC_CATEGORY_ND] = LAC_CHAR_NUMBER | WORD,
    [UTF8PROC_CATEGORY_NL] = LAC_CHAR_NUMBER | WORD,
    [UTF8PROC_CATEGORY_NO] = LAC_CHAR_NUMBER,
    [UTF8PROC_CATEGORY_PC] = LAC_CHAR_PUNCTUATION | WORD,
    [UTF8PROC_CATEGORY_PD] = LAC_CHAR_PUNCTUATION,
    [UTF8PROC_CATEGORY_PS] = LAC_CHAR_PUNCTUATION,
    [UTF8PROC_CATEGORY_PE] = LAC_CHAR_PUNCTUATION,
    [UTF8PROC_CATEGORY_PI] = LAC_CHAR_PUNCTUATION,
    [UTF8PROC_CATEGORY_PF] = LAC_CHAR_PUNCTUATION,
    [UTF8PROC_CATEGORY_PO] = LAC_CHAR_PUNCTUATION,
    [UTF8PROC_CATEGORY_ZS] = LAC_CHAR_SPACE,
    [UTF8PROC_CATEGORY_ZL] = LAC_CHAR_SPACE,
    [UTF8PROC_CATEGORY_ZP] = LAC_CHAR_SPACE,
    [UTF8PROC_CATEGORY_CC] = LAC_CHAR_CONTROL,
    [UTF8PROC_CATEGORY_CF] = LAC_CHAR_CONTROL,
    [UTF8PROC_CATEGORY_CO] = LAC_CHAR_CONTROL,
};

/* Outside categories L, M, Nd, Nl and Pc, \w has the joiners and the symbols that the Unicode
 * database lists as Other_Alphabetic (circled and squared letters). */
static bool is_extra_word(uint32_t c)
{
    return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
           (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189);
}

static unsigned ascii_class(uint32_t c)
{
    if ((c | 32) - 'a' < 26)
        return LETTER;
    if (c - '0' < 10)
        return LAC_CHAR_NUMBER | WORD;
    if (c == ' ')
        return LAC_CHAR_SPACE;
    if (c < 32 || c == 127)
        return LAC_CHAR_CONTROL | (c - 9 < 5 ? LAC_CHAR_SPACE : 0);
    return LAC_CHAR_PUNCTUATION | (c == '_' ? WORD : 0);
}

unsigned lac_char_class(uint32_t c)
{
    if (c < 0x80)
        return ascii_class(c);
    unsigned set = category_class[(unsigned)utf8proc_category((utf8proc_int32_t)c) & 31];
    if (c == 0x85)
        set |= LAC_CHAR_SPACE;
    if (is_extra_word(c))
        set |= LAC_CHAR_WORD;
    return set;
}

bool lac_char_is_cjk(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } blocks[] = {
        {0x4e00, 0x9fff},   {0x3400, 0x4dbf},   {0x20000, 0x2a6df}, {0x2a700, 0x2b73f},
        {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0xf900, 0xfaff},   {0x2f800, 0x2fa1f},
    };
    if (c < 0x3400)
        return false;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (c >= blocks[i].first && c <= blocks[i].last)
            return true;
    return false;
}
