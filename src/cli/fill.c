/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna fill: words for masked tokens. */
#include "src/cli/job.h"

static json_t *make_mask(const struct job *job, size_t n)
{
    json_t *candidates = json_array();
    json_t *mask = json_pack("{s:o}", "candidates", candidates);
    bool good = mask != NULL;
    for (size_t i = 0; good && i < n; i++) {
        const struct lac_candidate *c = &job->candidates[i];
        good = json_append(candidates, json_pack("{s:s?,s:f}", "token",
                                                 lac_tokenizer_token(job->tokenizer, c->id),
                                                 "score", (double)c->probability));
    }
    if (!good) {
        json_decref(mask);
        return NULL;
    }
    return mask;
}

static enum lac_status write_masks(struct job *job, size_t sequence, const struct item *item)
{
    size_t n_masks;
    enum lac_status status = lac_session_masks(job->session, sequence, &n_masks);
    if (status)
        return status;
    json_t *masks = json_array();
    json_t *record = json_pack("{s:O,s:o}", "id", item->id, "masks", masks);
    if (!record)
        status = LAC_E_MEMORY;
    for (size_t i = 0; !status && i < n_masks; i++) {
        size_t n;
        status =
            lac_session_fill(job->session, sequence, i, job->candidates, job->options->top_k, &n);
        if (!status && !json_append(masks, make_mask(job, n)))
            status = LAC_E_MEMORY;
    }
    if (status) {
        json_decref(record);
        return status;
    }
    output_json(&job->output, record);
    return LAC_OK;
}

static enum exit_status run(const struct options *options)
{
    static const struct task task = {
        .task = LAC_TASK_FILL, .kind = INPUT_TEXTS, .top_k = 5, .write = write_masks};
    return job_run(options, &task);
}

const struct command command_fill = {
    .name = "fill",
    .operands = "[FILE]",
    .summary = "Finds words for the masked tokens of each text",
    .details =
        "Reads lines of text, tab-separated columns (text, pair) or JSON objects (\"text\",\n"
        "\"pair\", \"id\") in which the model's mask token stands for missing words, and writes\n"
        "one JSON object for each, in the same order:\n"
        "  {\"id\", \"masks\": [{\"candidates\": [{\"token\", \"score\"}]}]}\n",
    .bit = ON_FILL,
    .run = run,
};
