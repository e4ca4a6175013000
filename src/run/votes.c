/* SPDX-License-Identifier: Apache-2.0 */
/* The votes of tokens on the keys of each head: src/run/kv_votes.h. */
#include "simd/attention.h"
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
        .pages = (const void *const *)lac_kv_head(kv, layer, kv_head),
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
        m->network->kernels.attention_row[kv->shape.dtype]->run.attention_row(&args);
    }
}

void lac_run_votes(const struct lac_member *m, size_t layer)
{
    size_t n_heads = m->network->config.n_kv_heads, begin, end;
    lac_team_range(m->team, m->rank, m->forward->n_sequences * n_heads, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        const struct lac_sequence *s = m->forward->sequences[i / n_heads];
        size_t head = layer * n_heads + i % n_heads;
        if (s->n_voters && lac_kv_is_voted(&s->kv->shape.rules->of[head]))
            vote(m, i / n_heads, layer, i % n_heads);
    }
}
