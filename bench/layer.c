/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layer that is timed: random inputs, pruned weights, and our kernels on them. */
#include "bench/layer.h"

#include <math.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/prune.h"
#include "src/base/checked.h"

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

static void fill_f32(struct bench_layer *layer, uint64_t *random)
{
    float *x = layer->x, *w = layer->elements;
    for (size_t i = 0; i < layer->n_tokens * layer->n_in; i++)
        x[i] = bench_random_float(random);
    for (size_t i = 0; i < layer->n_out * layer->n_in; i++)
        w[i] = random_weight_f32(random);
}

enum lac_status bench_layer_open(struct bench_layer *layer, uint64_t *random,
                                 struct lac_error *error)
{
    size_t size = layer->dtype == LAC_S8 ? 1 : sizeof(float);
    layer->arena = (struct lac_arena){.host = &lac_default_host};
    layer->x = lac_arena_alloc(&layer->arena, layer->n_tokens * layer->n_in, size);
    layer->elements = lac_arena_alloc(&layer->arena, layer->n_out * layer->n_in, size);
    layer->scale = lac_arena_alloc(&layer->arena, layer->n_out, sizeof(float));
    layer->bias = lac_arena_alloc(&layer->arena, layer->n_out, sizeof(float));
    if (!layer->x || !layer->elements || !layer->scale || !layer->bias)
        return no_memory(error);
    for (size_t o = 0; o < layer->n_out; o++)
        layer->bias[o] = bench_random_float(random);
    layer->y_inv_scale = 127.0f / 5.0f;
    if (layer->dtype == LAC_S8)
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
    size_t n = layer->n_out * layer->n_in, n_nonzero = 0;
    for (size_t i = 0; i < n; i++)
        n_nonzero += layer->dtype == LAC_S8 ? ((const int8_t *)elements)[i] != 0
                                            : ((const float *)elements)[i] != 0;
    return n_nonzero;
}

enum lac_status bench_weight_make(struct bench_layer *layer, enum lac_pattern pattern,
                                  double sparsity, uint64_t *random, struct bench_weight *weight,
                                  struct lac_error *error)
{
    size_t n = layer->n_out * layer->n_in, size = layer->dtype == LAC_S8 ? 1 : sizeof(float);
    void *elements = lac_alloc(layer->arena.host, n, size);
    if (!elements)
        return no_memory(error);
    memcpy(elements, layer->elements, n * size);
    enum lac_status status =
        bench_prune(elements, layer->n_out, layer->n_in, size, lac_pattern_rows(pattern),
                    lac_dword_inputs(layer->dtype), sparsity, random, error);
    weight->sparsity = sparsity;
    weight->n_nonzero = count_nonzero(layer, elements);
    if (!status)
        status = lac_weight_pack(elements, layer->dtype == LAC_S8 ? layer->scale : NULL,
                                 layer->bias, layer->n_out, layer->n_in, layer->dtype, pattern,
                                 &layer->arena, &weight->weight, error);
    lac_free(layer->arena.host, elements);
    return status;
}

/* Tokens of the tile that starts at token `first`, and its lanes. */
static size_t tile_tokens(const struct bench_layer *layer, size_t first)
{
    return lac_min_size(LAC_TILE, layer->n_tokens - first);
}

static size_t tile_lanes(const struct bench_layer *layer, size_t first)
{
    return lac_round_up(tile_tokens(layer, first), LAC_LANES);
}

/* Where dword d of token t lies in the panels: tiles one after another. */
static size_t panel_at(const struct bench_layer *layer, size_t n_dwords, size_t d, size_t t)
{
    size_t first = t - t % LAC_TILE;
    return first * n_dwords + d * tile_lanes(layer, first) + t - first;
}

static void fill_panels(struct bench_product *p)
{
    const struct bench_layer *layer = p->layer;
    size_t n_dwords = p->weight.n_dwords, v = lac_dword_inputs(layer->dtype);
    for (size_t t = 0; t < layer->n_tokens; t++)
        for (size_t i = 0; i < layer->n_in; i++) {
            size_t at = panel_at(layer, n_dwords, i / v, t);
            if (layer->dtype == LAC_S8)
                ((uint8_t *)p->x)[at * 4 + i % 4] =
                    ((const uint8_t *)layer->x)[t * layer->n_in + i];
            else
                ((float *)p->x)[at] = ((const float *)layer->x)[t * layer->n_in + i];
        }
}

/* Outputs in units of LAC_OUT_UNIT whose weights take at most half of L2: the other half is for
 * the panels that pass. */
static size_t choose_piece(const struct bench_layer *layer, const struct lac_weight *weight)
{
    size_t bytes_per_unit = lac_weight_bytes(weight) / lac_ceil_div(layer->n_out, LAC_OUT_UNIT) + 1;
    size_t units = layer->l2_bytes / 2 / bytes_per_unit;
    return lac_max_size(units, 1) * LAC_OUT_UNIT;
}

enum lac_status bench_product_open(struct bench_product *p, struct bench_layer *layer,
                                   const struct bench_weight *weight,
                                   const struct lac_kernel *kernel, struct lac_error *error)
{
    struct lac_arena *arena = &layer->arena;
    size_t last = layer->n_tokens - 1;
    *p = (struct bench_product){
        .layer = layer,
        .weight = weight->weight,
        .kernel = kernel,
        .n_lanes = last - last % LAC_TILE + tile_lanes(layer, last - last % LAC_TILE),
        .piece = choose_piece(layer, &weight->weight),
    };
    if (kernel->pack && !(p->weight.extra = kernel->pack(&p->weight, arena)))
        return no_memory(error);
    p->x = lac_arena_alloc_zero(arena, weight->weight.n_dwords * p->n_lanes, 4);
    p->x_scale = lac_arena_alloc(arena, p->n_lanes, sizeof(float));
    p->y_inv_scale = lac_arena_alloc(arena, p->n_lanes, sizeof(float));
    if (!p->x || !p->x_scale || !p->y_inv_scale)
        return no_memory(error);
    if (layer->output == BENCH_OUTPUT_U8)
        p->y_u8 = lac_arena_alloc_zero(arena, lac_round_up(layer->n_out, 4) * p->n_lanes, 1);
    else
        p->y = lac_arena_alloc_zero(arena, layer->n_out * p->n_lanes, sizeof(float));
    if (!p->y_u8 && !p->y)
        return no_memory(error);
    for (size_t t = 0; t < p->n_lanes; t++) {
        p->x_scale[t] = layer->x_scale;
        p->y_inv_scale[t] = layer->y_inv_scale;
    }
    fill_panels(p);
    return LAC_OK;
}

static struct lac_linear_args args_of(const struct bench_product *p, size_t first)
{
    const struct bench_layer *layer = p->layer;
    size_t out_dwords = lac_ceil_div(layer->n_out, 4);
    return (struct lac_linear_args){
        .w = &p->weight,
        .out_end = layer->n_out,
        .n_tokens = tile_tokens(layer, first),
        .ld = tile_lanes(layer, first),
        .x = (const char *)p->x + first * p->weight.n_dwords * 4,
        .x_scale = layer->dtype == LAC_S8 ? p->x_scale + first : NULL,
        .y = p->y ? p->y + first * layer->n_out : NULL,
        .y_u8 = p->y_u8 ? p->y_u8 + first * out_dwords * 4 : NULL,
        .y_inv_scale = p->y_u8 ? p->y_inv_scale + first : NULL,
    };
}

static void run_once(void *context)
{
    const struct bench_product *p = context;
    const struct bench_layer *layer = p->layer;
    for (size_t out = 0; out < layer->n_out; out += p->piece)
        for (size_t first = 0; first < layer->n_tokens; first += LAC_TILE) {
            struct lac_linear_args args = args_of(p, first);
            args.out_begin = out;
            args.out_end = lac_min_size(out + p->piece, layer->n_out);
            p->kernel->run.linear(&args);
        }
}

int bench_product_turn(void *context, size_t n, uint64_t *ns)
{
    for (size_t i = 0; i < n; i++)
        ns[i] = bench_time_alone(run_once, context);
    return 0;
}

double bench_product_bytes(const struct bench_product *p)
{
    const struct bench_layer *layer = p->layer;
    double x_size = layer->dtype == LAC_S8 ? 1 : 4;
    double y_size = layer->output == BENCH_OUTPUT_U8 ? 1 : 4;
    return (double)lac_weight_bytes(&p->weight) +
           (double)layer->n_tokens * (x_size * (double)layer->n_in + y_size * (double)layer->n_out);
}

static const struct lac_kernel *scalar_of(const struct lac_kernel *kernel)
{
    const struct lac_kernel *const *k = lac_kernels();
    while ((*k)->op != kernel->op || (*k)->pattern != kernel->pattern ||
           (*k)->dtype != kernel->dtype || (*k)->needs)
        k++;
    return *k;
}

/* What the scalar kernel makes of the tile at token `first`. */
struct reference {
    float *y;
    uint8_t *y_u8;
    size_t ld;
};

static enum lac_status make_reference(const struct bench_product *p, size_t first,
                                      struct reference *r, struct lac_error *error)
{
    struct lac_linear_args args = args_of(p, first);
    const struct lac_host *host = p->layer->arena.host;
    *r = (struct reference){.ld = args.ld};
    if (p->y_u8)
        args.y_u8 = r->y_u8 = lac_alloc_zero(host, lac_round_up(p->layer->n_out, 4), args.ld);
    else
        args.y = r->y = lac_alloc_zero(host, p->layer->n_out * args.ld, sizeof(float));
    if (!r->y && !r->y_u8)
        return no_memory(error);
    scalar_of(p->kernel)->run.linear(&args);
    return LAC_OK;
}

static void free_reference(const struct bench_product *p, struct reference *r)
{
    lac_free(p->layer->arena.host, r->y);
    lac_free(p->layer->arena.host, r->y_u8);
}

/* y or y_u8 of output o and token t of a tile with ld lanes. */
static double value_at(const float *y, const uint8_t *y_u8, size_t ld, size_t o, size_t t)
{
    return y ? (double)y[o * ld + t] : y_u8[(o / 4 * ld + t) * 4 + o % 4];
}

/* Of the tile at `first`: rows is another engine's result, or NULL for the product's own. */
static enum lac_status tile_error(const struct bench_product *p, size_t first, const void *rows,
                                  double *most, struct lac_error *error)
{
    struct reference r;
    if (make_reference(p, first, &r, error))
        return error->status;
    struct lac_linear_args own = args_of(p, first);
    size_t n_out = p->layer->n_out;
    for (size_t t = 0; t < own.n_tokens; t++)
        for (size_t o = 0; o < n_out; o++) {
            size_t at = (first + t) * n_out + o;
            double got = !rows     ? value_at(own.y, own.y_u8, own.ld, o, t)
                         : p->y_u8 ? ((const uint8_t *)rows)[at]
                                   : (double)((const float *)rows)[at];
            double difference = fabs(got - value_at(r.y, r.y_u8, r.ld, o, t));
            if (!isnan(*most) && !(difference <= *most))
                *most = difference;
        }
    free_reference(p, &r);
    return LAC_OK;
}

static enum lac_status both_ends_error(const struct bench_product *p, const void *rows,
                                       double *most, struct lac_error *error)
{
    size_t last = p->layer->n_tokens - 1;
    *most = 0;
    if (tile_error(p, 0, rows, most, error))
        return error->status;
    last -= last % LAC_TILE;
    return last ? tile_error(p, last, rows, most, error) : LAC_OK;
}

enum lac_status bench_product_error(const struct bench_product *product, double *most,
                                    struct lac_error *error)
{
    return both_ends_error(product, NULL, most, error);
}

enum lac_status bench_rows_error(const struct bench_product *dense, const void *y, double *most,
                                 struct lac_error *error)
{
    return both_ends_error(dense, y, most, error);
}
