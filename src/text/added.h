/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: spellings that are found in the text itself, before it is split into words. */
#ifndef LACUNA_TEXT_ADDED_H
#define LACUNA_TEXT_ADDED_H

#include "src/base/arena.h"
#include "src/base/error.h"
#include "src/text/scratch.h"
#include "src/text/trie.h"
#include "src/text/vocab.h"

enum lac_added_flags {
    LAC_ADDED_SINGLE_WORD = 1, /* only between characters that are not \w */
    LAC_ADDED_LSTRIP = 2,      /* takes the white space before it */
    LAC_ADDED_RSTRIP = 4,      /* takes the white space after it */
    LAC_ADDED_NORMALIZED = 8,  /* is looked for in the normalized text, normalized itself */
    LAC_ADDED_SPECIAL = 16,    /* decoding leaves it out */
};

struct lac_added {
    const char *content;
    size_t size;
    int32_t id;
    unsigned flags;
};

/* All spellings of one kind; values are numbers of tokens. */
struct lac_finder {
    struct lac_trie trie;
    const struct lac_added *tokens;
    bool starts[256]; /* bytes that begin a spelling */
};

enum { LAC_MAX_ADDED_BYTES = 1024 };

/* A finder for n spellings, of tokens[k] each, which the finder borrows; an empty spelling is never
 * found. */
enum lac_status lac_finder_make(struct lac_finder *finder, const struct lac_added *tokens,
                                const struct lac_slice *spellings, size_t n,
                                struct lac_arena *arena, struct lac_error *error);

/* Appends to pieces the parts of bytes[begin, end): added tokens with their id, what is between
 * them with -1.  Of the spellings that begin first, the longest counts. */
bool lac_finder_split(const struct lac_finder *finder, const struct lac_host *host,
                      const uint8_t *bytes, size_t begin, size_t end, struct lac_pieces *pieces);

#endif
