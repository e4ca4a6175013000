/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna tokenize: the tokens of each text, as the model would see them. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/job.h"

struct work {
    const struct options *options;
    struct runtime runtime;
    const struct lac_tokenizer *tokenizer;
    struct lac_tokenizer *own; /* to be freed */
    struct input input;
    struct output output;
    struct progress progress;
    struct lac_encoding encoding;
    int32_t *ids; /* --decode: of the line at hand */
    char *text;
    size_t id_capacity, text_capacity;
};

static bool fill_lists(const struct work *w, json_t *tokens, json_t *ids, json_t *types,
                       json_t *offsets)
{
    const struct lac_encoding *e = &w->encoding;
    for (size_t i = 0; i < e->n; i++) {
        const char *token = lac_tokenizer_token(w->tokenizer, e->ids[i]);
        if (!json_append(tokens, token ? json_string(token) : json_null()) ||
            !json_append(ids, json_integer(e->ids[i])) ||
            !json_append(types, json_integer(e->type_ids[i])) ||
            !json_append(offsets,
                         json_pack("[I,I]", (json_int_t)e->begin[i], (json_int_t)e->end[i])))
            return false;
    }
    return true;
}

static bool write_encoding(struct work *w, const struct record *r)
{
    json_t *id = make_id(r->id, r->line);
    json_t *tokens = json_array(), *ids = json_array(), *types = json_array(),
           *offsets = json_array();
    json_t *record =
        json_pack("{s:o,s:o,s:o,s:o,s:o,s:I}", "id", id, "tokens", tokens, "ids", ids, "type_ids",
                  types, "offsets", offsets, "dropped", (json_int_t)w->encoding.n_dropped);
    if (!record || !fill_lists(w, tokens, ids, types, offsets)) {
        json_decref(record);
        complain("line %zu: out of memory", r->line);
        return false;
    }
    output_json(&w->output, record);
    return true;
}

static bool encode(struct work *w, const struct record *r)
{
    const struct options *o = w->options;
    enum lac_status status = lac_tokenizer_encode(
        w->tokenizer, r->first.text, r->first.size, r->second.text, r->second.size, o->max_tokens,
        o->truncate == UNSET ? LAC_TRUNCATE_LONGEST : (enum lac_truncate)o->truncate, &w->encoding);
    if (!status) {
        w->progress.n_sequences++;
        w->progress.n_tokens += w->encoding.n;
        return write_encoding(w, r);
    }
    w->progress.n_bad++;
    report_line(r->line, r->id,
                status == LAC_E_FORMAT  ? "the text is not UTF-8"
                : status == LAC_E_LIMIT ? "more tokens than --max-tokens allows"
                                        : lac_status_name(status));
    return status != LAC_E_MEMORY;
}

/* Doubles an array until it has room for n items. */
static bool reserve(void *slot, size_t *capacity, size_t n, size_t size)
{
    size_t grown = *capacity ? *capacity : 1024;
    void *memory;
    while (grown < n)
        grown *= 2;
    if (n <= *capacity)
        return true;
    memcpy(&memory, slot, sizeof memory);
    memory = realloc(memory, grown * size);
    if (!memory)
        return false;
    memcpy(slot, &memory, sizeof memory);
    *capacity = grown;
    return true;
}

enum ids_result { IDS_GOOD, IDS_BAD, IDS_NO_MEMORY };

/* "1 2 3", "1,2,3" or "[1, 2, 3]" */
static enum ids_result read_ids(struct work *w, const struct piece *piece, size_t *n)
{
    const char *p = piece->text, *end = p + piece->size;
    size_t vocab_size = lac_tokenizer_vocab_size(w->tokenizer);
    for (*n = 0;; ++*n) {
        while (p < end && strchr(" ,[]", *p) && *p)
            p++;
        if (p == end)
            return IDS_GOOD;
        size_t id = 0;
        const char *first = p;
        for (; p < end && *p >= '0' && *p <= '9' && id < vocab_size; p++)
            id = 10 * id + (size_t)(*p - '0');
        if (p == first || id >= vocab_size)
            return IDS_BAD;
        if (!reserve(&w->ids, &w->id_capacity, *n + 1, sizeof *w->ids))
            return IDS_NO_MEMORY;
        w->ids[*n] = (int32_t)id;
    }
}

static bool decode(struct work *w, const struct record *r)
{
    size_t n;
    enum ids_result result = read_ids(w, &r->first, &n);
    if (result == IDS_BAD) {
        w->progress.n_bad++;
        report_line(r->line, r->id, "not ids of the vocabulary with spaces or commas between");
        return true;
    }
    size_t size = lac_tokenizer_decode(w->tokenizer, w->ids, n, NULL, 0);
    if (result == IDS_NO_MEMORY || !reserve(&w->text, &w->text_capacity, size + 1, 1)) {
        complain("line %zu: out of memory", r->line);
        return false;
    }
    lac_tokenizer_decode(w->tokenizer, w->ids, n, w->text, size + 1);
    w->progress.n_sequences++;
    w->progress.n_tokens += n;
    json_t *record = json_pack("{s:o,s:s%}", "id", make_id(r->id, r->line), "text", w->text, size);
    if (!record) {
        complain("line %zu: out of memory", r->line);
        return false;
    }
    output_json(&w->output, record);
    return true;
}

static bool work(struct work *w)
{
    for (;;) {
        struct record record;
        switch (input_next(&w->input, &record)) {
        case INPUT_END:
            return output_flush(&w->output);
        case INPUT_FAILED:
            complain("%s", w->input.message);
            return false;
        case INPUT_BAD:
            w->progress.n_bad++;
            report_line(record.line, w->input.id, w->input.message);
            break;
        case INPUT_RECORD:
            if (!(w->options->decode ? decode : encode)(w, &record))
                return false;
            break;
        }
        progress_draw(&w->progress, w->input.lines.n_bytes);
        if ((w->output.error || lines_would_wait(&w->input.lines)) && !output_flush(&w->output))
            return false;
    }
}

static bool open_tokenizer(struct work *w, int *status)
{
    const struct options *o = w->options;
    if (!o->tokenizer) {
        if (!runtime_open_model(&w->runtime, o, o->model, status))
            return false;
        w->tokenizer = lac_model_tokenizer(w->runtime.model);
        if (!w->tokenizer)
            complain("the model has no tokenizer");
        return w->tokenizer != NULL;
    }
    if (lac_tokenizer_open(w->runtime.engine, o->tokenizer, &w->own)) {
        complain("%s", runtime_message(&w->runtime));
        return false;
    }
    w->tokenizer = w->own;
    return true;
}

static enum exit_status run(const struct options *o)
{
    if (o->model && o->tokenizer) {
        complain("--model and --tokenizer: only one of them can be given");
        return STATUS_USAGE;
    }
    struct options one_thread = *o;
    one_thread.threads = 1;
    struct work w = {.options = &one_thread};
    int status = STATUS_FATAL;
    if (input_open(&w.input, o, INPUT_TEXTS, &status) &&
        runtime_start(&w.runtime, &one_thread, &status) && open_tokenizer(&w, &status) &&
        output_open(&w.output, o->output, w.input.lines.fd)) {
        progress_start(&w.progress, w.input.total_bytes, o->quiet);
        status = work(&w) ? STATUS_GOOD : STATUS_FATAL;
        if (!output_close(&w.output))
            status = STATUS_FATAL;
        if (o->summary || w.progress.draws)
            progress_summarize(&w.progress);
        if (status == STATUS_GOOD && w.progress.n_bad)
            status = STATUS_BAD_LINES;
    }
    lac_encoding_clear(&w.encoding);
    free(w.ids);
    free(w.text);
    lac_tokenizer_free(w.own);
    runtime_close(&w.runtime);
    input_close(&w.input);
    return (enum exit_status)status;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .operands = "[FILE]",
    .summary = "Shows the tokens of each text",
    .details =
        "Reads lines of text, tab-separated columns (text, pair) or JSON objects (\"text\",\n"
        "\"pair\", \"id\") and writes one JSON object for each, in the same order:\n"
        "  {\"id\", \"tokens\", \"ids\", \"type_ids\", \"offsets\": [[begin, end]], \"dropped\"}\n"
        "offsets are bytes of the text a token came from.\n"
        "With --decode the texts are ids, and the objects {\"id\", \"text\"}.\n",
    .bit = ON_TOKENIZE,
    .run = run,
};
