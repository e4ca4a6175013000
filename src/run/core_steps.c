/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens that go on with cores. */
#include "src/run/core_steps.h"

#include "src/run/activations.h"
#include "src/run/choose.h"

/* Tokens of a tile side by side that have the same core. */
struct part {
    const struct lac_core *core;
    size_t lane, n_tokens;
};

static const struct lac_core *core_at(const struct lac_member *m, struct lac_tile tile, size_t lane)
{
    return lane < tile.n_tokens ? m->region->core[lac_token_of(m, tile, lane)] : NULL;
}

static size_t layer_index(const struct lac_member *m, const struct lac_layer *layer)
{
    return (size_t)(layer - m->network->layers);
}

/* Kernels with tokens in lanes want whole panels; the others take any lanes of one.  (Of x they
 * may read lanes behind these, in the last row past its end: into what the region has next.) */
static bool takes_lanes(const struct lac_core_layer *layer, size_t n_tokens)
{
    for (size_t i = 0; i < LAC_CORE_LINEARS; i++)
        if (layer->linears[i].few == layer->linears[i].many ||
            n_tokens >= layer->linears[i].few_below)
            return false;
    return true;
}

static bool is_worth_parts(const struct lac_layer *layer, size_t index, const struct part *parts,
                           size_t n)
{
    size_t n_bytes = 0, n_whole = lac_weight_bytes(&layer->gate.weight) +
                                  lac_weight_bytes(&layer->up.weight) +
                                  lac_weight_bytes(&layer->down.weight);
    for (size_t i = 0; i < n; i++) {
        if (!takes_lanes(&parts[i].core->layers[index], parts[i].n_tokens))
            return false;
        n_bytes += parts[i].core->layers[index].n_bytes;
    }
    return n_bytes < n_whole;
}

/* 0: the tile goes through the whole matrices. */
static size_t find_parts(const struct lac_member *m, const struct lac_layer *layer,
                         struct lac_tile tile, struct part parts[LAC_LANES])
{
    size_t n = 0, index = layer_index(m, layer);
    for (size_t t = 0; t < tile.n_tokens; t++) {
        const struct lac_core *core = core_at(m, tile, t);
        if (!core || !core->layers[index].n_bytes)
            return 0;
        if (n && parts[n - 1].core == core) {
            parts[n - 1].n_tokens++;
            continue;
        }
        if (n == LAC_LANES)
            return 0;
        parts[n++] = (struct part){core, t, 1};
    }
    return n <= 1 || is_worth_parts(layer, index, parts, n) ? n : 0;
}

static float *lane_of(const float *panel, size_t lane)
{
    return panel ? (float *)panel + lane : NULL;
}

static void run_part(const struct lac_member *m, const struct lac_linear *linear,
                     struct lac_tile tile, const struct part *part, struct lac_input x,
                     struct lac_output y)
{
    struct lac_rows rows = m->shares_rows ? lac_share_rows(m, linear) : lac_all_rows(linear);
    tile.n_tokens = part->n_tokens;
    x.panel = (const uint8_t *)x.panel + part->lane * 4; /* a float, or four bytes */
    x.scale = lane_of(x.scale, part->lane);
    y.factor = lane_of(y.factor, part->lane);
    y.residual = lane_of(y.residual, part->lane);
    y.y = lane_of(y.y, part->lane);
    y.abs_max = lane_of(y.abs_max, part->lane);
    lac_run_linear(linear, tile, rows, x, y);
}

bool lac_run_core(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                  enum lac_core_linear which, struct lac_input x, struct lac_output y)
{
    struct part parts[LAC_LANES];
    if (m->forward->activations->policy.rule != LAC_ACTIVATIONS_CORE)
        return false;
    size_t n = find_parts(m, layer, tile, parts), index = layer_index(m, layer);
    for (size_t i = 0; i < n; i++)
        run_part(m, &parts[i].core->layers[index].linears[which], tile, &parts[i], x, y);
    return n;
}

/* ---- Between the products ---- */

/* Neurons between those listed become 0. */
static void silence(float *x, size_t ld, size_t n_neurons, const uint32_t *list, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i <= n; i++, k++)
        for (size_t end = i < n ? list[i] : n_neurons; k < end; k++)
            x[k * ld] = 0;
}

static void count_tile(const struct lac_member *m, struct lac_tile tile, size_t n_read)
{
    struct lac_neuron_counts *counts = &m->region->counts[m->rank];
    size_t n_neurons = m->network->config.intermediate_size, n_with_core = 0;
    for (size_t t = 0; t < tile.n_tokens; t++) {
        const struct lac_core *core = core_at(m, tile, t);
        counts->n_neurons += core ? n_neurons : 0;
        counts->n_active += core ? core->n_chosen : 0;
        n_with_core += core != NULL;
    }
    counts->n_stored += n_with_core ? n_neurons : 0;
    counts->n_read += n_with_core ? n_read : 0;
}

void lac_choose_core(const struct lac_member *m, const struct lac_layer *layer,
                     struct lac_tile tile, size_t slot, size_t lane, size_t n_lanes)
{
    struct part parts[LAC_LANES];
    size_t n_neurons = m->network->config.intermediate_size, index = layer_index(m, layer);
    size_t n_parts = find_parts(m, layer, tile, parts);
    size_t n_chosen = n_parts ? parts[0].core->n_chosen : 0; /* of all the same */
    float *x = lac_tile_f32(m->region->factor, slot, n_neurons);
    for (size_t i = lane; !n_parts && i < lane + n_lanes; i++) {
        const struct lac_core *core = core_at(m, tile, i);
        if (core)
            silence(x + i, tile.ld, n_neurons, core->list + index * core->n_chosen, core->n_chosen);
    }
    if (lane)
        return;
    m->region->n_chosen[slot] = n_parts ? n_chosen : LAC_ALL_NEURONS;
    count_tile(m, tile, n_parts ? lac_min_size(n_parts * n_chosen, n_neurons) : n_neurons);
}

void lac_count_core(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                    size_t slot, size_t lane, size_t n_lanes)
{
    const struct lac_activations_policy *policy = &m->forward->activations->policy;
    const float *x = lac_tile_f32(m->region->ffn, slot, m->network->config.intermediate_size);
    if (policy->rule != LAC_ACTIVATIONS_CORE)
        return;
    for (size_t i = lane; i < lane + n_lanes && i < tile.n_tokens; i++) {
        struct lac_usage *usage = m->region->counting[lac_token_of(m, tile, i)];
        if (usage)
            lac_usage_count(usage, layer_index(m, layer), x + i, tile.ld, lac_token_share(policy));
    }
}
