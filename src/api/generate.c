/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions that generate: the public functions. */
#include <lacuna/generate.h>

#include <string.h>

#include "src/api/session.h"
#include "src/base/checked.h"
#include "src/text/tokenizer.h"

/* What every function here begins with. */
static enum lac_status begin(struct lac_session *s)
{
    lac_error_clear(&s->error);
    if (s->generator)
        return LAC_OK;
    return lac_fail(&s->error, LAC_E_STATE, "the session's task is %d, not %d",
                    (int)s->workspace.head.task, (int)LAC_TASK_GENERATE);
}

static enum lac_status begin_with(struct lac_session *s, size_t sequence, struct lac_text **text)
{
    enum lac_status status = begin(s);
    return status ? status : lac_generator_find(s->generator, sequence, text, &s->error);
}

/* ---- In ---- */

static enum lac_status check_ids(struct lac_session *s, size_t n_before, const int32_t *ids,
                                 size_t n, enum lac_status blame)
{
    const struct lac_config *config = &s->model->network->config;
    if (!ids && n)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "ids is NULL");
    if (!n && !n_before)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "a sequence without tokens");
    size_t max_tokens = s->generator->max_tokens;
    if (n > max_tokens - n_before)
        return lac_fail(&s->error, LAC_E_LIMIT, "%zu tokens and %zu more; the model takes %zu",
                        n_before, n, max_tokens);
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= config->vocab_size)
            return lac_fail(&s->error, blame, "token %zu: id %d; the model has %zu words", i,
                            (int)ids[i], config->vocab_size);
    return LAC_OK;
}

static enum lac_status add(struct lac_session *s, const int32_t *ids, size_t n,
                           enum lac_status blame, size_t *sequence)
{
    struct lac_generator *g = s->generator;
    size_t index;
    enum lac_status status = check_ids(s, 0, ids, n, blame);
    if (!status)
        status = lac_generator_place(g, &index, &s->error);
    if (!status)
        status = lac_text_feed(g, &g->texts[index], ids, n, &s->error);
    if (status)
        return status;
    g->texts[index].is_used = true;
    g->counts.n_fed += n;
    if (sequence)
        *sequence = index;
    return LAC_OK;
}

/* The text's tokens, with or without those that the tokenizer puts round it. */
static enum lac_status encode(struct lac_session *s, const char *text, size_t size,
                              bool with_special, struct lac_encoding *e)
{
    if (!s->model->tokenizer)
        return lac_fail(&s->error, LAC_E_STATE, "the model came without a tokenizer");
    if (!text && size)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "text is NULL");
    enum lac_status status = lac_tokenizer_encode_text(
        s->model->tokenizer, text ? text : "", size, NULL, 0, 0, LAC_TRUNCATE_ERROR, e, &s->error);
    if (status || with_special)
        return status;
    size_t n = 0;
    for (size_t i = 0; i < e->n; i++)
        if (e->sequence[i] != 255)
            e->ids[n++] = e->ids[i];
    e->n = n;
    return LAC_OK;
}

enum lac_status lac_session_add_prompt(struct lac_session *s, const char *text, size_t size,
                                       const char *pair, size_t *sequence)
{
    struct lac_encoding e = {0};
    if (pair)
        return lac_fail(&s->error, LAC_E_ARGUMENT, "a prompt is one text, not a pair");
    enum lac_status status = encode(s, text, size, true, &e);
    if (!status)
        status = add(s, e.ids, e.n, LAC_E_UNSUPPORTED, sequence);
    lac_encoding_clear(&e);
    return status;
}

enum lac_status lac_session_add_prompt_ids(struct lac_session *s, const int32_t *ids,
                                           const uint8_t *type_ids, size_t n, size_t *sequence)
{
    for (size_t i = 0; type_ids && i < n; i++)
        if (type_ids[i])
            return lac_fail(&s->error, LAC_E_ARGUMENT, "token %zu: type %d; there are none", i,
                            (int)type_ids[i]);
    return add(s, ids, n, LAC_E_ARGUMENT, sequence);
}

static enum lac_status feed(struct lac_session *s, struct lac_text *text, const int32_t *ids,
                            size_t n, enum lac_status blame)
{
    enum lac_status status = check_ids(s, text->n_ids, ids, n, blame);
    if (!status)
        status = lac_text_feed(s->generator, text, ids, n, &s->error);
    if (!status)
        s->generator->counts.n_fed += n;
    return status;
}

enum lac_status lac_session_feed(struct lac_session *session, size_t sequence, const char *text,
                                 size_t size)
{
    struct lac_text *t;
    struct lac_encoding e = {0};
    enum lac_status status = begin_with(session, sequence, &t);
    if (!status)
        status = encode(session, text, size, false, &e);
    if (!status)
        status = feed(session, t, e.ids, e.n, LAC_E_UNSUPPORTED);
    lac_encoding_clear(&e);
    return status;
}

enum lac_status lac_session_feed_ids(struct lac_session *session, size_t sequence,
                                     const int32_t *ids, size_t n)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    return status ? status : feed(session, t, ids, n, LAC_E_ARGUMENT);
}

/* ---- Steps ---- */

enum lac_status lac_session_next(struct lac_session *session, const struct lac_event **events,
                                 size_t *n_events)
{
    enum lac_status status = begin(session);
    if (!status)
        status = lac_generator_step(session->generator, &session->error);
    if (status)
        return status;
    if (events)
        *events = session->generator->events;
    if (n_events)
        *n_events = session->generator->n_events;
    return LAC_OK;
}

enum lac_status lac_session_generate(struct lac_session *session,
                                     int (*event)(void *context, const struct lac_event *event),
                                     void *context)
{
    const struct lac_event *events;
    size_t n = 1;
    while (n) {
        enum lac_status status = lac_session_next(session, &events, &n);
        if (status)
            return status;
        for (size_t i = 0; event && i < n; i++)
            if (event(context, &events[i]))
                return lac_fail(&session->error, LAC_E_CANCELLED, "cancelled by the callback");
    }
    return LAC_OK;
}

void lac_session_cancel(struct lac_session *session)
{
    if (session->generator)
        atomic_store_explicit(&session->generator->is_cancelled, true, memory_order_relaxed);
}

enum lac_status lac_session_stop(struct lac_session *session, size_t sequence)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (!status)
        status = lac_text_reserve(session->generator, t, 0, &session->error);
    if (!status && !t->finish)
        lac_text_end(session->generator, t, LAC_FINISH_STOPPED);
    return status;
}

enum lac_status lac_session_prepare(struct lac_session *session)
{
    enum lac_status status = begin(session);
    struct lac_generator *g = session->generator;
    if (!status)
        status = lac_generator_reserve(g, g->n_texts, 0, false, &session->error);
    if (status)
        return status;
    size_t n = 0;
    for (size_t i = 0; i < g->n_texts; i++) {
        struct lac_text *t = &g->texts[i];
        if (t->is_used && t->n_ids - t->kv.n_keys > 1)
            g->steps[n++] = (struct lac_step_text){
                .kv = &t->kv,
                .ids = t->ids + t->kv.n_keys,
                .n_tokens = t->n_ids - t->kv.n_keys - 1,
                .n_text = t->n_ids,
                .n_prompt = t->n_fed,
                .usage = lac_text_usage(g, t),
            };
    }
    return n ? lac_decoder_run(&g->decoder, g->steps, n, lac_generator_should_stop, g,
                               &session->error)
             : LAC_OK;
}

/* ---- How texts go on ---- */

enum lac_status lac_session_set_max_new_tokens(struct lac_session *session, size_t sequence,
                                               size_t n_tokens)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (!status)
        t->max_new_tokens = n_tokens;
    return status;
}

enum lac_status lac_session_set_sampling(struct lac_session *session, size_t sequence,
                                         const struct lac_sampling *sampling)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (!status && !sampling)
        status = lac_fail(&session->error, LAC_E_ARGUMENT, "sampling is NULL");
    if (!status)
        status = lac_sampling_check(sampling, &session->error);
    if (!status)
        t->sampling = *sampling;
    return status;
}

/* ---- Copies ---- */

enum lac_status lac_session_fork(struct lac_session *session, size_t sequence, uint64_t seed,
                                 size_t *copy)
{
    struct lac_text *t;
    size_t index;
    enum lac_status status = begin_with(session, sequence, &t);
    struct lac_generator *g = session->generator;
    if (!status)
        status = lac_generator_place(g, &index, &session->error);
    if (!status) /* the place may have moved the others */
        status = lac_text_copy(g, &g->texts[index], &g->texts[sequence], &session->error);
    if (status)
        return status;
    g->texts[index].sampling.seed = seed;
    if (copy)
        *copy = index;
    return LAC_OK;
}

enum lac_status lac_session_remove(struct lac_session *session, size_t sequence)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (!status)
        lac_text_clear(session->generator, t);
    return status;
}

static enum lac_status copy_texts(struct lac_generator *to, const struct lac_generator *from,
                                  struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < from->n_texts && !status; i++) {
        size_t index;
        status = lac_generator_place(to, &index, error);
        if (status)
            break;
        status = lac_text_copy(to, &to->texts[index], &from->texts[i], error);
        /* A place that is free here must not be taken before its turn there. */
        to->texts[index].is_used = true;
    }
    for (size_t i = 0; i < to->n_texts; i++)
        to->texts[i].is_used = from->texts[i].is_used;
    return status;
}

enum lac_status lac_session_clone(struct lac_session *session, struct lac_session **clone)
{
    enum lac_status status = begin(session);
    if (status)
        return status;
    if (!clone)
        return lac_fail(&session->error, LAC_E_ARGUMENT, "clone is NULL");
    struct lac_session *c = lac_alloc_zero(session->host, 1, sizeof *c);
    if (!c)
        return lac_fail(&session->error, LAC_E_MEMORY, "no memory for a session");
    c->host = session->host;
    c->model = session->model;
    c->truncate = session->truncate;
    c->workspace.head = session->workspace.head;
    status =
        lac_generator_new(c->model, &session->generator->options, &c->generator, &session->error);
    if (!status)
        status = copy_texts(c->generator, session->generator, &session->error);
    if (status) {
        lac_session_free(c);
        return status;
    }
    *clone = c;
    return LAC_OK;
}

/* ---- Out ---- */

enum lac_status lac_session_text(struct lac_session *session, size_t sequence, const char **text,
                                 size_t *size)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (status)
        return status;
    if (text)
        *text = t->bytes ? t->bytes : "";
    if (size)
        *size = t->n_given;
    return LAC_OK;
}

enum lac_status lac_session_ids(struct lac_session *session, size_t sequence, const int32_t **ids,
                                size_t *n, size_t *n_fed)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (status)
        return status;
    if (ids)
        *ids = t->ids;
    if (n)
        *n = t->n_ids;
    if (n_fed)
        *n_fed = t->n_fed;
    return LAC_OK;
}

enum lac_status lac_session_outcome(struct lac_session *session, size_t sequence,
                                    enum lac_finish *finish, double *log_probability)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (status)
        return status;
    if (finish)
        *finish = t->finish;
    if (log_probability)
        *log_probability = t->log_probability;
    return LAC_OK;
}

enum lac_status lac_session_counts(struct lac_session *session,
                                   struct lac_generation_counts *counts)
{
    enum lac_status status = begin(session);
    if (status)
        return status;
    const struct lac_generator *g = session->generator;
    *counts = g->counts;
    counts->n_neurons = g->decoder.counts.n_neurons;
    counts->n_active = g->decoder.counts.n_active;
    counts->n_stored = g->decoder.counts.n_stored;
    counts->n_read = g->decoder.counts.n_read;
    for (size_t i = 0; i < g->n_texts; i++)
        counts->cache_bytes += lac_kv_bytes(&g->texts[i].kv) + lac_kv_bytes(&g->texts[i].draft_kv);
    return LAC_OK;
}

/* ---- Files ---- */

enum lac_status lac_session_save(struct lac_session *session, size_t sequence, const char *path)
{
    struct lac_text *t;
    enum lac_status status = begin_with(session, sequence, &t);
    if (status)
        return status;
    if (!path)
        return lac_fail(&session->error, LAC_E_ARGUMENT, "path is NULL");
    const struct lac_saved saved = {
        .ids = t->ids,
        .n_ids = t->n_ids,
        .n_fed = t->n_fed,
        .finish = t->finish,
        .log_probability = t->log_probability,
        .sampling = t->sampling,
        .kv = t->kv,
    };
    return lac_saved_write(session->model->network, &saved, path, &session->error);
}

/* Says again what the text said before it was saved, all of which counts as given. */
static enum lac_status retell(struct lac_generator *g, struct lac_text *t,
                              const struct lac_saved *saved, struct lac_error *error)
{
    size_t n_made = saved->n_ids - saved->n_fed;
    struct lac_event event;
    enum lac_status status = lac_text_feed(g, t, saved->ids, saved->n_fed, error);
    if (!status)
        status = lac_text_reserve(g, t, n_made, error);
    if (status)
        return status;
    for (size_t i = saved->n_fed; i < saved->n_ids; i++)
        lac_text_retell(g, t, saved->ids[i]);
    if (saved->finish)
        lac_text_end(g, t, saved->finish);
    t->finish = saved->finish;
    t->log_probability = saved->log_probability;
    t->sampling = saved->sampling;
    lac_text_give(g, t, &event);
    t->is_reported = saved->finish != LAC_FINISH_NONE;
    return LAC_OK;
}

enum lac_status lac_session_restore(struct lac_session *session, const char *path, size_t *sequence)
{
    size_t index;
    enum lac_status status = begin(session);
    struct lac_generator *g = session->generator;
    if (!status && !path)
        status = lac_fail(&session->error, LAC_E_ARGUMENT, "path is NULL");
    if (!status)
        status = lac_generator_place(g, &index, &session->error);
    if (status)
        return status;
    struct lac_text *t = &g->texts[index];
    struct lac_saved saved = {.kv = t->kv};
    status = lac_saved_read(session->model->network, path, &saved, &session->error);
    t->kv = saved.kv;
    if (!status)
        status = retell(g, t, &saved, &session->error);
    if (lac_text_usage(g, t)) { /* its core is not in the file: the prompt is counted again */
        lac_kv_clear(&t->kv);
        lac_kv_init(&t->kv, g->host, &g->kv_shape);
    }
    lac_free(g->host, saved.ids);
    if (status) {
        lac_text_clear(g, t);
        return status;
    }
    t->is_used = true;
    if (sequence)
        *sequence = index;
    return LAC_OK;
}
