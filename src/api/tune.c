/* SPDX-License-Identifier: Apache-2.0 */
/* Plans for attention, found on a text. */
#include <math.h>
#include <string.h>

#include "src/api/session.h"
#include "src/base/checked.h"
#include "src/run/tuned.h"

/* Tokens of a decoder that go in and are asked for at once: whole units of any choice. */
enum { AT_ONCE = 2 * LAC_PICK_SPAN };

struct tuner {
    struct lac_session *session;
    const struct lac_network *network;
    const struct lac_attention_tuning *tuning;
    const int32_t *ids; /* [n] */
    size_t n, window;
    double done, all; /* tokens times rules */
    struct lac_candidates candidates;
    struct lac_trial trial;
    struct lac_tuned tuned;
    struct lac_tuned_facts facts;
    struct lac_arena arena; /* of sights */
    struct lac_sights sights;
    char *plan;
    size_t size;
};

static bool is_decoder(const struct tuner *t)
{
    return t->session->generator != NULL;
}

static enum lac_status check(const struct tuner *t)
{
    const struct lac_config *config = &t->network->config;
    struct lac_error *error = &t->session->error;
    const struct lac_attention_tuning *tuning = t->tuning;
    if (!(tuning->error > 0) == !(tuning->density > 0))
        return lac_fail(error, LAC_E_ARGUMENT,
                        "an error of %g and a density of %g: one of them is needed", tuning->error,
                        tuning->density);
    if (!t->ids || t->n < 2 || t->window < 3)
        return lac_fail(error, LAC_E_ARGUMENT, "%zu tokens in windows of %zu to tune with", t->n,
                        t->window);
    if (t->window > config->max_tokens)
        return lac_fail(error, LAC_E_LIMIT, "windows of %zu tokens; the model takes %zu", t->window,
                        config->max_tokens);
    for (size_t i = 0; i < t->n; i++)
        if (t->ids[i] < 0 || (size_t)t->ids[i] >= config->vocab_size)
            return lac_fail(error, LAC_E_ARGUMENT, "token %zu: id %d; the model has %zu words", i,
                            (int)t->ids[i], config->vocab_size);
    return LAC_OK;
}

/* So many more tokens went through, by so many rules. */
static enum lac_status advance(struct tuner *t, size_t n_tokens, size_t n_rules)
{
    t->done += (double)n_tokens * (double)n_rules;
    if (t->tuning->progress && t->tuning->progress(t->tuning->context, t->done / t->all))
        return lac_fail(&t->session->error, LAC_E_CANCELLED, "cancelled");
    return LAC_OK;
}

/* ---- Decoders ---- */

/* A window, whose logarithms of probabilities are added to *sum.  Its last token does not go in:
 * there is nothing to ask it for. */
static enum lac_status score_window(struct tuner *t, struct lac_decoder *decoder,
                                    const int32_t *ids, size_t n, double *sum)
{
    struct lac_generator *g = t->session->generator;
    struct lac_kv_shape shape = g->kv_shape;
    struct lac_kv kv;
    enum lac_status status = LAC_OK;
    size_t n_rules = decoder->trial ? decoder->trial->n_sights : 1;
    shape.rules = NULL;
    lac_kv_init(&kv, g->host, &shape);
    for (size_t at = 0, n_tokens; at + 1 < n && !status; at += n_tokens) {
        n_tokens = lac_min_size(n - 1 - at, AT_ONCE);
        for (size_t i = 0; i < n_tokens; i++)
            g->nexts[i] = (struct lac_next){.target = ids[at + i + 1], .wants_sum = true};
        const struct lac_step_text step = {
            .kv = &kv,
            .ids = ids + at,
            .n_tokens = n_tokens,
            .n_text = n,
            .n_prompt = n,
            .next = g->nexts,
            .n_next = n_tokens,
        };
        status =
            lac_decoder_run(decoder, &step, 1, lac_generator_should_stop, g, &t->session->error);
        for (size_t i = 0; i < n_tokens && !status; i++)
            *sum += (double)g->nexts[i].target_logit - g->nexts[i].log_sum;
        if (!status)
            status = advance(t, n_tokens, n_rules);
    }
    lac_kv_clear(&kv);
    return status;
}

/* The whole text, each window by itself. */
static enum lac_status score(struct tuner *t, const struct lac_sights *sights,
                             const struct lac_trial *trial, double *perplexity)
{
    struct lac_generator *g = t->session->generator;
    struct lac_decoder decoder;
    const struct lac_decoder_options options = {
        .batch_tokens = g->decoder.batch_tokens,
        .sights = sights,
        .trial = trial,
    };
    double sum = 0;
    size_t n_scored = 0;
    enum lac_status status =
        lac_decoder_open(&decoder, g->host, t->network, t->session->model->engine->pool, &options,
                         &t->session->error);
    for (size_t at = 0; at < t->n && !status; at += t->window) {
        size_t n = lac_min_size(t->n - at, t->window);
        status = score_window(t, &decoder, t->ids + at, n, &sum);
        n_scored += n - 1;
    }
    *perplexity = n_scored ? exp(-sum / (double)n_scored) : 0;
    lac_decoder_close(&decoder);
    return status;
}

/* ---- Encoders ---- */

/* The text within, so many tokens at a time, with the first and the last one round it. */
static enum lac_status encode_windows(struct tuner *t, struct lac_workspace *workspace,
                                      int32_t *ids, float *row)
{
    enum lac_status status = LAC_OK;
    for (size_t at = 1, n; at + 1 < t->n && !status; at += n) {
        n = lac_min_size(t->n - 1 - at, t->window - 2);
        ids[0] = t->ids[0];
        memcpy(ids + 1, t->ids + at, n * sizeof *ids);
        ids[n + 1] = t->ids[t->n - 1];
        const struct lac_sequence sequence = {.ids = ids, .n_tokens = n + 2, .rows = row};
        status = lac_workspace_run(workspace, &sequence, 1, &t->session->error);
        if (!status)
            status = advance(t, n, t->candidates.n);
    }
    return status;
}

static enum lac_status encode(struct tuner *t)
{
    static const struct lac_head head = {.task = LAC_TASK_EMBED, .pooling = LAC_POOL_MEAN};
    const struct lac_host *host = t->session->host;
    struct lac_workspace workspace;
    int32_t *ids = lac_alloc(host, t->window, sizeof *ids);
    float *row = lac_alloc(host, t->network->config.hidden_size, sizeof *row);
    if (!ids || !row) {
        lac_free(host, ids);
        lac_free(host, row);
        return lac_fail(&t->session->error, LAC_E_MEMORY, "no memory for %zu tokens", t->window);
    }
    enum lac_status status =
        lac_workspace_open(&workspace, host, t->network, t->session->model->engine->pool, &head,
                           &t->candidates.sights[0], t->network->batch_tokens, &t->session->error);
    if (!status) {
        lac_workspace_try(&workspace, &t->trial);
        status = encode_windows(t, &workspace, ids, row);
    }
    lac_workspace_close(&workspace);
    lac_free(host, ids);
    lac_free(host, row);
    return status;
}

/* ---- All ---- */

static enum lac_status measure(struct tuner *t)
{
    struct lac_session *s = t->session;
    struct lac_pool *pool = s->model->engine->pool;
    size_t n_tokens = is_decoder(t) ? AT_ONCE : lac_min_size(t->n, t->window);
    enum lac_status status = lac_candidates_open(&t->candidates, t->network, t->tuning->rules,
                                                 t->tuning->rules_size, &s->error);
    if (!status)
        status = lac_trial_open(&t->trial, s->host, t->network, t->candidates.sights,
                                t->candidates.n, n_tokens, lac_pool_size(pool), &s->error);
    t->all = (double)t->n * (double)(t->candidates.n + is_decoder(t));
    if (!status && is_decoder(t))
        status = lac_generator_reserve(s->generator, 1, AT_ONCE, false, &s->error);
    if (status)
        return status;
    return is_decoder(t) ? score(t, &t->candidates.sights[0], &t->trial, &t->facts.full_perplexity)
                         : encode(t);
}

static enum lac_status write(struct tuner *t)
{
    struct lac_session *s = t->session;
    lac_free(s->host, t->plan);
    t->plan = NULL;
    return lac_tuned_write(&t->tuned, &t->candidates, &t->network->config, &t->facts, &t->plan,
                           &t->size, &s->error);
}

/* The plan is run as it will be read. */
static enum lac_status tune(struct tuner *t)
{
    const struct lac_tuning_goal goal = {t->tuning->error, t->tuning->density};
    enum lac_status status = measure(t);
    if (!status)
        status = lac_tuned_open(&t->tuned, &t->trial, &goal, &t->session->error);
    if (!status)
        status = write(t);
    if (status || !is_decoder(t))
        return status;
    status =
        lac_sights_read(t->network, t->plan, t->size, &t->arena, &t->sights, &t->session->error);
    if (!status)
        status = score(t, &t->sights, NULL, &t->facts.perplexity);
    return status ? status : write(t);
}

enum lac_status lac_session_tune_attention(struct lac_session *session, const int32_t *ids,
                                           size_t n, const struct lac_attention_tuning *tuning,
                                           struct lac_attention_tuned *tuned)
{
    lac_error_clear(&session->error);
    if (!tuning || !tuned)
        return lac_fail(&session->error, LAC_E_ARGUMENT, "%s is NULL", tuning ? "tuned" : "tuning");
    const struct lac_network *network = session->model->network;
    struct tuner t = {
        .session = session,
        .network = network,
        .tuning = tuning,
        .ids = ids,
        .n = n,
        .window = tuning->window ? tuning->window : network->config.max_tokens,
        .arena.host = session->host,
    };
    t.facts = (struct lac_tuned_facts){.n_tokens = n, .n_window = lac_min_size(n, t.window)};
    enum lac_status status = check(&t);
    if (!status)
        status = tune(&t);
    if (!status) {
        lac_free(session->host, session->tuned);
        session->tuned = t.plan;
        *tuned = (struct lac_attention_tuned){
            .plan = t.plan,
            .size = t.size,
            .density = t.tuned.density,
            .error = t.tuned.error,
            .perplexity = t.facts.perplexity,
            .full_perplexity = t.facts.full_perplexity,
        };
        t.plan = NULL;
    }
    lac_free(session->host, t.plan);
    lac_arena_clear(&t.arena);
    lac_tuned_close(&t.tuned);
    lac_trial_close(&t.trial);
    lac_candidates_close(&t.candidates);
    return status;
}
