/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that can be pushed out of all caches. */
#ifndef LACUNA_BENCH_STORE_H
#define LACUNA_BENCH_STORE_H

#include <stddef.h>

#include "src/base/arena.h"
#include "src/base/error.h"

/* Writes the lines that hold size bytes back to memory and drops them from every cache. */
void bench_flush(const void *memory, size_t size);
/* Can that be done here? */
int bench_flush_built(void);

struct bench_store_piece {
    struct bench_store_piece *next;
    size_t size;
};

/* An arena whose memory is known piece by piece. */
struct bench_store {
    struct lac_host host;
    struct lac_arena arena;
    struct bench_store_piece *pieces;
};

/* The store stays where it is while it is open. */
void bench_store_open(struct bench_store *store);
void bench_store_close(struct bench_store *store);
void bench_store_flush(const struct bench_store *store);

/* A stack of layers is at least this large (up to 512 of them), and at least two: no caches in
 * front of memory serve the next run from the last, and timing starts and ends seldom enough not to
 * count. */
enum { BENCH_STACK_BYTES = 64 << 20 };
size_t bench_stack_copies(size_t size_bytes);

#endif
