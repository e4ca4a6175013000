/* SPDX-License-Identifier: Apache-2.0 */
/* How probable a text is. */
#include "src/api/session.h"
#include "src/base/checked.h"
#include "src/sys/clock.h"

/* Tokens that are asked for at once; a bound of the memory, not of the passes. */
enum { MOST_AT_ONCE = 1024 };

static enum lac_status check_ids(struct lac_session *s, const int32_t *ids, size_t n)
{
    size_t n_words = s->model->network->config.vocab_size;
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= n_words)
            return lac_fail(&s->error, LAC_E_ARGUMENT, "token %zu: id %d; the model has %zu words",
                            i, (int)ids[i], n_words);
    return LAC_OK;
}

static enum lac_status check(struct lac_session *s, const int32_t *ids, size_t n, size_t n_context,
                             enum lac_pace pace, const double *log_probabilities)
{
    if (!ids || !log_probabilities || !n_context || n_context >= n)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "%zu tokens to score after %zu",
                        n - lac_min_size(n, n_context), n_context);
    if (pace != LAC_PACE_PASSES && pace != LAC_PACE_STEPS)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "pace %d", (int)pace);
    if (n > s->generator->max_tokens)
        return lac_fail(&s->error, LAC_E_LIMIT, "%zu tokens; the model takes %zu", n,
                        s->generator->max_tokens);
    return check_ids(s, ids, n);
}

struct scored {
    const int32_t *ids; /* [n], of which n_context are given */
    size_t n, n_context;
    struct lac_kv kv;
    struct lac_usage usage;
};

/* Tokens up to `end` go in; the last of them say what of their successors. */
static enum lac_status run(struct lac_generator *g, struct scored *s, size_t end, size_t n_next,
                           struct lac_error *error)
{
    const int32_t *ids = s->ids;
    for (size_t i = 0; i < n_next; i++)
        g->nexts[i] =
            (struct lac_next){.target = ids[end - n_next + i + 1], .wants_sum = true, .n_top = 1};
    struct lac_step_text step = {
        .kv = &s->kv,
        .ids = ids + s->kv.n_keys,
        .n_tokens = end - s->kv.n_keys,
        .n_text = s->n,
        .n_prompt = s->n_context,
        .usage = g->options.activations.rule == LAC_ACTIVATIONS_CORE ? &s->usage : NULL,
        .next = g->nexts,
        .n_next = n_next,
    };
    return lac_decoder_run(&g->decoder, &step, 1, lac_generator_should_stop, g, error);
}

/* How many of the next tokens a call asks for: where attention is chosen for units of tokens, calls
 * end between them. */
static size_t asked_for(const struct lac_generator *g, size_t at, size_t left, size_t most)
{
    size_t n = lac_min_size(left, most), unit = g->decoder.pick_unit;
    size_t end = unit ? (at + n - 1) / unit * unit : 0;
    return n < left && end >= at ? end - at + 1 : n;
}

/* The context goes first, and by itself, to what it leaves behind in the cache: what comes then is
 * timed, and steps are steps. */
static enum lac_status score(struct lac_generator *g, struct scored *s, enum lac_pace pace,
                             double *log_probabilities, int32_t *best, struct lac_error *error)
{
    size_t most = pace == LAC_PACE_STEPS ? 1 : MOST_AT_ONCE;
    uint64_t begin = 0;
    for (size_t at = s->n_context; at < s->n;) {
        size_t n_next = at == s->n_context ? 1 : asked_for(g, at, s->n - at, most);
        enum lac_status status = run(g, s, at + n_next - 1, n_next, error);
        if (status)
            return status;
        if (at == s->n_context) {
            status = lac_kv_settle(&s->kv, s->kv.n_keys, s->n_context, error);
            if (status)
                return status;
            begin = lac_clock_ns();
        }
        for (size_t i = 0; i < n_next; i++, at++) {
            log_probabilities[at - s->n_context] =
                (double)g->nexts[i].target_logit - g->nexts[i].log_sum;
            if (best)
                best[at - s->n_context] = g->nexts[i].top[0].id;
        }
    }
    g->counts.score_seconds = (double)(lac_clock_ns() - begin) / 1e9;
    return LAC_OK;
}

enum lac_status lac_session_score(struct lac_session *session, const int32_t *ids, size_t n,
                                  size_t n_context, enum lac_pace pace, double *log_probabilities,
                                  int32_t *best)
{
    struct lac_generator *g = session->generator;
    struct scored s = {.ids = ids, .n = n, .n_context = n_context};
    lac_error_clear(&session->error);
    if (!g)
        return lac_fail(&session->error, LAC_E_STATE, "the session's task is %d, not %d",
                        (int)session->workspace.head.task, (int)LAC_TASK_GENERATE);
    enum lac_status status = check(session, ids, n, n_context, pace, log_probabilities);
    if (!status)
        status = lac_generator_reserve(g, 1, lac_min_size(n, MOST_AT_ONCE), false, &session->error);
    if (status)
        return status;
    lac_kv_init(&s.kv, g->host, &g->kv_shape);
    lac_usage_init(&s.usage, g->host, g->model->network);
    status = score(g, &s, pace, log_probabilities, best, &session->error);
    if (!status)
        status = lac_kv_settle(&s.kv, s.kv.n_keys, n_context, &session->error);
    g->counts.score_cache_bytes = status ? 0 : lac_kv_bytes(&s.kv);
    lac_kv_clear(&s.kv);
    lac_usage_clear(&s.usage);
    return status;
}

/* ---- Thresholds ---- */

static enum lac_status check_calibration(struct lac_session *s, const int32_t *ids, size_t n,
                                         double share, const float *thresholds)
{
    if (!ids || !n || !thresholds)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "nothing to calibrate with");
    if (!(share >= 0 && share <= 1))
        return lac_fail(&s->error, LAC_E_ARGUMENT, "%g is not a share of the neurons", share);
    enum lac_status status = lac_activations_fit(s->model->network, &s->error);
    return status ? status : check_ids(s, ids, n);
}

/* Windows as long as the model takes. */
static enum lac_status count(struct lac_generator *g, struct lac_decoder *decoder,
                             const int32_t *ids, size_t n, struct lac_error *error)
{
    size_t most = g->model->network->config.max_tokens;
    struct lac_kv_shape shape = g->kv_shape;
    enum lac_status status = LAC_OK;
    shape.rules = NULL;
    for (size_t at = 0; at < n && !status; at += most) {
        struct lac_kv kv;
        size_t n_tokens = lac_min_size(n - at, most);
        lac_kv_init(&kv, g->host, &shape);
        struct lac_step_text step = {
            .kv = &kv, .ids = ids + at, .n_tokens = n_tokens, .n_text = n_tokens};
        status = lac_decoder_run(decoder, &step, 1, lac_generator_should_stop, g, error);
        lac_kv_clear(&kv);
    }
    return status;
}

enum lac_status lac_session_calibrate(struct lac_session *session, const int32_t *ids, size_t n,
                                      double share, float *thresholds)
{
    struct lac_generator *g = session->generator;
    lac_error_clear(&session->error);
    if (!g)
        return lac_fail(&session->error, LAC_E_STATE, "the session's task is %d, not %d",
                        (int)session->workspace.head.task, (int)LAC_TASK_GENERATE);
    enum lac_status status = check_calibration(session, ids, n, share, thresholds);
    if (status)
        return status;
    const struct lac_network *network = session->model->network;
    size_t n_layers = network->config.n_layers;
    struct lac_activations activations = {
        .histogram = lac_alloc_zero(g->host, n_layers * LAC_HISTOGRAM_BINS, sizeof(uint32_t))};
    struct lac_decoder decoder = {0};
    if (!activations.histogram)
        return lac_fail(&session->error, LAC_E_MEMORY, "no memory to calibrate %zu layers",
                        n_layers);
    const struct lac_decoder_options options = {
        .batch_tokens = g->decoder.batch_tokens,
        .activations = &activations,
        .sights = g->decoder.sights,
    };
    status = lac_decoder_open(&decoder, g->host, network, session->model->engine->pool, &options,
                              &session->error);
    if (!status)
        status = count(g, &decoder, ids, n, &session->error);
    for (size_t i = 0; i < n_layers && !status; i++)
        thresholds[i] =
            lac_histogram_threshold(activations.histogram + i * LAC_HISTOGRAM_BINS, share);
    lac_decoder_close(&decoder);
    lac_free(g->host, (void *)activations.histogram);
    return status;
}
