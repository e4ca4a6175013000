/* SPDX-License-Identifier: Apache-2.0 */
/* Attention on trial: what heads would make of the same queries, keys and values by other rules. */
#include "src/run/trial.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/keys.h"

enum lac_status lac_trial_open(struct lac_trial *t, const struct lac_host *host,
                               const struct lac_network *network, const struct lac_sights *sights,
                               size_t n_sights, size_t n_tokens, size_t n_members,
                               struct lac_error *error)
{
    const struct lac_config *config = &network->config;
    size_t n_heads = config->n_layers * config->n_heads, n_lanes = 0, n_outputs = 0;
    *t = (struct lac_trial){
        .host = host,
        .network = network,
        .sights = sights,
        .n_sights = n_sights,
        .n_members = n_members,
    };
    for (size_t i = 0; i < n_sights; i++)
        t->pick_unit = lac_max_size(t->pick_unit, sights[i].pick_unit);
    if (lac_round_up_size(n_tokens, LAC_TILE, &n_lanes) &&
        lac_mul_size(n_lanes, lac_query_size(config), &n_outputs))
        t->outputs = lac_alloc(host, n_outputs, sizeof *t->outputs);
    t->n_lanes = n_lanes;
    t->n_blocks = lac_alloc(host, n_members, config->n_heads * sizeof *t->n_blocks);
    t->heads = lac_alloc_zero(host, n_sights, n_heads * sizeof *t->heads);
    if (t->outputs && t->n_blocks && t->heads)
        return LAC_OK;
    lac_trial_close(t);
    return lac_fail(error, LAC_E_MEMORY, "no memory to try %zu rules on %zu tokens", n_sights,
                    n_tokens);
}

void lac_trial_close(struct lac_trial *t)
{
    lac_free(t->host, t->outputs);
    lac_free(t->host, t->n_blocks);
    lac_free(t->host, t->heads);
    *t = (struct lac_trial){0};
}

/* A head's features of a tile. */
static void add_tile(const float *x, const float *first, size_t n_features, struct lac_tile tile,
                     struct lac_trial_head *sums)
{
    double square = 0, error = 0;
    for (size_t i = 0; i < n_features; i++, x += tile.ld, first += tile.ld)
        for (size_t lane = 0; lane < tile.n_tokens; lane++) {
            double difference = (double)x[lane] - (double)first[lane];
            square += (double)x[lane] * (double)x[lane];
            error += difference * difference;
        }
    sums->square += square;
    sums->error += error;
    sums->worst = error > sums->worst ? error : sums->worst;
    sums->n_tokens += (double)tile.n_tokens;
}

/* What the rules gave one head: kept, if they are the first, and added to its sums. */
static void take_head(const struct lac_member *m, size_t head, bool is_first,
                      struct lac_trial_head *sums)
{
    const struct lac_trial *t = m->forward->trial;
    const struct lac_config *config = &m->network->config;
    size_t n_features = lac_query_size(config), head_dim = config->head_dim;
    for (size_t i = 0; i < lac_tiles(m->n_tokens); i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        const float *x = lac_tile_f32(m->region->a, i, n_features) + head * head_dim * tile.ld;
        float *first = lac_tile_f32(t->outputs, i, n_features) + head * head_dim * tile.ld;
        if (is_first)
            memcpy(first, x, head_dim * tile.ld * sizeof *x);
        add_tile(x, first, head_dim, tile, sums);
    }
    for (size_t i = 0; i < m->team->size; i++)
        sums->n_blocks += (double)t->n_blocks[i * config->n_heads + head];
}

/* The rules of the pass come last again: what they leave behind is what it goes on with. */
void lac_run_trial(const struct lac_member *m, size_t layer, bool is_last)
{
    const struct lac_trial *t = m->forward->trial;
    size_t n_heads = m->network->config.n_heads, n_layers = m->network->config.n_layers;
    struct lac_forward forward = *m->forward;
    struct lac_member other = *m;
    other.forward = &forward;
    forward.n_blocks = t->n_blocks;
    for (size_t i = 0; i < t->n_sights; i++) {
        struct lac_trial_head *sums = t->heads + (i * n_layers + layer) * n_heads;
        forward.sights = &t->sights[i];
        memset(t->n_blocks + m->rank * n_heads, 0, n_heads * sizeof *t->n_blocks);
        if (i && lac_family_is_decoder(m->network->config.family)) {
            lac_pool_keys(&other, layer);
            lac_team_barrier(m->team, m->rank);
        }
        lac_attend(&other, layer, is_last);
        lac_team_barrier(m->team, m->rank);
        for (size_t head = m->rank; head < n_heads; head += m->team->size)
            take_head(m, head, !i, &sums[head]);
        lac_team_barrier(m->team, m->rank);
    }
    lac_attend(m, layer, is_last);
}
