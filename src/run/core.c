/* SPDX-License-Identifier: Apache-2.0 */
/* Counting the neurons that tokens use, and copying the weights of those used most. */
#include "src/run/core.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/run/plan.h"

static size_t count_of(const struct lac_network *network)
{
    /* Rows of matrices in memory. */
    return network->config.n_layers * network->config.intermediate_size;
}

/* ---- Cores ---- */

static void release(struct lac_core *core)
{
    if (!core || atomic_fetch_sub_explicit(&core->n_users, 1, memory_order_acq_rel) > 1)
        return;
    lac_arena_clear(&core->arena);
    lac_free(core->host, core);
}

/* ---- What a text has ---- */

void lac_usage_init(struct lac_usage *usage, const struct lac_host *host,
                    const struct lac_network *network)
{
    *usage = (struct lac_usage){.host = host, .network = network};
}

void lac_usage_clear(struct lac_usage *usage)
{
    release(usage->core);
    lac_free(usage->host, (void *)usage->counts);
    lac_usage_init(usage, usage->host, usage->network);
}

enum lac_status lac_usage_reserve(struct lac_usage *usage, struct lac_error *error)
{
    size_t n = count_of(usage->network);
    if (!usage->counts)
        usage->counts = lac_alloc_zero(usage->host, n, sizeof *usage->counts);
    return usage->counts ? LAC_OK
                         : lac_fail(error, LAC_E_MEMORY, "no memory to count %zu neurons", n);
}

enum lac_status lac_usage_copy(struct lac_usage *to, const struct lac_usage *from,
                               struct lac_error *error)
{
    enum lac_status status = from->counts ? lac_usage_reserve(to, error) : LAC_OK;
    if (status)
        return status;
    for (size_t i = 0; from->counts && i < count_of(from->network); i++)
        atomic_store_explicit(&to->counts[i],
                              atomic_load_explicit(&from->counts[i], memory_order_relaxed),
                              memory_order_relaxed);
    to->n_counted = from->n_counted;
    to->core = from->core;
    if (to->core)
        atomic_fetch_add_explicit(&to->core->n_users, 1, memory_order_relaxed);
    return LAC_OK;
}

void lac_usage_advance(struct lac_usage *usage, size_t n_keys)
{
    if (n_keys <= usage->n_counted)
        return;
    usage->n_counted = n_keys;
    release(usage->core);
    usage->core = NULL;
}

/* ---- A token's top share ---- */

enum { BINS = 1 << 11 };

static size_t bin_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits << 1 >> 21;
}

static size_t share_of(double share, size_t n)
{
    return lac_min_size(n, (size_t)ceil(share * (double)n));
}

/* The lowest bin of the top `n`. */
static size_t lowest_bin(const float *x, size_t ld, size_t n_neurons, size_t n)
{
    uint32_t bins[BINS] = {0};
    for (size_t i = 0; i < n_neurons; i++)
        bins[bin_of(x[i * ld])]++;
    size_t bin = BINS;
    for (size_t found = 0; bin && found < n;)
        found += bins[--bin];
    return bin;
}

void lac_usage_count(struct lac_usage *usage, size_t layer, const float *x, size_t ld, double share)
{
    size_t n = usage->network->config.intermediate_size;
    size_t lowest = lowest_bin(x, ld, n, share_of(share, n));
    _Atomic uint32_t *counts = usage->counts + layer * n;
    for (size_t i = 0; i < n; i++)
        if (bin_of(x[i * ld]) >= lowest)
            atomic_fetch_add_explicit(&counts[i], 1, memory_order_relaxed);
}

/* ---- Which neurons ---- */

static uint32_t count_at(const _Atomic uint32_t *counts, size_t i)
{
    return atomic_load_explicit(&counts[i], memory_order_relaxed);
}

static size_t n_above(const _Atomic uint32_t *counts, size_t n, uint32_t least)
{
    size_t above = 0;
    for (size_t i = 0; i < n; i++)
        above += count_at(counts, i) > least;
    return above;
}

static void list_most(const _Atomic uint32_t *counts, size_t n, size_t n_chosen, uint32_t *list)
{
    /* The least count that has no more than n_chosen above it. */
    uint32_t low = 0, high = UINT32_MAX;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (n_above(counts, n, middle) <= n_chosen)
            high = middle;
        else
            low = middle + 1;
    }
    size_t n_equal = n_chosen - n_above(counts, n, low), n_listed = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t count = count_at(counts, i);
        if (count > low || (count == low && n_equal)) {
            n_equal -= count == low;
            list[n_listed++] = (uint32_t)i;
        }
    }
}

/* ---- Their weights ---- */

/* Sums of fp32 in the one order that does not know of other neurons (activations.h); int4 and
 * outliers belong to places in a matrix. */
static bool can_be_copied(const struct lac_linear *linear)
{
    const struct lac_weight *w = &linear->weight;
    return (w->dtype == LAC_S8 && !w->outliers.n) ||
           (w->dtype == LAC_F32 && linear->few != linear->many);
}

static bool layer_can_be_copied(const struct lac_layer *layer)
{
    return can_be_copied(&layer->gate) && can_be_copied(&layer->up) && can_be_copied(&layer->down);
}

enum lac_status lac_core_check(const struct lac_network *network, struct lac_error *error)
{
    for (size_t i = 0; i < network->config.n_layers; i++)
        if (layer_can_be_copied(&network->layers[i]))
            return LAC_OK;
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "no neuron's feed-forward weights can be skipped: they are neither int8 "
                    "without outliers nor fp32 whose sums have the usual order");
}

/* Copying a layer's weights. */
struct copier {
    const struct lac_network *network;
    const uint32_t *list;
    size_t n_chosen;
    struct lac_arena *arena;
    uint8_t *whole, *row, *picked; /* a matrix, one of its rows, what is picked of it */
    float *scale, *bias;           /* of picked rows */
};

/* Row `out` of a matrix: of dense ones only what is asked for is unpacked. */
static const uint8_t *row_of(const struct copier *c, const struct lac_weight *w, size_t out)
{
    size_t row_bytes = w->n_in * lac_element_bytes(w->dtype), rows = lac_pattern_rows(w->pattern);
    if (w->pattern != LAC_PATTERN_DENSE)
        return c->whole + out * row_bytes;
    const uint8_t *dword = lac_weight_dword(w, w->row_begin[out / rows], 0, out % rows);
    for (size_t d = 0; d < w->n_dwords; d++, dword += rows * 4)
        memcpy(c->row + d * 4, dword, 4);
    return c->row;
}

static void pick_rows(const struct copier *c, const struct lac_weight *w)
{
    size_t row_bytes = w->n_in * lac_element_bytes(w->dtype);
    for (size_t i = 0; i < c->n_chosen; i++) {
        memcpy(c->picked + i * row_bytes, row_of(c, w, c->list[i]), row_bytes);
        c->bias[i] = w->bias[c->list[i]];
        c->scale[i] = w->scale ? w->scale[c->list[i]] : 0;
    }
}

static void pick_columns(const struct copier *c, const struct lac_weight *w)
{
    for (size_t out = 0; out < w->n_out; out++) {
        const uint8_t *row = row_of(c, w, out);
        uint8_t *to = c->picked + out * c->n_chosen * lac_element_bytes(w->dtype);
        for (size_t i = 0; w->dtype == LAC_S8 && i < c->n_chosen; i++)
            to[i] = row[c->list[i]];
        for (size_t i = 0; w->dtype == LAC_F32 && i < c->n_chosen; i++)
            memcpy(to + i * 4, row + (size_t)c->list[i] * 4, 4);
    }
}

/* Dense weights stay so; of others the plan has a look at what is left, whose blocks are fuller. */
static enum lac_pattern pattern_of(const struct copier *c, const struct lac_weight *w, size_t n_out,
                                   size_t n_in)
{
    struct lac_weight_stats stats;
    double cost[LAC_N_PATTERNS];
    if (w->pattern == LAC_PATTERN_DENSE || w->dtype == LAC_F32)
        return LAC_PATTERN_DENSE;
    lac_weight_measure(c->picked, n_out, n_in, w->dtype, &stats);
    lac_plan_costs(c->network, &stats, n_out, n_in, cost);
    return lac_plan_choose(cost);
}

static enum lac_status copy_linear(const struct copier *c, const struct lac_linear *from,
                                   bool is_down, struct lac_linear *to, struct lac_error *error)
{
    const struct lac_weight *w = &from->weight;
    size_t n_out = is_down ? w->n_out : c->n_chosen, n_in = is_down ? c->n_chosen : w->n_in;
    if (w->pattern != LAC_PATTERN_DENSE)
        lac_weight_unpack(w, c->whole);
    (is_down ? pick_columns : pick_rows)(c, w);
    const float *scale = is_down ? w->scale : c->scale, *bias = is_down ? w->bias : c->bias;
    *to = (struct lac_linear){.name = from->name};
    enum lac_status status =
        lac_weight_pack(c->picked, w->scale ? scale : NULL, bias, n_out, n_in, w->dtype,
                        pattern_of(c, w, n_out, n_in), c->arena, &to->weight, error);
    return status ? status : lac_plan_kernels(c->network, to, c->arena, error);
}

static enum lac_status copy_layer(const struct copier *c, const struct lac_layer *layer,
                                  struct lac_core_layer *to, struct lac_error *error)
{
    const struct lac_linear *const from[] = {&layer->gate, &layer->up, &layer->down};
    size_t n_bytes = 0, n_whole = 0;
    if (!layer_can_be_copied(layer))
        return LAC_OK;
    for (size_t i = 0; i < LAC_CORE_LINEARS; i++) {
        struct lac_linear *linear = &to->linears[i];
        enum lac_status status = copy_linear(c, from[i], i == LAC_CORE_DOWN, linear, error);
        if (status)
            return status;
        n_bytes += lac_weight_bytes(&linear->weight);
        n_whole += lac_weight_bytes(&from[i]->weight);
    }
    if (can_be_copied(&to->linears[LAC_CORE_DOWN]) && n_bytes < n_whole)
        to->n_bytes = n_bytes;
    return LAC_OK;
}

static enum lac_status copy_layers(struct lac_core *core, const struct lac_network *network,
                                   struct lac_error *error)
{
    const struct lac_config *config = &network->config;
    size_t wide = config->intermediate_size, hidden = config->hidden_size;
    struct lac_arena scratch = {.host = core->host};
    struct copier c = {
        .network = network,
        .n_chosen = core->n_chosen,
        .arena = &core->arena,
        .whole = lac_arena_alloc(&scratch, wide * hidden, sizeof(float)),
        .row = lac_arena_alloc(&scratch, lac_max_size(wide, hidden) + 4, sizeof(float)),
        .picked = lac_arena_alloc(&scratch, core->n_chosen * hidden, sizeof(float)),
        .scale = lac_arena_alloc(&scratch, core->n_chosen, sizeof(float)),
        .bias = lac_arena_alloc(&scratch, core->n_chosen, sizeof(float)),
    };
    enum lac_status status = LAC_OK;
    if (!c.whole || !c.row || !c.picked || !c.scale || !c.bias)
        status = lac_fail(error, LAC_E_MEMORY, "no memory to copy %zu neurons", core->n_chosen);
    for (size_t i = 0; i < config->n_layers && !status; i++) {
        c.list = core->list + i * core->n_chosen;
        status = copy_layer(&c, &network->layers[i], &core->layers[i], error);
    }
    lac_arena_clear(&scratch);
    return status;
}

static enum lac_status make_core(const struct lac_usage *usage, size_t n_chosen,
                                 struct lac_core *core, struct lac_error *error)
{
    const struct lac_config *config = &usage->network->config;
    size_t n_layers = config->n_layers, n = config->intermediate_size;
    core->n_chosen = n_chosen;
    core->list = lac_arena_alloc(&core->arena, n_layers * n_chosen, sizeof *core->list);
    core->layers = lac_arena_alloc_zero(&core->arena, n_layers, sizeof *core->layers);
    if (!core->list || !core->layers)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu neurons of %zu layers", n_chosen,
                        n_layers);
    for (size_t i = 0; i < n_layers; i++)
        list_most(usage->counts + i * n, n, n_chosen, core->list + i * n_chosen);
    return copy_layers(core, usage->network, error);
}

enum lac_status lac_usage_choose(struct lac_usage *usage, double share, struct lac_error *error)
{
    size_t n_chosen = share_of(share, usage->network->config.intermediate_size);
    if (usage->core || !usage->n_counted)
        return LAC_OK;
    struct lac_core *core = lac_alloc_zero(usage->host, 1, sizeof *core);
    if (!core)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a core");
    core->host = core->arena.host = usage->host;
    atomic_init(&core->n_users, 1);
    enum lac_status status = make_core(usage, n_chosen, core, error);
    if (status) {
        release(core);
        return status;
    }
    usage->core = core;
    return LAC_OK;
}
