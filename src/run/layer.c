/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a layer, and of the embeddings before the first. */
#include <string.h>

#include "src/run/steps.h"

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

/* ---- Their order ---- */

#define LINEAR_OF(member)                                                                          \
    static const struct lac_linear *linear_of_##member(const struct lac_member *m,                 \
                                                       const struct lac_layer *layer)              \
    {                                                                                              \
        (void)m;                                                                                   \
        return &layer->member;                                                                     \
    }
LINEAR_OF(query)
LINEAR_OF(key)
LINEAR_OF(value)
LINEAR_OF(mix)
LINEAR_OF(up)
LINEAR_OF(down)

#define LANES(function)                                                                            \
    {                                                                                              \
        .lanes = function                                                                          \
    }
#define ROWS(function, member)                                                                     \
    {                                                                                              \
        .rows = function, .linear = linear_of_##member                                             \
    }

static const struct lac_step embedding[] = {LANES(step_embedding), {0}};
static const struct lac_step before_attention[] = {
    ROWS(step_query, query),
    ROWS(step_key, key),
    ROWS(step_value, value),
    {0},
};
static const struct lac_step before_last_attention[] = {
    ROWS(step_kept_query, query),
    ROWS(step_key, key),
    ROWS(step_value, value),
    {0},
};
static const struct lac_step gathering[] = {LANES(step_gather), {0}};
static const struct lac_step after_attention[] = {
    LANES(step_quantize_mix),
    ROWS(step_mix, mix),
    LANES(step_attention_norm),
    {0},
};
static const struct lac_step feed_forward[] = {
    ROWS(step_up, up), LANES(step_quantize_ffn), ROWS(step_down, down), LANES(step_ffn_norm), {0},
};

void lac_run_layer(struct lac_member *m, const struct lac_layer *layer, bool is_last)
{
    bool drops = is_last && lac_head_keep(m->forward->head) != LAC_KEEP_ALL;
    lac_run_steps(m, drops ? before_last_attention : before_attention, layer);
    lac_team_barrier(m->team, m->rank);
    lac_run_attention(m, is_last);
    lac_team_barrier(m->team, m->rank);
    if (drops) {
        m->n_tokens = m->region->n_kept;
        m->a = m->region->q;
        m->h = m->region->k;
        m->shares_rows = lac_should_share_rows(m->n_tokens, m->team->size);
        lac_run_steps(m, gathering, layer);
    }
    lac_run_steps(m, after_attention, layer);
    lac_run_steps(m, feed_forward, layer);
}

void lac_run_embeddings(const struct lac_member *m)
{
    lac_run_steps(m, embedding, NULL);
}
