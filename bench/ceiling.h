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

/* Reading memory that was pushed out of the caches, each worker its share. */
struct bench_stream {
    const struct bench_crew *crew;
    const struct bench_reader *reader;
    char *memory;
    size_t size;
};
enum lac_status bench_stream_open(struct bench_stream *stream, const struct bench_crew *crew,
                                  struct lac_error *error);
void bench_stream_close(struct bench_stream *stream);
struct bench_ceiling bench_stream_ceiling(struct bench_stream *stream);

#endif
