/* SPDX-License-Identifier: Apache-2.0 */
/* Beam search: several continuations of a text that compete. */
#include <math.h>
#include <string.h>

#include "src/api/session.h"
#include "src/base/checked.h"

/* Beams are copies of the text; what they have in common they share. */
struct beams {
    struct lac_generator *g;
    struct lac_error *error;
    struct lac_search search;
    struct lac_text live[LAC_MAX_BEAMS], next[LAC_MAX_BEAMS];
    struct lac_text done[LAC_MAX_BEAMS]; /* best first */
    size_t n_live, n_next, n_done;
};

/* One more token for a beam. */
struct continuation {
    size_t beam;
    int32_t id;
    double log_probability; /* of the token */
    double sum;             /* of all that was made */
};

/* Ends may take half of the places: as many go on. */
enum { MOST_CONTINUATIONS = 2 * LAC_MAX_BEAMS };
_Static_assert((int)MOST_CONTINUATIONS <= (int)LAC_MAX_TOP, "each beam may give all");

static double score_of(const struct beams *b, double sum, size_t n_tokens)
{
    return sum / pow((double)lac_max_size(n_tokens, 1), b->search.length_penalty);
}

static double text_score(const struct beams *b, const struct lac_text *t)
{
    return score_of(b, t->log_probability, t->n_ids - t->n_fed);
}

static void clear_texts(const struct beams *b, struct lac_text *texts, size_t *n)
{
    while (*n)
        lac_text_clear(b->g, &texts[--*n]);
}

/* ---- A step ---- */

static enum lac_status run(struct beams *b, size_t n_top)
{
    struct lac_generator *g = b->g;
    for (size_t i = 0; i < b->n_live; i++) {
        struct lac_text *t = &b->live[i];
        g->nexts[i] = (struct lac_next){.n_top = n_top, .target = -1, .wants_sum = true};
        g->steps[i] = (struct lac_step_text){
            .kv = &t->kv,
            .ids = t->ids + t->kv.n_keys,
            .n_tokens = t->n_ids - t->kv.n_keys,
            .n_text = t->n_ids,
            .n_prompt = t->n_fed,
            .usage = lac_text_usage(g, t),
            .next = &g->nexts[i],
            .n_next = 1,
        };
    }
    return lac_decoder_run(&g->decoder, g->steps, b->n_live, lac_generator_should_stop, g,
                           b->error);
}

/* Of all beams the most probable, best first; of equals the one that came first. */
static size_t list_continuations(const struct beams *b, size_t most, struct continuation *list)
{
    size_t n = 0;
    for (size_t beam = 0; beam < b->n_live; beam++) {
        const struct lac_next *next = &b->g->nexts[beam];
        for (size_t i = 0; i < next->n_top; i++) {
            double p = (double)next->top[i].logit - next->log_sum;
            struct continuation c = {beam, next->top[i].id, p, b->live[beam].log_probability + p};
            if (n == most && !(c.sum > list[n - 1].sum))
                break;
            size_t at = n < most ? n++ : n - 1;
            for (; at && c.sum > list[at - 1].sum; at--)
                list[at] = list[at - 1];
            list[at] = c;
        }
    }
    return n;
}

/* Takes the text over. */
static void finish(struct beams *b, struct lac_text *t)
{
    double score = text_score(b, t);
    size_t at = b->n_done;
    if (at == b->search.n_beams) {
        if (!(score > text_score(b, &b->done[at - 1]))) {
            lac_text_clear(b->g, t);
            return;
        }
        lac_text_clear(b->g, &b->done[--at]);
    } else {
        b->n_done++;
    }
    for (; at && score > text_score(b, &b->done[at - 1]); at--)
        b->done[at] = b->done[at - 1];
    b->done[at] = *t;
}

static enum lac_status go_on(struct beams *b, const struct continuation *c)
{
    struct lac_text child;
    lac_text_init(b->g, &child);
    enum lac_status status = lac_text_copy(b->g, &child, &b->live[c->beam], b->error);
    if (!status)
        status = lac_text_reserve(b->g, &child, 1, b->error);
    if (status) {
        lac_text_clear(b->g, &child);
        return status;
    }
    lac_text_push(b->g, &child, c->id, c->log_probability);
    if (child.finish)
        finish(b, &child);
    else
        b->next[b->n_next++] = child;
    return LAC_OK;
}

static enum lac_status step(struct beams *b)
{
    struct continuation list[MOST_CONTINUATIONS];
    size_t vocab_size = b->g->model->network->config.vocab_size;
    size_t most = 2 * b->search.n_beams;
    enum lac_status status = run(b, lac_min_size(most, vocab_size));
    size_t n = status ? 0 : list_continuations(b, most, list);
    for (size_t i = 0; i < n && b->n_next < b->search.n_beams && !status; i++)
        status = go_on(b, &list[i]);
    if (status)
        return status;
    clear_texts(b, b->live, &b->n_live);
    memcpy(b->live, b->next, b->n_next * sizeof *b->next);
    b->n_live = b->n_next;
    b->n_next = 0;
    return LAC_OK;
}

/* No beam is better than the worst of those finished, at the length it has. */
static bool is_decided(const struct beams *b)
{
    if (b->n_done < b->search.n_beams)
        return false;
    return text_score(b, &b->live[0]) <= text_score(b, &b->done[b->n_done - 1]);
}

static enum lac_status search_beams(struct beams *b, const struct lac_text *text)
{
    lac_text_init(b->g, &b->live[0]);
    enum lac_status status = lac_text_copy(b->g, &b->live[0], text, b->error);
    if (status)
        return status;
    b->n_live = 1;
    status = lac_text_feed(b->g, &b->live[0], NULL, 0, b->error);
    while (!status && b->n_live && !is_decided(b))
        status = step(b);
    return status;
}

/* ---- The call ---- */

static enum lac_status check(struct lac_session *s, const struct lac_text *t,
                             const struct lac_search *search, size_t n_best)
{
    size_t max_tokens = s->generator->max_tokens;
    if (!search || !search->n_beams || search->n_beams > LAC_MAX_BEAMS || !n_best ||
        n_best > search->n_beams || !isfinite(search->length_penalty))
        return lac_fail(&s->error, LAC_E_ARGUMENT, "the best %zu of %zu beams; at most %d", n_best,
                        search ? search->n_beams : 0, LAC_MAX_BEAMS);
    if (t->n_ids >= max_tokens)
        return lac_fail(&s->error, LAC_E_LIMIT, "the text has all of %zu tokens", max_tokens);
    return LAC_OK;
}

/* The best become sequences: all or none. */
static enum lac_status hand_over(struct beams *b, size_t n_best, size_t *sequences,
                                 size_t *n_sequences)
{
    struct lac_generator *g = b->g;
    size_t n = lac_min_size(n_best, b->n_done);
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < n && !status; i++) {
        status = lac_generator_place(g, &sequences[i], b->error);
        if (!status)
            g->texts[sequences[i]].is_used = true;
        else
            while (i--)
                lac_text_clear(g, &g->texts[sequences[i]]);
    }
    if (status)
        return status;
    for (size_t i = 0; i < n; i++) {
        struct lac_text *t = &b->done[i];
        t->is_used = true;
        t->is_reported = true;
        t->n_given = t->n_bytes;
        g->counts.n_made += t->n_ids - t->n_fed;
        g->texts[sequences[i]] = *t;
        lac_text_init(g, t);
    }
    *n_sequences = n;
    return LAC_OK;
}

enum lac_status lac_session_search(struct lac_session *session, size_t sequence,
                                   const struct lac_search *search, size_t n_best,
                                   size_t *sequences, size_t *n_sequences)
{
    struct lac_generator *g = session->generator;
    struct lac_text *text;
    lac_error_clear(&session->error);
    if (!g)
        return lac_fail(&session->error, LAC_E_STATE, "the session's task is %d, not %d",
                        (int)session->workspace.head.task, (int)LAC_TASK_GENERATE);
    enum lac_status status = lac_generator_find(g, sequence, &text, &session->error);
    if (!status)
        status = check(session, text, search, n_best);
    if (!status)
        status = lac_generator_reserve(g, search->n_beams, search->n_beams, false, &session->error);
    if (status)
        return status;
    struct beams *b = lac_alloc_zero(g->host, 1, sizeof *b);
    if (!b)
        return lac_fail(&session->error, LAC_E_MEMORY, "no memory for %zu beams", search->n_beams);
    b->g = g;
    b->error = &session->error;
    b->search = *search;
    status = search_beams(b, text);
    if (!status)
        status = hand_over(b, n_best, sequences, n_sequences);
    clear_texts(b, b->live, &b->n_live);
    clear_texts(b, b->next, &b->n_next);
    clear_texts(b, b->done, &b->n_done);
    lac_free(g->host, b);
    return status;
}
