/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that can be pushed out of all caches. */
#include "bench/store.h"

#include <stdint.h>

#include "src/base/checked.h"

enum { LINE = 64 };

#if defined __x86_64__
#include <immintrin.h>
enum { CAN_FLUSH = 1 };

static void flush_in_order(const char *at, const char *end)
{
    for (; at < end; at += LINE)
        _mm_clflush(at);
}

/* The later instruction lets many lines be on their way at once: several times as fast. */
__attribute__((target("clflushopt"))) static void flush_at_once(const char *at, const char *end)
{
    for (; at < end; at += LINE)
        _mm_clflushopt((void *)(uintptr_t)at);
}

static void flush_lines(const char *at, const char *end)
{
    if (__builtin_cpu_supports("clflushopt"))
        flush_at_once(at, end);
    else
        flush_in_order(at, end);
    _mm_mfence();
}
#elif defined __aarch64__
enum { CAN_FLUSH = 1 };

static void flush_lines(const char *at, const char *end)
{
    for (; at < end; at += LINE)
        __asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
    __asm__ volatile("dsb sy" : : : "memory");
}
#else
enum { CAN_FLUSH = 0 };

static void flush_lines(const char *at, const char *end)
{
    (void)at, (void)end;
}
#endif

void bench_flush(const void *memory, size_t size)
{
    flush_lines((const char *)((uintptr_t)memory / LINE * LINE), (const char *)memory + size);
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
    /* Of tiny layers no more than this: they are flushed anyway. */
    enum { MOST = 512 };
    size_t n = lac_ceil_div(BENCH_STACK_BYTES, size_bytes + 1);
    return lac_min_size(lac_max_size(n, 2), MOST);
}
