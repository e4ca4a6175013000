/* SPDX-License-Identifier: Apache-2.0 */
/* A report as one HTML page: no scripts, nothing to be loaded from elsewhere. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "bench/picture.h"

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;"
    "color:#222;background:#fff}\n"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    ".facts td{padding:.1em 1em .1em 0;vertical-align:top}.facts td:first-child{color:#666}\n"
    ".rows{overflow-x:auto;font-size:13px}\n"
    ".rows th{position:sticky;top:0;background:#f2f2f2;font-weight:600}\n"
    ".rows th,.rows td{padding:.25em .6em;text-align:right;white-space:nowrap;"
    "border-bottom:1px solid #e4e4e4}\n"
    ".rows .t{text-align:left}.rows tr:hover td{background:#f7faff}\n"
    "svg{max-width:100%;height:auto}\n";

static void print_escaped(const char *text, FILE *file)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", file);
            break;
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            fputc(*text, file);
        }
}

static void print_facts(const struct bench_report *report, FILE *file)
{
    fputs("<table class=\"facts\">\n", file);
    for (const struct bench_fact *fact = report->facts; fact; fact = fact->next) {
        fputs("<tr><td>", file);
        print_escaped(fact->key, file);
        fputs("</td><td>", file);
        print_escaped(fact->value, file);
        fputs("</td></tr>\n", file);
    }
    fputs("</table>\n", file);
}

/* A share has a bar behind it. */
static void print_cell(const struct bench_report *report, const struct bench_row *row, size_t i,
                       FILE *file)
{
    const struct bench_column *column = &report->columns[i];
    char text[64];
    size_t length = strlen(column->key);
    double share = bench_row_number(report, row, column->key);
    fputs(column->decimals == BENCH_TEXT ? "<td class=\"t\"" : "<td", file);
    if (length > 6 && !strcmp(column->key + length - 6, "_share") && isfinite(share))
        fprintf(file, " style=\"background:linear-gradient(90deg,#cfe3ff %.0f%%,transparent 0)\"",
                100 * fmin(share, 1));
    fputc('>', file);
    print_escaped(bench_row_cell(report, row, i, text, sizeof text), file);
    fputs("</td>", file);
}

static void print_rows(const struct bench_report *report, FILE *file)
{
    fputs("<div class=\"rows\"><table>\n<thead><tr>", file);
    for (size_t i = 0; report->columns[i].key; i++)
        fprintf(file, "<th%s>%s</th>",
                report->columns[i].decimals == BENCH_TEXT ? " class=\"t\"" : "",
                report->columns[i].key);
    fputs("</tr></thead>\n<tbody>\n", file);
    for (const struct bench_row *row = NULL; (row = bench_row_next(report, row));) {
        fputs("<tr>", file);
        for (size_t i = 0; report->columns[i].key; i++)
            print_cell(report, row, i, file);
        fputs("</tr>\n", file);
    }
    fputs("</tbody></table></div>\n", file);
}

/* From <svg on: what stands before belongs to a file of its own. */
static enum lac_status print_pictures(const struct bench_report *report,
                                      const struct bench_picture *pictures, FILE *file,
                                      struct lac_error *error)
{
    char line[8192];
    int inside = 0;
    FILE *image = tmpfile();
    if (!image)
        return lac_fail(error, LAC_E_IO, "no temporary file: %s", strerror(errno));
    enum lac_status status = bench_pictures_draw(report, pictures, image, error);
    rewind(image);
    while (!status && fgets(line, sizeof line, image)) {
        inside |= !strncmp(line, "<svg", 4);
        if (inside)
            fputs(line, file);
    }
    fclose(image);
    return status;
}

enum lac_status bench_page_write(const struct bench_report *report,
                                 const struct bench_picture *pictures, FILE *file,
                                 struct lac_error *error)
{
    fprintf(file,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width\">\n"
            "<title>lacuna-bench %s</title>\n<style>\n%s</style>\n</head>\n<body>\n"
            "<h1>lacuna-bench %s</h1>\n",
            report->subject, style, report->subject);
    print_facts(report, file);
    if (pictures && pictures->kind) {
        fputs("<h2>Pictures</h2>\n", file);
        if (print_pictures(report, pictures, file, error))
            return error->status;
    }
    fputs("<h2>Rows</h2>\n", file);
    print_rows(report, file);
    fputs("</body>\n</html>\n", file);
    return LAC_OK;
}
