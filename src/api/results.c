/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: what comes out. */
#include <math.h>
#include <string.h>

#include "src/api/session.h"
#include "src/base/checked.h"

/* ---- After a run ---- */

static void softmax(const struct lac_session *s, const float *x, size_t n, float *y)
{
    struct lac_softmax_args args = {x, n, y};
    s->model->network->kernels.softmax->run.softmax(&args);
}

/* A label's probability does not depend on the others'. */
static void sigmoid(const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(1 / (1 + exp(-(double)x[i])));
}

static void weigh_labels(const struct lac_session *s, const float *logits, float *probabilities)
{
    switch (s->workspace.head.task == LAC_TASK_TAG ? LAC_PROBLEM_SINGLE_LABEL
                                                   : s->model->network->config.problem) {
    case LAC_PROBLEM_SINGLE_LABEL:
        softmax(s, logits, s->width, probabilities);
        break;
    case LAC_PROBLEM_MULTI_LABEL:
        sigmoid(logits, s->width, probabilities);
        break;
    case LAC_PROBLEM_REGRESSION:
        memcpy(probabilities, logits, s->width * sizeof *logits);
        break;
    }
}

void lac_session_finish(struct lac_session *s, const struct lac_entry *entry)
{
    for (size_t i = 0; i < entry->n_rows; i++) {
        float *row = s->rows + (entry->first_row + i) * s->width;
        float *extra = s->extra ? s->extra + entry->first_row * s->width : NULL;
        switch (s->workspace.head.task) {
        case LAC_TASK_CLASSIFY:
        case LAC_TASK_TAG:
            weigh_labels(s, row, extra + i * s->width);
            break;
        case LAC_TASK_ANSWER:
            extra[i] = row[0];
            extra[entry->n_rows + i] = row[1];
            break;
        case LAC_TASK_FILL:
            softmax(s, row, s->width, row);
            break;
        case LAC_TASK_EMBED:
        case LAC_TASK_GENERATE: /* not an encoder's */
            break;
        }
    }
}

/* ---- Look-ups ---- */

static enum lac_status find_entry(struct lac_session *s, size_t sequence,
                                  const struct lac_entry **entry)
{
    lac_error_clear(&s->error);
    if (s->generator)
        return lac_fail(&s->error, LAC_E_STATE, "the session's task is %d",
                        (int)s->workspace.head.task);
    if (sequence >= s->n_entries)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "sequence %zu of %zu", sequence, s->n_entries);
    *entry = &s->entries[sequence];
    return LAC_OK;
}

static enum lac_status find_result(struct lac_session *s, size_t sequence, enum lac_task task,
                                   const struct lac_entry **entry)
{
    enum lac_status status = find_entry(s, sequence, entry);
    if (status)
        return status;
    if (s->workspace.head.task != task)
        return lac_fail(&s->error, LAC_E_STATE, "the session's task is %d, not %d",
                        (int)s->workspace.head.task, (int)task);
    if (sequence >= s->n_run)
        return lac_fail(&s->error, LAC_E_STATE, "sequence %zu has not run", sequence);
    return LAC_OK;
}

static const float *rows_of(const struct lac_session *s, const struct lac_entry *entry)
{
    return s->rows + entry->first_row * s->width;
}

static const float *extra_of(const struct lac_session *s, const struct lac_entry *entry)
{
    return s->extra + entry->first_row * s->width;
}

enum lac_status lac_session_encoding(struct lac_session *session, size_t sequence,
                                     const struct lac_encoding **encoding)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_entry(session, sequence, &entry);
    if (!status)
        *encoding = &entry->encoding;
    return status;
}

enum lac_status lac_session_classes(struct lac_session *session, size_t sequence,
                                    const float **logits, const float **probabilities,
                                    size_t *n_labels)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_CLASSIFY, &entry);
    if (status)
        return status;
    if (logits)
        *logits = rows_of(session, entry);
    if (probabilities)
        *probabilities = extra_of(session, entry);
    if (n_labels)
        *n_labels = session->width;
    return LAC_OK;
}

enum lac_status lac_session_tags(struct lac_session *session, size_t sequence, const float **logits,
                                 const float **probabilities, size_t *n_tokens, size_t *n_labels)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_TAG, &entry);
    if (status)
        return status;
    if (logits)
        *logits = rows_of(session, entry);
    if (probabilities)
        *probabilities = extra_of(session, entry);
    if (n_tokens)
        *n_tokens = entry->n_rows;
    if (n_labels)
        *n_labels = session->width;
    return LAC_OK;
}

enum lac_status lac_session_embedding(struct lac_session *session, size_t sequence,
                                      const float **vector, size_t *size)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_EMBED, &entry);
    if (status)
        return status;
    if (vector)
        *vector = rows_of(session, entry);
    if (size)
        *size = session->width;
    return LAC_OK;
}

enum lac_status lac_session_answer_logits(struct lac_session *session, size_t sequence,
                                          const float **start, const float **end, size_t *n_tokens)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_ANSWER, &entry);
    if (status)
        return status;
    if (start)
        *start = extra_of(session, entry);
    if (end)
        *end = extra_of(session, entry) + entry->n_rows;
    if (n_tokens)
        *n_tokens = entry->n_rows;
    return LAC_OK;
}

/* ---- The best of many ---- */

/* Of two candidates, the one to list later: less probable, or the larger id of equals.  NaN is
 * less than any number. */
static bool is_worse(struct lac_candidate a, struct lac_candidate b)
{
    float p = isnan(a.probability) ? -INFINITY : a.probability;
    float q = isnan(b.probability) ? -INFINITY : b.probability;
    return p != q ? p < q : a.id > b.id;
}

/* Restores a heap of n whose root is the worst, after its root was replaced. */
static void sift_down(struct lac_candidate *heap, size_t n)
{
    for (size_t i = 0;;) {
        size_t child = 2 * i + 1;
        if (child >= n)
            return;
        if (child + 1 < n && is_worse(heap[child + 1], heap[child]))
            child++;
        if (!is_worse(heap[child], heap[i]))
            return;
        struct lac_candidate moved = heap[i];
        heap[i] = heap[child];
        heap[child] = moved;
        i = child;
    }
}

static void sift_up(struct lac_candidate *heap, size_t i)
{
    for (; i && is_worse(heap[i], heap[(i - 1) / 2]); i = (i - 1) / 2) {
        struct lac_candidate moved = heap[i];
        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = moved;
    }
}

/* The best `most` of n probabilities, best first; returns how many. */
static size_t select_best(const float *probabilities, size_t n, struct lac_candidate *best,
                          size_t most)
{
    size_t n_best = 0;
    for (size_t i = 0; i < n; i++) {
        struct lac_candidate next = {(int32_t)i, probabilities[i]};
        if (n_best < most) {
            best[n_best] = next;
            sift_up(best, n_best++);
        } else if (most && is_worse(best[0], next)) {
            best[0] = next;
            sift_down(best, n_best);
        }
    }
    for (size_t left = n_best; left > 1; left--) { /* the worst goes last */
        struct lac_candidate worst = best[0];
        best[0] = best[left - 1];
        best[left - 1] = worst;
        sift_down(best, left - 1);
    }
    return n_best;
}

enum lac_status lac_session_top_classes(struct lac_session *session, size_t sequence,
                                        struct lac_candidate *candidates, size_t most,
                                        size_t *n_candidates)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_CLASSIFY, &entry);
    if (status)
        return status;
    size_t n = select_best(extra_of(session, entry), session->width, candidates, most);
    if (session->model->network->config.problem == LAC_PROBLEM_MULTI_LABEL)
        while (n > 1 && !(candidates[n - 1].probability > 0.5f))
            n--;
    *n_candidates = n;
    return LAC_OK;
}

/* ---- Masks ---- */

enum lac_status lac_session_masks(struct lac_session *session, size_t sequence, size_t *n_masks)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_FILL, &entry);
    if (!status)
        *n_masks = entry->n_masks;
    return status;
}

enum lac_status lac_session_fill(struct lac_session *session, size_t sequence, size_t mask,
                                 struct lac_candidate *candidates, size_t most,
                                 size_t *n_candidates)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_FILL, &entry);
    if (status)
        return status;
    if (mask >= entry->n_masks)
        return lac_fail(&session->error, LAC_E_ARGUMENT, "mask %zu of %zu", mask, entry->n_masks);
    const float *row = rows_of(session, entry) + mask * session->width;
    *n_candidates = select_best(row, session->width, candidates, most);
    return LAC_OK;
}

/* ---- Answers ---- */

/* The spans that may answer: both ends tokens of the second text, at most max_tokens apart.  The
 * standard reading of start and end logits (Devlin et al. 2019, section 4.2): a span scores their
 * sum; its probability is the softmax over all spans allowed. */
struct spans {
    const struct lac_encoding *encoding;
    const float *start, *end;
    size_t max_tokens;
};

static bool is_second(const struct lac_encoding *e, size_t token)
{
    return e->sequence[token] == 1;
}

static size_t last_end(const struct spans *s, size_t token)
{
    size_t last = token;
    while (last + 1 < s->encoding->n && last + 1 - token < s->max_tokens &&
           is_second(s->encoding, last + 1))
        last++;
    return last;
}

static double score_of(const struct spans *s, size_t from, size_t to)
{
    return (double)s->start[from] + (double)s->end[to];
}

/* log of the sum over spans of exp(score). */
static double log_total(const struct spans *s)
{
    double most = -INFINITY, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t from = 0; from < s->encoding->n; from++) {
            if (!is_second(s->encoding, from))
                continue;
            for (size_t to = from; to <= last_end(s, from); to++) {
                if (pass == 0)
                    most = fmax(most, score_of(s, from, to));
                else
                    sum += exp(score_of(s, from, to) - most);
            }
        }
    return most + log(sum);
}

/* Inserts into answers, best first; equals keep their order. */
static size_t insert_answer(struct lac_answer *answers, size_t n, size_t most,
                            struct lac_answer answer)
{
    if (n == most && (!most || !(answer.probability > answers[n - 1].probability)))
        return n;
    size_t at = n < most ? n : n - 1;
    for (; at && answer.probability > answers[at - 1].probability; at--)
        answers[at] = answers[at - 1];
    answers[at] = answer;
    return n < most ? n + 1 : n;
}

enum lac_status lac_session_answers(struct lac_session *session, size_t sequence, size_t max_tokens,
                                    struct lac_answer *answers, size_t most, size_t *n_answers)
{
    const struct lac_entry *entry = NULL;
    enum lac_status status = find_result(session, sequence, LAC_TASK_ANSWER, &entry);
    if (status)
        return status;
    if (!max_tokens)
        return lac_fail(&session->error, LAC_E_ARGUMENT, "answers of at most 0 tokens");
    if (!entry->is_text)
        return lac_fail(&session->error, LAC_E_STATE, "sequence %zu was added as ids, not as texts",
                        sequence);
    const struct spans spans = {&entry->encoding, extra_of(session, entry),
                                extra_of(session, entry) + entry->n_rows, max_tokens};
    double total = log_total(&spans);
    size_t n = 0;
    for (size_t from = 0; from < entry->n_rows; from++) {
        if (!is_second(&entry->encoding, from))
            continue;
        for (size_t to = from; to <= last_end(&spans, from); to++) {
            struct lac_answer answer = {
                .begin = entry->encoding.begin[from],
                .end = entry->encoding.end[to],
                .probability = (float)exp(score_of(&spans, from, to) - total),
            };
            n = insert_answer(answers, n, most, answer);
        }
    }
    *n_answers = n;
    return LAC_OK;
}
