/* SPDX-License-Identifier: Apache-2.0 */
/* The texts of a session that generates: opening, places, room for steps. */
#include "src/api/generator.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/kv_channels.h"

/* ---- Opening ---- */

static enum lac_status check_draft(const struct lac_generator *g, struct lac_error *error)
{
    const struct lac_model *draft = g->options.draft;
    const struct lac_config *own = &g->model->network->config;
    if (!draft)
        return LAC_OK;
    if (!(draft->network->config.tasks & LAC_TASK_GENERATE))
        return lac_fail(error, LAC_E_ARGUMENT, "the draft, %s, does not generate",
                        draft->network->config.architecture);
    if (draft->network->config.vocab_size != own->vocab_size)
        return lac_fail(error, LAC_E_ARGUMENT, "the draft has %zu words, the model %zu",
                        draft->network->config.vocab_size, own->vocab_size);
    return LAC_OK;
}

static enum lac_status check_options(const struct lac_generator *g, struct lac_error *error)
{
    const struct lac_generation_options *o = &g->options;
    if (o->kv_dtype && o->kv_dtype != LAC_F32 && o->kv_dtype != LAC_BF16 && o->kv_dtype != LAC_S8)
        return lac_fail(error, LAC_E_ARGUMENT, "no cache has number format %d", (int)o->kv_dtype);
    if (o->n_speculated > LAC_MAX_SPECULATED)
        return lac_fail(error, LAC_E_ARGUMENT, "%zu tokens guessed; at most %d can be",
                        o->n_speculated, LAC_MAX_SPECULATED);
    if (o->stops.n && !g->model->tokenizer)
        return lac_fail(error, LAC_E_ARGUMENT, "stop strings, but the model has no tokenizer");
    enum lac_status status = lac_sampling_check(&o->sampling, error);
    if (!status)
        status = lac_kv_policy_check(&o->kv_policy, &g->model->network->config, error);
    if (!status)
        status = lac_activations_policy_check(&o->activations, g->model->network, error);
    return status ? status : check_draft(g, error);
}

static enum lac_status open_decoder(const struct lac_generator *g, struct lac_decoder *decoder,
                                    const struct lac_model *model,
                                    struct lac_decoder_options options, struct lac_error *error)
{
    const struct lac_network *network = model->network;
    options.batch_tokens =
        g->options.batch_tokens ? g->options.batch_tokens : network->batch_tokens;
    return lac_decoder_open(decoder, g->host, network, model->engine->pool, &options, error);
}

static enum lac_status open_decoders(struct lac_generator *g, struct lac_error *error)
{
    const struct lac_attention_text *plan = &g->options.attention;
    struct lac_decoder_options own = {
        .activations = g->activations.policy.rule ? &g->activations : NULL,
        .sights = plan->text ? &g->sights : NULL,
    };
    enum lac_status status = LAC_OK;
    if (plan->text)
        status = lac_sights_read(g->model->network, plan->text, plan->size, &g->arena, &g->sights,
                                 error);
    if (!status)
        status = open_decoder(g, &g->decoder, g->model, own, error);
    if (!status && g->options.draft)
        status =
            open_decoder(g, &g->draft, g->options.draft, (struct lac_decoder_options){0}, error);
    return status;
}

static enum lac_status open_generator(struct lac_generator *g, struct lac_error *error)
{
    enum lac_status status = check_options(g, error);
    if (status)
        return status;
    const struct lac_network *network = g->model->network;
    status =
        lac_kv_rules_make(g->host, &g->options.kv_policy, &network->config, &g->kv_rules, error);
    if (!status)
        status = lac_kv_find_channels(g->kv_rules, network, error);
    if (status)
        return status;
    g->kv_shape = lac_decoder_kv_shape(network, g->options.kv_dtype);
    g->kv_shape.rules = g->kv_rules;
    g->max_tokens = lac_kv_most_tokens(g->kv_rules, &network->config);
    g->draft_shape = lac_decoder_kv_shape(g->options.draft ? g->options.draft->network : network,
                                          g->options.kv_dtype);
    g->room = g->model->tokenizer ? lac_tokenizer_decode_room(g->model->tokenizer) : 0;
    g->scratch = lac_alloc(g->host, g->room, 1);
    if (!g->scratch)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a token of %zu bytes", g->room);
    g->activations.policy = g->options.activations;
    status = open_decoders(g, error);
    return status ? status
                  : lac_sampler_open(&g->sampler, g->host, network->config.vocab_size, error);
}

enum lac_status lac_generator_new(struct lac_model *model,
                                  const struct lac_generation_options *options,
                                  struct lac_generator **generator, struct lac_error *error)
{
    const struct lac_host *host = &model->engine->host;
    struct lac_generator *g = lac_alloc_zero(host, 1, sizeof *g);
    if (!g)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a session");
    g->host = host;
    g->arena.host = host;
    g->model = model;
    g->options = *options;
    g->options.stops = (struct lac_stops){0};
    g->options.kv_policy = (struct lac_kv_policy){0};
    g->options.activations = (struct lac_activations_policy){0};
    g->options.attention = (struct lac_attention_text){0};
    enum lac_status status =
        lac_stops_open(&g->options.stops, host, (const char *const *)options->stops.texts,
                       options->stops.n, error);
    if (!status)
        status = lac_kv_policy_copy(host, &options->kv_policy, &g->options.kv_policy, error);
    if (!status)
        status = lac_activations_policy_copy(host, &options->activations, &g->options.activations,
                                             error);
    if (!status)
        status = lac_attention_text_copy(host, &options->attention, &g->options.attention, error);
    if (!status)
        status = open_generator(g, error);
    if (status) {
        lac_generator_free(g);
        return status;
    }
    *generator = g;
    return LAC_OK;
}

void lac_generator_clear(struct lac_generator *g)
{
    for (size_t i = 0; i < g->n_texts; i++)
        lac_text_clear(g, &g->texts[i]);
    g->n_texts = 0;
}

void lac_generator_free(struct lac_generator *g)
{
    if (!g)
        return;
    lac_generator_clear(g);
    lac_stops_close(&g->options.stops);
    lac_kv_policy_clear(g->host, &g->options.kv_policy);
    lac_activations_policy_clear(g->host, &g->options.activations);
    lac_attention_text_clear(g->host, &g->options.attention);
    lac_free(g->host, g->kv_rules);
    lac_decoder_close(&g->decoder);
    lac_decoder_close(&g->draft);
    lac_arena_clear(&g->arena);
    if (g->sampler.host)
        lac_sampler_close(&g->sampler);
    void *const arrays[] = {g->texts, g->scratch, g->turns, g->steps,
                            g->nexts, g->logits,  g->events};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        lac_free(g->host, arrays[i]);
    lac_free(g->host, g);
}

/* ---- Texts ---- */

enum lac_status lac_generator_place(struct lac_generator *g, size_t *index, struct lac_error *error)
{
    size_t i = 0;
    while (i < g->n_texts && g->texts[i].is_used)
        i++;
    if (i == g->text_capacity) {
        size_t n = i ? 2 * i : 8;
        struct lac_text *texts = lac_realloc(g->host, g->texts, i, n, sizeof *texts);
        if (!texts)
            return lac_fail(error, LAC_E_MEMORY, "no memory for %zu sequences", n);
        g->texts = texts;
        g->text_capacity = n;
    }
    if (i == g->n_texts)
        lac_text_init(g, &g->texts[g->n_texts++]);
    *index = i;
    return LAC_OK;
}

enum lac_status lac_generator_find(struct lac_generator *g, size_t sequence, struct lac_text **text,
                                   struct lac_error *error)
{
    if (sequence >= g->n_texts || !g->texts[sequence].is_used)
        return lac_fail(error, LAC_E_ARGUMENT, "no sequence %zu", sequence);
    *text = &g->texts[sequence];
    return LAC_OK;
}

size_t lac_generator_sequences(const struct lac_generator *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_texts; i++)
        n += g->texts[i].is_used;
    return n;
}

size_t lac_generator_tokens(const struct lac_generator *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n_texts; i++)
        n += g->texts[i].n_ids;
    return n;
}

bool lac_generator_should_stop(void *generator)
{
    struct lac_generator *g = generator;
    return atomic_exchange_explicit(&g->is_cancelled, false, memory_order_relaxed);
}

/* ---- Room for steps ---- */

/* What steps need is made anew in each: nothing is copied. */
static bool renew(const struct lac_host *host, void **memory, size_t n, size_t size)
{
    void *larger = lac_alloc(host, n, size);
    if (larger) {
        lac_free(host, *memory);
        *memory = larger;
    }
    return larger != NULL;
}

static bool reserve_turns(struct lac_generator *g, size_t n)
{
    if (n <= g->step_capacity)
        return true;
    n = lac_max_size(n, 2 * g->step_capacity);
    void *turns = g->turns, *steps = g->steps;
    bool good = renew(g->host, &turns, n, sizeof *g->turns);
    g->turns = turns;
    good = good && renew(g->host, &steps, n, sizeof *g->steps);
    g->steps = steps;
    g->step_capacity = good ? n : g->step_capacity;
    return good;
}

static bool reserve_nexts(struct lac_generator *g, size_t n)
{
    if (n <= g->next_capacity)
        return true;
    n = lac_max_size(n, 2 * g->next_capacity);
    void *nexts = g->nexts;
    bool good = renew(g->host, &nexts, n, sizeof *g->nexts);
    g->nexts = nexts;
    g->next_capacity = good ? n : g->next_capacity;
    return good;
}

static bool reserve_events(struct lac_generator *g, size_t n)
{
    if (n <= g->event_capacity)
        return true;
    n = lac_max_size(n, 2 * g->event_capacity);
    void *events = g->events;
    bool good = renew(g->host, &events, n, sizeof *g->events);
    g->events = events;
    g->event_capacity = good ? n : g->event_capacity;
    return good;
}

static bool reserve_logits(struct lac_generator *g, size_t n_rows)
{
    size_t size;
    if (n_rows <= g->logit_rows)
        return true;
    void *logits = g->logits;
    bool good = lac_mul_size(g->model->network->config.vocab_size, sizeof *g->logits, &size) &&
                renew(g->host, &logits, n_rows, size);
    g->logits = logits;
    g->logit_rows = good ? n_rows : g->logit_rows;
    return good;
}

enum lac_status lac_generator_reserve(struct lac_generator *g, size_t n_texts, size_t n_nexts,
                                      bool with_logits, struct lac_error *error)
{
    if (reserve_turns(g, n_texts) && reserve_nexts(g, n_nexts) &&
        reserve_events(g, n_texts + n_nexts) && (!with_logits || reserve_logits(g, n_nexts)))
        return LAC_OK;
    return lac_fail(error, LAC_E_MEMORY, "no memory for a step of %zu texts and %zu tokens",
                    n_texts, n_nexts);
}
