/* SPDX-License-Identifier: Apache-2.0 */
/* What a command of `lacuna` is. */
#ifndef LACUNA_CLI_COMMAND_H
#define LACUNA_CLI_COMMAND_H

#include "src/cli/options.h"

enum exit_status {
    STATUS_GOOD = 0,
    STATUS_BAD_LINES = 1, /* some lines of the input got an error record */
    STATUS_USAGE = 2,     /* the command line is not understood */
    STATUS_FATAL = 3,     /* no model, no memory, no output: the work is not done */
};

struct command {
    const char *name;
    const char *operands; /* "[FILE]" */
    const char *summary;  /* one line */
    const char *details;  /* paragraphs for --help */
    const char *shipped;  /* the model when none is named; NULL: the encoder */
    unsigned bit;         /* enum command_bit: which options apply */
    enum exit_status (*run)(const struct options *options);
};

extern const struct command command_classify, command_tag, command_answer, command_fill,
    command_embed, command_generate, command_score, command_tokenize, command_tune_attention,
    command_info, command_pack;

/* Prints "lacuna: text" on stderr, with what would steer a terminal replaced. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
