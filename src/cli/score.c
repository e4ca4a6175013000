/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna score: how well a model foresees a text, or answers. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/cli/activations.h"
#include "src/cli/attention.h"
#include "src/cli/job.h"
#include "src/cli/kv.h"
#include "src/cli/tally.h"

enum { USUAL_WINDOW = 2048 };

/* Policies to score with. */
struct contender {
    struct lac_kv_policy kv;
    struct activations activations;
    struct attention attention;
    struct lac_session *session;
};

struct work {
    const struct options *options;
    struct runtime runtime;
    struct contender contenders[MOST_TEXTS];
    struct tallies tallies; /* a column for each contender */
    struct lac_encoding encoding;
    struct input input; /* of --tasks */
    size_t n_bad;       /* of its lines */
    char *text;
    size_t size;
    double *scores; /* [capacity] */
    int32_t *best;  /* [capacity] */
    size_t capacity;
};

static bool reserve(struct work *w, size_t n)
{
    if (n <= w->capacity)
        return true;
    double *scores = realloc(w->scores, n * sizeof *scores);
    if (scores)
        w->scores = scores;
    int32_t *best = realloc(w->best, n * sizeof *best);
    if (best)
        w->best = best;
    if (!scores || !best) {
        complain("no memory for %zu tokens", n);
        return false;
    }
    w->capacity = n;
    return true;
}

static bool open_session(struct work *w, struct contender *c)
{
    const struct options *o = w->options;
    struct lac_session_options *options = NULL;
    if (!lac_session_options_new(&options)) {
        lac_session_options_set_task(options, LAC_TASK_GENERATE);
        lac_session_options_set_batch_tokens(options, o->batch_tokens);
        lac_session_options_set_kv_dtype(options,
                                         o->kv_dtype == UNSET ? 0 : (enum lac_dtype)o->kv_dtype);
        if (attention_set(&c->attention, options) ||
            lac_session_options_set_kv_policy(options, &c->kv) ||
            lac_session_options_set_activations(options, &c->activations.policy) ||
            lac_session_new(w->runtime.model, options, &c->session))
            attention_complain(&c->attention, runtime_message(&w->runtime));
    }
    lac_session_options_free(options);
    return c->session != NULL;
}

/* ids[n_context, n), added to the tally. */
static enum lac_status score(struct work *w, struct contender *c, const int32_t *ids, size_t n,
                             size_t n_context, enum lac_pace pace, struct tally *tally)
{
    struct lac_generation_counts before, counts;
    enum lac_status status = lac_session_counts(c->session, &before);
    if (!status)
        status = lac_session_score(c->session, ids, n, n_context, pace, w->scores, w->best);
    if (!status)
        status = lac_session_counts(c->session, &counts);
    if (status)
        return status;
    for (size_t i = 0; i < n - n_context; i++)
        tally->log_probability += w->scores[i];
    tally->n_tokens += n - n_context;
    tally->n_timed += n - n_context - 1;
    tally->seconds += counts.score_seconds;
    tally->n_neurons += counts.n_neurons - before.n_neurons;
    tally->n_active += counts.n_active - before.n_active;
    tally->n_stored += counts.n_stored - before.n_stored;
    tally->n_read += counts.n_read - before.n_read;
    if (counts.score_cache_bytes > tally->cache_bytes)
        tally->cache_bytes = counts.score_cache_bytes;
    return LAC_OK;
}

/* ---- One text ---- */

static bool encode(struct work *w)
{
    const struct lac_tokenizer *tokenizer = lac_model_tokenizer(w->runtime.model);
    enum lac_status status = lac_tokenizer_encode(tokenizer, w->text, w->size, NULL, 0, 0,
                                                  LAC_TRUNCATE_ERROR, &w->encoding);
    if (!status && w->encoding.n < 2) {
        complain("the text has %zu tokens; two are needed", w->encoding.n);
        return false;
    }
    if (status)
        complain("the text: %s", status == LAC_E_FORMAT ? "not UTF-8" : lac_status_name(status));
    return !status;
}

/* Every token but the first is scored once.  The first window scores all it can; each later one
 * the `stride` tokens that are new in it, behind window - stride that it only sees.  With --kv the
 * first does as the others do: what it only sees is the prompt, at whose end some policies act. */
static bool score_windows(struct work *w, size_t column, size_t window, size_t stride, size_t first)
{
    const struct lac_encoding *e = &w->encoding;
    struct contender *c = &w->contenders[column];
    enum lac_pace pace = w->options->steps ? LAC_PACE_STEPS : LAC_PACE_PASSES;
    struct tally tally = {.n_bytes = first == 1 ? w->size : w->size - e->begin[first]};
    for (size_t done = first; done < e->n;) {
        size_t end = done == first ? window : done + stride;
        end = end < e->n ? end : e->n;
        size_t begin = end > window ? end - window : 0;
        if (score(w, c, e->ids + begin, end - begin, done - begin, pace, &tally)) {
            complain("%s", lac_session_message(c->session));
            return false;
        }
        done = end;
    }
    return tallies_add(&w->tallies, column, NULL, &tally);
}

/* What is only seen is then the prompt, for all columns. */
static bool has_core(const struct work *w)
{
    for (size_t i = 0; i < w->tallies.n_columns; i++)
        if (w->contenders[i].activations.policy.rule == LAC_ACTIVATIONS_CORE)
            return true;
    return false;
}

/* In a window; caches with a memory take what the model does not. */
static size_t most_tokens(const struct work *w)
{
    for (size_t i = 0; i < w->tallies.n_columns; i++)
        if (w->contenders[i].kv.kind != LAC_KV_MEMORY)
            return lac_model_max_tokens(w->runtime.model);
    return LAC_KV_MOST_TOKENS;
}

static bool score_text(struct work *w)
{
    const struct options *o = w->options;
    size_t most = most_tokens(w);
    size_t window = o->window ? o->window : USUAL_WINDOW;
    window = window < most ? window : most;
    size_t stride = o->stride ? o->stride : (window + 1) / 2;
    if (stride >= window) {
        complain("--stride: %zu is not less than the window of %zu tokens", stride, window);
        return false;
    }
    if (!reserve(w, window) || !input_read_all(o->operand, &w->text, &w->size) || !encode(w))
        return false;
    size_t first = o->kv[0] || has_core(w) ? window - stride : 1;
    if (w->encoding.n <= first) {
        complain(
            "the text has %zu tokens; with --kv or a core more than the first %zu, which are not "
            "scored, are needed (--window, --stride)",
            w->encoding.n, first);
        return false;
    }
    for (size_t i = 0; i < w->tallies.n_columns; i++)
        if (!score_windows(w, i, window, stride, first))
            return false;
    return true;
}

/* ---- Tasks ---- */

static bool report_bad(struct work *w, size_t line, const json_t *id, const char *message)
{
    report_line(line, id, message);
    w->n_bad++;
    return true;
}

/* The tokens of prompt and continuation as one text; *n_context of them begin in the prompt, and
 * special tokens behind it are left out.  NULL, or what is wrong. */
static const char *encode_task(struct work *w, const struct record *r, size_t *n, size_t *n_context)
{
    struct lac_encoding *e = &w->encoding;
    size_t size = r->first.size + r->second.size;
    char *text = realloc(w->text, size + 1);
    if (!text)
        return "no memory";
    w->text = text;
    memcpy(text, r->first.text, r->first.size);
    memcpy(text + r->first.size, r->second.text, r->second.size);
    enum lac_status status = lac_tokenizer_encode(lac_model_tokenizer(w->runtime.model), text, size,
                                                  NULL, 0, 0, LAC_TRUNCATE_ERROR, e);
    if (status)
        return status == LAC_E_FORMAT ? "not UTF-8" : lac_status_name(status);
    for (*n = e->n; *n && e->sequence[*n - 1]; --*n)
        continue;
    for (*n_context = *n;
         *n_context && e->begin[*n_context - 1] >= r->first.size && !e->sequence[*n_context - 1];
         --*n_context)
        continue;
    return !*n_context || *n_context == *n ? "a prompt and a continuation of one token at least"
                                             " are needed"
                                           : NULL;
}

/* false: the work cannot go on. */
static bool score_task(struct work *w, const struct record *r)
{
    size_t n = 0, n_context = 0;
    const char *wrong = encode_task(w, r, &n, &n_context);
    if (wrong)
        return report_bad(w, r->line, r->id, wrong);
    if (!reserve(w, n - n_context))
        return false;
    char *group = r->label.text ? strndup(r->label.text, r->label.size) : NULL;
    const int32_t *ids = w->encoding.ids;
    for (size_t i = 0; i < w->tallies.n_columns; i++) {
        struct contender *c = &w->contenders[i];
        struct tally tally = {.n_bytes = r->second.size, .n_tasks = 1};
        enum lac_status status = score(w, c, ids, n, n_context, LAC_PACE_STEPS, &tally);
        if (status == LAC_E_LIMIT && !i) {
            free(group);
            return report_bad(w, r->line, r->id, lac_session_message(c->session));
        }
        tally.n_exact = !memcmp(w->best, ids + n_context, (n - n_context) * sizeof *ids);
        if (status || !tallies_add(&w->tallies, i, group, &tally)) {
            complain("line %zu: %s", r->line,
                     status ? lac_session_message(c->session) : "no memory");
            free(group);
            return false;
        }
    }
    free(group);
    return true;
}

static bool score_tasks(struct work *w)
{
    for (struct record r;;) {
        switch (input_next(&w->input, &r)) {
        case INPUT_END:
            if (!w->tallies.all[0].n_tasks)
                complain("%s: no tasks", w->input.name);
            return w->tallies.all[0].n_tasks;
        case INPUT_FAILED:
            complain("%s", w->input.message);
            return false;
        case INPUT_BAD:
            report_bad(w, r.line, w->input.id, w->input.message);
            break;
        case INPUT_RECORD:
            if (!score_task(w, &r))
                return false;
            break;
        }
    }
}

/* ---- All ---- */

static bool print(const struct work *w)
{
    struct output out;
    if (!output_open(&out, NULL, -1))
        return false;
    if (!w->options->json)
        tallies_print(&w->tallies, &out);
    else if (!tallies_print_json(&w->tallies, &out))
        return false;
    return output_flush(&out);
}

static bool work(struct work *w)
{
    struct timespec begin, end;
    if (!lac_model_tokenizer(w->runtime.model)) {
        complain("the model has no tokenizer");
        return false;
    }
    for (size_t i = 0; i < w->tallies.n_columns; i++)
        if (!attention_read(tallies_name(&w->tallies, COLUMN_ATTENTION, i),
                            &w->contenders[i].attention) ||
            !activations_find(&w->runtime, w->options, &w->contenders[i].activations) ||
            !open_session(w, &w->contenders[i]))
            return false;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (w->options->tasks ? !score_tasks(w) : !score_text(w))
        return false;
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (w->options->summary) {
        double seconds =
            (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
        size_t n = 0;
        for (size_t i = 0; i < w->tallies.n_columns; i++)
            n += w->tallies.all[i].n_tokens;
        fprintf(stderr, "%zu tokens in %.2f s: %.1f tokens/s\n", n, seconds, (double)n / seconds);
    }
    return print(w);
}

static bool parse_policies(struct work *w)
{
    struct tallies *t = &w->tallies;
    if (!tallies_open(t, w->options))
        return false;
    for (size_t i = 0; i < t->n_columns; i++) {
        struct contender *c = &w->contenders[i];
        if (!kv_parse(tallies_name(t, COLUMN_KV, i), &c->kv) ||
            !activations_parse(tallies_name(t, COLUMN_ACTIVATIONS, i), &c->activations))
            return false;
        t->left_out[i] = &c->activations.policy;
    }
    return true;
}

static bool open_all(struct work *w, int *status)
{
    const struct options *o = w->options;
    *status = STATUS_USAGE;
    if (!o->tasks && (o->columns || o->header || o->format != FORMAT_AUTO)) {
        complain("--%s: only lines of --tasks have it",
                 o->columns ? "columns" : (o->header ? "header" : "format"));
        return false;
    }
    if (!parse_policies(w))
        return false;
    *status = STATUS_FATAL;
    return (!o->tasks || input_open(&w->input, o, INPUT_PROMPTS, status)) &&
           runtime_start(&w->runtime, o, status) &&
           runtime_open_model(&w->runtime, o, o->model, status);
}

static enum exit_status run(const struct options *o)
{
    struct work w = {.options = o, .input.lines.fd = -1};
    int status = STATUS_FATAL;
    if (open_all(&w, &status))
        status = !work(&w) ? STATUS_FATAL : (w.n_bad ? STATUS_BAD_LINES : STATUS_GOOD);
    for (size_t i = 0; i < w.tallies.n_columns; i++) {
        kv_free(&w.contenders[i].kv);
        activations_free(&w.contenders[i].activations);
        attention_free(&w.contenders[i].attention);
        lac_session_free(w.contenders[i].session);
    }
    tallies_close(&w.tallies);
    lac_encoding_clear(&w.encoding);
    runtime_close(&w.runtime);
    input_close(&w.input);
    free(w.text);
    free(w.scores);
    free(w.best);
    return (enum exit_status)status;
}

const struct command command_score = {
    .name = "score",
    .operands = "[FILE]",
    .summary = "Says how well a model foresees a text, or answers",
    .details =
        "Reads one text and prints the perplexity of its tokens, each given those before it.  "
        "Texts\n"
        "longer than a window are seen through windows that overlap: each token but those of the\n"
        "first window is scored with at least window - stride tokens before it.  With --tasks it\n"
        "reads prompts and how each is to go on, as lines of tab-separated columns (prompt,\n"
        "continuation) or JSON objects (\"prompt\", \"continuation\", \"group\"), and also counts\n"
        "those that the most probable words continue exactly so, in all and for each group.\n"
        "Each --attention, --kv or --activations makes a column of figures, with tokens/s and "
        "what\n"
        "the cache keeps (one of a kind is for all columns); with --kv or a core the first window "
        "-\n"
        "stride tokens of a text are only seen.  With --json a line for each column (and group):\n"
        "  {\"tokens\", \"bytes\", \"log_probability\", \"perplexity\", \"bits_per_byte\"}\n"
        "with --attention \"attention\", with --kv \"kv\", with --activations \"activations\", "
        "\"thresholds\", and as shares of "
        "the\n"
        "neurons \"active\" and \"read\", with --tasks \"group\", \"tasks\" and \"exact\", and "
        "with\n"
        "any of these \"tokens_per_second\" and \"cache_bytes\".\n",
    .shipped = "wordnet-decoder-sparse",
    .bit = ON_SCORE,
    .run = run,
};
