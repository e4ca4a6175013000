/* SPDX-License-Identifier: Apache-2.0 */
/* The options of all commands: one table says what each takes, means and defaults to. */
#ifndef LACUNA_CLI_OPTIONS_H
#define LACUNA_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <lacuna/lacuna.h>

struct command;

enum command_bit {
    ON_CLASSIFY = 1,
    ON_TAG = 2,
    ON_ANSWER = 4,
    ON_FILL = 8,
    ON_EMBED = 16,
    ON_TOKENIZE = 32,
    ON_INFO = 64,
    ON_PACK = 128,
    ON_GENERATE = 256,
    ON_SCORE = 512,
    ON_TUNE = 1024,
    ON_DECODERS = ON_GENERATE | ON_SCORE,
    ON_TASKS = ON_CLASSIFY | ON_TAG | ON_ANSWER | ON_FILL | ON_EMBED,
    ON_LINES = ON_TASKS | ON_TOKENIZE | ON_GENERATE,
    ON_MODELS = ON_TASKS | ON_DECODERS | ON_TUNE | ON_INFO | ON_PACK,
    ON_ALL = 2047,
};

enum input_format { FORMAT_AUTO, FORMAT_TEXT, FORMAT_TSV, FORMAT_JSONL };

/* Numbers and choices that the engine or model would choose themselves. */
enum { UNSET = -1 };

/* Of an option that may be given several times, one place for NULL. */
enum { MOST_TEXTS = 16 };

struct options {
    const char *operand; /* FILE, MODEL or SRC; NULL when not given */
    const char *shipped; /* of the command */
    const char *model, *tokenizer, *isa, *output, *columns, *plan_cache;
    size_t threads; /* 0: not given */
    size_t batch_tokens, top_k, max_answer_tokens, max_tokens;
    double outliers; /* 0: none */
    int bind, dtype, pattern, pooling, truncate, format;
    bool normalize, header, quiet, summary, json, decode, plan;
    bool top_k_given;

    /* generate, score */
    const char *prompt, *draft;
    /* Those given, then NULL. */
    const char *stops[MOST_TEXTS], *attention[MOST_TEXTS], *kv[MOST_TEXTS];
    const char *activations[MOST_TEXTS];
    size_t max_new_tokens, seed, n_samples, n_beams, n_together, n_speculated, window, stride;
    double temperature, top_p, min_p, repetition_penalty, length_penalty;
    int kv_dtype;
    const char *calibrate; /* tune-attention: --text */
    bool log_probabilities, tasks, steps;

    /* tune-attention */
    const char *rules;
    double error, density; /* UNSET: not given */
};

enum options_result { OPTIONS_GO, OPTIONS_DONE, OPTIONS_BAD };

/* argv[0] is the command's name.  DONE: --help or --version was answered.  BAD: a message that
 * names the option and its value is on stderr. */
enum options_result options_parse(const struct command *command, int argc, char **argv,
                                  struct options *options);

void print_version(void);

#endif
