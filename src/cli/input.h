/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a file as records: plain text, tab-separated columns, JSON lines. */
#ifndef LACUNA_CLI_INPUT_H
#define LACUNA_CLI_INPUT_H

#include <jansson.h>

#include "src/cli/lines.h"
#include "src/cli/options.h"

/* What a record is made of: a text and perhaps a second one; a question and its context; a prompt
 * and how it goes on, with its group as label. */
enum input_kind { INPUT_TEXTS, INPUT_QUESTIONS, INPUT_PROMPTS };

struct piece {
    const char *text; /* NULL: not given */
    size_t size;
};

/* Pieces live until the next input_next. */
struct record {
    size_t line;
    json_t *id; /* borrowed; NULL: the line number stands for it */
    struct piece first, second, label;
};

enum column { COLUMN_NONE, COLUMN_ID, COLUMN_FIRST, COLUMN_SECOND, COLUMN_LABEL };
enum { MAX_COLUMNS = 64, INPUT_MESSAGE_SIZE = 256 };

struct input {
    struct lines lines;
    const char *name; /* for messages */
    enum input_kind kind;
    enum input_format format;
    bool expects_header, started;
    size_t n_columns; /* 0: as many as there are, in the usual order */
    enum column columns[MAX_COLUMNS];
    uint64_t total_bytes; /* of a regular file, else 0 */
    json_t *id;           /* of the record at hand */
    json_t *owner;        /* the JSON line its pieces point into */
    char message[INPUT_MESSAGE_SIZE];
};

/* operand NULL or "-": standard input.  false: a complaint is on stderr and *status says which
 * kind.  input_close takes a failed or zeroed input. */
bool input_open(struct input *input, const struct options *options, enum input_kind kind,
                int *status);
void input_close(struct input *input);

/* All of a file, or of standard input for NULL or "-": *text, NULL before, is the caller's to free,
 * also after a complaint. */
bool input_read_all(const char *path, char **text, size_t *size);

enum input_result { INPUT_RECORD, INPUT_BAD, INPUT_END, INPUT_FAILED };

/* Skips empty lines.  BAD: input->message says why, the line's number is in record->line; the
 * next call goes on; input->id is the line's id if that was found.  FAILED: reading failed, message
 * says why. */
enum input_result input_next(struct input *input, struct record *record);

#endif
