/* SPDX-License-Identifier: Apache-2.0 */
/* What every step of a forward pass is made of. */
#include "src/run/member.h"

enum lac_activation lac_hidden_activation(const struct lac_config *config)
{
    static const enum lac_activation activations[] = {
        [LAC_HIDDEN_GELU] = LAC_ACT_GELU,
        [LAC_HIDDEN_GELU_TANH] = LAC_ACT_GELU_TANH,
        [LAC_HIDDEN_RELU] = LAC_ACT_RELU,
        [LAC_HIDDEN_SILU] = LAC_ACT_SILU,
    };
    return activations[config->hidden_act];
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
        .factor = y.factor,
        .residual = y.residual,
        .y = y.y,
        .abs_max = y.abs_max,
    };
    const struct lac_kernel *kernel =
        tile.n_tokens < linear->few_below ? linear->few : linear->many;
    kernel->run.linear(&args);
}

struct lac_input lac_input_of(const struct lac_member *m, struct lac_tile tile, const float *panel)
{
    if (!lac_dtype_is_quantized(m->network->dtype))
        return (struct lac_input){panel, NULL};
    return (struct lac_input){lac_tile_x8(m, tile), m->region->x_scale + tile.index * LAC_TILE};
}

struct lac_input lac_hidden_input(const struct lac_member *m, struct lac_tile tile)
{
    const struct lac_config *config = &m->network->config;
    return lac_input_of(m, tile,
                        config->norms_before ? lac_tile_x(m, tile)
                                             : lac_tile_f32(m->h, tile.index, config->hidden_size));
}

void lac_run_norm(const struct lac_member *m, const struct lac_norm *norm, struct lac_tile tile,
                  size_t lane, size_t n_lanes, const float *x, float *y)
{
    const struct lac_config *config = &m->network->config;
    bool is_quantized = lac_dtype_is_quantized(m->network->dtype);
    struct lac_norm_args args = {
        .rule = config->norm_kind == LAC_NORM_RMS ? LAC_RULE_RMS_NORM : LAC_RULE_LAYER_NORM,
        .x = x + lane,
        .n_features = config->hidden_size,
        .ld = tile.ld,
        .n_lanes = n_lanes,
        .gamma = norm->gamma,
        .beta = norm->beta,
        .eps = config->norm_eps,
        .y = y ? y + lane : NULL,
        .y_u8 = is_quantized ? lac_tile_x8(m, tile) + lane * 4 : NULL,
        .y_scale = is_quantized ? m->region->x_scale + tile.index * LAC_TILE + lane : NULL,
    };
    m->network->kernels.norm->run.norm(&args);
}

void lac_run_quantize(const struct lac_member *m, struct lac_tile tile, size_t lane, size_t n_lanes,
                      const float *x, size_t n_features, const float *abs_max)
{
    if (!lac_dtype_is_quantized(m->network->dtype))
        return;
    struct lac_quantize_args args = {
        .x = x + lane,
        .n_features = n_features,
        .ld = tile.ld,
        .n_lanes = n_lanes,
        .abs_max = abs_max,
        .y_u8 = lac_tile_x8(m, tile) + lane * 4,
        .y_scale = m->region->x_scale + tile.index * LAC_TILE + lane,
    };
    m->network->kernels.quantize->run.quantize(&args);
}
