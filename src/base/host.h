/* SPDX-License-Identifier: Apache-2.0 */
/* What the application lends us: its allocator and its log. */
#ifndef LACUNA_BASE_HOST_H
#define LACUNA_BASE_HOST_H

#include <stddef.h>

#include <lacuna/engine.h>

/* A cache line, a ZMM register, a line of weights. */
enum { LAC_ALIGNMENT = 64 };

/* What large blocks start on with the default allocator: weights that stream from memory are read a
 * sixth faster in such pages, and twice as fast from L3. */
enum { LAC_LARGE_PAGE = 2 << 20 };

/* Objects keep a pointer to the host they were made with; it outlives them. */
struct lac_host {
    struct lac_allocator allocator;
    struct lac_log log;
};

/* malloc, free and no log. */
extern const struct lac_host lac_default_host;

/* n * size bytes on LAC_ALIGNMENT, uninitialised; NULL on overflow or without memory.  Zero bytes
 * give a valid pointer. */
void *lac_alloc(const struct lac_host *host, size_t n, size_t size);
/* The same, filled with zeros. */
void *lac_alloc_zero(const struct lac_host *host, size_t n, size_t size);
/* Grows memory that holds old_n items to new_n items; NULL leaves memory as it was.  memory may be
 * NULL when old_n is 0. */
void *lac_realloc(const struct lac_host *host, void *memory, size_t old_n, size_t new_n,
                  size_t size);
/* A copy of size bytes and a final 0. */
char *lac_strndup(const struct lac_host *host, const char *text, size_t size);
/* Takes NULL. */
void lac_free(const struct lac_host *host, void *memory);

void lac_log(const struct lac_host *host, enum lac_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
