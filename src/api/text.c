/* SPDX-License-Identifier: Apache-2.0 */
/* One text that is generated: its tokens, and the bytes that are certain. */
#include <string.h>

#include "src/api/generator.h"
#include "src/base/checked.h"

void lac_text_init(const struct lac_generator *g, struct lac_text *t)
{
    *t = (struct lac_text){
        .sampling = g->options.sampling,
        .max_new_tokens = g->options.max_new_tokens,
        .n_promising = g->options.n_speculated,
    };
    lac_kv_init(&t->kv, g->host, &g->kv_shape);
    lac_kv_init(&t->draft_kv, g->host, &g->draft_shape);
    lac_usage_init(&t->usage, g->host, g->model->network);
}

void lac_text_clear(const struct lac_generator *g, struct lac_text *t)
{
    lac_kv_clear(&t->kv);
    lac_kv_clear(&t->draft_kv);
    lac_usage_clear(&t->usage);
    lac_free(g->host, t->ids);
    lac_free(g->host, t->bytes);
    lac_text_init(g, t);
}

/* ---- Room ---- */

static enum lac_status grow_ids(const struct lac_generator *g, struct lac_text *t, size_t n_more,
                                struct lac_error *error)
{
    size_t n = t->n_ids + n_more;
    if (n <= t->id_capacity)
        return LAC_OK;
    n = lac_max_size(n, 2 * t->id_capacity);
    int32_t *ids = lac_realloc(g->host, t->ids, t->id_capacity, n, sizeof *ids);
    if (!ids)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu tokens", n);
    t->ids = ids;
    t->id_capacity = n;
    return LAC_OK;
}

static enum lac_status grow_bytes(const struct lac_generator *g, struct lac_text *t, size_t n_more,
                                  struct lac_error *error)
{
    size_t n = t->n_bytes + n_more;
    if (n <= t->byte_capacity)
        return LAC_OK;
    n = lac_max_size(n, 2 * t->byte_capacity);
    char *bytes = lac_realloc(g->host, t->bytes, t->byte_capacity, n, 1);
    if (!bytes)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a text of %zu bytes", n);
    t->bytes = bytes;
    t->byte_capacity = n;
    return LAC_OK;
}

enum lac_status lac_text_reserve(const struct lac_generator *g, struct lac_text *t, size_t n,
                                 struct lac_error *error)
{
    enum lac_status status = grow_ids(g, t, n, error);
    /* One token's room more for what waits for the end. */
    return status ? status : grow_bytes(g, t, (n + 1) * g->room, error);
}

struct lac_usage *lac_text_usage(const struct lac_generator *g, struct lac_text *t)
{
    return g->options.activations.rule == LAC_ACTIVATIONS_CORE ? &t->usage : NULL;
}

size_t lac_text_room(const struct lac_generator *g, const struct lac_text *t)
{
    size_t room = g->max_tokens - t->n_ids, n_made = t->n_ids - t->n_fed;
    size_t most = t->max_new_tokens;
    if (!most)
        return room;
    return n_made < most ? lac_min_size(room, most - n_made) : 0;
}

/* ---- Fed ---- */

static void begin_turn(struct lac_text *t)
{
    t->n_fed = t->n_ids;
    t->finish = LAC_FINISH_NONE;
    t->is_reported = false;
    t->n_bytes = 0;
    t->n_given = 0;
    t->log_probability = 0;
}

enum lac_status lac_text_feed(const struct lac_generator *g, struct lac_text *t, const int32_t *ids,
                              size_t n, struct lac_error *error)
{
    enum lac_status status = grow_ids(g, t, n, error);
    if (status)
        return status;
    if (n)
        memcpy(t->ids + t->n_ids, ids, n * sizeof *ids);
    t->n_ids += n;
    /* Decoding has to know what stands before the tokens it will be shown. */
    for (size_t i = 0; g->room && i < n; i++)
        lac_tokenizer_decode_next(g->model->tokenizer, &t->state, ids[i], g->scratch, g->room);
    begin_turn(t);
    return LAC_OK;
}

static enum lac_status copy_caches(struct lac_text *to, const struct lac_text *from,
                                   struct lac_error *error)
{
    enum lac_status status = lac_kv_share(&to->kv, &from->kv, from->kv.n_keys, error);
    return status ? status
                  : lac_kv_share(&to->draft_kv, &from->draft_kv, from->draft_kv.n_keys, error);
}

enum lac_status lac_text_copy(const struct lac_generator *g, struct lac_text *to,
                              const struct lac_text *from, struct lac_error *error)
{
    enum lac_status status = grow_ids(g, to, from->n_ids, error);
    if (!status)
        status = grow_bytes(g, to, from->n_bytes, error);
    if (!status)
        status = copy_caches(to, from, error);
    if (!status)
        status = lac_usage_copy(&to->usage, &from->usage, error);
    if (status) {
        lac_text_clear(g, to);
        return status;
    }
    if (from->n_ids)
        memcpy(to->ids, from->ids, from->n_ids * sizeof *to->ids);
    if (from->n_bytes)
        memcpy(to->bytes, from->bytes, from->n_bytes);
    to->is_used = from->is_used;
    to->n_ids = from->n_ids;
    to->n_fed = from->n_fed;
    to->sampling = from->sampling;
    to->max_new_tokens = from->max_new_tokens;
    to->n_promising = from->n_promising;
    to->finish = from->finish;
    to->is_reported = from->is_reported;
    to->state = from->state;
    to->n_bytes = from->n_bytes;
    to->n_given = from->n_given;
    to->log_probability = from->log_probability;
    return LAC_OK;
}

/* ---- Made ---- */

/* Decoding stays where it is: the text may be fed and go on. */
static void flush(const struct lac_generator *g, struct lac_text *t)
{
    struct lac_decode_state state = t->state;
    if (g->room)
        t->n_bytes +=
            lac_tokenizer_decode_end(g->model->tokenizer, &state, t->bytes + t->n_bytes, g->room);
}

static bool is_end(const struct lac_config *config, int32_t id)
{
    for (size_t i = 0; i < config->n_end_ids; i++)
        if (config->end_ids[i] == id)
            return true;
    return false;
}

/* Cuts the text at a stop string. */
static void look_for_stops(const struct lac_generator *g, struct lac_text *t)
{
    size_t end;
    if (!lac_stops_find(&g->options.stops, t->bytes, t->n_given, t->n_bytes, &end))
        return;
    t->n_bytes = end;
    t->finish = LAC_FINISH_STOP;
}

void lac_text_end(const struct lac_generator *g, struct lac_text *t, enum lac_finish finish)
{
    t->finish = finish;
    flush(g, t);
    look_for_stops(g, t);
}

void lac_text_retell(const struct lac_generator *g, struct lac_text *t, int32_t id)
{
    t->ids[t->n_ids++] = id;
    if (g->room)
        t->n_bytes += lac_tokenizer_decode_next(g->model->tokenizer, &t->state, id,
                                                t->bytes + t->n_bytes, g->room);
}

void lac_text_push(const struct lac_generator *g, struct lac_text *t, int32_t id,
                   double log_probability)
{
    lac_text_retell(g, t, id);
    t->log_probability += log_probability;
    look_for_stops(g, t);
    if (t->finish)
        return;
    if (is_end(&g->model->network->config, id))
        lac_text_end(g, t, LAC_FINISH_END);
    else if (!lac_text_room(g, t))
        lac_text_end(g, t, t->n_ids == g->max_tokens ? LAC_FINISH_CONTEXT : LAC_FINISH_LENGTH);
}

void lac_text_give(const struct lac_generator *g, struct lac_text *t, struct lac_event *event)
{
    size_t certain = t->n_bytes;
    if (!t->finish)
        lac_stops_find(&g->options.stops, t->bytes, t->n_given, t->n_bytes, &certain);
    event->text = t->bytes ? t->bytes + t->n_given : "";
    event->size = certain - t->n_given;
    t->n_given = certain;
}
