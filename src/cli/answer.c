/* SPDX-License-Identifier: Apache-2.0 */
/* lacuna answer: the part of a context that answers a question. */
#include "src/cli/job.h"

static bool continues(const struct item *item, size_t at)
{
    return at < item->context_size && ((unsigned char)item->context[at] & 0xc0) == 0x80;
}

/* A token of bytes may begin or end inside a character; the answer takes the whole of it. */
static json_t *make_text(const struct item *item, size_t begin, size_t end)
{
    while (begin && continues(item, begin))
        begin--;
    while (continues(item, end))
        end++;
    return json_stringn(item->context + begin, end - begin);
}

static bool put_answer(json_t *object, const struct item *item, const struct lac_answer *answer)
{
    return json_put(object, "answer", make_text(item, answer->begin, answer->end)) &&
           json_put(object, "score", json_real((double)answer->probability)) &&
           json_put(object, "begin", json_integer((json_int_t)answer->begin)) &&
           json_put(object, "end", json_integer((json_int_t)answer->end));
}

static bool put_answers(json_t *record, const struct job *job, const struct item *item, size_t n)
{
    json_t *list = json_array();
    bool good = json_put(record, "answers", list);
    for (size_t i = 0; good && i < n; i++) {
        json_t *object = json_object();
        good = json_append(list, object) && put_answer(object, item, &job->answers[i]);
    }
    return good;
}

static enum lac_status write_answers(struct job *job, size_t sequence, const struct item *item)
{
    const struct options *o = job->options;
    size_t n;
    enum lac_status status = lac_session_answers(job->session, sequence, o->max_answer_tokens,
                                                 job->answers, o->top_k, &n);
    if (status)
        return status;
    /* A context without tokens has no spans. */
    static const struct lac_answer nothing = {0};
    json_t *record = json_pack("{s:O}", "id", item->id);
    if (!record || !put_answer(record, item, n ? &job->answers[0] : &nothing) ||
        (o->top_k_given && !put_answers(record, job, item, n))) {
        json_decref(record);
        return LAC_E_MEMORY;
    }
    output_json(&job->output, record);
    return LAC_OK;
}

static enum exit_status run(const struct options *options)
{
    static const struct task task = {
        .task = LAC_TASK_ANSWER, .kind = INPUT_QUESTIONS, .top_k = 1, .write = write_answers};
    return job_run(options, &task);
}

const struct command command_answer = {
    .name = "answer",
    .operands = "[FILE]",
    .summary = "Finds the answer to each question in its context",
    .details =
        "Reads tab-separated columns (question, context) or JSON objects (\"question\",\n"
        "\"context\", \"id\") and writes one JSON object for each, in the same order:\n"
        "  {\"id\", \"answer\", \"score\", \"begin\", \"end\"}, with --top-k also \"answers\"\n"
        "begin and end are bytes of the context.\n",
    .bit = ON_ANSWER,
    .run = run,
};
