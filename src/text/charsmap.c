/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's table of replacements. */
#include "src/text/charsmap.h"

#include <string.h>

#include "src/text/unicode.h"

enum { MAX_BYTES = 1 << 24 }; /* the largest in use have a quarter of a megabyte */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the units are little-endian");

/* The value of a character of base64 (RFC 4648), or -1. */
static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Writes 3 bytes for 4 characters; returns how many they are without the padding, 0 when these are
 * no base64. */
static size_t decode_group(const char *in, bool is_last, uint8_t *out)
{
    size_t n = is_last && in[3] == '=' ? in[2] == '=' ? 1 : 2 : 3;
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i > n ? 0 : sextet(in[i]);
        if (value < 0)
            return 0;
        bits = bits << 6 | (uint32_t)value;
    }
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    return n;
}

static enum lac_status decode(const char *base64, size_t size, uint8_t *out, size_t *n,
                              struct lac_error *error)
{
    *n = 0;
    if (size % 4)
        return lac_fail(error, LAC_E_FORMAT, "%zu characters are no base64", size);
    for (size_t i = 0; i < size; i += 4) {
        size_t taken = decode_group(base64 + i, i + 4 == size, out + *n);
        if (!taken)
            return lac_fail(error, LAC_E_FORMAT, "no base64 from character %zu on", i);
        *n += taken;
    }
    return LAC_OK;
}

enum lac_status lac_charsmap_read(const char *base64, size_t size, struct lac_arena *arena,
                                  struct lac_charsmap *map, struct lac_error *error)
{
    size_t n, at;
    uint32_t trie_bytes;
    if (size > MAX_BYTES)
        return lac_fail(error, LAC_E_LIMIT, "%zu characters, more than %d", size, MAX_BYTES);
    uint8_t *bytes = lac_arena_alloc(arena, size / 4 * 3 + 4, 1);
    if (!bytes)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu characters", size);
    enum lac_status status = decode(base64, size, bytes, &n, error);
    if (status)
        return status;
    if (n < sizeof trie_bytes)
        return lac_fail(error, LAC_E_FORMAT, "%zu bytes are no table", n);
    memcpy(&trie_bytes, bytes, sizeof trie_bytes);
    if (trie_bytes > n - sizeof trie_bytes || trie_bytes % sizeof *map->units || !trie_bytes)
        return lac_fail(error, LAC_E_FORMAT, "a trie of %u bytes in a table of %zu", trie_bytes, n);
    const uint8_t *strings = bytes + sizeof trie_bytes + trie_bytes;
    size_t n_strings = n - sizeof trie_bytes - trie_bytes;
    at = lac_utf8_check(strings, n_strings);
    if (at < n_strings)
        return lac_fail(error, LAC_E_FORMAT, "byte %zu of the replacements is not UTF-8", at);
    *map = (struct lac_charsmap){
        .units = (const uint32_t *)(const void *)(bytes + sizeof trie_bytes), /* on 4 bytes */
        .n_units = trie_bytes / sizeof *map->units,
        .strings = (const char *)strings,
        .n_strings = n_strings,
    };
    return LAC_OK;
}

static size_t distance(uint32_t unit)
{
    return (size_t)(unit >> 10) << (unit & 1u << 9 ? 8 : 0);
}

bool lac_charsmap_find(const struct lac_charsmap *map, const uint8_t *text, size_t size,
                       const char **replacement, size_t *n)
{
    size_t node = distance(map->units[0]);
    for (size_t i = 0; i < size && text[i]; i++) {
        node ^= text[i];
        if (node >= map->n_units || (map->units[node] & 0x800000ffu) != text[i])
            return false;
        uint32_t unit = map->units[node];
        node ^= distance(unit);
        if (!(unit & 1u << 8))
            continue;
        size_t at = node < map->n_units ? map->units[node] & 0x7fffffffu : map->n_strings;
        /* A broken file may point outside, or into a character. */
        if (at >= map->n_strings || ((uint8_t)map->strings[at] & 0xc0) == 0x80)
            return false;
        *replacement = map->strings + at;
        *n = strnlen(map->strings + at, map->n_strings - at);
        return true;
    }
    return false;
}
