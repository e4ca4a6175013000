/* SPDX-License-Identifier: Apache-2.0 */
/* SentencePiece's table of replacements ("precompiled_charsmap"): a trie of UTF-8 strings and what
 * stands for each.
 *
 *   u32 n | n bytes: the trie's units, u32 each | strings, each ended by a 0
 *
 * A unit of the double array (Aoe, 1989, as the library Darts-clone packs it): bits 0 to 7 the byte
 * that leads here, bit 8: a key ends here, bits 10 to 30 the distance to the children, in steps of
 * 256 when bit 9 is set.  The value of a key that ends is the child of byte 0: where its
 * replacement begins.  All numbers are little-endian. */
#ifndef LACUNA_TEXT_CHARSMAP_H
#define LACUNA_TEXT_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/error.h"

struct lac_charsmap {
    const uint32_t *units;
    size_t n_units;
    const char *strings; /* UTF-8 */
    size_t n_strings;
};

/* Reads it from base64; its memory is the arena's. */
enum lac_status lac_charsmap_read(const char *base64, size_t size, struct lac_arena *arena,
                                  struct lac_charsmap *map, struct lac_error *error);

/* The replacement of the shortest key that the text begins with; false when there is none. */
bool lac_charsmap_find(const struct lac_charsmap *map, const uint8_t *text, size_t size,
                       const char **replacement, size_t *n);

#endif
