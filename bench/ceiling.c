/* SPDX-License-Identifier: Apache-2.0 */
/* Ceilings of contenders: what a whole crew can multiply, or read from memory. */
#include "bench/ceiling.h"

#include <string.h>

#include "bench/store.h"
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

enum { STREAM_UNIT = 4096 };

enum lac_status bench_stream_open(struct bench_stream *stream, const struct bench_crew *crew,
                                  struct lac_error *error)
{
    /* A millisecond and more at 10 GB/s, each worker; flushing takes longer than reading. */
    enum { SHARE = 16 << 20 };
    *stream = (struct bench_stream){
        .crew = crew, .reader = bench_reader_best(), .size = crew->size * SHARE};
    stream->memory = lac_alloc(&lac_default_host, stream->size, 1);
    if (!stream->memory)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu bytes to read", stream->size);
    memset(stream->memory, 1, stream->size);
    return LAC_OK;
}

void bench_stream_close(struct bench_stream *stream)
{
    lac_free(&lac_default_host, stream->memory);
    *stream = (struct bench_stream){0};
}

static void read_share(size_t rank, void *context)
{
    const struct bench_stream *stream = context;
    size_t share = stream->size / stream->crew->size / STREAM_UNIT * STREAM_UNIT;
    stream->reader->read(stream->memory + rank * share, share);
}

static double sample_stream(void *context)
{
    const struct bench_stream *stream = context;
    bench_flush(stream->memory, stream->size);
    uint64_t ns = bench_crew_time(stream->crew, read_share, context, 0);
    return (double)stream->size / (double)(ns ? ns : 1);
}

struct bench_ceiling bench_stream_ceiling(struct bench_stream *stream)
{
    return (struct bench_ceiling){"read memory", sample_stream, stream};
}
