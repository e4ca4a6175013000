/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layer that is timed: random inputs and pruned weights. */
#include "bench/layer.h"

#include <math.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/prune.h"
#include "src/base/checked.h"
#include "src/base/half.h"

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for a layer");
}

/* 1 to 127 or its negative: a weight that is kept is not zero. */
static int8_t random_weight_s8(uint64_t *random)
{
    uint64_t bits = bench_random(random);
    int8_t size = (int8_t)(1 + (bits >> 1) % 127);
    return bits & 1 ? size : (int8_t)-size;
}

static float random_weight_f32(uint64_t *random)
{
    float w = bench_random_float(random);
    return w < 0 ? w - 0.01f : w + 0.01f;
}

static void fill_s8(struct bench_layer *layer, uint64_t *random)
{
    uint8_t *x = layer->x;
    int8_t *w = layer->elements;
    for (size_t i = 0; i < layer->n_tokens * layer->n_in; i++)
        x[i] = (uint8_t)(1 + bench_random_below(random, 255));
    for (size_t i = 0; i < layer->n_out * layer->n_in; i++)
        w[i] = random_weight_s8(random);
    /* Products of two uniform int8 have a deviation of 73^2; y then has about 1. */
    layer->x_scale = 1.0f / (73.0f * 73.0f * sqrtf((float)layer->n_in) * 0.01f);
    for (size_t o = 0; o < layer->n_out; o++)
        layer->scale[o] = 0.01f * (1 + 0.5f * bench_random_float(random));
}

/* Weights of 16 bits are rounded; the least of them, 0.01, is far from 0. */
static void put_weight(const struct bench_layer *layer, size_t i, float value)
{
    if (layer->dtype == LAC_BF16)
        ((uint16_t *)layer->elements)[i] = lac_bf16_from_f32(value);
    else if (layer->dtype == LAC_F16)
        ((uint16_t *)layer->elements)[i] = lac_f16_from_f32(value);
    else
        ((float *)layer->elements)[i] = value;
}

static void fill_f32(struct bench_layer *layer, uint64_t *random)
{
    float *x = layer->x;
    for (size_t i = 0; i < layer->n_tokens * layer->n_in; i++)
        x[i] = bench_random_float(random);
    for (size_t i = 0; i < layer->n_out * layer->n_in; i++)
        put_weight(layer, i, random_weight_f32(random));
}

enum lac_status bench_layer_open(struct bench_layer *layer, uint64_t *random,
                                 struct lac_error *error)
{
    size_t size = lac_element_bytes(layer->dtype);
    bool quantized = lac_dtype_is_quantized(layer->dtype);
    layer->arena = (struct lac_arena){.host = &lac_default_host};
    layer->x = lac_arena_alloc(&layer->arena, layer->n_tokens * layer->n_in, quantized ? 1 : 4);
    layer->elements = lac_arena_alloc(&layer->arena, layer->n_out * layer->n_in, size);
    layer->scale = lac_arena_alloc(&layer->arena, layer->n_out, sizeof(float));
    layer->bias = lac_arena_alloc(&layer->arena, layer->n_out, sizeof(float));
    if (!layer->x || !layer->elements || !layer->scale || !layer->bias)
        return no_memory(error);
    for (size_t o = 0; o < layer->n_out; o++)
        layer->bias[o] = bench_random_float(random);
    layer->y_inv_scale = 127.0f / 5.0f;
    if (quantized)
        fill_s8(layer, random);
    else
        fill_f32(layer, random);
    return LAC_OK;
}

void bench_layer_close(struct bench_layer *layer)
{
    lac_arena_clear(&layer->arena);
}

static size_t count_nonzero(const struct bench_layer *layer, const void *elements)
{
    static const char zero[4];
    size_t n = layer->n_out * layer->n_in, n_nonzero = 0, size = lac_element_bytes(layer->dtype);
    for (size_t i = 0; i < n; i++)
        n_nonzero += memcmp((const char *)elements + i * size, zero, size) != 0;
    return n_nonzero;
}

static enum lac_status prune(const struct bench_layer *layer, const struct bench_blocks *blocks,
                             double *sparsity, uint64_t *random, void *elements,
                             struct lac_error *error)
{
    size_t size = lac_element_bytes(layer->dtype);
    if (blocks->n_out)
        return bench_prune(elements, layer->n_out, layer->n_in, size, blocks->n_out, blocks->n_in,
                           *sparsity, random, error);
    if (blocks->of) {
        *sparsity = 1 - (double)blocks->kept / (double)blocks->of;
        bench_prune_groups(elements, layer->n_out, layer->n_in, size, blocks->kept, blocks->of,
                           random);
    }
    return LAC_OK;
}

/* *array becomes a copy of its own, if there is one. */
static bool copy_array(const void **array, size_t size_bytes, struct lac_arena *arena)
{
    if (!*array)
        return true;
    void *own = lac_arena_alloc(arena, size_bytes, 1);
    if (own)
        memcpy(own, *array, size_bytes);
    *array = own;
    return own;
}

/* What packing the same elements again would give, without looking at them. */
static bool copy_weight(const struct lac_weight *from, struct lac_arena *arena,
                        struct lac_weight *to)
{
    size_t n_blocks = from->n_blocks;
    size_t n_padded = lac_round_up(from->n_out, lac_pattern_unit(from->pattern)) * sizeof(float);
    const struct {
        const void *array;
        size_t size_bytes;
    } parts[] = {
        {from->row_begin, (from->n_block_rows + 1) * sizeof *from->row_begin},
        {from->index, n_blocks * lac_block_indices(from->pattern) * sizeof *from->index},
        {from->masks, lac_masks_bytes(from)},
        {from->blocks, n_blocks * lac_block_bytes(from->pattern, from->dtype) +
                           lac_blocks_tail_bytes(from->pattern)},
        {from->group, lac_weight_groups(from) * lac_pattern_rows(from->pattern)},
        {from->scale, n_padded},
        {from->offset, n_padded},
        {from->bias, n_padded},
        {from->start, n_padded},
        {from->shift, n_padded},
    };
    const void *own[sizeof parts / sizeof parts[0]];
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        own[i] = parts[i].array;
        if (!copy_array(&own[i], parts[i].size_bytes, arena))
            return false;
    }
    *to = *from;
    to->row_begin = own[0];
    to->index = own[1];
    to->masks = own[2];
    to->blocks = own[3];
    to->group = own[4];
    to->scale = own[5];
    to->offset = own[6];
    to->bias = own[7];
    to->start = own[8];
    to->shift = own[9];
    return true;
}

/* The first copy says how many there have to be. */
static enum lac_status pack_copies(struct bench_layer *layer, enum lac_pattern layout,
                                   const void *elements, struct bench_weight *weight,
                                   struct lac_error *error)
{
    struct lac_arena *arena = &weight->store.arena;
    const float *scale = lac_dtype_is_quantized(layer->dtype) ? layer->scale : NULL;
    struct lac_weight first;
    if (lac_weight_pack(elements, scale, layer->bias, layer->n_out, layer->n_in, layer->dtype,
                        layout, arena, &first, error))
        return error->status;
    weight->n_copies = layer->n_copies ? layer->n_copies
                       : layer->cold   ? bench_stack_copies(lac_weight_bytes(&first))
                                       : 1;
    weight->copies = lac_arena_alloc(&layer->arena, weight->n_copies, sizeof first);
    if (!weight->copies)
        return no_memory(error);
    weight->copies[0] = first;
    for (size_t i = 1; i < weight->n_copies; i++)
        if (!copy_weight(&first, arena, &weight->copies[i]))
            return no_memory(error);
    return LAC_OK;
}

enum lac_status bench_weight_make(struct bench_layer *layer, const struct bench_pattern *pattern,
                                  double sparsity, uint64_t *random, struct bench_weight *weight,
                                  struct lac_error *error)
{
    size_t n = layer->n_out * layer->n_in, size = lac_element_bytes(layer->dtype);
    void *elements = lac_alloc(layer->arena.host, n, size);
    *weight = (struct bench_weight){.pattern = *pattern, .sparsity = sparsity};
    bench_store_open(&weight->store);
    if (!elements)
        return no_memory(error);
    memcpy(elements, layer->elements, n * size);
    enum lac_status status =
        prune(layer, &pattern->blocks, &weight->sparsity, random, elements, error);
    weight->n_nonzero = count_nonzero(layer, elements);
    if (!status)
        status = pack_copies(layer, pattern->layout, elements, weight, error);
    lac_free(layer->arena.host, elements);
    return status;
}

void bench_weight_close(struct bench_weight *weight)
{
    bench_store_close(&weight->store);
}
