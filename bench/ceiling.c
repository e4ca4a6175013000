/* SPDX-License-Identifier: Apache-2.0 */
/* Ceilings of contenders: what a whole crew can multiply, or read from memory. */
#include "bench/ceiling.h"

#include <string.h>

#include "bench/bench.h"
#include "bench/store.h"
#include "src/base/checked.h"
#include "src/base/host.h"

/* The sum of what the workers reach by themselves, all at once. */
struct peak_sample {
    const struct bench_roof *roof;
    double gops[LAC_MAX_THREADS];
};

static void sample_worker(size_t rank, void *context)
{
    struct peak_sample *sample = context;
    sample->gops[rank] = bench_roof_gops(sample->roof);
}

static double sample_peak(void *context)
{
    const struct bench_peak *peak = context;
    struct peak_sample sample = {.roof = peak->roof};
    double sum = 0;
    bench_crew_run(peak->crew, sample_worker, &sample);
    for (size_t i = 0; i < peak->crew->size; i++)
        sum += sample.gops[i];
    return sum;
}

struct bench_ceiling bench_peak_ceiling(struct bench_peak *peak, const struct bench_roof *roof,
                                        const struct bench_crew *crew)
{
    *peak = (struct bench_peak){roof, crew};
    if (!roof)
        return (struct bench_ceiling){0};
    return (struct bench_ceiling){roof->instruction, sample_peak, peak};
}

enum lac_status bench_stream_open(struct bench_stream *stream, const char *name,
                                  const struct bench_crew *crew, size_t share, int flushed,
                                  struct lac_error *error)
{
    share = lac_max_size(share / BENCH_STREAM_UNIT, 1) * BENCH_STREAM_UNIT;
    *stream = (struct bench_stream){
        .name = name,
        .crew = crew,
        .reader = bench_reader_best(),
        .flushed = flushed,
        .share = share,
        /* At least a megabyte a sample, so that the clock's own time does not count. */
        .passes = flushed ? 1 : lac_max_size((1 << 20) / share, 1),
    };
    stream->memory = lac_alloc(&lac_default_host, crew->size, share);
    if (!stream->memory)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu bytes to read", share * crew->size);
    /* Written with ones: pages never written would all be the one page of zeros. */
    memset(stream->memory, 1, share * crew->size);
    return LAC_OK;
}

enum lac_status bench_stream_open_memory(struct bench_stream *stream, const struct bench_crew *crew,
                                         size_t most, struct lac_error *error)
{
    /* More than a millisecond at 10 GB/s; flushing takes longer than reading. */
    enum { FLUSHED = 16 << 20 };
    size_t l3 = bench_settings.l3_bytes ? bench_settings.l3_bytes : 16 << 20;
    size_t share = bench_flush_built() ? FLUSHED : 3 * l3;
    return bench_stream_open(stream, "read memory", crew, lac_min_size(share, most),
                             bench_flush_built(), error);
}

void bench_stream_close(struct bench_stream *stream)
{
    lac_free(&lac_default_host, stream->memory);
    *stream = (struct bench_stream){0};
}

/* Beyond L2 four places are read in turns: one alone keeps the prefetchers less busy (15.3 against
 * 16.5 GB/s from memory on an Emerald Rapids core; eight or sixteen are no faster). */
static void read_share(size_t rank, void *context)
{
    enum { TURN = 1024 };
    const struct bench_stream *stream = context;
    const char *memory = stream->memory + rank * stream->share;
    size_t n_places = stream->share > bench_settings.l2_bytes ? 4 : 1;
    size_t place = stream->share / n_places, turn = n_places > 1 ? TURN : place;
    for (size_t pass = 0; pass < stream->passes; pass++)
        for (size_t at = 0; at < place; at += turn)
            for (size_t i = 0; i < n_places; i++)
                stream->reader->read(memory + i * place + at, turn);
}

static double sample_stream(void *context)
{
    const struct bench_stream *stream = context;
    size_t size = stream->share * stream->crew->size;
    if (stream->flushed)
        bench_flush(stream->memory, size);
    uint64_t ns = bench_crew_time(stream->crew, read_share, context, 0);
    return (double)(size * stream->passes) / (double)(ns ? ns : 1);
}

struct bench_ceiling bench_stream_ceiling(struct bench_stream *stream)
{
    return (struct bench_ceiling){stream->name, sample_stream, stream};
}
