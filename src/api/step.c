/* SPDX-License-Identifier: Apache-2.0 */
/* A step of a session that generates: every text that is not finished gets a token, or with
 * speculation some tokens. */
#include <string.h>

#include "src/api/generator.h"
#include "src/base/checked.h"
#include "src/run/speculate.h"

/* What a call has to do: g->turns, n of them. */
struct step {
    struct lac_generator *g;
    struct lac_error *error;
    size_t n, n_nexts;
};

/* ---- Which texts ---- */

static void add_event(struct lac_generator *g, size_t index, int32_t id, double log_probability)
{
    struct lac_text *t = &g->texts[index];
    struct lac_event *event = &g->events[g->n_events++];
    *event = (struct lac_event){
        .sequence = index,
        .id = id,
        .finish = t->finish,
        .log_probability = log_probability,
    };
    lac_text_give(g, t, event);
    t->is_reported = t->finish != LAC_FINISH_NONE;
}

/* Texts that are finished without a token of this step say so now. */
static void report_ends(struct lac_generator *g)
{
    for (size_t i = 0; i < g->n_texts; i++) {
        struct lac_text *t = &g->texts[i];
        if (!t->is_used || t->is_reported)
            continue;
        if (!t->finish && !lac_text_room(g, t))
            lac_text_end(g, t, t->n_ids == g->max_tokens ? LAC_FINISH_CONTEXT : LAC_FINISH_LENGTH);
        if (t->finish)
            add_event(g, i, -1, 0);
    }
}

static enum lac_status reserve_texts(struct step *s)
{
    struct lac_generator *g = s->g;
    bool with_logits = false;
    size_t n = 0, n_each = 1 + g->options.n_speculated;
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < g->n_texts && !status; i++) {
        struct lac_text *t = &g->texts[i];
        if (!t->is_used || t->is_reported)
            continue;
        with_logits |= lac_sampling_needs_logits(&t->sampling);
        status = lac_text_reserve(g, t, n_each, s->error);
        n++;
    }
    return status ? status : lac_generator_reserve(g, n, n * n_each, with_logits, s->error);
}

static void list_turns(struct step *s)
{
    struct lac_generator *g = s->g;
    for (size_t i = 0; i < g->n_texts; i++)
        if (g->texts[i].is_used && !g->texts[i].finish)
            g->turns[s->n++] = (struct lac_turn){.index = i};
}

/* ---- Guesses, behind the ids ---- */

/* The last token that a text may get needs no guess: nothing comes after it. */
static size_t most_guesses(const struct lac_generator *g, const struct lac_text *t)
{
    size_t room = lac_text_room(g, t);
    size_t most =
        lac_min_size(room ? room - 1 : 0, lac_kv_most_guesses(&t->kv, t->n_ids, t->n_fed));
    return lac_min_size(t->n_promising, most);
}

static void guess_by_suffix(struct step *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct lac_turn *turn = &s->g->turns[i];
        struct lac_text *t = &s->g->texts[turn->index];
        turn->n_guesses =
            lac_guess_by_suffix(t->ids, t->n_ids, t->ids + t->n_ids, most_guesses(s->g, t));
    }
}

/* One guess more for each text that may have one; how many did. */
static enum lac_status draft_once(struct step *s, size_t *n_guessed)
{
    struct lac_generator *g = s->g;
    size_t n = 0, max_tokens = g->options.draft->network->config.max_tokens;
    for (size_t i = 0; i < s->n; i++) {
        struct lac_turn *turn = &g->turns[i];
        struct lac_text *t = &g->texts[turn->index];
        size_t n_ids = t->n_ids + turn->n_guesses;
        if (turn->n_guesses >= most_guesses(g, t) || n_ids > max_tokens)
            continue;
        g->nexts[n] = (struct lac_next){.n_top = 1, .target = -1};
        g->steps[n] = (struct lac_step_text){
            .kv = &t->draft_kv,
            .ids = t->ids + t->draft_kv.n_keys,
            .n_tokens = n_ids - t->draft_kv.n_keys,
            .n_text = t->n_ids,
            .next = &g->nexts[n],
            .n_next = 1,
        };
        n++;
    }
    *n_guessed = n;
    if (!n)
        return LAC_OK;
    enum lac_status status =
        lac_decoder_run(&g->draft, g->steps, n, lac_generator_should_stop, g, s->error);
    for (size_t i = 0, k = 0; !status && k < n; i++) {
        struct lac_turn *turn = &g->turns[i];
        struct lac_text *t = &g->texts[turn->index];
        if (g->steps[k].kv == &t->draft_kv)
            t->ids[t->n_ids + turn->n_guesses++] = g->nexts[k++].top[0].id;
    }
    return status;
}

static enum lac_status guess_by_draft(struct step *s)
{
    size_t n = s->n;
    enum lac_status status = LAC_OK;
    while (n && !status)
        status = draft_once(s, &n);
    return status;
}

static enum lac_status guess(struct step *s)
{
    if (!s->g->options.n_speculated)
        return LAC_OK;
    if (s->g->options.draft)
        return guess_by_draft(s);
    guess_by_suffix(s);
    return LAC_OK;
}

/* ---- The pass ---- */

static void ask(struct step *s, const struct lac_text *t, size_t n)
{
    struct lac_generator *g = s->g;
    size_t vocab_size = g->model->network->config.vocab_size;
    bool needs_logits = lac_sampling_needs_logits(&t->sampling);
    for (size_t i = 0; i < n; i++, s->n_nexts++)
        g->nexts[s->n_nexts] = (struct lac_next){
            .n_top = lac_sampling_top(&t->sampling, vocab_size),
            .logits = needs_logits ? g->logits + s->n_nexts * vocab_size : NULL,
            .target = -1,
            .wants_sum = g->options.log_probabilities == LAC_LOG_PROBABILITIES_YES,
        };
}

static enum lac_status run(struct step *s)
{
    struct lac_generator *g = s->g;
    for (size_t i = 0; i < s->n; i++) {
        const struct lac_turn *turn = &g->turns[i];
        struct lac_text *t = &g->texts[turn->index];
        struct lac_next *next = g->nexts + s->n_nexts;
        size_t n_next = 1 + turn->n_guesses;
        ask(s, t, n_next);
        g->steps[i] = (struct lac_step_text){
            .kv = &t->kv,
            .ids = t->ids + t->kv.n_keys,
            .n_tokens = t->n_ids + turn->n_guesses - t->kv.n_keys,
            .n_text = t->n_ids,
            .n_prompt = t->n_fed,
            .usage = lac_text_usage(g, t),
            .next = next,
            .n_next = n_next,
        };
    }
    return lac_decoder_run(&g->decoder, g->steps, s->n, lac_generator_should_stop, g, s->error);
}

/* ---- What comes of it ---- */

/* The last token waits for the next step; of guesses that were wrong nothing is left. */
static void cut_caches(struct lac_text *t)
{
    lac_kv_truncate(&t->kv, lac_min_size(t->kv.n_keys, t->n_ids - 1));
    lac_kv_truncate(&t->draft_kv, lac_min_size(t->draft_kv.n_keys, t->n_ids - 1));
}

/* Nothing came of a step. */
static void take_back(struct step *s, size_t n_reported)
{
    struct lac_generator *g = s->g;
    for (size_t i = 0; i < n_reported; i++) {
        struct lac_text *t = &g->texts[g->events[i].sequence];
        t->is_reported = false;
        t->n_given -= g->events[i].size;
    }
    for (size_t i = 0; i < s->n; i++)
        cut_caches(&g->texts[g->turns[i].index]);
}

/* Guesses that were all right are worth twice as many, others as many as were right, and one. */
static void weigh_guesses(const struct lac_generator *g, struct lac_text *t, size_t n_guesses,
                          size_t n_right)
{
    size_t n = n_right < n_guesses ? n_right + 1 : 2 * n_guesses;
    if (n_guesses)
        t->n_promising = lac_min_size(n, g->options.n_speculated);
}

/* Takes tokens as long as the guesses were right, and one more. */
static void take(struct lac_generator *g, const struct lac_turn *turn, const struct lac_next *next)
{
    struct lac_text *t = &g->texts[turn->index];
    size_t n_right = 0;
    bool goes_on = true;
    for (size_t i = 0; goes_on; i++) {
        struct lac_logit word = lac_sample(&g->sampler, &t->sampling, &next[i], t->ids, t->n_ids);
        double log_probability = next[i].wants_sum ? (double)word.logit - next[i].log_sum : 0;
        bool was_guessed = i < turn->n_guesses && t->ids[t->n_ids] == word.id;
        lac_text_push(g, t, word.id, log_probability);
        add_event(g, turn->index, word.id, log_probability);
        g->counts.n_made++;
        n_right += was_guessed;
        goes_on = was_guessed && !t->finish;
    }
    g->counts.n_accepted += n_right;
    weigh_guesses(g, t, turn->n_guesses, n_right);
    cut_caches(t);
}

enum lac_status lac_generator_step(struct lac_generator *g, struct lac_error *error)
{
    struct step s = {.g = g, .error = error};
    g->n_events = 0;
    enum lac_status status = reserve_texts(&s);
    if (!status && lac_generator_should_stop(g))
        status = lac_fail(error, LAC_E_CANCELLED, "cancelled");
    if (status)
        return status;
    report_ends(g);
    list_turns(&s);
    if (!s.n)
        return LAC_OK;
    size_t n_reported = g->n_events;
    status = guess(&s);
    if (!status)
        status = run(&s);
    if (status) {
        take_back(&s, n_reported);
        return status;
    }
    g->counts.n_steps++;
    for (size_t i = 0; i < s.n; i++) {
        g->counts.n_guessed += g->turns[i].n_guesses;
        take(g, &g->turns[i], g->steps[i].next);
    }
    return LAC_OK;
}
