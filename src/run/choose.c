/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing neurons, and running those chosen. */
#include "src/run/choose.h"

#include <math.h>
#include <string.h>

#include "simd/neurons.h"
#include "src/run/activations.h"

/* ---- What is left out ---- */

static bool is_full(const struct lac_member *m, struct lac_tile tile, size_t lane)
{
    return lane >= tile.n_tokens || m->region->is_full[lac_token_of(m, tile, lane)];
}

static size_t layer_index(const struct lac_member *m, const struct lac_layer *layer)
{
    return (size_t)(layer - m->network->layers);
}

static void count_values(_Atomic uint32_t *histogram, const float *x, size_t n, size_t ld)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i * ld], sizeof bits);
        atomic_fetch_add_explicit(&histogram[bits << 1 >> 17], 1, memory_order_relaxed);
    }
}

/* Neurons below the threshold become 0 in lanes that are not full. */
static void silence(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                    float *x, size_t lane, size_t n_lanes)
{
    const struct lac_activations *act = m->forward->activations;
    struct lac_neuron_counts *counts = &m->region->counts[m->rank];
    size_t n_neurons = m->network->config.intermediate_size, n_tokens = 0;
    float limit[LAC_TILE], threshold = act->policy.thresholds[layer_index(m, layer)];
    for (size_t i = 0; i < n_lanes; i++) {
        bool full = is_full(m, tile, lane + i);
        limit[i] = full ? 0 : threshold;
        n_tokens += !full;
    }
    if (!n_tokens)
        return;
    size_t n_silent = 0;
    for (size_t k = 0; k < n_neurons; k++)
        for (size_t i = 0; i < n_lanes; i++) {
            float *value = &x[k * tile.ld + lane + i];
            bool is_silent = fabsf(*value) < limit[i];
            *value = is_silent ? 0 : *value;
            n_silent += is_silent;
        }
    counts->n_neurons += n_tokens * n_neurons;
    counts->n_active += n_tokens * n_neurons - n_silent;
}

/* ---- What is read ---- */

struct lac_choice lac_choice_of(const struct lac_region *r, size_t slot)
{
    size_t at = slot * r->n_listed;
    return (struct lac_choice){
        .n = r->n_chosen[slot],
        .list = r->list + at,
        .scale = r->listed_scale + at,
        .bias = r->listed_bias + at,
        .offset = r->listed_offset + at,
    };
}

/* Would so many neurons of the bundle be read sooner than the weights?  Between neurons memory is
 * waited for: taken as an eighth. */
static bool is_worth_a_list(const struct lac_layer *layer, size_t n)
{
    const struct lac_bundle *b = &layer->bundle;
    size_t n_bytes = lac_weight_bytes(&layer->up.weight) + lac_weight_bytes(&layer->down.weight);
    return n * b->stride * 9 / 8 < n_bytes;
}

static bool any_token(const float *x, size_t n_tokens)
{
    for (size_t i = 0; i < n_tokens; i++)
        if (x[i] != 0)
            return true;
    return false;
}

static size_t list_neurons(const float *x, size_t n_neurons, struct lac_tile tile, uint32_t *list)
{
    size_t n = 0;
    for (size_t k = 0; k < n_neurons; k++) {
        list[n] = (uint32_t)k;
        n += any_token(x + k * tile.ld, tile.n_tokens);
    }
    return n;
}

/* What belongs to the listed outputs of a weight, side by side. */
static void gather_outputs(const struct lac_weight *w, const struct lac_choice *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->bias[i] = w->bias[c->list[i]];
    for (size_t i = 0; i < c->n && w->scale; i++) {
        c->scale[i] = w->scale[c->list[i]];
        c->offset[i] = w->offset[c->list[i]];
    }
    for (size_t i = c->n; i % LAC_LANES; i++) {
        c->bias[i] = c->scale[i] = 0;
        c->offset[i] = 0;
    }
}

static void gather_lanes(float *x, size_t ld, const struct lac_choice *c)
{
    for (size_t i = 0; i < c->n; i++) /* list[i] >= i */
        for (size_t t = 0; t < ld; t++)
            x[i * ld + t] = x[c->list[i] * ld + t];
}

static bool has_choosy_token(const struct lac_member *m, struct lac_tile tile)
{
    for (size_t i = 0; i < tile.n_tokens; i++)
        if (!is_full(m, tile, i))
            return true;
    return false;
}

static void make_list(const struct lac_member *m, const struct lac_layer *layer,
                      struct lac_tile tile, size_t slot, float *x)
{
    struct lac_region *r = m->region;
    size_t n_neurons = m->network->config.intermediate_size;
    struct lac_choice c = lac_choice_of(r, slot);
    r->n_chosen[slot] = c.n = LAC_ALL_NEURONS;
    if (m->forward->activations->histogram || !has_choosy_token(m, tile))
        return;
    struct lac_neuron_counts *counts = &r->counts[m->rank];
    counts->n_stored += n_neurons;
    if (layer->bundle.neurons && tile.n_tokens <= LAC_LANES)
        c.n = list_neurons(x, n_neurons, tile, c.list);
    if (c.n == LAC_ALL_NEURONS || !is_worth_a_list(layer, c.n)) {
        counts->n_read += n_neurons;
        return;
    }
    counts->n_read += c.n;
    gather_outputs(&layer->up.weight, &c);
    gather_lanes(x, tile.ld, &c);
    r->n_chosen[slot] = c.n;
}

void lac_choose_neurons(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, size_t slot, size_t lane, size_t n_lanes)
{
    const struct lac_activations *act = m->forward->activations;
    size_t n_neurons = m->network->config.intermediate_size;
    float *x = lac_tile_f32(m->region->factor, slot, n_neurons);
    if (!act->histogram)
        silence(m, layer, tile, x, lane, n_lanes);
    for (size_t i = lane; act->histogram && i < lane + n_lanes && i < tile.n_tokens; i++)
        count_values(act->histogram + layer_index(m, layer) * LAC_HISTOGRAM_BINS, x + i, n_neurons,
                     tile.ld);
    if (!lane)
        make_list(m, layer, tile, slot, x);
}

/* ---- Products with it ---- */

void lac_run_chosen_up(const struct lac_member *m, const struct lac_layer *layer,
                       struct lac_tile tile, const struct lac_choice *choice, struct lac_output y)
{
    const struct lac_weight *up = &layer->up.weight;
    struct lac_weight listed = {
        .dtype = up->dtype,
        .n_out = choice->n,
        .n_in = up->n_in,
        .scale = choice->scale,
        .offset = choice->offset,
        .bias = choice->bias,
    };
    struct lac_input x = lac_hidden_input(m, tile);
    struct lac_neurons_args args = {
        .linear =
            {
                .w = &listed,
                .out_end = choice->n,
                .n_tokens = tile.n_tokens,
                .ld = tile.ld,
                .x = x.panel,
                .x_scale = x.scale,
                .factor = y.factor,
                .y = y.y,
                .abs_max = y.abs_max,
            },
        .part = layer->bundle.neurons,
        .stride = layer->bundle.stride,
        .list = choice->list,
    };
    if (m->shares_rows)
        lac_team_range(m->team, m->rank, choice->n, LAC_LANES, &args.linear.out_begin,
                       &args.linear.out_end);
    if (args.linear.out_begin < args.linear.out_end)
        m->network->kernels.neuron_rows[up->dtype]->run.neurons(&args);
}

void lac_run_chosen_down(const struct lac_member *m, const struct lac_layer *layer,
                         struct lac_tile tile, const struct lac_choice *choice,
                         struct lac_rows rows, struct lac_input x, struct lac_output y)
{
    struct lac_weight listed = layer->down.weight;
    listed.n_in = choice->n;
    struct lac_neurons_args args = {
        .linear =
            {
                .w = &listed,
                .out_begin = rows.begin,
                .out_end = rows.end,
                .n_tokens = tile.n_tokens,
                .ld = tile.ld,
                .x = x.panel,
                .x_scale = x.scale,
                .residual = y.residual,
                .y = y.y,
            },
        .part = layer->bundle.neurons + layer->bundle.down,
        .stride = layer->bundle.stride,
        .list = choice->list,
    };
    if (rows.begin < rows.end)
        m->network->kernels.neuron_columns[listed.dtype]->run.neurons(&args);
}
