/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna tag: the best label of each token. */
#include "src/cli/job.h"

static size_t best_of(const float *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

static json_t *make_token(const struct job *job, const struct lac_encoding *e, size_t i,
                          const float *probabilities, size_t n_labels)
{
    size_t best = best_of(probabilities, n_labels);
    json_t *token = json_pack(
        "{s:s?,s:s,s:f,s:I,s:I}", "token", lac_tokenizer_token(job->tokenizer, e->ids[i]), "label",
        lac_model_label(job->runtime.model, best), "score", (double)probabilities[best], "begin",
        (json_int_t)e->begin[i], "end", (json_int_t)e->end[i]);
    if (token && e->sequence[i] == 1 && json_object_set_new(token, "pair", json_true())) {
        json_decref(token);
        token = NULL;
    }
    return token;
}

static enum lac_status write_tags(struct job *job, size_t sequence, const struct item *item)
{
    const struct lac_encoding *e;
    const float *logits, *probabilities;
    size_t n_tokens, n_labels;
    enum lac_status status = lac_session_encoding(job->session, sequence, &e);
    if (!status)
        status =
            lac_session_tags(job->session, sequence, &logits, &probabilities, &n_tokens, &n_labels);
    if (status)
        return status;
    json_t *tokens = json_array();
    json_t *record = json_pack("{s:O,s:o}", "id", item->id, "tokens", tokens);
    bool good = record != NULL;
    for (size_t i = 0; good && i < n_tokens; i++)
        if (e->sequence[i] != 255)
            good =
                json_append(tokens, make_token(job, e, i, probabilities + i * n_labels, n_labels));
    if (!good) {
        json_decref(record);
        return LAC_E_MEMORY;
    }
    output_json(&job->output, record);
    return LAC_OK;
}

static enum exit_status run(const struct options *options)
{
    static const struct task task = {
        .task = LAC_TASK_TAG, .kind = INPUT_TEXTS, .top_k = 1, .write = write_tags};
    return job_run(options, &task);
}

const struct command command_tag = {
    .name = "tag",
    .operands = "[FILE]",
    .summary = "Gives each token of each text a label",
    .details =
        "Reads lines of text, tab-separated columns (text, pair) or JSON objects (\"text\",\n"
        "\"pair\", \"id\") and writes one JSON object for each, in the same order:\n"
        "  {\"id\", \"tokens\": [{\"token\", \"label\", \"score\", \"begin\", \"end\"}]}\n"
        "begin and end are bytes of the text; tokens of a pair's second text have \"pair\": "
        "true.\n",
    .bit = ON_TAG,
    .run = run,
};
