/* SPDX-License-Identifier: Apache-2.0 */
/* Attention's choices over a packed batch. */
#include "src/run/picked.h"

const struct lac_pick *lac_pick_of(const struct lac_member *m, size_t sequence, size_t layer,
                                   size_t head)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_kv *kv = m->forward->sequences[sequence]->kv;
    size_t kv_head = head / (config->n_heads / config->n_kv_heads);
    if (!m->forward->sights->pick_unit)
        return NULL;
    if (kv &&
        (lac_kv_gone(kv, layer, kv_head) ||
         (kv->shape.rules && kv->shape.rules->of[layer * config->n_kv_heads + kv_head].sight)))
        return NULL;
    return m->forward->sights->picks[layer * config->n_heads + head];
}

static size_t n_before(const struct lac_member *m, size_t sequence)
{
    const struct lac_kv *kv = m->forward->sequences[sequence]->kv;
    return kv ? kv->n_keys : 0;
}

struct lac_range lac_picked_for(const struct lac_member *m, size_t sequence,
                                const struct lac_pick *choice)
{
    const struct lac_sequence *s = m->forward->sequences[sequence];
    size_t unit = lac_pick_unit(choice), begin = n_before(m, sequence);
    if (!s->kv)
        return (struct lac_range){0, s->n_tokens};
    size_t end = lac_min_size(begin + s->n_tokens, s->n_text ? s->n_text - 1 : 0);
    return (struct lac_range){lac_round_up(begin, unit), end / unit * unit};
}

static bool is_in(struct lac_range range, size_t position)
{
    return position >= range.begin && position < range.end;
}

/* Those that are chosen for together with a position in `all`. */
static struct lac_range span_of(struct lac_range all, size_t position)
{
    size_t begin = position / LAC_PICK_SPAN * LAC_PICK_SPAN;
    return (struct lac_range){lac_max_size(begin, all.begin),
                              lac_min_size(begin + LAC_PICK_SPAN, all.end)};
}

static bool is_asked_by(const struct lac_member *m, size_t sequence, size_t token,
                        const struct lac_pick *choice)
{
    const struct lac_region *r = m->region;
    struct lac_range all = lac_picked_for(m, sequence, choice);
    size_t first = r->first[sequence], end = r->first[sequence + 1], before = n_before(m, sequence);
    for (size_t i = 0; i < r->n_kept; i++) {
        size_t position = before + r->kept[i] - first;
        if (r->kept[i] >= first && r->kept[i] < end && is_in(all, position) &&
            is_in(span_of(all, position), before + token))
            return true;
    }
    return false;
}

bool lac_is_asked(const struct lac_member *m, size_t layer, size_t sequence, size_t token)
{
    for (size_t head = 0; head < m->network->config.n_heads; head++) {
        const struct lac_pick *choice = lac_pick_of(m, sequence, layer, head);
        if (choice && is_asked_by(m, sequence, token, choice))
            return true;
    }
    return false;
}

/* Where those of a head lie, tile by tile. */
static void find_queries(const struct lac_member *m, size_t sequence, size_t head,
                         struct lac_range span, struct lac_query_segment *parts)
{
    const struct lac_config *config = &m->network->config;
    size_t at = m->region->first[sequence] + span.begin - n_before(m, sequence);
    size_t end = at + (span.end - span.begin);
    for (size_t n; at < end; at += n, parts++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, at / LAC_TILE);
        n = lac_min_size(end, (tile.index + 1) * LAC_TILE) - at;
        const float *q = lac_tile_f32(m->region->q, tile.index, lac_query_size(config));
        *parts = (struct lac_query_segment){
            .q = q + head * config->head_dim * tile.ld + at % LAC_TILE,
            .ld = tile.ld,
            .n_queries = n,
        };
    }
}

void lac_forget_picked(const struct lac_member *m)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    size_t n_keys = r->n_blocks * LAC_KEY_BLOCK;
    if (!m->forward->sights->pick_unit)
        return;
    const struct lac_pick_sizes sizes = {n_keys, config->head_dim, config->n_heads, &config->gates};
    char *room = r->pick_rooms + m->rank * lac_pick_room_bytes(&sizes);
    r->picking[m->rank] = lac_pick_room_at(room, &sizes);
    for (size_t head = 0; head < config->n_heads; head++)
        r->picked[m->rank * config->n_heads + head] = SIZE_MAX;
}

static struct lac_pick_gates gates_of(const struct lac_member *m, size_t sequence, size_t layer,
                                      size_t head)
{
    const struct lac_kv *kv = m->forward->sequences[sequence]->kv;
    const struct lac_config *config = &m->network->config;
    const struct lac_gates *kind = &config->gates;
    const struct lac_layer *of = &m->network->layers[layer];
    size_t group = config->n_heads / config->n_kv_heads;
    return (struct lac_pick_gates){
        .kind = kind,
        .query = kind->has_query ? &of->pooled_query : NULL,
        .key = &of->pooled_key,
        .query_row = head * kind->width,
        .key_row = (kind->has_query ? head / group : head) * kind->width,
        .turns = m->network->gate_turns,
        .rope = &config->rope,
        .pooled = kind->width ? lac_kv_head_pools(kv, layer, head / group) : NULL,
        .n_pooled = kind->width ? &kv->pools.n[layer * config->n_kv_heads + head / group] : NULL,
    };
}

static struct lac_pick_args args_of(const struct lac_member *m, size_t layer,
                                    const struct lac_keys *keys, const struct lac_pick_gates *gates)
{
    const struct lac_config *config = &m->network->config;
    return (struct lac_pick_args){
        .kernels = &m->network->kernels,
        .is_causal = lac_family_is_decoder(config->family),
        .head_dim = config->head_dim,
        .scale = lac_config_attention_scale(config, layer),
        .dtype = keys->dtype,
        .segments = keys->segments,
        .n_segments = keys->n_segments,
        .segment_keys = keys->segment_keys,
        .pages = (const void *const *)keys->pages,
        .n_keys = keys->n_keys,
        .gates = gates,
        .room = &m->region->picking[m->rank],
    };
}

void lac_pool_picked(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head)
{
    const struct lac_config *config = &m->network->config;
    size_t group = config->n_heads / config->n_kv_heads, n_keys = 0;
    for (size_t head = kv_head * group; head < (kv_head + 1) * group; head++) {
        const struct lac_pick *choice = lac_pick_of(m, sequence, layer, head);
        if (choice && choice->kind == LAC_PICK_GATED)
            n_keys = lac_picked_for(m, sequence, choice).end;
    }
    if (!n_keys)
        return;
    lac_forget_picked(m);
    struct lac_keys keys = lac_cached_keys(m, sequence, layer, kv_head);
    const struct lac_pick_gates gates = gates_of(m, sequence, layer, kv_head * group);
    struct lac_pick_args args = args_of(m, layer, &keys, &gates);
    lac_pick_pool_keys(&args, n_keys / LAC_PICK_QUERIES);
}

const uint64_t *lac_picked_bits(const struct lac_member *m, size_t sequence, size_t layer,
                                size_t head, size_t position, const struct lac_keys *keys)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    size_t group = config->n_heads / config->n_kv_heads, n_words = lac_pick_words(keys->n_keys);
    size_t room = LAC_SPAN_BLOCKS * lac_pick_words(r->n_blocks * LAC_KEY_BLOCK);
    size_t *chosen = &r->picked[m->rank * config->n_heads + head];
    const struct lac_pick *choice = lac_pick_of(m, sequence, layer, head);
    struct lac_range span = span_of(lac_picked_for(m, sequence, choice), position);
    uint64_t *bits = r->picked_bits + (m->rank * group + head % group) * room;
    if (*chosen != span.begin) {
        struct lac_query_segment parts[LAC_PICK_SPAN / LAC_TILE + 1];
        const struct lac_pick_gates gates = gates_of(m, sequence, layer, head);
        struct lac_pick_args args = args_of(m, layer, keys, &gates);
        find_queries(m, sequence, head, span, parts);
        args.choice = choice;
        args.queries = parts;
        args.first = span.begin;
        args.n_queries = span.end - span.begin;
        args.bits = bits;
        lac_pick_keys(&args);
        *chosen = span.begin;
    }
    return bits + (position - span.begin) / LAC_PICK_QUERIES * n_words;
}
