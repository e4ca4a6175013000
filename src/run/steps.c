/* SPDX-License-Identifier: Apache-2.0 */
/* Who does which step: tiles of one's own, or a share of every tile. */
#include "src/run/steps.h"

/* What passing from one unit of outputs to the next costs, in dwords of weights. */
enum { UNIT_COST_DWORDS = 64 };

/* The same in what row_begin counts: blocks, or a bitmap's elements. */
static size_t unit_cost_blocks(const struct lac_weight *w)
{
    size_t n_bytes = UNIT_COST_DWORDS * 4, block = lac_block_bytes(w->pattern, w->dtype);
    return n_bytes / block;
}

/* First unit whose predecessors hold at least rank / size of the blocks. */
static size_t unit_at(const struct lac_weight *w, size_t rank, size_t size)
{
    size_t unit = lac_pattern_unit(w->pattern), rows = lac_pattern_rows(w->pattern);
    size_t n_units = lac_ceil_div(w->n_out, unit), rows_per_unit = unit / rows;
    size_t unit_cost = unit_cost_blocks(w);
    size_t total = w->n_blocks + n_units * unit_cost;
    size_t low = 0, high = n_units;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        size_t before = w->row_begin[middle * rows_per_unit] + middle * unit_cost;
        if (before * size < total * rank)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct lac_rows lac_share_rows(const struct lac_member *m, const struct lac_linear *linear)
{
    const struct lac_weight *w = &linear->weight;
    size_t size = m->team->size, unit = lac_pattern_unit(w->pattern);
    size_t begin = unit_at(w, m->rank, size) * unit;
    size_t end = m->rank + 1 == size ? w->n_out : unit_at(w, m->rank + 1, size) * unit;
    return (struct lac_rows){lac_min_size(begin, w->n_out), lac_min_size(end, w->n_out)};
}

void lac_own_tiles(const struct lac_member *m, size_t *begin, size_t *end)
{
    lac_team_range(m->team, m->rank, lac_tiles(m->n_tokens), 1, begin, end);
}

size_t lac_layer_bytes(const struct lac_network *network)
{
    const struct lac_layer *layer = &network->layers[0];
    return lac_weight_bytes(&layer->up.weight) + lac_weight_bytes(&layer->down.weight) +
           lac_weight_bytes(&layer->query.weight);
}

/* Few tiles leave members idle; a share of rows costs a barrier a step, taken as an eighth. */
bool lac_should_share_rows(const struct lac_network *network, size_t n_tokens, size_t size)
{
    size_t n_tiles = lac_tiles(n_tokens);
    return size > 1 && lac_layer_bytes(network) * n_tokens >= LAC_TEAM_BYTES &&
           n_tiles <= LAC_SHARED_TILES * size &&
           n_tiles * 9 < lac_ceil_div(n_tiles, size) * size * 8;
}

static void run_own_lanes(const struct lac_member *m, const struct lac_step *step,
                          const struct lac_layer *layer)
{
    size_t begin, end;
    lac_team_range(m->team, m->rank, lac_ceil_div(m->n_tokens, LAC_LANES), 1, &begin, &end);
    for (size_t lane = begin * LAC_LANES; lane < end * LAC_LANES;) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, lane / LAC_TILE);
        size_t in_tile = lane % LAC_TILE;
        size_t n = lac_min_size(tile.ld - in_tile, end * LAC_LANES - lane);
        step->lanes(m, layer, tile, in_tile, n);
        lane += lac_round_up(n, LAC_LANES); /* a row has one lane */
    }
}

static void run_own_rows(const struct lac_member *m, const struct lac_step *step,
                         const struct lac_layer *layer)
{
    struct lac_rows rows = lac_share_rows(m, step->linear(m, layer));
    for (size_t i = 0; i < lac_tiles(m->n_tokens); i++)
        step->rows(m, layer, lac_tile_at(m, m->n_tokens, i), rows);
}

static void run_shared(const struct lac_member *m, const struct lac_step *steps,
                       const struct lac_layer *layer)
{
    for (const struct lac_step *step = steps; step->lanes || step->rows; step++) {
        (step->lanes ? run_own_lanes : run_own_rows)(m, step, layer);
        if (!step->is_apart)
            lac_team_barrier(m->team, m->rank);
    }
}

void lac_meet(const struct lac_member *m)
{
    if (!m->shares_rows)
        lac_team_barrier(m->team, m->rank);
}

static void run_own_tiles(const struct lac_member *m, const struct lac_step *steps,
                          const struct lac_layer *layer)
{
    size_t begin, end;
    lac_own_tiles(m, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        struct lac_tile tile = lac_tile_at(m, m->n_tokens, i);
        for (const struct lac_step *step = steps; step->lanes || step->rows; step++) {
            if (step->lanes)
                step->lanes(m, layer, tile, 0, tile.ld);
            else
                step->rows(m, layer, tile, lac_all_rows(step->linear(m, layer)));
        }
    }
}

void lac_run_steps(const struct lac_member *m, const struct lac_step *steps,
                   const struct lac_layer *layer)
{
    (m->shares_rows ? run_shared : run_own_tiles)(m, steps, layer);
}
