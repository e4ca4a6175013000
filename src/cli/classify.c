/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna classify: the best labels of each text. */
#include <string.h>

#include "src/cli/job.h"

static bool add_labels(const struct job *job, size_t n, json_t *record)
{
    json_t *labels = json_array();
    bool good = json_put(record, "labels", labels);
    for (size_t i = 0; good && i < n; i++) {
        const struct lac_candidate *c = &job->candidates[i];
        good = json_append(labels, json_pack("{s:s,s:f}", "label",
                                             lac_model_label(job->runtime.model, (size_t)c->id),
                                             "score", (double)c->probability));
    }
    return good;
}

static enum lac_status write_classes(struct job *job, size_t sequence, const struct item *item)
{
    size_t n;
    enum lac_status status =
        lac_session_top_classes(job->session, sequence, job->candidates, job->options->top_k, &n);
    if (status)
        return status;
    const struct lac_candidate *best = &job->candidates[0];
    const char *label = lac_model_label(job->runtime.model, (size_t)best->id);
    json_t *record = json_pack("{s:O,s:s,s:f}", "id", item->id, "label", label, "score",
                               (double)best->probability);
    bool good = record && (!job->options->top_k_given || add_labels(job, n, record));
    if (good && item->label) {
        good = json_put(record, "expected", json_string(item->label));
        job->progress.n_labelled++;
        job->progress.n_right += !strcmp(item->label, label);
    }
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
        .task = LAC_TASK_CLASSIFY, .kind = INPUT_TEXTS, .top_k = 1, .write = write_classes};
    return job_run(options, &task);
}

const struct command command_classify = {
    .name = "classify",
    .operands = "[FILE]",
    .summary = "Gives each text the label that fits best",
    .details =
        "Reads lines of text, tab-separated columns (text, pair) or JSON objects (\"text\",\n"
        "\"pair\", \"id\") and writes one JSON object for each, in the same order:\n"
        "  {\"id\", \"label\", \"score\"}, with --top-k also \"labels\": [{\"label\", \"score\"}]\n"
        "Lines that say their label get it back as \"expected\"; --summary counts the hits.\n",
    .bit = ON_CLASSIFY,
    .run = run,
};
