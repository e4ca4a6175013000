/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken piece by piece and given back all at once. */
#include "src/base/arena.h"

#include <string.h>

#include "src/base/checked.h"

/* Chunks grow with the arena, to whole large pages: small ones waste little, large ones lie well.
 */
enum { CHUNK_SIZE = 1 << 16 };

struct lac_arena_chunk {
    struct lac_arena_chunk *next;
    size_t size; /* of the chunk, header included */
    size_t used;
};

static struct lac_arena_chunk *new_chunk(struct lac_arena *arena, size_t size_bytes)
{
    size_t needed;
    if (!lac_add_size(size_bytes, LAC_ALIGNMENT, &needed))
        return NULL;
    size_t usual = lac_min_size(arena->size_bytes, LAC_LARGE_PAGE);
    needed = lac_max_size(needed, lac_max_size(usual, CHUNK_SIZE));
    if (needed > LAC_LARGE_PAGE && !lac_round_up_size(needed, LAC_LARGE_PAGE, &needed))
        return NULL;
    struct lac_arena_chunk *chunk = lac_alloc(arena->host, needed, 1);
    if (!chunk)
        return NULL;
    chunk->size = needed;
    chunk->used = LAC_ALIGNMENT;
    /* Pieces come from the first chunk: the one with more room, once the new one has its piece. */
    struct lac_arena_chunk *first = arena->chunks;
    if (first && first->size - first->used > needed - LAC_ALIGNMENT - size_bytes) {
        chunk->next = first->next;
        first->next = chunk;
    } else {
        chunk->next = first;
        arena->chunks = chunk;
    }
    return chunk;
}

void *lac_arena_alloc(struct lac_arena *arena, size_t n, size_t size)
{
    size_t size_bytes;
    if (!lac_mul_size(n, size, &size_bytes) ||
        !lac_round_up_size(size_bytes ? size_bytes : 1, LAC_ALIGNMENT, &size_bytes))
        return NULL;
    struct lac_arena_chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < size_bytes) {
        chunk = new_chunk(arena, size_bytes);
        if (!chunk)
            return NULL;
    }
    void *piece = (char *)chunk + chunk->used;
    chunk->used += size_bytes;
    arena->size_bytes += size_bytes;
    return piece;
}

void *lac_arena_alloc_zero(struct lac_arena *arena, size_t n, size_t size)
{
    void *piece = lac_arena_alloc(arena, n, size);
    if (piece)
        memset(piece, 0, n * size);
    return piece;
}

char *lac_arena_strndup(struct lac_arena *arena, const char *text, size_t size)
{
    size_t with_end;
    if (!lac_add_size(size, 1, &with_end))
        return NULL;
    char *copy = lac_arena_alloc(arena, with_end, 1);
    if (copy) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

void lac_arena_clear(struct lac_arena *arena)
{
    while (arena->chunks) {
        struct lac_arena_chunk *next = arena->chunks->next;
        lac_free(arena->host, arena->chunks);
        arena->chunks = next;
    }
    arena->size_bytes = 0;
}
