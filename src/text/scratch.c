/* SPDX-License-Identifier: Apache-2.0 */
/* The working memory of one encoding. */
#include "src/text/scratch.h"

#include "src/base/checked.h"

/* Grows by half at least, so that n single pushes move O(n) items. */
static bool new_capacity(size_t n, size_t capacity, size_t more, size_t *grown)
{
    size_t needed, raised;
    if (!lac_add_size(n, more, &needed) || !lac_add_size(capacity, capacity / 2 + 16, &raised))
        return false;
    *grown = lac_max_size(needed, raised);
    return true;
}

static void *grow(const struct lac_host *host, void *memory, size_t n, size_t *capacity,
                  size_t more, size_t size)
{
    size_t grown;
    if (!new_capacity(n, *capacity, more, &grown))
        return NULL;
    void *moved = lac_realloc(host, memory, n, grown, size);
    if (moved)
        *capacity = grown;
    return moved;
}

#define DEFINE_RESERVE(function, type)                                                             \
    bool function(const struct lac_host *host, struct type *list, size_t more)                     \
    {                                                                                              \
        if (list->capacity - list->n >= more)                                                      \
            return true;                                                                           \
        void *moved = grow(host, list->at, list->n, &list->capacity, more, sizeof *list->at);      \
        if (moved)                                                                                 \
            list->at = moved;                                                                      \
        return moved;                                                                              \
    }

DEFINE_RESERVE(lac_chars_reserve, lac_chars)
DEFINE_RESERVE(lac_pieces_reserve, lac_pieces)
DEFINE_RESERVE(lac_tokens_reserve, lac_tokens)
DEFINE_RESERVE(lac_symbols_reserve, lac_symbols)
DEFINE_RESERVE(lac_queue_reserve, lac_merge_queue)
DEFINE_RESERVE(lac_cuts_reserve, lac_best_cuts)

bool lac_aligned_reserve(const struct lac_host *host, struct lac_aligned *text, size_t more)
{
    size_t grown;
    if (text->capacity - text->n >= more)
        return true;
    if (!new_capacity(text->n, text->capacity, more, &grown))
        return false;
    void *bytes = lac_realloc(host, text->bytes, text->n, grown, sizeof *text->bytes);
    if (!bytes)
        return false;
    text->bytes = bytes;
    void *from = lac_realloc(host, text->from, text->n, grown, sizeof *text->from);
    if (!from)
        return false;
    text->from = from;
    text->capacity = grown;
    return true;
}

void lac_scratch_free(struct lac_scratch *scratch)
{
    void *const memory[] = {
        scratch->chars.at,     scratch->spare.at,     scratch->text.bytes, scratch->text.from,
        scratch->mapped.bytes, scratch->mapped.from,  scratch->pieces.at,  scratch->split.at,
        scratch->tokens[0].at, scratch->tokens[1].at, scratch->symbols.at, scratch->queue.at,
        scratch->cuts.at,      scratch->hashes,
    };
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        lac_free(scratch->host, memory[i]);
}
