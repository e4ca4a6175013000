/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: spellings that are found in the text itself. */
#include "src/text/added.h"

#include "src/base/checked.h"
#include "src/text/unicode.h"

static void insert(struct lac_finder *finder, const struct lac_slice *spelling, int32_t token)
{
    uint64_t node = 0;
    for (size_t i = 0; i < spelling->size; i++) {
        uint64_t key = node << 8 | (uint8_t)spelling->text[i];
        struct lac_map_slot *slot = lac_map_find(&finder->children, key);
        if (slot->key != key) {
            *slot = (struct lac_map_slot){key, (uint32_t)finder->n_nodes, 0};
            finder->token_of[finder->n_nodes++] = -1;
        }
        node = slot->first;
    }
    /* Two tokens may become the same when they are normalized: the first one stays. */
    if (finder->token_of[node] < 0)
        finder->token_of[node] = token;
    finder->starts[(uint8_t)spelling->text[0]] = true;
}

enum lac_status lac_finder_make(struct lac_finder *finder, const struct lac_added *tokens,
                                const struct lac_slice *spellings, size_t n,
                                struct lac_arena *arena, struct lac_error *error)
{
    size_t most = 1;
    for (size_t i = 0; i < n; i++)
        if (!lac_add_size(most, spellings[i].size, &most) || most > INT32_MAX)
            return lac_fail(error, LAC_E_LIMIT, "too many added tokens");
    *finder = (struct lac_finder){.tokens = tokens, .n_nodes = 1};
    finder->token_of = lac_arena_alloc(arena, most, sizeof *finder->token_of);
    if (!finder->token_of || !lac_map_make(&finder->children, most, arena))
        return lac_fail(error, LAC_E_MEMORY, "no memory for the added tokens");
    finder->token_of[0] = -1;
    for (size_t i = 0; i < n; i++)
        if (spellings[i].size)
            insert(finder, &spellings[i], (int32_t)i);
    return LAC_OK;
}

/* The token with the longest spelling at bytes[at], or -1; *stop is its end. */
static int32_t longest_at(const struct lac_finder *finder, const uint8_t *bytes, size_t at,
                          size_t end, size_t *stop)
{
    int32_t best = -1;
    uint64_t node = 0;
    for (size_t i = at; i < end; i++) {
        uint64_t key = node << 8 | bytes[i];
        const struct lac_map_slot *slot = lac_map_find(&finder->children, key);
        if (slot->key != key)
            break;
        node = slot->first;
        if (finder->token_of[node] >= 0) {
            best = finder->token_of[node];
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
    while (finder->n_nodes > 1 && i < end) {
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
