/* SPDX-License-Identifier: Apache-2.0 */
/* What all task commands share. */
#include "src/cli/job.h"

#include <stdlib.h>
#include <string.h>

/* Enough to keep every worker of a large machine busy, little enough to answer soon. */
enum { DEFAULT_BATCH_TOKENS = 16384 };

bool json_append(json_t *array, json_t *json)
{
    return json && !json_array_append_new(array, json);
}

bool json_put(json_t *object, const char *key, json_t *json)
{
    return json && !json_object_set_new_nocheck(object, key, json);
}

json_t *make_id(json_t *id, size_t line)
{
    return id ? json_incref(id) : json_integer((json_int_t)line);
}

void report_line(size_t line, const json_t *id, const char *message)
{
    progress_hide();
    json_t *record = json_pack("{s:I}", "line", (json_int_t)line);
    if (record && id)
        json_object_set(record, "id", (json_t *)id);
    json_t *text = json_string(message);
    json_put(record, "error", text ? text : json_string("the message is not UTF-8"));
    if (!record || json_dumpf(record, stderr, JSON_COMPACT))
        complain("line %zu is bad", line);
    else
        fputc('\n', stderr);
    json_decref(record);
}

static void bad_line(struct job *job, size_t line, const json_t *id, const char *message)
{
    job->progress.n_bad++;
    report_line(line, id, message);
}

static void free_item(struct item *item)
{
    json_decref(item->id);
    free(item->context);
    free(item->label);
    *item = (struct item){0};
}

static void clear_items(struct job *job)
{
    while (job->n_items)
        free_item(&job->items[--job->n_items]);
}

static char *copy_piece(struct piece piece)
{
    char *copy = malloc(piece.size + 1);
    if (copy) {
        memcpy(copy, piece.text, piece.size);
        copy[piece.size] = '\0';
    }
    return copy;
}

static bool make_item(const struct job *job, const struct record *r, struct item *item)
{
    *item = (struct item){.line = r->line, .id = make_id(r->id, r->line)};
    bool good = item->id != NULL;
    if (good && job->task->kind == INPUT_QUESTIONS) {
        item->context = copy_piece(r->second);
        item->context_size = r->second.size;
        good = item->context != NULL;
    }
    if (good && r->label.text) {
        item->label = copy_piece(r->label);
        good = item->label != NULL;
    }
    if (!good)
        free_item(item);
    return good;
}

static bool make_place(struct job *job)
{
    if (job->n_items < job->item_capacity)
        return true;
    size_t capacity = job->item_capacity * 2 + 256;
    struct item *items = realloc(job->items, capacity * sizeof *items);
    if (!items)
        return false;
    job->items = items;
    job->item_capacity = capacity;
    return true;
}

/* false: the job cannot go on. */
static bool add_record(struct job *job, const struct record *r)
{
    struct item item;
    if (!make_place(job) || !make_item(job, r, &item)) {
        complain("line %zu: out of memory", r->line);
        return false;
    }
    enum lac_status status = lac_session_add_text(job->session, r->first.text, r->first.size,
                                                  r->second.text, r->second.size, NULL);
    if (!status) {
        job->items[job->n_items++] = item;
        return true;
    }
    const char *message = lac_session_message(job->session);
    if (status == LAC_E_MEMORY)
        complain("line %zu: %s", r->line, message);
    else
        bad_line(job, r->line, r->id, message);
    free_item(&item);
    return status != LAC_E_MEMORY;
}

static bool write_results(struct job *job)
{
    for (size_t i = 0; i < job->n_items; i++) {
        const struct item *item = &job->items[i];
        enum lac_status status = job->task->write(job, i, item);
        if (status == LAC_E_MEMORY) {
            complain("line %zu: out of memory", item->line);
            return false;
        }
        if (status)
            bad_line(job, item->line, item->id, lac_session_message(job->session));
        else
            job->progress.n_sequences++;
    }
    return output_flush(&job->output);
}

/* Runs and writes what was added. */
static bool run_batch(struct job *job)
{
    if (!job->n_items)
        return true;
    if (lac_session_run(job->session)) {
        complain("lines %zu to %zu: %s", job->items[0].line, job->items[job->n_items - 1].line,
                 lac_session_message(job->session));
        return false;
    }
    job->progress.n_tokens += lac_session_tokens(job->session);
    bool good = write_results(job);
    lac_session_clear(job->session);
    clear_items(job);
    progress_draw(&job->progress, job->input.lines.n_bytes);
    return good;
}

static bool batch_is_due(const struct job *job)
{
    return lac_session_tokens(job->session) >= job->batch_tokens ||
           (job->n_items && lines_would_wait(&job->input.lines));
}

static bool work(struct job *job)
{
    for (;;) {
        struct record record;
        switch (input_next(&job->input, &record)) {
        case INPUT_END:
            return run_batch(job);
        case INPUT_FAILED:
            run_batch(job);
            complain("%s", job->input.message);
            return false;
        case INPUT_BAD:
            bad_line(job, record.line, job->input.id, job->input.message);
            break;
        case INPUT_RECORD:
            if (!add_record(job, &record))
                return false;
            break;
        }
        if (batch_is_due(job) && !run_batch(job))
            return false;
    }
}

static enum lac_status set_session_options(struct job *job, struct lac_session_options *to)
{
    const struct options *o = job->options;
    lac_session_options_set_task(to, job->task->task);
    if (o->batch_tokens)
        lac_session_options_set_batch_tokens(to, o->batch_tokens);
    lac_session_options_set_pooling(
        to, o->pooling == UNSET ? LAC_POOL_DEFAULT : (enum lac_pooling)o->pooling,
        o->normalize ? LAC_NORMALIZE_L2 : LAC_NORMALIZE_NONE);
    enum lac_truncate usual =
        job->task->kind == INPUT_QUESTIONS ? LAC_TRUNCATE_SECOND : LAC_TRUNCATE_LONGEST;
    lac_session_options_set_truncate(to,
                                     o->truncate == UNSET ? usual : (enum lac_truncate)o->truncate);
    enum lac_status status = attention_set(&job->attention, to);
    return status ? status : lac_session_new(job->runtime.model, to, &job->session);
}

static bool open_session(struct job *job)
{
    struct lac_session_options *options = NULL;
    enum lac_status status = lac_session_options_new(&options);
    if (!status)
        status = set_session_options(job, options);
    if (status) {
        const char *message = runtime_message(&job->runtime);
        attention_complain(&job->attention, *message ? message : lac_status_name(status));
    }
    lac_session_options_free(options);
    job->tokenizer = lac_model_tokenizer(job->runtime.model);
    return !status;
}

static bool open_all(struct job *job, int *status)
{
    const struct options *o = job->options;
    *status = STATUS_USAGE;
    if (o->attention[0] && o->attention[1]) {
        complain("--attention: one plan at a time");
        return false;
    }
    *status = STATUS_FATAL;
    if (!attention_read(o->attention[0], &job->attention) ||
        !input_open(&job->input, o, job->task->kind, status) ||
        !runtime_start(&job->runtime, o, status) ||
        !runtime_open_model(&job->runtime, o, o->model, status))
        return false;
    *status = STATUS_FATAL;
    job->candidates = calloc(o->top_k, sizeof *job->candidates);
    job->answers = calloc(o->top_k, sizeof *job->answers);
    if (!job->candidates || !job->answers) {
        complain("--top-k: no memory for %zu results", o->top_k);
        return false;
    }
    return open_session(job) && output_open(&job->output, o->output, job->input.lines.fd);
}

static void close_all(struct job *job)
{
    clear_items(job);
    free(job->items);
    free(job->candidates);
    free(job->answers);
    lac_session_free(job->session);
    attention_free(&job->attention);
    runtime_close(&job->runtime);
    input_close(&job->input);
}

enum exit_status job_run(const struct options *options, const struct task *task)
{
    struct options o = *options;
    if (!o.top_k)
        o.top_k = task->top_k;
    struct job job = {
        .options = &o,
        .task = task,
        .batch_tokens = o.batch_tokens ? o.batch_tokens : DEFAULT_BATCH_TOKENS,
    };
    int status = STATUS_FATAL;
    if (open_all(&job, &status)) {
        progress_start(&job.progress, job.input.total_bytes, o.quiet);
        status = work(&job) ? STATUS_GOOD : STATUS_FATAL;
        progress_hide();
        if (!output_close(&job.output))
            status = STATUS_FATAL;
        if (o.summary || job.progress.draws)
            progress_summarize(&job.progress);
        if (status == STATUS_GOOD && job.progress.n_bad)
            status = STATUS_BAD_LINES;
    }
    close_all(&job);
    return (enum exit_status)status;
}
