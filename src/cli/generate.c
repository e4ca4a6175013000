/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna generate: texts that go on. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/cli/activations.h"
#include "src/cli/attention.h"
#include "src/cli/job.h"
#include "src/cli/kv.h"

/* A prompt at hand: its sequences, as many as samples. */
struct prompt {
    size_t line;
    json_t *id;
    size_t *sequences; /* [n] */
    size_t n, n_open;  /* n_open: not finished */
};

struct work {
    const struct options *options;
    struct runtime runtime;
    struct lac_session *session;
    struct lac_kv_policy kv;
    struct activations activations;
    struct attention attention;
    struct input input;
    struct output output;
    struct progress progress;
    struct prompt *prompts; /* [options->n_together], in the order they came */
    size_t n_prompts, n_done;
    bool at_end; /* of the input */
    double prompt_seconds;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool failed(const struct work *w)
{
    complain("%s", lac_session_message(w->session));
    return false;
}

/* ---- Out ---- */

static json_t *make_sample(const struct work *w, size_t sequence)
{
    static const char *const ends[] = {
        [LAC_FINISH_NONE] = "none",       [LAC_FINISH_END] = "end",
        [LAC_FINISH_STOP] = "stop",       [LAC_FINISH_LENGTH] = "length",
        [LAC_FINISH_CONTEXT] = "context", [LAC_FINISH_STOPPED] = "stopped",
    };
    const char *text = "";
    size_t size = 0, n = 0, n_fed = 0;
    enum lac_finish finish = LAC_FINISH_NONE;
    double log_probability = 0;
    if (lac_session_text(w->session, sequence, &text, &size) ||
        lac_session_ids(w->session, sequence, NULL, &n, &n_fed) ||
        lac_session_outcome(w->session, sequence, &finish, &log_probability))
        return NULL;
    json_t *sample = json_pack("{s:s%,s:s,s:I}", "text", text, size, "finish", ends[finish],
                               "tokens", (json_int_t)(n - n_fed));
    if (w->options->log_probabilities)
        json_put(sample, "log_probability", json_real(log_probability));
    return sample;
}

/* {"id", "text", ...}, or with several samples {"id", "samples": [...]}. */
static json_t *make_record(const struct work *w, const struct prompt *p)
{
    json_t *record = json_pack("{s:O}", "id", p->id);
    if (w->options->n_samples == 1 && p->n == 1) {
        json_t *sample = make_sample(w, p->sequences[0]);
        bool good = record && sample && !json_object_update(record, sample);
        json_decref(sample);
        if (good)
            return record;
        json_decref(record);
        return NULL;
    }
    json_t *samples = json_array();
    bool good = json_put(record, "samples", samples);
    for (size_t i = 0; good && i < p->n; i++)
        good = json_append(samples, make_sample(w, p->sequences[i]));
    if (good)
        return record;
    json_decref(record);
    return NULL;
}

static void forget(struct work *w, struct prompt *p)
{
    for (size_t i = 0; i < p->n; i++)
        lac_session_remove(w->session, p->sequences[i]);
    json_decref(p->id);
    free(p->sequences);
}

/* Those that are finished, up to the first that is not. */
static bool write_finished(struct work *w)
{
    size_t n = 0;
    bool good = true;
    for (; good && n < w->n_prompts && !w->prompts[n].n_open; n++) {
        json_t *record = make_record(w, &w->prompts[n]);
        if (record)
            output_json(&w->output, record);
        else
            complain("line %zu: out of memory", w->prompts[n].line);
        good = record != NULL;
        forget(w, &w->prompts[n]);
        w->progress.n_sequences++;
    }
    w->n_prompts -= n;
    memmove(w->prompts, w->prompts + n, w->n_prompts * sizeof *w->prompts);
    return good && (!n || output_flush(&w->output));
}

/* ---- In ---- */

static enum lac_status search_samples(struct work *w, struct prompt *p)
{
    const struct options *o = w->options;
    struct lac_search search = {.n_beams = o->n_beams, .length_penalty = o->length_penalty};
    size_t prompt = p->sequences[0];
    enum lac_status status =
        lac_session_search(w->session, prompt, &search, o->n_samples, p->sequences, &p->n);
    if (status) {
        p->sequences[0] = prompt;
        return status;
    }
    p->n_open = 0;
    return lac_session_remove(w->session, prompt);
}

static enum lac_status fork_samples(struct work *w, struct prompt *p)
{
    const struct options *o = w->options;
    enum lac_status status = o->n_samples > 1 ? lac_session_prepare(w->session) : LAC_OK;
    for (; !status && p->n < o->n_samples; p->n++)
        status = lac_session_fork(w->session, p->sequences[0], o->seed + p->n, &p->sequences[p->n]);
    p->n_open = p->n;
    return status;
}

static enum lac_status start_samples(struct work *w, struct prompt *p, const struct piece *text)
{
    enum lac_status status =
        lac_session_add_text(w->session, text->text, text->size, NULL, 0, &p->sequences[0]);
    if (status)
        return status;
    p->n = 1;
    status = w->options->n_beams ? search_samples(w, p) : fork_samples(w, p);
    if (status)
        for (size_t i = 0; i < p->n; i++)
            lac_session_remove(w->session, p->sequences[i]);
    return status;
}

/* false: the work cannot go on. */
static bool start_prompt(struct work *w, size_t line, json_t *id, const struct piece *text)
{
    struct prompt p = {.line = line, .id = make_id(id, line)};
    char message[512];
    p.sequences = calloc(w->options->n_samples, sizeof *p.sequences);
    if (!p.id || !p.sequences) {
        complain("line %zu: out of memory", line);
        json_decref(p.id);
        free(p.sequences);
        return false;
    }
    enum lac_status status = start_samples(w, &p, text);
    if (!status) {
        w->prompts[w->n_prompts++] = p;
        return true;
    }
    snprintf(message, sizeof message, "%s", lac_session_message(w->session));
    report_line(line, id, message);
    w->progress.n_bad++;
    json_decref(p.id);
    free(p.sequences);
    return status != LAC_E_MEMORY;
}

/* As many prompts as there is room for, without waiting for more while there is work. */
static bool read_prompts(struct work *w)
{
    while (!w->at_end && w->n_prompts < w->options->n_together &&
           !(w->n_prompts && lines_would_wait(&w->input.lines))) {
        struct record r;
        switch (input_next(&w->input, &r)) {
        case INPUT_END:
            w->at_end = true;
            break;
        case INPUT_FAILED:
            complain("%s", w->input.message);
            return false;
        case INPUT_BAD:
            w->progress.n_bad++;
            report_line(r.line, w->input.id, w->input.message);
            break;
        case INPUT_RECORD:
            if (r.second.text) {
                w->progress.n_bad++;
                report_line(r.line, r.id, "a prompt is one text, not a pair");
                break;
            }
            if (!start_prompt(w, r.line, r.id, &r.first))
                return false;
            break;
        }
    }
    return true;
}

/* ---- Steps ---- */

static void close_sequence(struct work *w, size_t sequence)
{
    for (size_t i = 0; i < w->n_prompts; i++)
        for (size_t k = 0; w->prompts[i].n_open && k < w->prompts[i].n; k++)
            if (w->prompts[i].sequences[k] == sequence) {
                w->prompts[i].n_open--;
                return;
            }
}

static bool take_step(struct work *w)
{
    const struct lac_event *events;
    size_t n;
    if (lac_session_next(w->session, &events, &n))
        return failed(w);
    for (size_t i = 0; i < n; i++) {
        w->progress.n_tokens += events[i].id >= 0;
        if (events[i].finish)
            close_sequence(w, events[i].sequence);
    }
    progress_draw(&w->progress, w->input.lines.n_bytes);
    return true;
}

static bool run_prompts(struct work *w)
{
    for (;;) {
        if (!w->at_end && !read_prompts(w))
            return false;
        if (!write_finished(w))
            return false;
        if (!w->n_prompts && w->at_end)
            return true;
        if (w->n_prompts && (!take_step(w) || !write_finished(w)))
            return false;
    }
}

/* What comes, as it comes. */
static bool stream(struct work *w, const struct piece *text)
{
    const struct lac_event *events;
    size_t n = 1;
    double begin = now();
    if (lac_session_add_text(w->session, text->text, text->size, NULL, 0, NULL) ||
        lac_session_prepare(w->session))
        return failed(w);
    w->prompt_seconds = now() - begin;
    while (n) {
        if (lac_session_next(w->session, &events, &n))
            return failed(w);
        for (size_t i = 0; i < n; i++) {
            fwrite(events[i].text, 1, events[i].size, w->output.file);
            w->progress.n_tokens += events[i].id >= 0;
        }
        if (!output_flush(&w->output))
            return false;
    }
    w->progress.n_sequences = 1;
    fputc('\n', w->output.file);
    return output_flush(&w->output);
}

static bool run_all(struct work *w)
{
    const struct options *o = w->options;
    if (!o->prompt)
        return run_prompts(w);
    struct piece text = {o->prompt, strlen(o->prompt)};
    if (!o->json && o->n_samples == 1 && !o->n_beams)
        return stream(w, &text);
    w->at_end = true;
    return start_prompt(w, 1, NULL, &text) && run_prompts(w);
}

/* ---- Opening ---- */

static enum lac_status set_options(struct work *w, struct lac_session_options *to)
{
    const struct options *o = w->options;
    const struct lac_sampling sampling = {
        .seed = o->seed,
        .temperature = o->temperature,
        .top_k = o->top_k,
        .top_p = o->top_p,
        .min_p = o->min_p,
        .repetition_penalty = o->repetition_penalty,
    };
    size_t n_stops = 0;
    while (o->stops[n_stops])
        n_stops++;
    lac_session_options_set_task(to, LAC_TASK_GENERATE);
    lac_session_options_set_batch_tokens(to, o->batch_tokens);
    lac_session_options_set_sampling(to, &sampling);
    lac_session_options_set_max_new_tokens(to, o->max_new_tokens);
    lac_session_options_set_kv_dtype(to, o->kv_dtype == UNSET ? 0 : (enum lac_dtype)o->kv_dtype);
    lac_session_options_set_log_probabilities(to, o->log_probabilities ? LAC_LOG_PROBABILITIES_YES
                                                                       : LAC_LOG_PROBABILITIES_NO);
    lac_session_options_set_speculation(to, o->draft && !o->n_speculated ? 4 : o->n_speculated);
    lac_session_options_set_draft(to, w->runtime.draft);
    enum lac_status status = lac_session_options_set_stops(to, o->stops, n_stops);
    if (status == LAC_E_ARGUMENT)
        complain("--stop: not UTF-8");
    if (!status)
        status = lac_session_options_set_kv_policy(to, &w->kv);
    if (!status)
        status = attention_set(&w->attention, to);
    return status ? status : lac_session_options_set_activations(to, &w->activations.policy);
}

static bool open_session(struct work *w)
{
    struct lac_session_options *options = NULL;
    enum lac_status status = lac_session_options_new(&options);
    if (!status)
        status = set_options(w, options);
    if (!status && lac_session_new(w->runtime.model, options, &w->session))
        attention_complain(&w->attention, runtime_message(&w->runtime));
    lac_session_options_free(options);
    return w->session != NULL;
}

static bool open_all(struct work *w, int *status)
{
    const struct options *o = w->options;
    if (o->prompt && o->operand) {
        complain("--prompt and a FILE: only one of them can be given");
        *status = STATUS_USAGE;
        return false;
    }
    if (o->n_beams && o->n_samples > o->n_beams) {
        complain("--samples: %zu of %zu beams", o->n_samples, o->n_beams);
        *status = STATUS_USAGE;
        return false;
    }
    w->input.lines.fd = -1;
    *status = STATUS_USAGE;
    static const char *const names[] = {"kv", "activations", "attention"};
    const char *const *const given[] = {o->kv, o->activations, o->attention};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (given[i][0] && given[i][1]) {
            complain("--%s: one at a time", names[i]);
            return false;
        }
    if (!kv_parse(o->kv[0], &w->kv) || !activations_parse(o->activations[0], &w->activations))
        return false;
    *status = STATUS_FATAL;
    if (!attention_read(o->attention[0], &w->attention) ||
        (!o->prompt && !input_open(&w->input, o, INPUT_TEXTS, status)) ||
        !runtime_start(&w->runtime, o, status) ||
        !runtime_open_model(&w->runtime, o, o->model, status) ||
        (o->draft && !runtime_open_draft(&w->runtime, o, status)))
        return false;
    *status = STATUS_FATAL;
    w->prompts = calloc(o->n_together, sizeof *w->prompts);
    return w->prompts && activations_find(&w->runtime, o, &w->activations) && open_session(w) &&
           output_open(&w->output, o->output, w->input.lines.fd);
}

static void summarize(const struct work *w, double seconds)
{
    struct lac_generation_counts counts = {0};
    lac_session_counts(w->session, &counts);
    progress_hide();
    fprintf(stderr, "%zu texts, %zu bad lines; %zu tokens fed, %zu made in %.2f s",
            w->progress.n_sequences, w->progress.n_bad, counts.n_fed, counts.n_made, seconds);
    if (w->prompt_seconds > 0)
        fprintf(stderr, " (%.2f s of them for the prompt: %.0f tokens/s)", w->prompt_seconds,
                (double)counts.n_fed / w->prompt_seconds);
    fprintf(stderr, ": %.1f tokens/s", (double)counts.n_made / (seconds - w->prompt_seconds));
    if (counts.n_guessed)
        fprintf(stderr, ", %zu of %zu guesses right", counts.n_accepted, counts.n_guessed);
    if (counts.n_neurons)
        fprintf(stderr, ", %.1f %% of neurons active, %.1f %% read",
                100 * (double)counts.n_active / (double)counts.n_neurons,
                100 * (double)counts.n_read / (double)counts.n_stored);
    fputc('\n', stderr);
}

static enum exit_status run(const struct options *o)
{
    struct work w = {.options = o};
    int status = STATUS_FATAL;
    if (open_all(&w, &status)) {
        progress_start(&w.progress, w.input.total_bytes, o->quiet || o->prompt);
        double begin = now();
        status = run_all(&w) ? STATUS_GOOD : STATUS_FATAL;
        progress_hide();
        if (!output_close(&w.output))
            status = STATUS_FATAL;
        if (o->summary || w.progress.draws)
            summarize(&w, now() - begin);
        if (status == STATUS_GOOD && w.progress.n_bad)
            status = STATUS_BAD_LINES;
    }
    while (w.n_prompts)
        forget(&w, &w.prompts[--w.n_prompts]);
    free(w.prompts);
    kv_free(&w.kv);
    activations_free(&w.activations);
    attention_free(&w.attention);
    lac_session_free(w.session);
    runtime_close(&w.runtime);
    input_close(&w.input);
    return (enum exit_status)status;
}

const struct command command_generate = {
    .name = "generate",
    .operands = "[FILE]",
    .summary = "Writes how texts go on",
    .details =
        "Reads prompts as lines of text, tab-separated columns (text) or JSON objects (\"text\",\n"
        "\"id\") and writes one JSON object for each, in the same order:\n"
        "  {\"id\", \"text\", \"finish\", \"tokens\"}\n"
        "or with --samples {\"id\", \"samples\": [{\"text\", \"finish\", \"tokens\"}]}.  finish "
        "says why\n"
        "the text ends: end (the model ended it), stop (--stop), length (--max-tokens) or context\n"
        "(it is as long as the model takes).  Several prompts share each pass over the weights;\n"
        "texts do not depend on that.  With --prompt the text itself is printed as it comes,\n"
        "unless --json, --samples or --beams ask for an object.\n",
    .shipped = "wordnet-decoder-sparse",
    .bit = ON_GENERATE,
    .run = run,
};
