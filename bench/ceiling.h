/* SPDX-License-Identifier: Apache-2.0 */
/* Ceilings of contenders: what a whole crew can multiply, or read from memory. */
#ifndef LACUNA_BENCH_CEILING_H
#define LACUNA_BENCH_CEILING_H

#include "bench/crew.h"
#include "bench/harness.h"
#include "bench/roof.h"

/* Multiplications on every worker at once; context of the bench_ceiling. */
struct bench_peak {
    const struct bench_roof *roof;
    const struct bench_crew *crew;
};
/* None where roof is NULL.  Borrows both: peak stays where it is. */
struct bench_ceiling bench_peak_ceiling(struct bench_peak *peak, const struct bench_roof *roof,
                                        const struct bench_crew *crew);

/* Reading memory, each worker its own; context of the bench_ceiling. */
struct bench_stream {
    const char *name;
    const struct bench_crew *crew;
    const struct bench_reader *reader;
    int flushed;  /* pushed out of the caches before each sample */
    size_t share; /* of each worker, a multiple of BENCH_STREAM_UNIT */
    size_t passes;
    char *memory;
};

enum { BENCH_STREAM_UNIT = 4096 };

/* Borrows name and crew. */
enum lac_status bench_stream_open(struct bench_stream *stream, const char *name,
                                  const struct bench_crew *crew, size_t share, int flushed,
                                  struct lac_error *error);
/* Takes all zeros as well. */
void bench_stream_close(struct bench_stream *stream);
struct bench_ceiling bench_stream_ceiling(struct bench_stream *stream);

/* Main memory: what was flushed, or where that cannot be done what no cache holds. */
enum lac_status bench_stream_open_memory(struct bench_stream *stream, const struct bench_crew *crew,
                                         size_t most, struct lac_error *error);

#endif
