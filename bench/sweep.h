/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep: each combination of the values of some lists is a comparison, the rows of all of them
 * are one report. */
#ifndef LACUNA_BENCH_SWEEP_H
#define LACUNA_BENCH_SWEEP_H

#include "bench/args.h"
#include "bench/harness.h"
#include "bench/report.h"

enum { BENCH_MOST_LISTS = 4, BENCH_SWEEP_FACTS = 3 };

/* Where the rows of a comparison and its progress go. */
struct bench_record {
    struct bench_report report;
    struct bench_progress progress;
};

struct bench_sweep {
    const struct bench_column *columns;
    const char *binding; /* the processors used, in words */
    struct {
        const char *key, *value;
    } facts[BENCH_SWEEP_FACTS + 1];    /* beside the context; the last without a key */
    size_t n_values[BENCH_MOST_LISTS]; /* of each list; unused ones are 0 */
    size_t comparison_bytes;           /* of what compare and close get, zeroed */
    /* What the comparison with place at[i] of list i is called. */
    void (*name)(const size_t at[BENCH_MOST_LISTS], char *text, size_t size);
    /* Prepares, measures, reports. */
    enum lac_status (*compare)(void *comparison, const size_t at[BENCH_MOST_LISTS],
                               struct bench_record *record, struct lac_error *error);
    void (*close)(void *comparison); /* also after a failure */
};

/* The last list turns fastest.  A failure names the comparison. */
enum lac_status bench_sweep_run(const struct bench_sweep *sweep, struct lac_error *error);

/* Caps of the instruction set that this processor has; LAC_E_UNSUPPORTED names another. */
enum lac_status bench_read_isas(const char *text, struct bench_choices *isas,
                                struct lac_error *error);

/* Columns of the last row: time_us_median, time_us_min and time_us_p95, or in ms. */
enum bench_unit { BENCH_US, BENCH_MS };
void bench_report_times(struct bench_report *report, const struct bench_contender *contender,
                        enum bench_unit unit);
/* roof, roof_rate and roof_share. */
enum lac_status bench_report_roof(struct bench_report *report,
                                  const struct bench_contender *contender, struct lac_error *error);

#endif
