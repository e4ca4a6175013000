/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna tune-attention: rules for what each head reads, found on a text. */
#include <stdio.h>
#include <stdlib.h>

#include "src/cli/command.h"
#include "src/cli/input.h"
#include "src/cli/output.h"
#include "src/cli/progress.h"
#include "src/cli/runtime.h"

/* Of the text, and seen at once; more tells little more of a head. */
enum { USUAL_TOKENS = 16384, USUAL_WINDOW = 4096 };

/* In which the perplexity of the shipped models hardly changes (models/README.md). */
#define USUAL_ERROR 0.1

struct work {
    const struct options *options;
    struct runtime runtime;
    struct lac_session *session;
    struct lac_encoding encoding;
    struct progress progress;
    char *text, *rules;
    size_t size, rules_size;
};

static bool open_session(struct work *w)
{
    const struct options *o = w->options;
    struct lac_session_options *options = NULL;
    if (!lac_session_options_new(&options)) {
        lac_session_options_set_kv_dtype(options,
                                         o->kv_dtype == UNSET ? 0 : (enum lac_dtype)o->kv_dtype);
        if (lac_session_new(w->runtime.model, options, &w->session))
            complain("%s", runtime_message(&w->runtime));
    }
    lac_session_options_free(options);
    return w->session != NULL;
}

static bool encode(struct work *w)
{
    const struct lac_tokenizer *tokenizer = lac_model_tokenizer(w->runtime.model);
    if (!tokenizer) {
        complain("the model has no tokenizer");
        return false;
    }
    size_t most = w->options->max_tokens ? w->options->max_tokens : USUAL_TOKENS;
    enum lac_status status = lac_tokenizer_encode(tokenizer, w->text, w->size, NULL, 0, most,
                                                  LAC_TRUNCATE_LONGEST, &w->encoding);
    if (status)
        complain("%s: %s", w->options->calibrate,
                 status == LAC_E_FORMAT ? "not UTF-8" : lac_status_name(status));
    return !status;
}

static int show(void *context, double share)
{
    struct progress *p = context;
    progress_draw(p, (uint64_t)(share * (double)p->total_bytes));
    return 0;
}

static bool write_plan(const struct work *w, const struct lac_attention_tuned *tuned)
{
    const char *path = w->options->output;
    struct output out;
    if (!output_open(&out, path, -1))
        return false;
    fwrite(tuned->plan, 1, tuned->size, out.file);
    return output_flush(&out) && output_close(&out);
}

static void print(const struct work *w, const struct lac_attention_tuned *tuned)
{
    FILE *to = w->options->output ? stdout : stderr;
    if (w->options->quiet)
        return;
    fprintf(to, "%zu tokens: %.1f %% of the key blocks, error %.4f", w->encoding.n,
            100 * tuned->density, tuned->error);
    if (tuned->perplexity > 0)
        fprintf(to, ", perplexity %.4f, with full attention %.4f", tuned->perplexity,
                tuned->full_perplexity);
    fputc('\n', to);
}

static bool tune(struct work *w)
{
    const struct options *o = w->options;
    size_t most = lac_model_max_tokens(w->runtime.model);
    size_t window = o->window ? o->window : USUAL_WINDOW;
    bool has_error = o->error != UNSET, has_density = o->density != UNSET;
    struct lac_attention_tuned tuned;
    const struct lac_attention_tuning tuning = {
        .error = has_error ? o->error : (has_density ? 0 : USUAL_ERROR),
        .density = has_density ? o->density : 0,
        .rules = w->rules,
        .rules_size = w->rules_size,
        .window = window < most ? window : most,
        .progress = show,
        .context = &w->progress,
    };
    progress_start(&w->progress, PROGRESS_PARTS, o->quiet);
    w->progress.is_share = true;
    enum lac_status status =
        lac_session_tune_attention(w->session, w->encoding.ids, w->encoding.n, &tuning, &tuned);
    progress_hide();
    if (status) {
        complain("%s", lac_session_message(w->session));
        return false;
    }
    if (!write_plan(w, &tuned))
        return false;
    print(w, &tuned);
    return true;
}

static enum exit_status run(const struct options *o)
{
    struct work w = {.options = o};
    int status = STATUS_FATAL;
    if (!o->operand || !o->calibrate || (o->error != UNSET && o->density != UNSET)) {
        complain("tune-attention: %s", !o->operand     ? "needs a model"
                                       : !o->calibrate ? "needs --text FILE"
                                                       : "--error or --density, not both");
        return STATUS_USAGE;
    }
    if (input_read_all(o->calibrate, &w.text, &w.size) &&
        (!o->rules || input_read_all(o->rules, &w.rules, &w.rules_size)) &&
        runtime_start(&w.runtime, o, &status) &&
        runtime_open_model(&w.runtime, o, o->operand, &status))
        status = encode(&w) && open_session(&w) && tune(&w) ? STATUS_GOOD : STATUS_FATAL;
    lac_session_free(w.session);
    lac_encoding_clear(&w.encoding);
    runtime_close(&w.runtime);
    free(w.text);
    free(w.rules);
    return (enum exit_status)status;
}

const struct command command_tune_attention = {
    .name = "tune-attention",
    .operands = "MODEL --text FILE",
    .summary = "Finds what each attention head may leave unread",
    .details =
        "Runs the text and does the attention of each layer by all rules there are to choose from\n"
        "beside the model's own, head by head.  Writes a plan for --attention: for each head the\n"
        "cheapest rule whose output is near enough (--error), or for all together the least "
        "errors\n"
        "within a share of what is read (--density).  The plan says what it was measured to be, "
        "by\n"
        "head and as a whole, and for decoders the perplexity with it and without.  The text "
        "should\n"
        "be of the kind that will be read, and as long.\n",
    .bit = ON_TUNE,
    .run = run,
};
