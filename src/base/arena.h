/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is taken piece by piece and given back all at once. */
#ifndef LACUNA_BASE_ARENA_H
#define LACUNA_BASE_ARENA_H

#include <stddef.h>

#include "src/base/host.h"

/*   chunk -> [ header | piece | piece | ...          ]
 *   chunk -> [ header | one piece over the chunk size ]   (and so on)
 * Every piece starts on LAC_ALIGNMENT.  All zeros but for host is a valid empty arena. */
struct lac_arena {
    const struct lac_host *host;
    struct lac_arena_chunk *chunks;
    size_t size_bytes; /* of all pieces */
};

/* n * size bytes, uninitialised; NULL on overflow or without memory. */
void *lac_arena_alloc(struct lac_arena *arena, size_t n, size_t size);
void *lac_arena_alloc_zero(struct lac_arena *arena, size_t n, size_t size);
char *lac_arena_strndup(struct lac_arena *arena, const char *text, size_t size);
/* Frees every piece; the arena is empty and usable. */
void lac_arena_clear(struct lac_arena *arena);

#endif
