/* SPDX-License-Identifier: Apache-2.0 */
/* What the application lends us: its allocator and its log. */
#include "src/base/host.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "src/base/checked.h"

/* Asks for large pages, and is as happy without. */
static void want_large_pages(void *memory, size_t size_bytes)
{
#ifdef MADV_HUGEPAGE
    madvise(memory, size_bytes, MADV_HUGEPAGE);
#else
    (void)memory, (void)size_bytes;
#endif
}

static void *default_alloc(void *context, size_t alignment, size_t size_bytes)
{
    (void)context;
    bool is_large = size_bytes >= LAC_LARGE_PAGE && size_bytes <= SIZE_MAX - LAC_LARGE_PAGE;
    void *memory;
    if (is_large) {
        alignment = lac_max_size(alignment, LAC_LARGE_PAGE);
        /* Nor shall the end stay behind in small pages, if it takes most of a large one. */
        size_t over = size_bytes % LAC_LARGE_PAGE;
        size_bytes += over > LAC_LARGE_PAGE / 2 ? LAC_LARGE_PAGE - over : 0;
    }
    if (posix_memalign(&memory, alignment, size_bytes))
        return NULL;
    if (is_large)
        want_large_pages(memory, size_bytes);
    return memory;
}

static void default_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

const struct lac_host lac_default_host = {
    .allocator = {default_alloc, default_release, NULL},
};

void *lac_alloc(const struct lac_host *host, size_t n, size_t size)
{
    size_t size_bytes;
    if (!lac_mul_size(n, size, &size_bytes))
        return NULL;
    const struct lac_allocator *a = &host->allocator;
    return a->alloc(a->context, LAC_ALIGNMENT, size_bytes ? size_bytes : 1);
}

void *lac_alloc_zero(const struct lac_host *host, size_t n, size_t size)
{
    void *memory = lac_alloc(host, n, size);
    if (memory)
        memset(memory, 0, n * size);
    return memory;
}

void *lac_realloc(const struct lac_host *host, void *memory, size_t old_n, size_t new_n,
                  size_t size)
{
    void *grown = lac_alloc(host, new_n, size);
    if (!grown)
        return NULL;
    if (old_n)
        memcpy(grown, memory, lac_min_size(old_n, new_n) * size);
    lac_free(host, memory);
    return grown;
}

char *lac_strndup(const struct lac_host *host, const char *text, size_t size)
{
    size_t with_end;
    if (!lac_add_size(size, 1, &with_end))
        return NULL;
    char *copy = lac_alloc(host, with_end, 1);
    if (copy) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

void lac_free(const struct lac_host *host, void *memory)
{
    if (memory)
        host->allocator.release(host->allocator.context, memory);
}

void lac_log(const struct lac_host *host, enum lac_log_level level, const char *format, ...)
{
    if (!host->log.write)
        return;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    host->log.write(host->log.context, level, text);
}
