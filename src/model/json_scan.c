/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON (RFC 8259) front to back without building a tree. */
#include "src/model/json_scan.h"

#include <string.h>

#include <utf8proc.h>

enum lac_status lac_scan_fail(const struct lac_scan *scan, const char *what,
                              struct lac_error *error)
{
    size_t place = (size_t)(scan->at - scan->begin);
    if (scan->at == scan->end)
        return lac_fail(error, LAC_E_FORMAT, "byte %zu: expected %s, found the end", place, what);
    return lac_fail(error, LAC_E_FORMAT, "byte %zu: expected %s, found '%.1s'", place, what,
                    scan->at);
}

static void skip_space(struct lac_scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\r' || *scan->at == '\t'))
        scan->at++;
}

bool lac_scan_take(struct lac_scan *scan, char c)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

enum lac_status lac_scan_expect(struct lac_scan *scan, char c, struct lac_error *error)
{
    const char what[] = {'\'', c, '\'', '\0'};
    return lac_scan_take(scan, c) ? LAC_OK : lac_scan_fail(scan, what, error);
}

enum lac_status lac_scan_more(struct lac_scan *scan, char close, bool *more,
                              struct lac_error *error)
{
    const char what[] = {'\'', ',', '\'', ' ', 'o', 'r', ' ', '\'', close, '\'', '\0'};
    *more = lac_scan_take(scan, ',');
    return *more || lac_scan_take(scan, close) ? LAC_OK : lac_scan_fail(scan, what, error);
}

enum lac_status lac_scan_end(struct lac_scan *scan, struct lac_error *error)
{
    skip_space(scan);
    return scan->at == scan->end ? LAC_OK : lac_scan_fail(scan, "the end", error);
}

/* The longest run of bytes that stand for themselves; any byte over 0x7f sets *high. */
static size_t plain_run(const struct lac_scan *scan, unsigned *high)
{
    const char *c = scan->at;
    unsigned seen = 0;
    while (c < scan->end && *c != '"' && *c != '\\' && (unsigned char)*c >= 0x20)
        seen |= (unsigned char)*c++;
    *high = seen & 0x80;
    return (size_t)(c - scan->at);
}

static bool is_utf8(const char *text, size_t size)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    utf8proc_ssize_t left = (utf8proc_ssize_t)size;
    while (left > 0) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(at, left, &c);
        if (n < 1)
            return false;
        at += n;
        left -= n;
    }
    return true;
}

/* Four hexadecimal digits; -1 when they are not. */
static int32_t take_hex(struct lac_scan *scan)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *found = scan->at < scan->end && *scan->at ? strchr(digits, *scan->at) : NULL;
        if (!found)
            return -1;
        value = value << 4 | (int32_t)((found - digits) & 15);
    }
    return value;
}

/* After "\u": a character, perhaps of two surrogates.  12 bytes of JSON become at most 4. */
static bool take_unicode(struct lac_scan *scan, char **text)
{
    int32_t c = take_hex(scan);
    if (c >= 0xd800 && c < 0xdc00) {
        if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u')
            return false;
        scan->at += 2;
        int32_t low = take_hex(scan);
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
    }
    if (c <= 0 || (c >= 0xdc00 && c < 0xe000))
        return false;
    *text += utf8proc_encode_char(c, (utf8proc_uint8_t *)*text);
    return true;
}

/* After a backslash. */
static bool take_escape(struct lac_scan *scan, char **text)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->end)
        return false;
    char c = *scan->at++;
    if (c == 'u')
        return take_unicode(scan, text);
    const char *found = c ? strchr(names, c) : NULL;
    if (!found)
        return false;
    *(*text)++ = meanings[found - names];
    return true;
}

enum lac_status lac_scan_string(struct lac_scan *scan, char **text, struct lac_error *error)
{
    if (!lac_scan_take(scan, '"'))
        return lac_scan_fail(scan, "a string", error);
    for (;;) {
        unsigned high;
        size_t n = plain_run(scan, &high);
        if (high && !is_utf8(scan->at, n))
            return lac_scan_fail(scan, "UTF-8", error);
        memcpy(*text, scan->at, n);
        *text += n;
        scan->at += n;
        if (scan->at == scan->end || (*scan->at != '"' && *scan->at != '\\'))
            return lac_scan_fail(scan, "the end of a string", error);
        if (*scan->at++ == '"')
            break;
        if (!take_escape(scan, text))
            return lac_scan_fail(scan, "an escape sequence", error);
    }
    *(*text)++ = '\0';
    return LAC_OK;
}

enum lac_status lac_scan_size(struct lac_scan *scan, size_t *value, struct lac_error *error)
{
    static const char what[] = "an integer from 0 to 2^63 - 1";
    skip_space(scan);
    const char *digits = scan->at;
    uint64_t number = 0;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        uint64_t digit = (uint64_t)(*scan->at - '0');
        if (number > (INT64_MAX - digit) / 10)
            return lac_scan_fail(scan, what, error);
        number = 10 * number + digit;
        scan->at++;
    }
    size_t n = (size_t)(scan->at - digits);
    bool is_fraction = scan->at < scan->end && (*scan->at == '.' || (*scan->at | 32) == 'e');
    if (!n || is_fraction || (n > 1 && *digits == '0'))
        return lac_scan_fail(scan, what, error);
    *value = (size_t)number;
    return LAC_OK;
}
