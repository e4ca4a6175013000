/* SPDX-License-Identifier: Apache-2.0 */
/* What the subjects of lacuna-bench share: their settings and their place in the program. */
#ifndef LACUNA_BENCH_BENCH_H
#define LACUNA_BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/engine.h>

#include "bench/args.h"
#include "bench/harness.h"
#include "bench/picture.h"
#include "bench/report.h"

/* A subject: what is measured and how that is asked for. */
struct bench_subject {
    const char *name, *summary;
    const struct bench_option *options;   /* its own, beside the common ones */
    const struct bench_picture *pictures; /* up to BENCH_MOST_PICTURES, the last of no kind; NULL */
    enum lac_status (*run)(struct lac_error *error);
};

extern const struct bench_subject bench_limits, bench_spmm, bench_encode, bench_decode,
    bench_attention, bench_crossover;

/* What every subject understands; read before it runs. */
struct bench_settings {
    struct bench_effort effort;
    uint64_t seed;
    size_t cpu;                          /* of one thread; SIZE_MAX: the last allowed one */
    enum lac_bind bind;                  /* of several */
    size_t l1_bytes, l2_bytes, l3_bytes; /* a core's share of each cache; 0: unknown */
    size_t n_cores;
    char topology[256]; /* as hwloc has it */
    enum bench_format format;
    const char *save; /* path of .json and .md files to write as well, without its ending; NULL */
    const char *plot, *page; /* SVG and HTML files to write; NULL */
    const struct bench_subject *subject;
};
extern struct bench_settings bench_settings;

/* Reads what of the settings is the machine's, before anything is pinned: a process on one
 * processor seems to have the caches for itself. */
enum lac_status bench_read_machine(struct lac_error *error);

/* A line on stderr, when that is a terminal, for what is no part of a report. */
void bench_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

void bench_cpu_model(char *text, size_t size);

/* Facts of this machine and this build.  cpus: the processors used, such as "1". */
enum lac_status bench_report_context(struct bench_report *report, const char *cpus,
                                     struct lac_error *error);
/* Prints the report to stdout, and to the files the settings ask for. */
enum lac_status bench_report_finish(const struct bench_report *report, struct lac_error *error);

#endif
