/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a decoder. */
#include "src/run/decoder.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/core.h"
#include "src/run/kv_votes.h"
#include "src/run/looked_up.h"
#include "src/run/steps.h"
#include "src/run/trial.h"

static const struct lac_head head = {.task = LAC_TASK_GENERATE};

/* Beyond any use, and products with the number of workers still fit. */
enum { MOST_BATCH_TOKENS = 1 << 16 };

enum lac_status lac_decoder_open(struct lac_decoder *d, const struct lac_host *host,
                                 const struct lac_network *network, struct lac_pool *pool,
                                 const struct lac_decoder_options *options, struct lac_error *error)
{
    const struct lac_sights *sights = options->sights ? options->sights : &network->sights;
    size_t unit = lac_max_size(sights->pick_unit, options->trial ? options->trial->pick_unit : 0);
    *d = (struct lac_decoder){
        .host = host,
        .network = network,
        .pool = pool,
        .sights = sights,
        .trial = options->trial,
        .pick_unit = unit,
        .batch_tokens = lac_max_size(lac_max_size(1, unit),
                                     lac_min_size(options->batch_tokens, MOST_BATCH_TOKENS)),
        .region = {.host = host, .has_picks = unit, .has_lists = options->activations != NULL},
        .activations = options->activations,
    };
    d->kept = lac_alloc(host, d->batch_tokens, sizeof *d->kept);
    return d->kept ? LAC_OK : lac_fail(error, LAC_E_MEMORY, "no memory for a decoder");
}

void lac_decoder_close(struct lac_decoder *d)
{
    if (d->host)
        lac_region_clear(&d->region);
    lac_free(d->host, d->parts);
    lac_free(d->host, d->order);
    lac_free(d->host, d->n_before);
    lac_free(d->host, d->kept);
    *d = (struct lac_decoder){0};
}

struct lac_kv_shape lac_decoder_kv_shape(const struct lac_network *network, enum lac_dtype dtype)
{
    enum lac_dtype usual = lac_dtype_is_quantized(network->dtype) ? LAC_S8 : LAC_F32;
    return (struct lac_kv_shape){
        .n_layers = network->config.n_layers,
        .n_heads = network->config.n_kv_heads,
        .head_dim = network->config.head_dim,
        .dtype = dtype ? dtype : usual,
        .n_pooled = lac_gates_inputs(network->config.gates.key_pools, network->config.head_dim),
    };
}

static enum lac_status reserve_parts(struct lac_decoder *d, size_t n, struct lac_error *error)
{
    if (n <= d->capacity)
        return LAC_OK;
    size_t capacity = lac_max_size(n, d->capacity * 2);
    struct lac_sequence *parts = lac_alloc(d->host, capacity, sizeof *parts);
    const struct lac_sequence **order = lac_alloc(d->host, capacity, sizeof *order);
    size_t *n_before = lac_alloc(d->host, capacity, sizeof *n_before);
    bool is_good = parts && order && n_before;
    lac_free(d->host, is_good ? d->parts : parts);
    lac_free(d->host, is_good ? d->order : order);
    lac_free(d->host, is_good ? d->n_before : n_before);
    if (!is_good)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu texts", n);
    d->parts = parts;
    d->order = order;
    d->n_before = n_before;
    d->capacity = capacity;
    return LAC_OK;
}

/* One pass: some tokens of some texts. */
struct pass {
    struct lac_decoder *decoder;
    size_t n_texts, n_tokens, n_kept, n_keys; /* n_keys: of the longest */
    size_t n_places;                          /* the same as attention counts them */
    size_t page_bytes;                        /* of whole pages, if there are compact ones */
};

/* Where attention is chosen, passes end where units of queries do: no pass decides over a part. */
static size_t cut_units(const struct lac_decoder *d, const struct lac_kv *kv, size_t n, size_t left)
{
    size_t unit = d->pick_unit;
    if (!unit || n == left)
        return n;
    size_t end = (kv->n_keys + n) / unit * unit;
    return end > kv->n_keys ? end - kv->n_keys : 0;
}

/* The position where a pass over the text ends: that of the prompt, if a cache acts there or a core
 * depends on it as a whole. */
static size_t stop_of(const struct lac_step_text *text)
{
    size_t n_prompt = text->n_prompt, stop = lac_kv_stop(text->kv, n_prompt);
    return text->usage && text->kv->n_keys < n_prompt ? lac_min_size(stop, n_prompt) : stop;
}

/* The next tokens of a text, as many as there is room for; false: not one. */
static bool add_part(struct pass *pass, const struct lac_step_text *text, size_t n_before)
{
    struct lac_decoder *d = pass->decoder;
    size_t n_done = text->kv->n_keys - n_before;
    size_t stop = stop_of(text) - text->kv->n_keys;
    size_t room = lac_min_size(d->batch_tokens - pass->n_tokens, stop);
    size_t left = text->n_tokens - n_done, n = lac_min_size(left, room);
    if (n < stop)
        n = cut_units(d, text->kv, n, left);
    if (!n)
        return false;
    size_t first_next = text->n_tokens - text->n_next; /* of the text's tokens */
    size_t first = lac_max_size(first_next, n_done), end = n_done + n;
    struct lac_sequence *part = &d->parts[pass->n_texts];
    *part = (struct lac_sequence){
        .ids = text->ids + n_done,
        .n_tokens = n,
        .kept = d->kept + pass->n_kept,
        .kv = text->kv,
        .n_text = text->n_text,
        .n_prompt = text->n_prompt,
        .next = first < end ? text->next + (first - first_next) : NULL,
        .n_full = text->n_prompt - lac_min_size(text->n_prompt, text->kv->n_keys),
        .usage = text->usage,
    };
    for (size_t i = first; i < end; i++) {
        d->kept[pass->n_kept++] = (uint32_t)(i - n_done);
        part->n_kept++;
    }
    d->order[pass->n_texts++] = part;
    pass->n_tokens += n;
    const struct lac_kv_shape *shape = &text->kv->shape;
    pass->n_keys = lac_max_size(pass->n_keys, lac_kv_most_slots(text->kv) + n);
    /* Behind a memory come the window's. */
    bool has_memory = shape->rules && shape->rules->has_memory;
    size_t n_places = text->kv->n_keys + n + (has_memory ? LAC_WINDOW_SHIFT * LAC_KEY_BLOCK : 0);
    pass->n_places = lac_max_size(pass->n_places, n_places);
    if (shape->rules && shape->rules->form)
        pass->page_bytes = lac_kv_page_bytes(shape->dtype, shape->head_dim);
    return true;
}

/* What the cache's rules give up goes before room is made for what comes.  The last token that is
 * certain may have to go through again: it waits for the next step. */
static enum lac_status make_room(const struct lac_step_text *text, struct lac_sequence *part,
                                 struct lac_error *error)
{
    struct lac_kv *kv = text->kv;
    size_t n_sure = lac_min_size(kv->n_keys, text->n_text - 1);
    enum lac_status status = lac_kv_settle(kv, n_sure, text->n_prompt, error);
    if (!status)
        status = lac_kv_vote(kv, text->n_prompt, part->n_tokens, &part->n_voters, error);
    return status ? status : lac_kv_reserve(kv, part->n_tokens, error);
}

/* A core is there before the first token that goes on with it. */
static enum lac_status make_core(const struct lac_decoder *d, const struct lac_step_text *text,
                                 struct lac_error *error)
{
    if (!text->usage)
        return LAC_OK;
    if (text->kv->n_keys < text->n_prompt)
        return lac_usage_reserve(text->usage, error);
    return lac_usage_choose(text->usage, d->activations->policy.core_share, error);
}

static void advance(const struct lac_step_text *text, const struct lac_sequence *part)
{
    lac_kv_advance(text->kv, part->n_tokens);
    if (text->usage && part->n_full)
        lac_usage_advance(text->usage, text->kv->n_keys);
}

static void run_member(const struct lac_team *team, size_t rank, void *arg)
{
    const struct pass *pass = arg;
    struct lac_forward forward = {
        .network = pass->decoder->network,
        .sights = pass->decoder->sights,
        .head = &head,
        .region = &pass->decoder->region,
        .sequences = pass->decoder->order,
        .n_sequences = pass->n_texts,
        .n_tokens = pass->n_tokens,
        .activations = pass->decoder->activations,
        .trial = pass->decoder->trial,
    };
    lac_forward_run(team, rank, &forward);
}

static bool is_worth_a_team(const struct pass *pass)
{
    const struct lac_kv_shape *shape = &pass->decoder->parts[0].kv->shape;
    size_t kv_bytes = lac_kv_page_bytes(shape->dtype, shape->head_dim) * shape->n_heads *
                      (pass->n_keys / LAC_LANES);
    return lac_layer_bytes(pass->decoder->network) * pass->n_tokens + kv_bytes >= LAC_TEAM_BYTES;
}

static void take_counts(struct lac_decoder *d)
{
    for (size_t i = 0; d->activations && i < d->region.n_members; i++) {
        struct lac_neuron_counts *c = &d->region.counts[i];
        d->counts.n_neurons += c->n_neurons;
        d->counts.n_active += c->n_active;
        d->counts.n_stored += c->n_stored;
        d->counts.n_read += c->n_read;
        *c = (struct lac_neuron_counts){0};
    }
}

static enum lac_status run_pass(struct pass *pass, struct lac_error *error)
{
    struct lac_decoder *d = pass->decoder;
    enum lac_status status =
        lac_region_reserve(&d->region, d->network, &head, lac_pool_size(d->pool), pass->n_tokens,
                           pass->n_places, pass->page_bytes, error);
    if (status)
        return status;
    if (is_worth_a_team(pass))
        lac_pool_run(d->pool, run_member, pass);
    else
        run_member(&lac_team_self, 0, pass);
    take_counts(d);
    return LAC_OK;
}

/* Rounds of passes: in each, texts take turns in their order until the pass is full. */
static enum lac_status run_texts(struct lac_decoder *d, const struct lac_step_text *texts, size_t n,
                                 bool (*should_stop)(void *), void *context,
                                 struct lac_error *error)
{
    size_t next = 0;
    while (next < n) {
        struct pass pass = {.decoder = d};
        size_t first = next;
        if (should_stop && should_stop(context))
            return lac_fail(error, LAC_E_CANCELLED, "cancelled");
        while (next < n && pass.n_tokens < d->batch_tokens) {
            const struct lac_step_text *text = &texts[next];
            if (!add_part(&pass, text, d->n_before[next]))
                break;
            size_t n_keys = text->kv->n_keys + d->parts[pass.n_texts - 1].n_tokens;
            if (n_keys < d->n_before[next] + text->n_tokens)
                break; /* the rest of it comes first in the next pass */
            next++;
        }
        enum lac_status status = LAC_OK;
        for (size_t i = 0; i < pass.n_texts && !status; i++)
            status = make_room(&texts[first + i], &d->parts[i], error);
        for (size_t i = 0; i < pass.n_texts && !status; i++)
            status = make_core(d, &texts[first + i], error);
        if (!status)
            status = run_pass(&pass, error);
        if (status)
            return status;
        for (size_t i = 0; i < pass.n_texts; i++)
            advance(&texts[first + i], &d->parts[i]);
    }
    return LAC_OK;
}

enum lac_status lac_decoder_run(struct lac_decoder *d, const struct lac_step_text *texts, size_t n,
                                bool (*should_stop)(void *context), void *context,
                                struct lac_error *error)
{
    enum lac_status status = reserve_parts(d, n, error);
    if (status)
        return status;
    for (size_t i = 0; i < n; i++)
        d->n_before[i] = texts[i].kv->n_keys;
    for (size_t i = 0; i < n && !status; i++)
        if (!texts[i].kv->shape.rules)
            status = lac_kv_reserve(texts[i].kv, texts[i].n_tokens, error);
    if (!status)
        status = run_texts(d, texts, n, should_stop, context, error);
    for (size_t i = 0; i < n && status; i++)
        lac_kv_truncate(texts[i].kv, lac_max_size(d->n_before[i], texts[i].kv->n_least));
    return status;
}
