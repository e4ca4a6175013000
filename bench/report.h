/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of figures under named columns, printed as a table, CSV, JSON or Markdown. */
#ifndef LACUNA_BENCH_REPORT_H
#define LACUNA_BENCH_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "src/base/arena.h"
#include "src/base/error.h"

enum bench_format { BENCH_TABLE, BENCH_CSV, BENCH_JSON, BENCH_MARKDOWN };

enum { BENCH_TEXT = -1, BENCH_MOST_COLUMNS = 48 };

/* key is also the JSON key; decimals are those of tables and Markdown (CSV and JSON keep six
 * digits that count), BENCH_TEXT for a column of texts. */
struct bench_column {
    const char *key;
    int decimals;
};

/* What the figures depend on: the machine, the build, the settings. */
struct bench_fact {
    const char *key, *value;
    struct bench_fact *next;
};

struct bench_row;

/* All zeros but for host is an empty report; columns end with a NULL key. */
struct bench_report {
    const char *subject;
    const struct bench_column *columns;
    struct lac_arena arena;
    struct bench_fact *facts, *last_fact;
    struct bench_row *rows, *last_row;
};

void bench_report_open(struct bench_report *report, const char *subject,
                       const struct bench_column *columns);
void bench_report_close(struct bench_report *report);

/* Strings are copied. */
enum lac_status bench_report_fact(struct bench_report *report, struct lac_error *error,
                                  const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A new row; what is not set is missing (null, "-"). */
enum lac_status bench_report_row(struct bench_report *report, struct lac_error *error);
/* Set a column of the last row.  NULL and numbers that are not finite are missing. */
enum lac_status bench_report_text(struct bench_report *report, const char *key, const char *text,
                                  struct lac_error *error);
void bench_report_number(struct bench_report *report, const char *key, double number);

/* The row after one, or the first (of NULL); NULL at the end. */
const struct bench_row *bench_row_next(const struct bench_report *report,
                                       const struct bench_row *row);
/* NULL or NaN where the column is missing. */
const char *bench_row_text(const struct bench_report *report, const struct bench_row *row,
                           const char *key);
double bench_row_number(const struct bench_report *report, const struct bench_row *row,
                        const char *key);
/* Column i of it as a table has it. */
const char *bench_row_cell(const struct bench_report *report, const struct bench_row *row,
                           size_t column, char *text, size_t size);

enum lac_status bench_report_print(const struct bench_report *report, enum bench_format format,
                                   FILE *file, struct lac_error *error);

#endif
