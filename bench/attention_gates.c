/* SPDX-License-Identifier: Apache-2.0 */
/* Gates of one head, made up. */
#include "bench/attention_gates.h"

#include <math.h>
#include <string.h>

#include "bench/harness.h"
#include "src/base/checked.h"
#include "src/run/gate_turns.h"
#include "src/run/plan.h"

/* Positions that turn next to nothing, as what is planted in keys is the same at all of them. */
#define THETA 1e30

struct lac_gates bench_gates_kind(size_t head_dim)
{
    return (struct lac_gates){
        .width = lac_round_up(head_dim, 32),
        .query_pools = 1u << LAC_POOLED_MEAN,
        .key_pools = (1u << LAC_N_POOLED) - 1,
        .has_query = 1,
    };
}

/* A projection of one head, from the last head_dim of n_in features. */
static enum lac_status make_linear(enum lac_dtype dtype, size_t width, size_t head_dim, size_t n_in,
                                   unsigned features, struct lac_arena *arena,
                                   struct lac_linear *linear, struct lac_error *error)
{
    const struct lac_network network = {.features = features, .dtype = dtype};
    uint64_t random = 7; /* the same for queries and keys */
    float *w = lac_arena_alloc_zero(arena, width * n_in, sizeof *w);
    float *scale = lac_arena_alloc(arena, width, sizeof *scale);
    int8_t *elements = lac_arena_alloc(arena, width * n_in, 1);
    if (!w || !scale || !elements)
        return lac_fail(error, LAC_E_MEMORY, "no memory for gates");
    for (size_t o = 0; o < width; o++)
        for (size_t i = n_in - head_dim; i < n_in; i++)
            w[o * n_in + i] = bench_random_float(&random);
    bool is_quantized = dtype == LAC_S8;
    enum lac_status status =
        is_quantized ? lac_weight_quantize(w, width, n_in, elements, scale, error) : LAC_OK;
    if (!status)
        status =
            lac_weight_pack(is_quantized ? (void *)elements : w, is_quantized ? scale : NULL, NULL,
                            width, n_in, dtype, LAC_PATTERN_DENSE, arena, &linear->weight, error);
    linear->name = "gate";
    return status ? status : lac_plan_kernels(&network, linear, arena, error);
}

enum lac_status bench_gates_make(struct lac_pick_gates *gates, enum lac_dtype dtype, size_t length,
                                 size_t head_dim, unsigned features, struct lac_arena *arena,
                                 struct lac_error *error)
{
    struct lac_config *config = lac_arena_alloc_zero(arena, 1, sizeof *config);
    struct lac_linear *linears = lac_arena_alloc_zero(arena, 2, sizeof *linears);
    if (!config || !linears)
        return lac_fail(error, LAC_E_MEMORY, "no memory for gates");
    config->head_dim = head_dim;
    config->max_tokens = length;
    config->rope = (struct lac_rope){.theta = THETA, .factor = 1, .attention_factor = 1};
    config->gates = bench_gates_kind(head_dim);
    *gates = (struct lac_pick_gates){
        .kind = &config->gates, .query = &linears[0], .key = &linears[1], .rope = &config->rope};
    size_t n_in = lac_gates_inputs(config->gates.key_pools, head_dim);
    size_t n_tiles = lac_ceil_div(lac_ceil_div(length, LAC_KEY_BLOCK), LAC_TILE);
    gates->pooled = lac_arena_alloc_zero(arena, n_tiles * n_in * LAC_TILE, sizeof *gates->pooled);
    gates->n_pooled = lac_arena_alloc_zero(arena, 1, sizeof *gates->n_pooled);
    if (!gates->pooled || !gates->n_pooled)
        return lac_fail(error, LAC_E_MEMORY, "no memory for gates");
    enum lac_dtype of_network = dtype == LAC_S8 ? LAC_S8 : LAC_F32;
    enum lac_status status = lac_gate_turns_make(config, arena, &gates->turns, error);
    if (!status)
        status = make_linear(of_network, config->gates.width, head_dim, head_dim, features, arena,
                             &linears[0], error);
    if (!status)
        status = make_linear(of_network, config->gates.width, head_dim, n_in, features, arena,
                             &linears[1], error);
    return status;
}
