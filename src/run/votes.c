/* SPDX-License-Identifier: Apache-2.0 */
/* The votes of tokens on the keys of each head: src/run/kv_votes.h. */
#include "simd/attention.h"
#include "src/run/expanded.h"
#include "src/run/kv_votes.h"
#include "src/run/member.h"

/* All of the first n keys, in lac_ceil_div(n, LAC_KEY_BLOCK) entries. */
static size_t list_all(size_t n_keys, struct lac_seen_keys *seen)
{
    size_t n = 0;
    for (size_t first = 0; first < n_keys; first += LAC_KEY_BLOCK, n++) {
        size_t left = lac_min_size(n_keys - first, LAC_KEY_BLOCK);
        seen[n] = (struct lac_seen_keys){n, ~UINT64_C(0) >> (LAC_KEY_BLOCK - left)};
    }
    return n;
}

/* Queries of a token and heads [first, first + n) of a layer, side by side. */
static void copy_queries(const struct lac_member *m, size_t token, size_t first, size_t n,
                         float *to)
{
    const struct lac_config *config = &m->network->config;
    struct lac_tile tile = lac_tile_at(m, m->n_tokens, token / LAC_TILE);
    const float *q = lac_tile_f32(m->region->q, tile.index, lac_query_size(config)) +
                     first * config->head_dim * tile.ld + token % LAC_TILE;
    for (size_t i = 0; i < n * config->head_dim; i++)
        to[i] = q[i * tile.ld];
}

/* A head's votes do not depend on how its prompt was cut: its voters come one after another, and
 * nobody else adds to them. */
static void vote(const struct lac_member *m, size_t sequence, size_t layer, size_t kv_head)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_region *r = m->region;
    const struct lac_sequence *s = m->forward->sequences[sequence];
    const struct lac_kv *kv = s->kv;
    size_t group = config->n_heads / config->n_kv_heads, n = lac_query_size(config);
    float *row = r->row + m->rank * 2 * n;
    /* It held what the last token saw. */
    r->seen_rows[m->rank].sight = NULL;
    struct lac_attention_row_args args = {
        .q = row,
        .n_queries = group,
        .head_dim = config->head_dim,
        .scale = lac_config_attention_scale(config, layer),
        .seen = r->seen_keys + m->rank * r->n_blocks,
        .y = row + n,
        .votes = lac_kv_head_votes(kv, layer, kv_head),
        .scores = lac_kv_scores(kv, kv_head),
        .scores_ld = kv->votes->n_slots,
    };
    for (size_t i = s->n_tokens - s->n_voters; i < s->n_tokens; i++) {
        size_t slot = kv->n_keys + i - lac_kv_gone(kv, layer, kv_head);
        args.n_seen = list_all(slot + 1, r->seen_keys + m->rank * r->n_blocks);
        copy_queries(m, r->first[sequence] + i, kv_head * group, group, row);
        lac_run_row(m, kv, layer, kv_head, &args);
    }
}

/* On features: how large queries are there. */
static void vote_on_features(const struct lac_member *m, size_t sequence, size_t layer,
                             size_t kv_head)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_sequence *s = m->forward->sequences[sequence];
    size_t group = config->n_heads / config->n_kv_heads, head_dim = config->head_dim;
    float *row = m->region->row + m->rank * 2 * lac_query_size(config);
    float *votes = lac_kv_head_votes(s->kv, layer, kv_head);
    m->region->seen_rows[m->rank].sight = NULL;
    for (size_t i = s->n_tokens - s->n_voters; i < s->n_tokens; i++) {
        copy_queries(m, m->region->first[sequence] + i, kv_head * group, group, row);
        for (size_t k = 0; k < group * head_dim; k++)
            votes[k % head_dim] += row[k] * row[k];
    }
}

void lac_run_votes(const struct lac_member *m, size_t layer)
{
    size_t n_heads = m->network->config.n_kv_heads, begin, end;
    lac_team_range(m->team, m->rank, m->forward->n_sequences * n_heads, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const struct lac_sequence *s = m->forward->sequences[i / n_heads];
        if (!s->n_voters)
            continue;
        const struct lac_kv_rule *rule = &s->kv->shape.rules->of[layer * n_heads + i % n_heads];
        if (rule->kind == LAC_KV_THIN)
            vote_on_features(m, i / n_heads, layer, i % n_heads);
        else if (lac_kv_is_voted(rule))
            vote(m, i / n_heads, layer, i % n_heads);
    }
}
