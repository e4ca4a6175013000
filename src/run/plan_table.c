/* SPDX-License-Identifier: Apache-2.0 */
/* The measured table: predictions, reading, writing. */
#include "config.h"

#include "src/run/plan_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/checked.h"
#include "src/base/file.h"

const size_t lac_plan_counts[LAC_PLAN_N_COUNTS] = {1, 2, 4, 8, 16, 32, LAC_TILE};

/* ---- Predictions ---- */

struct lac_plan_load lac_plan_load(enum lac_pattern pattern, enum lac_dtype dtype, size_t n_out,
                                   size_t n_in, size_t n_nonzero)
{
    size_t rows = lac_pattern_rows(pattern);
    double block_rows = (double)(lac_round_up(n_out, lac_pattern_unit(pattern)) / rows);
    double n_dwords = (double)lac_ceil_div(n_in, lac_dword_inputs(dtype));
    return (struct lac_plan_load){
        .pattern = pattern,
        .dtype = dtype,
        .n_out = n_out,
        .n_in = n_in,
        .dwords = (double)n_nonzero * (double)lac_block_bytes(pattern, dtype) / 4,
        .rows = pattern == LAC_PATTERN_BITMAP ? block_rows * n_dwords : block_rows,
    };
}

static double cost_ns(const struct lac_plan_cost *cost, const struct lac_plan_load *load)
{
    return cost->fixed_ns + cost->dword_ns * load->dwords + cost->row_ns * load->rows;
}

static double tile_ns(const struct lac_plan_row *row, const struct lac_plan_load *load,
                      size_t n_tokens)
{
    if (row->kernel->op == LAC_OP_LINEAR_TOKEN)
        n_tokens = lac_round_up(n_tokens, LAC_LANES);
    size_t i = 0;
    while (lac_plan_counts[i] < n_tokens)
        i++;
    double ns = cost_ns(&row->at[i], load);
    if (lac_plan_counts[i] == n_tokens)
        return ns;
    double before = cost_ns(&row->at[i - 1], load);
    double share = (double)(n_tokens - lac_plan_counts[i - 1]) /
                   (double)(lac_plan_counts[i] - lac_plan_counts[i - 1]);
    return before + share * (ns - before);
}

double lac_plan_row_ns(const struct lac_plan_row *row, const struct lac_plan_load *load,
                       size_t n_tokens)
{
    size_t n_tiles = n_tokens / LAC_TILE, rest = n_tokens % LAC_TILE;
    double ns = n_tiles ? (double)n_tiles * tile_ns(row, load, LAC_TILE) : 0;
    return rest ? ns + tile_ns(row, load, rest) : ns;
}

/* As much of a weight as `fits` looks at. */
static bool kernel_fits(const struct lac_kernel *kernel, const struct lac_plan_load *load)
{
    struct lac_weight shape = {
        .pattern = load->pattern,
        .dtype = load->dtype,
        .n_out = load->n_out,
        .n_in = load->n_in,
        .n_dwords = lac_ceil_div(load->n_in, lac_dword_inputs(load->dtype)),
    };
    return !kernel->fits || kernel->fits(&shape);
}

const struct lac_plan_row *lac_plan_table_best(const struct lac_plan_table *table, enum lac_op op,
                                               const struct lac_plan_load *load, size_t n_tokens,
                                               unsigned features, double *ns)
{
    const struct lac_plan_row *best = NULL;
    for (size_t i = 0; i < table->n_rows; i++) {
        const struct lac_plan_row *row = &table->rows[i];
        const struct lac_kernel *kernel = row->kernel;
        if (kernel->op != op || kernel->pattern != load->pattern || kernel->dtype != load->dtype ||
            !lac_kernel_allowed(kernel, features))
            continue;
        double time = lac_plan_row_ns(row, load, n_tokens);
        /* Asked last: the answer may take opening a library. */
        if ((!best || time < *ns) && kernel_fits(kernel, load)) {
            best = row;
            *ns = time;
        }
    }
    return best;
}

const struct lac_plan_row *lac_plan_table_find(const struct lac_plan_table *table,
                                               const struct lac_kernel *kernel)
{
    for (size_t i = 0; i < table->n_rows; i++)
        if (table->rows[i].kernel == kernel)
            return &table->rows[i];
    return NULL;
}

/* ---- Reading ---- */

enum { MOST_BYTES = 1 << 20, MOST_LINE = 256, FORMAT = 1 };

/* 10^15 of a thousandth of a picosecond are a second: nothing here takes that long. */
static const uint64_t most_number = UINT64_C(1000000000000000);
static const double units_per_ns = 1e6;

struct reader {
    const char *path;
    const uint8_t *at, *end;
    size_t line; /* number of the current one */
    char text[MOST_LINE];
    const char *rest; /* what of it has not been read */
    const struct lac_plan_machine *machine;
    struct lac_plan_table *table;
    struct lac_error *error;
};

static enum lac_status damaged(struct reader *r, const char *what)
{
    return lac_fail(r->error, LAC_E_FORMAT, "%s: line %zu: %s", r->path, r->line, what);
}

/* The next line, without its end, into r->text. */
static enum lac_status next_line(struct reader *r)
{
    r->line++;
    const uint8_t *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    if (!newline)
        return damaged(r, "the file ends early");
    size_t size = (size_t)(newline - r->at);
    if (size >= MOST_LINE || memchr(r->at, '\0', size))
        return damaged(r, "not a line of text");
    memcpy(r->text, r->at, size);
    r->text[size] = '\0';
    r->rest = r->text;
    r->at = newline + 1;
    return LAC_OK;
}

/* Takes a word and the space behind it. */
static bool take_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(r->rest, word, n) || (r->rest[n] != ' ' && r->rest[n] != '\0'))
        return false;
    r->rest += n + (r->rest[n] == ' ');
    return true;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

/* Takes a number of the base, not above most, and the space behind it. */
static bool take_number(struct reader *r, unsigned base, uint64_t most, uint64_t *number)
{
    const char *c = r->rest;
    uint64_t n = 0;
    for (; digit_of(*c) < (int)base; c++) {
        n = n * base + (uint64_t)digit_of(*c);
        if (n > most) /* most * 16 + 15 is far from 2^64 */
            return false;
    }
    if (c == r->rest || (*c != ' ' && *c != '\0'))
        return false;
    r->rest = c + (*c == ' ');
    *number = n;
    return true;
}

static enum lac_status stale(struct reader *r, const char *what)
{
    return lac_fail(r->error, LAC_E_UNSUPPORTED, "%s: measured %s: \"%.80s\"", r->path, what,
                    r->text);
}

static enum lac_status read_head(struct reader *r)
{
    const struct lac_plan_machine *m = r->machine;
    char expected[5][MOST_LINE];
    static const char *const stale_words[5] = {
        "in another format",           "by another version", "on another processor",
        "with other instruction sets", "with other caches",
    };
    snprintf(expected[0], MOST_LINE, "lacuna-plan %d", FORMAT);
    snprintf(expected[1], MOST_LINE, "version %s", PACKAGE_VERSION);
    snprintf(expected[2], MOST_LINE, "cpu %s", m->cpu);
    snprintf(expected[3], MOST_LINE, "features %x", m->features);
    snprintf(expected[4], MOST_LINE, "caches %zu %zu", m->l2_bytes, m->l3_bytes);
    for (size_t i = 0; i < 5; i++) {
        if (next_line(r))
            return r->error->status;
        size_t word = strcspn(expected[i], " ");
        if (strncmp(r->text, expected[i], word + 1))
            return damaged(r, i ? "not what follows in a table" : "not a table of Lacuna's plan");
        if (strcmp(r->text, expected[i]))
            return stale(r, stale_words[i]);
    }
    r->table->machine = *m;
    return LAC_OK;
}

static const struct lac_kernel *find_kernel(const char *name)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (!strcmp((*k)->name, name) &&
            ((*k)->op == LAC_OP_LINEAR_TOKEN || (*k)->op == LAC_OP_LINEAR_OUTPUT))
            return *k;
    return NULL;
}

/* The first count that is measured: token-lane kernels take LAC_LANES tokens at least. */
static size_t first_count(const struct lac_kernel *kernel)
{
    size_t i = 0;
    while (kernel->op == LAC_OP_LINEAR_TOKEN && lac_plan_counts[i] < LAC_LANES)
        i++;
    return i;
}

static enum lac_status read_cost(struct reader *r, size_t count, struct lac_plan_cost *cost)
{
    uint64_t tokens, fixed, dword, row;
    if (next_line(r))
        return r->error->status;
    if (!take_word(r, "at") || !take_number(r, 10, LAC_TILE, &tokens) ||
        tokens != lac_plan_counts[count])
        return damaged(r, "not the costs of the next count of tokens");
    if (!take_number(r, 10, most_number, &fixed) || !take_number(r, 10, most_number, &dword) ||
        !take_number(r, 10, most_number, &row) || *r->rest)
        return damaged(r, "not three numbers of a time below one second");
    if (!fixed && !dword && !row)
        return damaged(r, "a kernel that takes no time");
    *cost = (struct lac_plan_cost){(double)fixed / units_per_ns, (double)dword / units_per_ns,
                                   (double)row / units_per_ns};
    return LAC_OK;
}

/* The lines of a kernel; the first of them has been read. */
static enum lac_status read_kernel(struct reader *r)
{
    struct lac_plan_table *table = r->table;
    struct lac_plan_row row = {.kernel = find_kernel(r->rest)};
    const bool is_output = !strncmp(r->rest, "linear_output_", strlen("linear_output_"));
    size_t first = is_output ? 0 : first_count(&(struct lac_kernel){.op = LAC_OP_LINEAR_TOKEN});
    if (row.kernel && lac_plan_table_find(table, row.kernel))
        return damaged(r, "a kernel that was there before");
    for (size_t i = first; i < LAC_PLAN_N_COUNTS; i++)
        if (read_cost(r, i, &row.at[i]))
            return r->error->status;
    if (row.kernel && table->n_rows < LAC_PLAN_MOST_ROWS)
        table->rows[table->n_rows++] = row;
    return LAC_OK;
}

static enum lac_status read_rows(struct reader *r)
{
    uint64_t n_kernels = 0, n_said;
    for (;;) {
        if (next_line(r))
            return r->error->status;
        if (take_word(r, "end"))
            break;
        if (!take_word(r, "kernel"))
            return damaged(r, "neither a kernel nor the end");
        if (read_kernel(r))
            return r->error->status;
        n_kernels++;
    }
    if (!take_number(r, 10, MOST_BYTES, &n_said) || *r->rest || n_said != n_kernels ||
        r->at != r->end)
        return damaged(r, "the end does not match");
    return LAC_OK;
}

enum lac_status lac_plan_table_read(const struct lac_host *host, const char *path,
                                    const struct lac_plan_machine *machine,
                                    struct lac_plan_table **table, struct lac_error *error)
{
    struct lac_file file = {0};
    enum lac_status status = lac_file_open(path, &file, error);
    if (status)
        return status;
    struct reader r = {
        .path = path,
        .at = file.data,
        .end = file.data + file.size,
        .machine = machine,
        .table = lac_alloc_zero(host, 1, sizeof *r.table),
        .error = error,
    };
    if (!r.table)
        status = lac_fail(error, LAC_E_MEMORY, "%s: no memory for a table", path);
    else if (!file.size || file.size > MOST_BYTES)
        status = lac_fail(error, LAC_E_FORMAT, "%s: %zu bytes are not a table of Lacuna's plan",
                          path, file.size);
    else
        status = read_head(&r);
    if (!status)
        status = read_rows(&r);
    lac_file_close(&file);
    if (status)
        lac_free(host, r.table);
    else
        *table = r.table;
    return status;
}

/* ---- Writing ---- */

static uint64_t units(double ns)
{
    double n = ns * units_per_ns;
    return n > 0 ? (n < (double)most_number ? (uint64_t)(n + 0.5) : most_number) : 0;
}

struct writer {
    FILE *file;
    bool failed;
};

static void write_line(struct writer *w, const char *line)
{
    w->failed = w->failed || fputs(line, w->file) == EOF || fputc('\n', w->file) == EOF;
}

static void write_head(struct writer *w, const struct lac_plan_machine *m)
{
    char line[MOST_LINE];
    snprintf(line, sizeof line, "lacuna-plan %d", FORMAT);
    write_line(w, line);
    snprintf(line, sizeof line, "version %s", PACKAGE_VERSION);
    write_line(w, line);
    snprintf(line, sizeof line, "cpu %s", m->cpu);
    write_line(w, line);
    snprintf(line, sizeof line, "features %x", m->features);
    write_line(w, line);
    snprintf(line, sizeof line, "caches %zu %zu", m->l2_bytes, m->l3_bytes);
    write_line(w, line);
}

static void write_row(struct writer *w, const struct lac_plan_row *row)
{
    char line[MOST_LINE];
    snprintf(line, sizeof line, "kernel %s", row->kernel->name);
    write_line(w, line);
    for (size_t i = first_count(row->kernel); i < LAC_PLAN_N_COUNTS; i++) {
        const struct lac_plan_cost *cost = &row->at[i];
        snprintf(line, sizeof line, "at %zu %" PRIu64 " %" PRIu64 " %" PRIu64, lac_plan_counts[i],
                 units(cost->fixed_ns), units(cost->dword_ns), units(cost->row_ns));
        write_line(w, line);
    }
}

enum lac_status lac_plan_table_write(const struct lac_plan_table *table, const char *path,
                                     struct lac_error *error)
{
    char beside[4096], line[MOST_LINE];
    if ((size_t)snprintf(beside, sizeof beside, "%s.%ld", path, (long)getpid()) >= sizeof beside)
        return lac_fail(error, LAC_E_LIMIT, "%.80s...: the path is too long", path);
    struct writer w = {.file = fopen(beside, "we")};
    if (!w.file)
        return lac_fail(error, LAC_E_IO, "%s: %s", beside, strerror(errno));
    write_head(&w, &table->machine);
    for (size_t i = 0; i < table->n_rows; i++)
        write_row(&w, &table->rows[i]);
    snprintf(line, sizeof line, "end %zu", table->n_rows);
    write_line(&w, line);
    w.failed |= fclose(w.file) != 0;
    if (w.failed || rename(beside, path)) {
        unlink(beside);
        return lac_fail(error, LAC_E_IO, "%s cannot be written: %s", path, strerror(errno));
    }
    return LAC_OK;
}
