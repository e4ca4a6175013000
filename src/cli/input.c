/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a file as records. */
#include "src/cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cli/command.h"

struct key {
    const char *name;
    enum column column;
};

static const struct key keys[][6] = {
    [INPUT_TEXTS] = {{"id", COLUMN_ID},
                     {"text", COLUMN_FIRST},
                     {"pair", COLUMN_SECOND},
                     {"label", COLUMN_LABEL},
                     {"-", COLUMN_NONE},
                     {0}},
    [INPUT_QUESTIONS] = {{"id", COLUMN_ID},
                         {"question", COLUMN_FIRST},
                         {"context", COLUMN_SECOND},
                         {"label", COLUMN_LABEL},
                         {"-", COLUMN_NONE},
                         {0}},
    [INPUT_PROMPTS] = {{"id", COLUMN_ID},
                       {"prompt", COLUMN_FIRST},
                       {"continuation", COLUMN_SECOND},
                       {"group", COLUMN_LABEL},
                       {"-", COLUMN_NONE},
                       {0}},
};

static enum input_result bad(struct input *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum input_result bad(struct input *in, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(in->message, sizeof in->message, format, args);
    va_end(args);
    return INPUT_BAD;
}

static const char *name_of(const struct input *in, enum column column)
{
    for (const struct key *k = keys[in->kind]; k->name; k++)
        if (k->column == column)
            return k->name;
    return "";
}

/* Text has no place for it. */
static bool needs_second(const struct input *in)
{
    return in->kind != INPUT_TEXTS;
}

static bool has_column(const struct input *in, enum column column)
{
    for (size_t i = 0; i < in->n_columns; i++)
        if (in->columns[i] == column)
            return true;
    return false;
}

/* A header's unknown names are columns nobody asked for; in --columns they are mistakes. */
static bool set_columns(struct input *in, const char *list, size_t size, char separator)
{
    bool strict = separator == ',';
    in->n_columns = 0;
    for (const char *end = list + size, *p = list; p <= end;) {
        const char *past = memchr(p, separator, (size_t)(end - p));
        past = past ? past : end;
        const struct key *k = keys[in->kind];
        while (k->name &&
               (strlen(k->name) != (size_t)(past - p) || memcmp(k->name, p, (size_t)(past - p))))
            k++;
        if (!k->name && strict)
            return bad(in, "'%.*s' is none of id, %s, %s, %s, -", (int)(past - p), p,
                       name_of(in, COLUMN_FIRST), name_of(in, COLUMN_SECOND),
                       name_of(in, COLUMN_LABEL)),
                   false;
        if (in->n_columns == MAX_COLUMNS)
            return bad(in, "more than %d columns", MAX_COLUMNS), false;
        if (k->name && k->column && has_column(in, k->column))
            return bad(in, "'%s' is named twice", k->name), false;
        in->columns[in->n_columns++] = k->name ? k->column : COLUMN_NONE;
        p = past + 1;
    }
    if (!has_column(in, COLUMN_FIRST) || (needs_second(in) && !has_column(in, COLUMN_SECOND)))
        return bad(in, "no column is named '%s'",
                   name_of(in, has_column(in, COLUMN_FIRST) ? COLUMN_SECOND : COLUMN_FIRST)),
               false;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static enum input_format format_by_name(const char *name)
{
    if (ends_with(name, ".tsv"))
        return FORMAT_TSV;
    if (ends_with(name, ".jsonl") || ends_with(name, ".json") || ends_with(name, ".ndjson"))
        return FORMAT_JSONL;
    return FORMAT_AUTO;
}

static bool check_options(struct input *in, const struct options *o)
{
    if (needs_second(in) && in->format == FORMAT_TEXT) {
        complain("--format: 'text' has no columns for %s and %s; use tsv or jsonl",
                 name_of(in, COLUMN_FIRST), name_of(in, COLUMN_SECOND));
        return false;
    }
    if (o->columns && o->header) {
        complain("--columns and --header: only one of them can name the columns");
        return false;
    }
    if ((o->columns || o->header) && in->format == FORMAT_AUTO)
        in->format = FORMAT_TSV;
    if ((o->columns || o->header) && in->format != FORMAT_TSV) {
        complain("--%s: only tsv has columns", o->columns ? "columns" : "header");
        return false;
    }
    in->expects_header = o->header;
    if (o->columns && !set_columns(in, o->columns, strlen(o->columns), ',')) {
        complain("--columns: %s", in->message);
        return false;
    }
    return true;
}

bool input_open(struct input *in, const struct options *o, enum input_kind kind, int *status)
{
    bool from_stdin = !o->operand || !strcmp(o->operand, "-");
    *in = (struct input){
        .name = from_stdin ? "standard input" : o->operand,
        .kind = kind,
        .format = (enum input_format)o->format,
        .lines.fd = -1,
    };
    if (in->format == FORMAT_AUTO && !from_stdin)
        in->format = format_by_name(o->operand);
    if (!check_options(in, o)) {
        *status = STATUS_USAGE;
        return false;
    }
    in->lines.fd = from_stdin ? STDIN_FILENO : open(o->operand, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (in->lines.fd < 0 || fstat(in->lines.fd, &st)) {
        complain("%s: %s", in->name, strerror(errno));
        *status = STATUS_FATAL;
        return false;
    }
    if (S_ISREG(st.st_mode) && st.st_size > 0)
        in->total_bytes = (uint64_t)st.st_size;
    if (isatty(in->lines.fd) && isatty(STDERR_FILENO) && !o->quiet)
        fputs("lacuna: reading from the terminal; Ctrl-D ends\n", stderr);
    return true;
}

static void drop_line(struct input *in)
{
    json_decref(in->id);
    json_decref(in->owner);
    in->id = in->owner = NULL;
}

void input_close(struct input *in)
{
    drop_line(in);
    if (in->lines.fd > STDIN_FILENO)
        close(in->lines.fd);
    lines_free(&in->lines);
}

static enum input_result check_record(struct input *in, struct record *r)
{
    if (!r->first.text)
        return bad(in, "no \"%s\"", name_of(in, COLUMN_FIRST));
    if (needs_second(in) && !r->second.text)
        return bad(in, "no \"%s\"", name_of(in, COLUMN_SECOND));
    r->id = in->id;
    return INPUT_RECORD;
}

static enum input_result put_piece(struct input *in, struct record *r, enum column column,
                                   struct piece piece)
{
    switch (column) {
    case COLUMN_NONE:
        break;
    case COLUMN_ID:
        in->id = json_stringn(piece.text, piece.size);
        if (!in->id)
            return bad(in, "the id is not UTF-8");
        break;
    case COLUMN_FIRST:
        r->first = piece;
        break;
    case COLUMN_SECOND:
        r->second = piece;
        break;
    case COLUMN_LABEL:
        r->label = piece;
        break;
    }
    return INPUT_RECORD;
}

static enum input_result parse_text(struct input *in, char *line, size_t size, struct record *r)
{
    r->first = (struct piece){line, size};
    return check_record(in, r);
}

static enum input_result parse_tsv(struct input *in, char *line, size_t size, struct record *r)
{
    static const enum column usual[] = {COLUMN_FIRST, COLUMN_SECOND};
    const enum column *columns = in->n_columns ? in->columns : usual;
    size_t most = in->n_columns ? in->n_columns : 2, n = 0;
    for (char *end = line + size, *p = line; p <= end; n++) {
        char *past = memchr(p, '\t', (size_t)(end - p));
        past = past ? past : end;
        struct piece piece = {p, (size_t)(past - p)};
        if (n < most && put_piece(in, r, columns[n], piece) == INPUT_BAD)
            return INPUT_BAD;
        p = past + 1;
    }
    if (n > most || (in->n_columns && n < most))
        return bad(in, "%zu columns, expected %s%zu; --columns names them", n,
                   in->n_columns ? "" : "at most ", most);
    return check_record(in, r);
}

static enum input_result parse_json(struct input *in, char *line, size_t size, struct record *r)
{
    json_error_t error;
    in->owner = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!in->owner)
        return bad(in, "bad JSON: %s (at byte %d)", error.text, error.position);
    if (!json_is_object(in->owner))
        return bad(in, "bad JSON: not an object");
    in->id = json_incref(json_object_get(in->owner, "id"));
    for (const struct key *k = keys[in->kind]; k->name; k++) {
        const json_t *value = json_object_get(in->owner, k->name);
        if (k->column <= COLUMN_ID || !value || json_is_null(value))
            continue;
        if (!json_is_string(value))
            return bad(in, "\"%s\" is not a string", k->name);
        put_piece(in, r, k->column,
                  (struct piece){json_string_value(value), json_string_length(value)});
    }
    return check_record(in, r);
}

static enum input_result (*const parse_by_format[])(struct input *, char *, size_t,
                                                    struct record *) = {
    [FORMAT_TEXT] = parse_text,
    [FORMAT_TSV] = parse_tsv,
    [FORMAT_JSONL] = parse_json,
};

static enum input_format format_by_line(const struct input *in, const char *line, size_t size)
{
    size_t i = 0;
    while (i < size && (line[i] == ' ' || line[i] == '\t'))
        i++;
    if (i < size && line[i] == '{')
        return FORMAT_JSONL;
    return needs_second(in) ? FORMAT_TSV : FORMAT_TEXT;
}

/* A byte order mark is not part of the first text. */
static void skip_mark(char **line, size_t *size)
{
    if (*size >= 3 && !memcmp(*line, "\xef\xbb\xbf", 3)) {
        *line += 3;
        *size -= 3;
    }
}

enum input_result input_next(struct input *in, struct record *record)
{
    drop_line(in);
    for (;;) {
        char *line;
        size_t size;
        switch (lines_next(&in->lines, &line, &size)) {
        case LINES_END:
            return INPUT_END;
        case LINES_FAILED:
            bad(in, "%s: %s", in->name, strerror(errno));
            return INPUT_FAILED;
        case LINES_LINE:
            break;
        }
        *record = (struct record){.line = in->lines.number};
        if (record->line == 1)
            skip_mark(&line, &size);
        if (!size)
            continue;
        if (!in->started && in->format == FORMAT_AUTO)
            in->format = format_by_line(in, line, size);
        bool header = !in->started && in->expects_header;
        in->started = true;
        if (!header)
            return parse_by_format[in->format](in, line, size, record);
        if (!set_columns(in, line, size, '\t')) {
            char why[INPUT_MESSAGE_SIZE];
            memcpy(why, in->message, sizeof why);
            bad(in, "%s: header: %.200s", in->name, why);
            return INPUT_FAILED;
        }
    }
}

bool input_read_all(const char *path, char **text, size_t *size)
{
    bool from_stdin = !path || !strcmp(path, "-");
    FILE *file = from_stdin ? stdin : fopen(path, "rb");
    bool good = file != NULL;
    *size = 0;
    for (size_t capacity = 0, n = 1; good && n; *size += n) {
        if (*size == capacity) {
            char *larger = realloc(*text, capacity = 2 * capacity + 65536);
            if (!larger) {
                complain("no memory for a text of %zu bytes", capacity);
                fclose(file);
                return false;
            }
            *text = larger;
        }
        n = fread(*text + *size, 1, capacity - *size, file);
        good = !ferror(file);
    }
    if (!good)
        complain("%s: %s", from_stdin ? "standard input" : path, strerror(errno));
    if (file)
        fclose(file);
    return good;
}
