/* SPDX-License-Identifier: Apache-2.0 */
/* How probable a text is. */
#include "src/api/session.h"
#include "src/base/checked.h"
#include "src/sys/clock.h"

/* Tokens that are asked for at once; a bound of the memory, not of the passes. */
enum { MOST_AT_ONCE = 1024 };

static enum lac_status check(struct lac_session *s, const int32_t *ids, size_t n, size_t n_context,
                             enum lac_pace pace, const double *log_probabilities)
{
    const struct lac_config *config = &s->model->network->config;
    if (!ids || !log_probabilities || !n_context || n_context >= n)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "%zu tokens to score after %zu",
                        n - lac_min_size(n, n_context), n_context);
    if (pace != LAC_PACE_PASSES && pace != LAC_PACE_STEPS)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "pace %d", (int)pace);
    if (n > config->max_tokens)
        return lac_fail(&s->error, LAC_E_LIMIT, "%zu tokens; the model takes %zu", n,
                        config->max_tokens);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= config->vocab_size)
            return lac_fail(&s->error, LAC_E_ARGUMENT, "token %zu: id %d; the model has %zu words",
                            i, (int)ids[i], config->vocab_size);
    return LAC_OK;
}

/* Tokens [kv->n_keys, end) of n ids go in; the last of them say what of their successors. */
static enum lac_status run(struct lac_generator *g, struct lac_kv *kv, const int32_t *ids, size_t n,
                           size_t n_context, size_t end, size_t n_next, struct lac_error *error)
{
    for (size_t i = 0; i < n_next; i++)
        g->nexts[i] =
            (struct lac_next){.target = ids[end - n_next + i + 1], .wants_sum = true, .n_top = 1};
    struct lac_step_text step = {
        .kv = kv,
        .ids = ids + kv->n_keys,
        .n_tokens = end - kv->n_keys,
        .n_text = n,
        .n_prompt = n_context,
        .next = g->nexts,
        .n_next = n_next,
    };
    return lac_decoder_run(&g->decoder, &step, 1, lac_generator_should_stop, g, error);
}

/* The context goes first, and by itself, to what it leaves behind in the cache: what comes then is
 * timed, and steps are steps. */
static enum lac_status score(struct lac_generator *g, struct lac_kv *kv, const int32_t *ids,
                             size_t n, size_t n_context, enum lac_pace pace,
                             double *log_probabilities, int32_t *best, struct lac_error *error)
{
    size_t most = pace == LAC_PACE_STEPS ? 1 : MOST_AT_ONCE;
    uint64_t begin = 0;
    for (size_t at = n_context; at < n;) {
        size_t n_next = at == n_context ? 1 : lac_min_size(n - at, most);
        enum lac_status status = run(g, kv, ids, n, n_context, at + n_next - 1, n_next, error);
        if (status)
            return status;
        if (at == n_context) {
            status = lac_kv_settle(kv, kv->n_keys, n_context, error);
            if (status)
                return status;
            begin = lac_clock_ns();
        }
        for (size_t i = 0; i < n_next; i++, at++) {
            log_probabilities[at - n_context] =
                (double)g->nexts[i].target_logit - g->nexts[i].log_sum;
            if (best)
                best[at - n_context] = g->nexts[i].top[0].id;
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
    struct lac_kv kv;
    lac_error_clear(&session->error);
    if (!g)
        return lac_fail(&session->error, LAC_E_STATE, "the session's task is %d, not %d",
                        (int)session->workspace.head.task, (int)LAC_TASK_GENERATE);
    enum lac_status status = check(session, ids, n, n_context, pace, log_probabilities);
    if (!status)
        status = lac_generator_reserve(g, 1, lac_min_size(n, MOST_AT_ONCE), false, &session->error);
    if (status)
        return status;
    lac_kv_init(&kv, g->host, &g->kv_shape);
    status = score(g, &kv, ids, n, n_context, pace, log_probabilities, best, &session->error);
    if (!status)
        status = lac_kv_settle(&kv, kv.n_keys, n_context, &session->error);
    g->counts.score_cache_bytes = status ? 0 : lac_kv_bytes(&kv);
    lac_kv_clear(&kv);
    return status;
}
