/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken piece by piece and given back all at once. */
#include "src/base/arena.h"

#include <string.h>

#include "src/base/checked.h"

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
    needed = lac_max_size(needed, CHUNK_SIZE);
    struct lac_arena_chunk *chunk = lac_alloc(arena->host, needed, 1);
    if (!chunk)
        return NULL;
    chunk->size = needed;
    chunk->used = LAC_ALIGNMENT;
    chunk->next = arena->chunks;
    arena->chunks = chunk;
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
