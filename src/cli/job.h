/* SPDX-License-Identifier: Apache-2.0 */
/* What all task commands share: lines in, batches through a session, records out in order. */
#ifndef LACUNA_CLI_JOB_H
#define LACUNA_CLI_JOB_H

#include <jansson.h>

#include "src/cli/attention.h"
#include "src/cli/command.h"
#include "src/cli/input.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"
#include "src/cli/runtime.h"

/* A line that is in the session: its sequence number is its place among the items. */
struct item {
    size_t line;
    json_t *id;
    char *context; /* questions: the text that answers point into */
    size_t context_size;
    char *label; /* the right answer, where the line says it */
};

struct job {
    const struct options *options;
    const struct task *task;
    struct runtime runtime;
    struct input input;
    struct output output;
    struct progress progress;
    struct attention attention;
    struct lac_session *session;
    const struct lac_tokenizer *tokenizer; /* of the model; may be NULL */
    size_t batch_tokens;
    struct item *items;
    size_t n_items, item_capacity;
    struct lac_candidate *candidates; /* [options->top_k] */
    struct lac_answer *answers;       /* [options->top_k] */
};

struct task {
    enum lac_task task;
    enum input_kind kind;
    size_t top_k; /* when --top-k is not given */
    /* Writes the result of a sequence to job->output; the status of the session's call, or
     * LAC_E_MEMORY. */
    enum lac_status (*write)(struct job *job, size_t sequence, const struct item *item);
};

enum exit_status job_run(const struct options *options, const struct task *task);

/* Adds json (given up) to an array or object; false, and LAC_E_MEMORY is due, when that failed. */
bool json_append(json_t *array, json_t *json);
bool json_put(json_t *object, const char *key, json_t *json);

/* Prints {"line": line, "error": message} on stderr, with the id if there is one. */
void report_line(size_t line, const json_t *id, const char *message);

/* A copy of id, or the line number in its place. */
json_t *make_id(json_t *id, size_t line);

#endif
