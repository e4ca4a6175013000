/* SPDX-License-Identifier: Apache-2.0 */
/* The forward pass: embeddings, layers, head. */
#include "src/run/forward.h"

#include <string.h>

#include "src/run/member.h"

enum lac_keep lac_head_keep(const struct lac_head *head)
{
    switch (head->task) {
    case LAC_TASK_CLASSIFY:
        return LAC_KEEP_FIRST;
    case LAC_TASK_FILL:
        return LAC_KEEP_LISTED;
    case LAC_TASK_EMBED:
        return head->pooling == LAC_POOL_MEAN ? LAC_KEEP_ALL : LAC_KEEP_FIRST;
    default:
        return LAC_KEEP_ALL;
    }
}

size_t lac_head_width(const struct lac_network *network, const struct lac_head *head)
{
    switch (head->task) {
    case LAC_TASK_ANSWER:
        return 2;
    case LAC_TASK_FILL:
        return network->config.vocab_size;
    case LAC_TASK_EMBED:
        return network->config.hidden_size;
    default:
        return network->config.n_labels;
    }
}

enum lac_activation lac_hidden_activation(const struct lac_config *config)
{
    static const enum lac_activation activations[] = {
        [LAC_HIDDEN_GELU] = LAC_ACT_GELU,
        [LAC_HIDDEN_GELU_TANH] = LAC_ACT_GELU_TANH,
        [LAC_HIDDEN_RELU] = LAC_ACT_RELU,
    };
    return activations[config->hidden_act];
}

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

void lac_run_linear(const struct lac_linear *linear, struct lac_tile tile, struct lac_rows rows,
                    struct lac_input x, struct lac_output y)
{
    if (rows.begin == rows.end)
        return;
    struct lac_linear_args args = {
        .w = &linear->weight,
        .out_begin = rows.begin,
        .out_end = rows.end,
        .n_tokens = tile.n_tokens,
        .ld = tile.ld,
        .x = x.panel,
        .x_scale = x.scale,
        .activation = y.activation,
        .residual = y.residual,
        .y = y.y,
        .abs_max = y.abs_max,
    };
    const struct lac_kernel *kernel =
        tile.n_tokens < linear->few_below ? linear->few : linear->many;
    kernel->run.linear(&args);
}

struct lac_input lac_hidden_input(const struct lac_member *m, struct lac_tile tile)
{
    size_t hidden = m->network->config.hidden_size;
    if (!lac_dtype_is_quantized(m->network->dtype))
        return (struct lac_input){lac_tile_f32(m->h, tile.index, hidden), NULL};
    return (struct lac_input){lac_tile_u8(m->region->x8, tile.index, hidden),
                              m->region->x_scale + tile.index * LAC_TILE};
}

void lac_run_norm(const struct lac_member *m, const struct lac_norm *norm, struct lac_tile tile,
                  size_t lane, size_t n_lanes, const float *x, float *y)
{
    size_t hidden = m->network->config.hidden_size;
    bool is_quantized = lac_dtype_is_quantized(m->network->dtype);
    struct lac_norm_args args = {
        .x = x + lane,
        .n_features = hidden,
        .ld = tile.ld,
        .n_lanes = n_lanes,
        .gamma = norm->gamma,
        .beta = norm->beta,
        .eps = m->network->config.layer_norm_eps,
        .y = y + lane,
        .y_u8 = is_quantized ? lac_tile_u8(m->region->x8, tile.index, hidden) + lane * 4 : NULL,
        .y_scale = is_quantized ? m->region->x_scale + tile.index * LAC_TILE + lane : NULL,
    };
    m->network->kernels.norm->run.norm(&args);
}

void lac_run_quantize(const struct lac_member *m, struct lac_tile tile, size_t lane, size_t n_lanes,
                      const float *x, const float *abs_max)
{
    if (!lac_dtype_is_quantized(m->network->dtype))
        return;
    size_t hidden = m->network->config.hidden_size;
    struct lac_quantize_args args = {
        .x = x + lane,
        .n_features = hidden,
        .ld = tile.ld,
        .n_lanes = n_lanes,
        .abs_max = abs_max,
        .y_u8 = lac_tile_u8(m->region->x8, tile.index, hidden) + lane * 4,
        .y_scale = m->region->x_scale + tile.index * LAC_TILE + lane,
    };
    m->network->kernels.quantize->run.quantize(&args);
}

/* ---- Steps between two attentions.  Each does some lanes or some rows of one tile. ---- */

/* The tile's place in the FFN's buffers: the member's own, unless all members work on it. */
static size_t ffn_slot(const struct lac_member *m, struct lac_tile tile)
{
    return m->shares_rows ? tile.index : m->rank;
}

/* The members' maxima of a lane become one, in the caller's own row of [members][stride], where
 * nobody else reads this lane.  The order does not matter to max. */
static const float *join_max(const struct lac_member *m, float *maxima, size_t stride, size_t at,
                             size_t n_lanes)
{
    float *own = maxima + m->rank * stride + at;
    for (size_t member = 0; member < m->team->size; member++) {
        const float *other = maxima + member * stride + at;
        for (size_t i = 0; i < n_lanes; i++)
            own[i] = other[i] > own[i] ? other[i] : own[i];
    }
    return own;
}

static void step_query(const struct lac_member *m, const struct lac_layer *layer,
                       struct lac_tile tile, struct lac_rows rows)
{
    float *q = lac_tile_f32(m->region->q, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.y = q};
    lac_run_linear(&layer->query, tile, rows, lac_hidden_input(m, tile), y);
}

/* In the last layer only kept tokens ask. */
static void step_kept_query(const struct lac_member *m, const struct lac_layer *layer,
                            struct lac_tile tile, struct lac_rows rows)
{
    for (size_t i = 0; i < m->region->n_kept; i++)
        if (m->region->kept[i] / LAC_TILE == tile.index) {
            step_query(m, layer, tile, rows);
            return;
        }
}

static void step_key(const struct lac_member *m, const struct lac_layer *layer,
                     struct lac_tile tile, struct lac_rows rows)
{
    float *k = lac_tile_f32(m->region->k, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.y = k};
    lac_run_linear(&layer->key, tile, rows, lac_hidden_input(m, tile), y);
}

static void step_value(const struct lac_member *m, const struct lac_layer *layer,
                       struct lac_tile tile, struct lac_rows rows)
{
    float *v = lac_tile_f32(m->region->v, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.y = v};
    lac_run_linear(&layer->value, tile, rows, lac_hidden_input(m, tile), y);
}

static void step_quantize_mix(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    struct lac_region *r = m->region;
    const float *x = lac_tile_f32(m->a, tile.index, m->network->config.hidden_size);
    const float *abs_max = NULL;
    if (m->a == r->a) /* the maxima of kept tokens were left behind with their lanes */
        abs_max = join_max(m, r->abs_max, r->n_lanes, tile.index * LAC_TILE + lane, n_lanes);
    lac_run_quantize(m, tile, lane, n_lanes, x, abs_max);
}

static void step_mix(const struct lac_member *m, const struct lac_layer *layer,
                     struct lac_tile tile, struct lac_rows rows)
{
    size_t hidden = m->network->config.hidden_size;
    struct lac_input x = lac_hidden_input(m, tile);
    if (!lac_dtype_is_quantized(m->network->dtype))
        x.panel = lac_tile_f32(m->a, tile.index, hidden);
    float *h = lac_tile_f32(m->h, tile.index, hidden);
    struct lac_output y = {.residual = h, .y = h};
    lac_run_linear(&layer->mix, tile, rows, x, y);
}

static void step_attention_norm(const struct lac_member *m, const struct lac_layer *layer,
                                struct lac_tile tile, size_t lane, size_t n_lanes)
{
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    lac_run_norm(m, &layer->attention_norm, tile, lane, n_lanes, h, h);
}

static void step_up(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                    struct lac_rows rows)
{
    struct lac_region *r = m->region;
    size_t slot = ffn_slot(m, tile);
    bool is_quantized = lac_dtype_is_quantized(m->network->dtype);
    struct lac_output y = {
        .activation = lac_hidden_activation(&m->network->config),
        .y = lac_tile_f32(r->ffn, slot, m->network->config.intermediate_size),
        .abs_max = is_quantized ? r->ffn_max + m->rank * r->n_ffn_lanes + slot * LAC_TILE : NULL,
    };
    lac_run_linear(&layer->up, tile, rows, lac_hidden_input(m, tile), y);
}

/* Leaves the maxima zero, as it found them before the layer. */
static void step_quantize_ffn(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    if (!lac_dtype_is_quantized(m->network->dtype))
        return;
    struct lac_region *r = m->region;
    size_t slot = ffn_slot(m, tile), at = slot * LAC_TILE + lane;
    size_t wide = m->network->config.intermediate_size;
    struct lac_quantize_args args = {
        .x = lac_tile_f32(r->ffn, slot, wide) + lane,
        .n_features = wide,
        .ld = tile.ld,
        .n_lanes = n_lanes,
        .abs_max = join_max(m, r->ffn_max, r->n_ffn_lanes, at, n_lanes),
        .y_u8 = lac_tile_u8(r->ffn8, slot, wide) + lane * 4,
        .y_scale = r->ffn_scale + at,
    };
    m->network->kernels.quantize->run.quantize(&args);
    for (size_t member = 0; member < m->team->size; member++)
        memset(r->ffn_max + member * r->n_ffn_lanes + at, 0, n_lanes * sizeof *r->ffn_max);
}

static void step_down(const struct lac_member *m, const struct lac_layer *layer,
                      struct lac_tile tile, struct lac_rows rows)
{
    struct lac_region *r = m->region;
    size_t slot = ffn_slot(m, tile), wide = m->network->config.intermediate_size;
    struct lac_input x = {lac_tile_f32(r->ffn, slot, wide), NULL};
    if (lac_dtype_is_quantized(m->network->dtype))
        x = (struct lac_input){lac_tile_u8(r->ffn8, slot, wide), r->ffn_scale + slot * LAC_TILE};
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.residual = h, .y = h};
    lac_run_linear(&layer->down, tile, rows, x, y);
}

static void step_ffn_norm(const struct lac_member *m, const struct lac_layer *layer,
                          struct lac_tile tile, size_t lane, size_t n_lanes)
{
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    lac_run_norm(m, &layer->ffn_norm, tile, lane, n_lanes, h, h);
}

static void step_embedding(const struct lac_member *m, const struct lac_layer *layer,
                           struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    lac_run_embedding(m, tile, lane, n_lanes);
}

/* Moves the kept tokens' attention and h side by side. */
static void step_gather(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    struct lac_region *r = m->region;
    size_t hidden = m->network->config.hidden_size, n_all = m->forward->n_tokens;
    float *a = lac_tile_f32(m->a, tile.index, hidden), *h = lac_tile_f32(m->h, tile.index, hidden);
    for (size_t to = lane; to < lane + n_lanes; to++) {
        bool is_token = to < tile.n_tokens;
        size_t token = is_token ? r->kept[tile.index * LAC_TILE + to] : 0;
        struct lac_tile from = lac_tile_at(n_all, token / LAC_TILE);
        const float *a_from = lac_tile_f32(r->a, from.index, hidden) + token % LAC_TILE;
        const float *h_from = lac_tile_f32(r->h, from.index, hidden) + token % LAC_TILE;
        for (size_t f = 0; f < hidden; f++) {
            a[f * tile.ld + to] = is_token ? a_from[f * from.ld] : 0;
            h[f * tile.ld + to] = is_token ? h_from[f * from.ld] : 0;
        }
    }
}

/* ---- Who does which ---- */

/* A step either by lanes, or by rows of a linear layer. */
struct step {
    void (*lanes)(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                  size_t lane, size_t n_lanes);
    void (*rows)(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                 struct lac_rows rows);
    size_t linear; /* of the rows: its offset in struct lac_layer */
};

#define LANES(function)                                                                            \
    {                                                                                              \
        .lanes = function                                                                          \
    }
#define ROWS(function, member)                                                                     \
    {                                                                                              \
        .rows = function, .linear = offsetof(struct lac_layer, member)                             \
    }

static const struct step embedding[] = {LANES(step_embedding), {0}};
static const struct step before_attention[] = {
    ROWS(step_query, query),
    ROWS(step_key, key),
    ROWS(step_value, value),
    {0},
};
static const struct step before_last_attention[] = {
    ROWS(step_kept_query, query),
    ROWS(step_key, key),
    ROWS(step_value, value),
    {0},
};
static const struct step gathering[] = {LANES(step_gather), {0}};
static const struct step after_attention[] = {
    LANES(step_quantize_mix),
    ROWS(step_mix, mix),
    LANES(step_attention_norm),
    {0},
};
static const struct step feed_forward[] = {
    ROWS(step_up, up), LANES(step_quantize_ffn), ROWS(step_down, down), LANES(step_ffn_norm), {0},
};

static const struct lac_linear *linear_of(const struct step *step, const struct lac_layer *layer)
{
    return (const struct lac_linear *)(const void *)((const char *)layer + step->linear);
}

void lac_own_tiles(const struct lac_member *m, size_t *begin, size_t *end)
{
    lac_team_range(m->team, m->rank, lac_tiles(m->n_tokens), 1, begin, end);
}

/* Few tiles leave members idle; a share of rows costs a barrier a step, taken as an eighth. */
static bool should_share_rows(size_t n_tokens, size_t size)
{
    size_t n_tiles = lac_tiles(n_tokens);
    return size > 1 && n_tiles <= LAC_SHARED_TILES * size &&
           n_tiles * 9 < lac_ceil_div(n_tiles, size) * size * 8;
}

static void run_own_lanes(const struct lac_member *m, const struct step *step,
                          const struct lac_layer *layer)
{
    size_t begin, end;
    lac_team_range(m->team, m->rank, lac_ceil_div(m->n_tokens, LAC_LANES), 1, &begin, &end);
    for (size_t lane = begin * LAC_LANES; lane < end * LAC_LANES;) {
        struct lac_tile tile = lac_tile_at(m->n_tokens, lane / LAC_TILE);
        size_t in_tile = lane % LAC_TILE;
        size_t n = lac_min_size(tile.ld - in_tile, end * LAC_LANES - lane);
        step->lanes(m, layer, tile, in_tile, n);
        lane += n;
    }
}

static void run_own_rows(const struct lac_member *m, const struct step *step,
                         const struct lac_layer *layer)
{
    struct lac_rows rows = lac_share_rows(m, linear_of(step, layer));
    for (size_t i = 0; i < lac_tiles(m->n_tokens); i++)
        step->rows(m, layer, lac_tile_at(m->n_tokens, i), rows);
}

static void run_shared(const struct lac_member *m, const struct step *steps,
                       const struct lac_layer *layer)
{
    for (const struct step *step = steps; step->lanes || step->rows; step++) {
        (step->lanes ? run_own_lanes : run_own_rows)(m, step, layer);
        lac_team_barrier(m->team, m->rank);
    }
}

static void run_own_tiles(const struct lac_member *m, const struct step *steps,
                          const struct lac_layer *layer)
{
    size_t begin, end;
    lac_own_tiles(m, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        struct lac_tile tile = lac_tile_at(m->n_tokens, i);
        for (const struct step *step = steps; step->lanes || step->rows; step++) {
            if (step->lanes)
                step->lanes(m, layer, tile, 0, tile.ld);
            else
                step->rows(m, layer, tile, lac_all_rows(linear_of(step, layer)));
        }
    }
}

static void run_steps(const struct lac_member *m, const struct step *steps,
                      const struct lac_layer *layer)
{
    (m->shares_rows ? run_shared : run_own_tiles)(m, steps, layer);
}

static void run_layer(struct lac_member *m, const struct lac_layer *layer, bool is_last)
{
    bool drops = is_last && lac_head_keep(m->forward->head) != LAC_KEEP_ALL;
    run_steps(m, drops ? before_last_attention : before_attention, layer);
    lac_team_barrier(m->team, m->rank);
    lac_run_attention(m, is_last);
    lac_team_barrier(m->team, m->rank);
    if (drops) {
        m->n_tokens = m->region->n_kept;
        m->a = m->region->q;
        m->h = m->region->k;
        m->shares_rows = should_share_rows(m->n_tokens, m->team->size);
        run_steps(m, gathering, layer);
    }
    run_steps(m, after_attention, layer);
    run_steps(m, feed_forward, layer);
}

/* ---- The batch ---- */

static size_t rows_of_sequence(enum lac_keep keep, const struct lac_sequence *s)
{
    switch (keep) {
    case LAC_KEEP_FIRST:
        return 1;
    case LAC_KEEP_LISTED:
        return s->n_kept;
    default:
        return s->n_tokens;
    }
}

/* Fills first, kept and out. */
static void index_batch(const struct lac_forward *f)
{
    struct lac_region *r = f->region;
    enum lac_keep keep = lac_head_keep(f->head);
    size_t width = lac_head_width(f->network, f->head), n_tokens = 0, n_kept = 0;
    for (size_t i = 0; i < f->n_sequences; i++) {
        const struct lac_sequence *s = f->sequences[i];
        r->first[i] = n_tokens;
        for (size_t k = 0; k < rows_of_sequence(keep, s); k++) {
            size_t position = keep == LAC_KEEP_LISTED ? s->kept[k] : k;
            r->kept[n_kept] = n_tokens + position;
            r->out[n_kept] = f->head->task == LAC_TASK_EMBED ? s->rows : s->rows + k * width;
            n_kept++;
        }
        n_tokens += s->n_tokens;
    }
    r->first[f->n_sequences] = n_tokens;
    r->n_kept = n_kept;
}

void lac_forward_run(const struct lac_team *team, size_t rank, const struct lac_forward *forward)
{
    struct lac_region *r = forward->region;
    if (rank == 0) {
        if (!r->is_clean)
            memset(r->memory, 0, r->size_bytes);
        r->is_clean = true;
        index_batch(forward);
    }
    lac_team_barrier(team, rank);
    const struct lac_network *network = forward->network;
    struct lac_member m = {
        .forward = forward,
        .network = network,
        .region = r,
        .team = team,
        .rank = rank,
        .n_tokens = forward->n_tokens,
        .h = r->h,
        .a = r->a,
        .shares_rows = should_share_rows(forward->n_tokens, team->size),
    };
    run_steps(&m, embedding, NULL);
    for (size_t i = 0; i < network->config.n_layers; i++)
        run_layer(&m, &network->layers[i], i + 1 == network->config.n_layers);
    lac_team_barrier(team, rank);
    lac_run_head(&m);
}
