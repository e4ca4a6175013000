/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of figures under named columns, printed as a table, CSV, JSON or Markdown. */
#include "bench/report.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

struct bench_cell {
    const char *text; /* NULL: missing */
    double number;
};

struct bench_row {
    struct bench_row *next;
    struct bench_cell cells[BENCH_MOST_COLUMNS];
};

void bench_report_open(struct bench_report *report, const char *subject,
                       const struct bench_column *columns)
{
    *report = (struct bench_report){
        .subject = subject, .columns = columns, .arena = {.host = &lac_default_host}};
}

void bench_report_close(struct bench_report *report)
{
    lac_arena_clear(&report->arena);
}

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for the report");
}

enum lac_status bench_report_fact(struct bench_report *report, struct lac_error *error,
                                  const char *key, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    struct bench_fact *fact = lac_arena_alloc_zero(&report->arena, 1, sizeof *fact);
    if (!fact)
        return no_memory(error);
    fact->key = lac_arena_strndup(&report->arena, key, strlen(key));
    fact->value = lac_arena_strndup(&report->arena, text, strlen(text));
    if (!fact->key || !fact->value)
        return no_memory(error);
    if (report->last_fact)
        report->last_fact->next = fact;
    else
        report->facts = fact;
    report->last_fact = fact;
    return LAC_OK;
}

enum lac_status bench_report_row(struct bench_report *report, struct lac_error *error)
{
    struct bench_row *row = lac_arena_alloc_zero(&report->arena, 1, sizeof *row);
    if (!row)
        return no_memory(error);
    for (size_t i = 0; i < BENCH_MOST_COLUMNS; i++)
        row->cells[i].number = NAN;
    if (report->last_row)
        report->last_row->next = row;
    else
        report->rows = row;
    report->last_row = row;
    return LAC_OK;
}

static struct bench_cell *find_cell(struct bench_report *report, const char *key)
{
    size_t i = 0;
    while (report->columns[i].key && strcmp(report->columns[i].key, key))
        i++;
    assert(report->columns[i].key && i < BENCH_MOST_COLUMNS);
    return &report->last_row->cells[i];
}

enum lac_status bench_report_text(struct bench_report *report, const char *key, const char *text,
                                  struct lac_error *error)
{
    if (!text)
        return LAC_OK;
    struct bench_cell *cell = find_cell(report, key);
    cell->text = lac_arena_strndup(&report->arena, text, strlen(text));
    return cell->text ? LAC_OK : no_memory(error);
}

void bench_report_number(struct bench_report *report, const char *key, double number)
{
    find_cell(report, key)->number = number;
}

/* One cell in words; decimals < 0 for six digits that count. */
static const char *cell_text(const struct bench_column *column, const struct bench_cell *cell,
                             int decimals, const char *missing, char *text, size_t size)
{
    if (column->decimals == BENCH_TEXT)
        return cell->text ? cell->text : missing;
    if (!isfinite(cell->number))
        return missing;
    /* Errors come as 1e-7 and as 0: neither reads well with fixed decimals. */
    if (decimals < 0 || (cell->number && fabs(cell->number) < pow(10, -decimals) / 2))
        snprintf(text, size, decimals < 0 ? "%.6g" : "%.1e", cell->number);
    else
        snprintf(text, size, "%.*f", decimals, cell->number);
    return text;
}

const struct bench_row *bench_row_next(const struct bench_report *report,
                                       const struct bench_row *row)
{
    return row ? row->next : report->rows;
}

static const struct bench_cell *cell_of(const struct bench_report *report,
                                        const struct bench_row *row, const char *key)
{
    for (size_t i = 0; report->columns[i].key; i++)
        if (!strcmp(report->columns[i].key, key))
            return &row->cells[i];
    return NULL;
}

const char *bench_row_text(const struct bench_report *report, const struct bench_row *row,
                           const char *key)
{
    const struct bench_cell *cell = cell_of(report, row, key);
    return cell ? cell->text : NULL;
}

double bench_row_number(const struct bench_report *report, const struct bench_row *row,
                        const char *key)
{
    const struct bench_cell *cell = cell_of(report, row, key);
    return cell ? cell->number : NAN;
}

const char *bench_row_cell(const struct bench_report *report, const struct bench_row *row,
                           size_t column, char *text, size_t size)
{
    return cell_text(&report->columns[column], &row->cells[column],
                     report->columns[column].decimals, "-", text, size);
}

static void print_facts(const struct bench_report *report, const char *before, const char *between,
                        const char *after, FILE *file)
{
    for (const struct bench_fact *fact = report->facts; fact; fact = fact->next)
        fprintf(file, "%s%s%s%s%s", before, fact->key, between, fact->value, after);
}

static void print_table(const struct bench_report *report, FILE *file)
{
    char text[64];
    int widths[BENCH_MOST_COLUMNS];
    const struct bench_column *columns = report->columns;
    print_facts(report, "# ", ": ", "\n", file);
    for (size_t i = 0; columns[i].key; i++) {
        widths[i] = (int)strlen(columns[i].key);
        for (const struct bench_row *row = report->rows; row; row = row->next) {
            int width = (int)strlen(cell_text(&columns[i], &row->cells[i], columns[i].decimals, "-",
                                              text, sizeof text));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    for (size_t i = 0; columns[i].key; i++)
        fprintf(file, "%s%*s", i ? "  " : "",
                columns[i].decimals == BENCH_TEXT ? -widths[i] : widths[i], columns[i].key);
    fputc('\n', file);
    for (const struct bench_row *row = report->rows; row; row = row->next) {
        for (size_t i = 0; columns[i].key; i++)
            fprintf(file, "%s%*s", i ? "  " : "",
                    columns[i].decimals == BENCH_TEXT ? -widths[i] : widths[i],
                    cell_text(&columns[i], &row->cells[i], columns[i].decimals, "-", text,
                              sizeof text));
        fputc('\n', file);
    }
}

static void print_csv(const struct bench_report *report, FILE *file)
{
    char text[64];
    print_facts(report, "# ", ": ", "\n", file);
    for (size_t i = 0; report->columns[i].key; i++)
        fprintf(file, "%s%s", i ? "," : "", report->columns[i].key);
    fputc('\n', file);
    for (const struct bench_row *row = report->rows; row; row = row->next) {
        for (size_t i = 0; report->columns[i].key; i++)
            fprintf(file, "%s%s", i ? "," : "",
                    cell_text(&report->columns[i], &row->cells[i], -1, "", text, sizeof text));
        fputc('\n', file);
    }
}

static void print_markdown(const struct bench_report *report, FILE *file)
{
    char text[64];
    print_facts(report, "- ", ": ", "\n", file);
    fputs("\n|", file);
    for (size_t i = 0; report->columns[i].key; i++)
        fprintf(file, " %s |", report->columns[i].key);
    fputs("\n|", file);
    for (size_t i = 0; report->columns[i].key; i++)
        fputs(report->columns[i].decimals == BENCH_TEXT ? "---|" : "---:|", file);
    fputc('\n', file);
    for (const struct bench_row *row = report->rows; row; row = row->next) {
        fputc('|', file);
        for (size_t i = 0; report->columns[i].key; i++)
            fprintf(file, " %s |",
                    cell_text(&report->columns[i], &row->cells[i], report->columns[i].decimals, "-",
                              text, sizeof text));
        fputc('\n', file);
    }
}

static json_t *json_cell(const struct bench_column *column, const struct bench_cell *cell)
{
    if (column->decimals == BENCH_TEXT)
        return cell->text ? json_string(cell->text) : json_null();
    if (!isfinite(cell->number))
        return json_null();
    if (cell->number == floor(cell->number) && fabs(cell->number) < 1e15)
        return json_integer((json_int_t)cell->number);
    return json_real(cell->number);
}

static enum lac_status print_json(const struct bench_report *report, FILE *file,
                                  struct lac_error *error)
{
    json_t *root = json_object(), *context = json_object(), *rows = json_array();
    int failed = json_object_set_new(root, "subject", json_string(report->subject)) |
                 json_object_set_new(root, "context", context) |
                 json_object_set_new(root, "rows", rows);
    for (const struct bench_fact *fact = report->facts; fact; fact = fact->next)
        failed |= json_object_set_new(context, fact->key, json_string(fact->value));
    for (const struct bench_row *row = report->rows; row; row = row->next) {
        json_t *object = json_object();
        for (size_t i = 0; report->columns[i].key; i++)
            failed |= json_object_set_new(object, report->columns[i].key,
                                          json_cell(&report->columns[i], &row->cells[i]));
        failed |= json_array_append_new(rows, object);
    }
    failed |= json_dumpf(root, file, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(root);
    fputc('\n', file);
    return failed ? no_memory(error) : LAC_OK;
}

enum lac_status bench_report_print(const struct bench_report *report, enum bench_format format,
                                   FILE *file, struct lac_error *error)
{
    switch (format) {
    case BENCH_TABLE:
        print_table(report, file);
        break;
    case BENCH_CSV:
        print_csv(report, file);
        break;
    case BENCH_MARKDOWN:
        print_markdown(report, file);
        break;
    case BENCH_JSON:
        if (print_json(report, file, error))
            return error->status;
        break;
    }
    if (fflush(file) || ferror(file))
        return lac_fail(error, LAC_E_IO, "the report cannot be written");
    return LAC_OK;
}
