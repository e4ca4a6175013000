/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna embed: a vector for each text. */
#include "src/cli/job.h"

static enum lac_status write_embedding(struct job *job, size_t sequence, const struct item *item)
{
    const float *vector;
    size_t size;
    enum lac_status status = lac_session_embedding(job->session, sequence, &vector, &size);
    if (!status)
        output_floats(&job->output, item->id, "embedding", vector, size);
    return status;
}

static enum exit_status run(const struct options *options)
{
    static const struct task task = {
        .task = LAC_TASK_EMBED, .kind = INPUT_TEXTS, .top_k = 1, .write = write_embedding};
    return job_run(options, &task);
}

const struct command command_embed = {
    .name = "embed",
    .operands = "[FILE]",
    .summary = "Turns each text into a vector",
    .details =
        "Reads lines of text, tab-separated columns (text, pair) or JSON objects (\"text\",\n"
        "\"pair\", \"id\") and writes one JSON object for each, in the same order:\n"
        "  {\"id\", \"embedding\": [numbers]}\n",
    .bit = ON_EMBED,
    .run = run,
};
