/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: spellings that are found in the text itself. */
#include "src/text/added.h"

#include "src/text/unicode.h"

enum lac_status lac_finder_make(struct lac_finder *finder, const struct lac_added *tokens,
                                const struct lac_slice *spellings, size_t n,
                                struct lac_arena *arena, struct lac_error *error)
{
    struct lac_trie_key *keys = lac_alloc(arena->host, n, sizeof *keys);
    if (!keys)
        return lac_fail(error, LAC_E_MEMORY, "no memory for the added tokens");
    *finder = (struct lac_finder){.tokens = tokens};
    size_t n_keys = 0;
    /* Two tokens may become the same when they are normalized: the first one stays. */
    for (size_t i = 0; i < n; i++) {
        if (!spellings[i].size)
            continue;
        keys[n_keys++] = (struct lac_trie_key){spellings[i], (int32_t)i};
        finder->starts[(uint8_t)spellings[i].text[0]] = true;
    }
    bool made = lac_trie_make(&finder->trie, keys, n_keys, arena);
    lac_free(arena->host, keys);
    return made ? LAC_OK : lac_fail(error, LAC_E_MEMORY, "no memory for the added tokens");
}

/* The token with the longest spelling at bytes[at], or -1; *stop is its end. */
static int32_t longest_at(const struct lac_finder *finder, const uint8_t *bytes, size_t at,
                          size_t end, size_t *stop)
{
    const struct lac_trie *trie = &finder->trie;
    int32_t best = -1;
    uint32_t node = 0;
    for (size_t i = at; i < end; i++) {
        node = lac_trie_child(trie, node, bytes[i]);
        if (!node)
            break;
        if (trie->values[node] >= 0) {
            best = trie->values[node];
            *stop = i + 1;
        }
    }
    return best;
}

static bool class_before(const uint8_t *bytes, size_t begin, size_t at, unsigned class)
{
    uint32_t c;
    if (at == begin)
        return false;
    lac_utf8_get(lac_utf8_before(bytes + at), &c);
    return lac_char_class(c) & class;
}

static bool class_after(const uint8_t *bytes, size_t at, size_t end, unsigned class)
{
    uint32_t c;
    if (at == end)
        return false;
    lac_utf8_get(bytes + at, &c);
    return lac_char_class(c) & class;
}

bool lac_finder_split(const struct lac_finder *finder, const struct lac_host *host,
                      const uint8_t *bytes, size_t begin, size_t end, struct lac_pieces *pieces)
{
    size_t done = begin, i = begin;
    while (finder->trie.n_nodes > 1 && i < end) {
        size_t stop = i;
        int32_t token = -1;
        if (finder->starts[bytes[i]])
            token = longest_at(finder, bytes, i, end, &stop);
        if (token < 0) {
            i++;
            continue;
        }
        unsigned flags = finder->tokens[token].flags;
        size_t from = i, to = stop;
        i = stop;
        if ((flags & LAC_ADDED_SINGLE_WORD) && (class_before(bytes, begin, from, LAC_CHAR_WORD) ||
                                                class_after(bytes, to, end, LAC_CHAR_WORD)))
            continue;
        if (flags & LAC_ADDED_LSTRIP)
            while (from > done && class_before(bytes, done, from, LAC_CHAR_SPACE))
                from = (size_t)(lac_utf8_before(bytes + from) - bytes);
        if (flags & LAC_ADDED_RSTRIP)
            while (class_after(bytes, to, end, LAC_CHAR_SPACE))
                to += lac_utf8_size(bytes[to]);
        /* White space that the token before this one took is not looked at again. */
        i = to;
        if ((done < from && !lac_piece_push(host, pieces, done, from, -1)) ||
            !lac_piece_push(host, pieces, from, to, finder->tokens[token].id))
            return false;
        done = to;
    }
    return done == end || lac_piece_push(host, pieces, done, end, -1);
}
