/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a layer, and of the embeddings before the first. */
#include <string.h>

#include "src/run/activations.h"
#include "src/run/choose.h"
#include "src/run/core_steps.h"
#include "src/run/picked.h"
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
    float *q = lac_tile_f32(m->region->q, tile.index, lac_query_size(&m->network->config));
    struct lac_output y = {.y = q};
    lac_run_linear(&layer->query, tile, rows, lac_hidden_input(m, tile), y);
}

/* Has the tile tokens that vote?  They ask in every layer. */
static bool has_voters(const struct lac_member *m, struct lac_tile tile)
{
    const struct lac_forward *f = m->forward;
    for (size_t i = 0; i < f->n_sequences; i++) {
        size_t end = m->region->first[i + 1], begin = end - f->sequences[i]->n_voters;
        if (begin < end && begin < (tile.index + 1) * LAC_TILE && end > tile.index * LAC_TILE)
            return true;
    }
    return false;
}

/* Has it tokens that are asked for others' sake? */
static bool has_asked(const struct lac_member *m, const struct lac_layer *layer,
                      struct lac_tile tile)
{
    const size_t *first = m->region->first, index = (size_t)(layer - m->network->layers);
    size_t begin = tile.index * LAC_TILE, end = begin + tile.n_tokens;
    for (size_t s = 0; s < m->forward->n_sequences && m->forward->sights->pick_unit; s++)
        for (size_t i = lac_max_size(begin, first[s]); i < lac_min_size(end, first[s + 1]); i++)
            if (lac_is_asked(m, index, s, i - first[s]))
                return true;
    return false;
}

/* In the last layer only kept tokens ask. */
static void step_kept_query(const struct lac_member *m, const struct lac_layer *layer,
                            struct lac_tile tile, struct lac_rows rows)
{
    bool asks = has_voters(m, tile);
    for (size_t i = 0; !asks && i < m->region->n_kept; i++)
        asks = m->region->kept[i] / LAC_TILE == tile.index;
    if (asks || has_asked(m, layer, tile))
        step_query(m, layer, tile, rows);
}

static void step_key(const struct lac_member *m, const struct lac_layer *layer,
                     struct lac_tile tile, struct lac_rows rows)
{
    float *k = lac_tile_f32(m->region->k, tile.index, lac_key_size(&m->network->config));
    struct lac_output y = {.y = k};
    lac_run_linear(&layer->key, tile, rows, lac_hidden_input(m, tile), y);
}

static void step_value(const struct lac_member *m, const struct lac_layer *layer,
                       struct lac_tile tile, struct lac_rows rows)
{
    float *v = lac_tile_f32(m->region->v, tile.index, lac_key_size(&m->network->config));
    struct lac_output y = {.y = v};
    lac_run_linear(&layer->value, tile, rows, lac_hidden_input(m, tile), y);
}

/* Global tokens ask once more, and are shown to themselves and all others, in the same places. */
static void step_global_query(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, struct lac_rows rows)
{
    float *q = lac_tile_f32(m->region->q, tile.index, lac_query_size(&m->network->config));
    for (size_t s = 0; s < m->forward->n_sequences; s++) {
        size_t begin = m->region->first[s], end = begin + lac_global_tokens(m, s);
        if (begin < end && begin < (tile.index + 1) * LAC_TILE && end > tile.index * LAC_TILE) {
            lac_run_linear(&layer->global_query, tile, rows, lac_hidden_input(m, tile),
                           (struct lac_output){.y = q});
            return;
        }
    }
}

static void step_global_key(const struct lac_member *m, const struct lac_layer *layer,
                            struct lac_tile tile, struct lac_rows rows)
{
    float *k = lac_tile_f32(m->region->k, tile.index, lac_key_size(&m->network->config));
    lac_run_linear(&layer->global_key, tile, rows, lac_hidden_input(m, tile),
                   (struct lac_output){.y = k});
}

static void step_global_value(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, struct lac_rows rows)
{
    float *v = lac_tile_f32(m->region->v, tile.index, lac_key_size(&m->network->config));
    lac_run_linear(&layer->global_value, tile, rows, lac_hidden_input(m, tile),
                   (struct lac_output){.y = v});
}

static void step_quantize_mix(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    struct lac_region *r = m->region;
    size_t n_features = lac_query_size(&m->network->config);
    const float *x = lac_tile_f32(m->a, tile.index, n_features);
    const float *abs_max = NULL;
    if (m->a == r->a) /* the maxima of kept tokens were left behind with their lanes */
        abs_max = join_max(m, r->abs_max, r->n_lanes, tile.index * LAC_TILE + lane, n_lanes);
    lac_run_quantize(m, tile, lane, n_lanes, x, n_features, abs_max);
}

static void step_mix(const struct lac_member *m, const struct lac_layer *layer,
                     struct lac_tile tile, struct lac_rows rows)
{
    size_t hidden = m->network->config.hidden_size;
    size_t n_features = lac_query_size(&m->network->config);
    struct lac_input x = lac_input_of(m, tile, lac_tile_f32(m->a, tile.index, n_features));
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

/* Where the input of `down` goes, through the activation. */
static struct lac_output activated(const struct lac_member *m, size_t slot)
{
    struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    bool is_quantized = lac_dtype_is_quantized(m->network->dtype);
    return (struct lac_output){
        .activation = lac_hidden_activation(config),
        .factor =
            config->is_gated ? lac_tile_f32(r->factor, slot, config->intermediate_size) : NULL,
        .y = lac_tile_f32(r->ffn, slot, config->intermediate_size),
        .abs_max = is_quantized ? r->ffn_max + m->rank * r->n_ffn_lanes + slot * LAC_TILE : NULL,
    };
}

static void step_up(const struct lac_member *m, const struct lac_layer *layer, struct lac_tile tile,
                    struct lac_rows rows)
{
    struct lac_output y = activated(m, ffn_slot(m, tile));
    lac_run_linear(&layer->up, tile, rows, lac_hidden_input(m, tile), y);
}

/* Gated layers (Shazeer 2020): down(act(gate(x)) * up(x)). */
static void step_factor(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, struct lac_rows rows)
{
    size_t wide = m->network->config.intermediate_size;
    struct lac_output y = {.y = lac_tile_f32(m->region->factor, ffn_slot(m, tile), wide)};
    lac_run_linear(&layer->up, tile, rows, lac_hidden_input(m, tile), y);
}

static void step_gate(const struct lac_member *m, const struct lac_layer *layer,
                      struct lac_tile tile, struct lac_rows rows)
{
    struct lac_output y = activated(m, ffn_slot(m, tile));
    lac_run_linear(&layer->gate, tile, rows, lac_hidden_input(m, tile), y);
}

/* Leaves the maxima zero, as it found them before the layer. */
static void quantize_ffn(const struct lac_member *m, struct lac_tile tile, size_t lane,
                         size_t n_lanes, size_t n_features)
{
    if (!lac_dtype_is_quantized(m->network->dtype))
        return;
    struct lac_region *r = m->region;
    size_t slot = ffn_slot(m, tile), at = slot * LAC_TILE + lane;
    size_t wide = m->network->config.intermediate_size;
    struct lac_quantize_args args = {
        .x = lac_tile_f32(r->ffn, slot, wide) + lane,
        .n_features = n_features,
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

static void step_quantize_ffn(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    quantize_ffn(m, tile, lane, n_lanes, m->network->config.intermediate_size);
}

static struct lac_input ffn_input(const struct lac_member *m, size_t slot)
{
    struct lac_region *r = m->region;
    size_t wide = m->network->config.intermediate_size;
    if (lac_dtype_is_quantized(m->network->dtype))
        return (struct lac_input){lac_tile_u8(r->ffn8, slot, wide), r->ffn_scale + slot * LAC_TILE};
    return (struct lac_input){lac_tile_f32(r->ffn, slot, wide), NULL};
}

static void step_down(const struct lac_member *m, const struct lac_layer *layer,
                      struct lac_tile tile, struct lac_rows rows)
{
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.residual = h, .y = h};
    lac_run_linear(&layer->down, tile, rows, ffn_input(m, ffn_slot(m, tile)), y);
}

/* The same where neurons are left out: the gate comes first. */

static void step_first_gate(const struct lac_member *m, const struct lac_layer *layer,
                            struct lac_tile tile, struct lac_rows rows)
{
    const struct lac_config *config = &m->network->config;
    struct lac_output y = {
        .activation = lac_hidden_activation(config),
        .y = lac_tile_f32(m->region->factor, ffn_slot(m, tile), config->intermediate_size),
    };
    struct lac_input x = lac_hidden_input(m, tile);
    if (!lac_run_core(m, layer, tile, LAC_CORE_GATE, x, y))
        lac_run_linear(&layer->gate, tile, rows, x, y);
}

static void step_choose(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, size_t lane, size_t n_lanes)
{
    bool has_core = m->forward->activations->policy.rule == LAC_ACTIVATIONS_CORE;
    (has_core ? lac_choose_core : lac_choose_neurons)(m, layer, tile, ffn_slot(m, tile), lane,
                                                      n_lanes);
}

static void step_chosen_up(const struct lac_member *m, const struct lac_layer *layer,
                           struct lac_tile tile, struct lac_rows rows)
{
    size_t slot = ffn_slot(m, tile);
    struct lac_choice choice = lac_choice_of(m->region, slot);
    struct lac_output y = activated(m, slot);
    y.activation = LAC_ACT_NONE; /* factor is activated */
    if (lac_run_core(m, layer, tile, LAC_CORE_UP, lac_hidden_input(m, tile), y))
        return;
    if (choice.n == LAC_ALL_NEURONS)
        lac_run_linear(&layer->up, tile, rows, lac_hidden_input(m, tile), y);
    else
        lac_run_chosen_up(m, layer, tile, &choice, y);
}

static void step_chosen_quantize(const struct lac_member *m, const struct lac_layer *layer,
                                 struct lac_tile tile, size_t lane, size_t n_lanes)
{
    size_t slot = ffn_slot(m, tile), n = m->region->n_chosen[slot];
    lac_count_core(m, layer, tile, slot, lane, n_lanes);
    quantize_ffn(m, tile, lane, n_lanes,
                 n == LAC_ALL_NEURONS ? m->network->config.intermediate_size : n);
}

static void step_chosen_down(const struct lac_member *m, const struct lac_layer *layer,
                             struct lac_tile tile, struct lac_rows rows)
{
    size_t slot = ffn_slot(m, tile);
    struct lac_choice choice = lac_choice_of(m->region, slot);
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.residual = h, .y = h};
    if (lac_run_core(m, layer, tile, LAC_CORE_DOWN, ffn_input(m, slot), y))
        return;
    if (choice.n == LAC_ALL_NEURONS)
        step_down(m, layer, tile, rows);
    else
        lac_run_chosen_down(m, layer, tile, &choice, rows, ffn_input(m, slot), y);
}

static void step_ffn_norm(const struct lac_member *m, const struct lac_layer *layer,
                          struct lac_tile tile, size_t lane, size_t n_lanes)
{
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    lac_run_norm(m, &layer->ffn_norm, tile, lane, n_lanes, h, h);
}

/* Norms that come first leave h as it is. */
static void norm_first(const struct lac_member *m, const struct lac_norm *norm,
                       struct lac_tile tile, size_t lane, size_t n_lanes)
{
    const float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    bool is_quantized = lac_dtype_is_quantized(m->network->dtype);
    lac_run_norm(m, norm, tile, lane, n_lanes, h, is_quantized ? NULL : lac_tile_x(m, tile));
}

static void step_norm_for_attention(const struct lac_member *m, const struct lac_layer *layer,
                                    struct lac_tile tile, size_t lane, size_t n_lanes)
{
    norm_first(m, &layer->attention_norm, tile, lane, n_lanes);
}

static void step_norm_for_ffn(const struct lac_member *m, const struct lac_layer *layer,
                              struct lac_tile tile, size_t lane, size_t n_lanes)
{
    norm_first(m, &layer->ffn_norm, tile, lane, n_lanes);
}

static void rotate(const struct lac_member *m, struct lac_tile tile, size_t lane, size_t n_lanes,
                   float *buffer, size_t n_heads)
{
    const struct lac_region *r = m->region;
    size_t head_dim = m->network->config.head_dim;
    struct lac_rope_args args = {
        .x = lac_tile_f32(buffer, tile.index, n_heads * head_dim) + lane,
        .n_heads = n_heads,
        .head_dim = head_dim,
        .n_rotated = head_dim,
        .ld = tile.ld,
        .n_lanes = n_lanes,
        .cos = lac_tile_f32(r->cos, tile.index, head_dim / 2) + lane,
        .sin = lac_tile_f32(r->sin, tile.index, head_dim / 2) + lane,
    };
    m->network->kernels.rope->run.rope(&args);
}

static void step_rotate(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    rotate(m, tile, lane, n_lanes, m->region->q, m->network->config.n_heads);
    rotate(m, tile, lane, n_lanes, m->region->k, m->network->config.n_kv_heads);
}

static void step_angles(const struct lac_member *m, const struct lac_layer *layer,
                        struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    lac_run_angles(m, tile, lane, n_lanes);
}

static void step_narrow_embedding(const struct lac_member *m, const struct lac_layer *layer,
                                  struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    lac_run_narrow_embedding(m, tile, lane, n_lanes);
}

static void step_project_in(const struct lac_member *m, const struct lac_layer *layer,
                            struct lac_tile tile, struct lac_rows rows)
{
    (void)layer;
    float *h = lac_tile_f32(m->h, tile.index, m->network->config.hidden_size);
    struct lac_output y = {.residual = h, .y = h};
    struct lac_input x = lac_input_of(m, tile, lac_tile_x(m, tile));
    lac_run_linear(&m->network->project_in, tile, rows, x, y);
}

/* What layers whose norms come after read first. */
static void step_quantize_hidden(const struct lac_member *m, const struct lac_layer *layer,
                                 struct lac_tile tile, size_t lane, size_t n_lanes)
{
    (void)layer;
    size_t hidden = m->network->config.hidden_size;
    lac_run_quantize(m, tile, lane, n_lanes, lac_tile_f32(m->h, tile.index, hidden), hidden, NULL);
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
    size_t n_queries = lac_query_size(&m->network->config);
    float *a = lac_tile_f32(m->a, tile.index, n_queries);
    float *h = lac_tile_f32(m->h, tile.index, hidden);
    for (size_t to = lane; to < lane + n_lanes; to++) {
        bool is_token = to < tile.n_tokens;
        size_t token = is_token ? r->kept[tile.index * LAC_TILE + to] : 0;
        struct lac_tile from = lac_tile_at(m, n_all, token / LAC_TILE);
        const float *a_from = lac_tile_f32(r->a, from.index, n_queries) + token % LAC_TILE;
        const float *h_from = lac_tile_f32(r->h, from.index, hidden) + token % LAC_TILE;
        for (size_t f = 0; f < n_queries; f++)
            a[f * tile.ld + to] = is_token ? a_from[f * from.ld] : 0;
        for (size_t f = 0; f < hidden; f++)
            h[f * tile.ld + to] = is_token ? h_from[f * from.ld] : 0;
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
LINEAR_OF(global_query)
LINEAR_OF(global_key)
LINEAR_OF(global_value)
LINEAR_OF(mix)
LINEAR_OF(gate)
LINEAR_OF(up)
LINEAR_OF(down)

static const struct lac_linear *linear_of_project_in(const struct lac_member *m,
                                                     const struct lac_layer *layer)
{
    (void)layer;
    return &m->network->project_in;
}

#define LANES(function)                                                                            \
    {                                                                                              \
        .lanes = function                                                                          \
    }
#define ROWS(function, member)                                                                     \
    {                                                                                              \
        .rows = function, .linear = linear_of_##member                                             \
    }
#define ROWS_APART(function, member)                                                               \
    {                                                                                              \
        .rows = function, .linear = linear_of_##member, .is_apart = true                           \
    }

/* Each list ends with an empty step. */
typedef const struct lac_step step_list[7];

static step_list embedding = {LANES(step_embedding)};
static step_list narrow_embedding = {LANES(step_narrow_embedding),
                                     ROWS(step_project_in, project_in)};
static step_list angles = {LANES(step_angles)};
static step_list quantizing = {LANES(step_quantize_hidden)};
static step_list rotation = {LANES(step_rotate)};
static step_list gathering = {LANES(step_gather)};

static step_list global_projections = {ROWS_APART(step_global_query, global_query),
                                       ROWS_APART(step_global_key, global_key),
                                       ROWS(step_global_value, global_value)};

/* Norms after each half of a layer, as Vaswani et al. (2017) have them, and before it. */
struct layer_steps {
    step_list before_attention, before_last_attention, after_attention, feed_forward, gated;
};

static const struct layer_steps norms_after = {
    {ROWS_APART(step_query, query), ROWS_APART(step_key, key), ROWS(step_value, value)},
    {ROWS_APART(step_kept_query, query), ROWS_APART(step_key, key), ROWS(step_value, value)},
    {LANES(step_quantize_mix), ROWS(step_mix, mix), LANES(step_attention_norm)},
    {ROWS(step_up, up), LANES(step_quantize_ffn), ROWS(step_down, down), LANES(step_ffn_norm)},
    {ROWS(step_factor, up), ROWS(step_gate, gate), LANES(step_quantize_ffn), ROWS(step_down, down),
     LANES(step_ffn_norm)},
};

static const struct layer_steps norms_before = {
    {LANES(step_norm_for_attention), ROWS_APART(step_query, query), ROWS_APART(step_key, key),
     ROWS(step_value, value)},
    {LANES(step_norm_for_attention), ROWS_APART(step_kept_query, query), ROWS_APART(step_key, key),
     ROWS(step_value, value)},
    {LANES(step_quantize_mix), ROWS(step_mix, mix)},
    {LANES(step_norm_for_ffn), ROWS(step_up, up), LANES(step_quantize_ffn), ROWS(step_down, down)},
    {LANES(step_norm_for_ffn), ROWS(step_factor, up), ROWS(step_gate, gate),
     LANES(step_quantize_ffn), ROWS(step_down, down)},
};

/* The second half of a Longformer's attention: queries, keys and values of the first are done with.
 */
static void attend_globally(const struct lac_member *m, size_t index, bool is_last)
{
    size_t n = 0;
    for (size_t s = 0; s < m->forward->n_sequences; s++)
        n += lac_global_tokens(m, s);
    if (!n)
        return;
    lac_team_barrier(m->team, m->rank);
    lac_run_steps(m, global_projections, &m->network->layers[index]);
    lac_meet(m);
    lac_run_global_attention(m, index, is_last);
}

static step_list choosy = {
    LANES(step_norm_for_ffn), ROWS(step_first_gate, gate), LANES(step_choose),
    ROWS(step_chosen_up, up), LANES(step_chosen_quantize), ROWS(step_chosen_down, down),
};

/* From here on only the tokens that the head looks at are in work. */
static void drop_tokens(struct lac_member *m, const struct lac_layer *layer)
{
    m->n_tokens = m->region->n_kept;
    m->a = m->region->kept_a;
    m->h = m->region->kept_h;
    m->shares_rows = lac_should_share_rows(m->network, m->n_tokens, m->team->size);
    lac_run_steps(m, gathering, layer);
}

static const struct lac_step *feed_forward(const struct lac_member *m,
                                           const struct layer_steps *steps)
{
    if (m->forward->activations)
        return choosy;
    return m->network->config.is_gated ? steps->gated : steps->feed_forward;
}

/* Neurons of all tokens, also of those that the head does not look at? */
static bool counts_all(const struct lac_member *m)
{
    const struct lac_activations *act = m->forward->activations;
    return act && (act->histogram || act->policy.rule == LAC_ACTIVATIONS_CORE);
}

void lac_run_layer(struct lac_member *m, size_t index, bool is_last)
{
    const struct lac_config *config = &m->network->config;
    const struct lac_layer *layer = &m->network->layers[index];
    const struct layer_steps *steps = config->norms_before ? &norms_before : &norms_after;
    bool drops = is_last && lac_head_keep(m->forward->head) != LAC_KEEP_ALL;
    bool drops_late = drops && counts_all(m);
    drops = drops && !drops_late;
    lac_run_steps(m, drops ? steps->before_last_attention : steps->before_attention, layer);
    if (config->position_kind == LAC_POSITION_ROPE)
        lac_run_steps(m, rotation, layer);
    lac_meet(m);
    lac_run_attention(m, index, is_last && !drops_late);
    attend_globally(m, index, is_last && !drops_late);
    lac_team_barrier(m->team, m->rank);
    if (drops)
        drop_tokens(m, layer);
    lac_run_steps(m, steps->after_attention, layer);
    lac_run_steps(m, feed_forward(m, steps), layer);
    if (drops_late) {
        lac_meet(m);
        drop_tokens(m, layer);
    }
}

void lac_run_embeddings(const struct lac_member *m)
{
    const struct lac_config *config = &m->network->config;
    bool is_narrow = config->embedding_size != config->hidden_size;
    lac_run_steps(m, is_narrow ? narrow_embedding : embedding, NULL);
    if (config->position_kind == LAC_POSITION_ROPE)
        lac_run_steps(m, angles, NULL);
    if (lac_family_is_decoder(config->family) && !config->norms_before)
        lac_run_steps(m, quantizing, NULL);
}
