/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of a report, drawn by gnuplot. */
#ifndef LACUNA_BENCH_PICTURE_H
#define LACUNA_BENCH_PICTURE_H

#include <stdio.h>

#include "bench/report.h"

enum bench_picture_kind {
    BENCH_PICTURE_NONE,
    BENCH_PICTURE_LINES,    /* y over x, a line a series: medians of the rows that share x */
    BENCH_PICTURE_ROOFLINE, /* operations a second over operations a byte, below the machine's
                               limits (Williams, Waterman, Patterson 2009) */
};

enum { BENCH_MOST_PICTURES = 2, BENCH_SERIES_KEYS = 4 };

/* Columns by key; rows where one of them is missing are left out, and those of plain C. */
struct bench_picture {
    enum bench_picture_kind kind;
    const char *title;
    const char *x, *y, *x_title, *y_title;     /* lines */
    int log_x, ideal;                          /* lines: ideal: y = 1 / (1 - x) as well */
    const char *series[BENCH_SERIES_KEYS + 1]; /* texts and numbers; ends with NULL */
};

/* Can gnuplot be started?  To be asked before anything takes long. */
enum lac_status bench_pictures_check(struct lac_error *error);

/* All pictures of the report's subject, one above the other, as one SVG image. */
enum lac_status bench_pictures_draw(const struct bench_report *report,
                                    const struct bench_picture *pictures, FILE *file,
                                    struct lac_error *error);

/* One page that needs nothing else: context, pictures (where there are any), rows. */
enum lac_status bench_page_write(const struct bench_report *report,
                                 const struct bench_picture *pictures, FILE *file,
                                 struct lac_error *error);

#endif
