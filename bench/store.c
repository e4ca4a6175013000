/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that can be pushed out of all caches. */
#include "bench/store.h"

#include <stdint.h>

#include "src/base/checked.h"

#if defined __x86_64__
#include <emmintrin.h>
enum { CAN_FLUSH = 1 };
static void flush_line(const void *line)
{
    _mm_clflush(line);
}
static void wait_for_flushes(void)
{
    _mm_mfence();
}
#elif defined __aarch64__
enum { CAN_FLUSH = 1 };
static void flush_line(const void *line)
{
    __asm__ volatile("dc civac, %0" : : "r"(line) : "memory");
}
static void wait_for_flushes(void)
{
    __asm__ volatile("dsb sy" : : : "memory");
}
#else
enum { CAN_FLUSH = 0 };
static void flush_line(const void *line)
{
    (void)line;
}
static void wait_for_flushes(void)
{
}
#endif

enum { LINE = 64 };

void bench_flush(const void *memory, size_t size)
{
    const char *at = (const char *)((uintptr_t)memory / LINE * LINE);
    for (const char *end = (const char *)memory + size; at < end; at += LINE)
        flush_line(at);
    wait_for_flushes();
}

int bench_flush_built(void)
{
    return CAN_FLUSH;
}

/* A piece has its header in the line before it. */
static void *piece_alloc(void *context, size_t alignment, size_t size)
{
    struct bench_store *store = context;
    size_t whole;
    if (alignment > LINE || !lac_add_size(size, LINE, &whole))
        return NULL;
    struct bench_store_piece *piece = lac_alloc(&lac_default_host, whole, 1);
    if (!piece)
        return NULL;
    *piece = (struct bench_store_piece){.next = store->pieces, .size = size};
    store->pieces = piece;
    return (char *)piece + LINE;
}

static void piece_release(void *context, void *memory)
{
    struct bench_store *store = context;
    struct bench_store_piece *piece = (void *)((char *)memory - LINE), **at = &store->pieces;
    if (!memory)
        return;
    while (*at != piece)
        at = &(*at)->next;
    *at = piece->next;
    lac_free(&lac_default_host, piece);
}

void bench_store_open(struct bench_store *store)
{
    *store = (struct bench_store){.host = {.allocator = {piece_alloc, piece_release, store}}};
    store->arena.host = &store->host;
}

void bench_store_close(struct bench_store *store)
{
    if (store->arena.host)
        lac_arena_clear(&store->arena);
    *store = (struct bench_store){0};
}

void bench_store_flush(const struct bench_store *store)
{
    for (const struct bench_store_piece *piece = store->pieces; piece; piece = piece->next)
        bench_flush((const char *)piece + LINE, piece->size);
}

size_t bench_stack_copies(size_t size_bytes)
{
    return lac_max_size(lac_ceil_div(BENCH_STACK_BYTES, size_bytes + 1), 2);
}
