/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna score: how well a model foresees a text. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/cli/job.h"
#include "src/cli/kv.h"

enum { USUAL_WINDOW = 2048 };

struct work {
    const struct options *options;
    struct runtime runtime;
    struct lac_session *session;
    struct lac_kv_policy kv;
    struct lac_encoding encoding;
    char *text;
    size_t size;
    double *scores;                        /* [window] */
    size_t n_scored, n_bytes, cache_bytes; /* n_bytes: of what was scored */
};

/* All of a file that may be a pipe. */
static bool read_file(struct work *w)
{
    const char *path = w->options->operand;
    bool from_stdin = !path || !strcmp(path, "-");
    FILE *file = from_stdin ? stdin : fopen(path, "rb");
    bool good = file != NULL;
    for (size_t capacity = 0, n = 1; good && n; w->size += n) {
        if (w->size == capacity) {
            char *text = realloc(w->text, capacity = 2 * capacity + 65536);
            if (!text) {
                complain("no memory for a text of %zu bytes", capacity);
                fclose(file);
                return false;
            }
            w->text = text;
        }
        n = fread(w->text + w->size, 1, capacity - w->size, file);
        good = !ferror(file);
    }
    if (!good)
        complain("%s: %s", from_stdin ? "standard input" : path, strerror(errno));
    if (file)
        fclose(file);
    return good;
}

static bool encode(struct work *w)
{
    const struct lac_tokenizer *tokenizer = lac_model_tokenizer(w->runtime.model);
    if (!tokenizer) {
        complain("the model has no tokenizer");
        return false;
    }
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

static bool open_session(struct work *w)
{
    const struct options *o = w->options;
    struct lac_session_options *options = NULL;
    if (!lac_session_options_new(&options)) {
        lac_session_options_set_task(options, LAC_TASK_GENERATE);
        lac_session_options_set_batch_tokens(options, o->batch_tokens);
        lac_session_options_set_kv_dtype(options,
                                         o->kv_dtype == UNSET ? 0 : (enum lac_dtype)o->kv_dtype);
        if (lac_session_options_set_kv_policy(options, &w->kv) ||
            lac_session_new(w->runtime.model, options, &w->session))
            complain("%s", runtime_message(&w->runtime));
    }
    lac_session_options_free(options);
    return w->session != NULL;
}

/* Every token but the first is scored once.  The first window scores all it can; each later one
 * the `stride` tokens that are new in it, behind window - stride that it only sees.  With --kv the
 * first does as the others do: what it only sees is the prompt, at whose end some policies act. */
static bool score(struct work *w, size_t window, size_t stride, double *sum)
{
    const struct lac_encoding *e = &w->encoding;
    size_t first = w->options->kv ? window - stride : 1;
    if (e->n <= first) {
        complain("the text has %zu tokens; with --kv more than the first %zu, which are not "
                 "scored, are needed (--window, --stride)",
                 e->n, first);
        return false;
    }
    w->n_scored = e->n - first;
    w->n_bytes = first == 1 ? w->size : w->size - e->begin[first];
    for (size_t done = first; done < e->n;) {
        size_t end = done == first ? window : done + stride;
        end = end < e->n ? end : e->n;
        size_t begin = end > window ? end - window : 0;
        struct lac_generation_counts counts;
        if (lac_session_score(w->session, e->ids + begin, end - begin, done - begin, w->scores) ||
            lac_session_counts(w->session, &counts)) {
            complain("%s", lac_session_message(w->session));
            return false;
        }
        if (counts.score_cache_bytes > w->cache_bytes)
            w->cache_bytes = counts.score_cache_bytes;
        for (size_t i = 0; i < end - done; i++)
            *sum += w->scores[i];
        done = end;
    }
    return true;
}

static bool print(const struct work *w, double sum, double seconds)
{
    size_t n = w->n_scored;
    double mean = sum / (double)n;
    struct output out;
    if (!output_open(&out, NULL, -1))
        return false;
    if (w->options->json) {
        json_t *record =
            json_pack("{s:I,s:I,s:f,s:f,s:f}", "tokens", (json_int_t)n, "bytes",
                      (json_int_t)w->n_bytes, "log_probability", sum, "perplexity", exp(-mean),
                      "bits_per_byte", w->n_bytes ? -sum / log(2) / (double)w->n_bytes : 0.0);
        if (w->options->kv)
            json_put(record, "cache_bytes", json_integer((json_int_t)w->cache_bytes));
        if (!record)
            return false;
        output_json(&out, record);
    } else {
        fprintf(out.file, "tokens           %zu\nbytes            %zu\n", n, w->n_bytes);
        fprintf(out.file, "log-probability  %.4f a token\nperplexity       %.4f\n", mean,
                exp(-mean));
        fprintf(out.file, "bits             %.4f a byte\n",
                w->n_bytes ? -sum / log(2) / (double)w->n_bytes : 0.0);
        if (w->options->kv)
            fprintf(out.file, "cache            %zu bytes\n", w->cache_bytes);
    }
    if (w->options->summary)
        fprintf(stderr, "%zu tokens in %.2f s: %.1f tokens/s\n", n, seconds, (double)n / seconds);
    return output_flush(&out);
}

static bool work(struct work *w)
{
    const struct options *o = w->options;
    size_t most = lac_model_max_tokens(w->runtime.model);
    size_t window = o->window ? o->window : USUAL_WINDOW;
    window = window < most ? window : most;
    size_t stride = o->stride ? o->stride : (window + 1) / 2;
    struct timespec begin, end;
    double sum = 0;
    if (stride >= window) {
        complain("--stride: %zu is not less than the window of %zu tokens", stride, window);
        return false;
    }
    w->scores = calloc(window, sizeof *w->scores);
    if (!w->scores || !read_file(w) || !encode(w) || !open_session(w))
        return false;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (!score(w, window, stride, &sum))
        return false;
    clock_gettime(CLOCK_MONOTONIC, &end);
    return print(
        w, sum, (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec));
}

static enum exit_status run(const struct options *o)
{
    struct work w = {.options = o};
    int status = STATUS_FATAL;
    if (!kv_parse(o->kv, &w.kv))
        status = STATUS_USAGE;
    else if (runtime_start(&w.runtime, o, &status) &&
             runtime_open_model(&w.runtime, o, o->model, &status))
        status = work(&w) ? STATUS_GOOD : STATUS_FATAL;
    kv_free(&w.kv);
    lac_session_free(w.session);
    lac_encoding_clear(&w.encoding);
    runtime_close(&w.runtime);
    free(w.text);
    free(w.scores);
    return (enum exit_status)status;
}

const struct command command_score = {
    .name = "score",
    .operands = "[FILE]",
    .summary = "Says how well a model foresees a text",
    .details =
        "Reads one text and prints the perplexity of its tokens, each given those before it.  "
        "Texts\n"
        "longer than a window are seen through windows that overlap: each token but those of the\n"
        "first window is scored with at least window - stride tokens before it.  With --kv the "
        "first\n"
        "window - stride tokens of the text are only seen, and what the cache keeps of a window "
        "is\n"
        "printed as well.  With --json:\n"
        "  {\"tokens\", \"bytes\", \"log_probability\", \"perplexity\", \"bits_per_byte\"}\n"
        "and with --kv \"cache_bytes\".\n",
    .shipped = "wordnet-decoder-sparse",
    .bit = ON_SCORE,
    .run = run,
};
