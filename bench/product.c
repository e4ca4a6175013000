/* SPDX-License-Identifier: Apache-2.0 */
/* One of our kernels on one weight of a layer, alone or shared out among a crew. */
#include "bench/product.h"

#include <math.h>

#include "src/base/checked.h"

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for a product");
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

/* Dwords of a token in a panel. */
static size_t panel_dwords(const struct bench_layer *layer)
{
    return lac_dtype_is_quantized(layer->dtype) ? lac_ceil_div(layer->n_in, 4) : layer->n_in;
}

static void fill_panels(struct bench_product *p)
{
    const struct bench_layer *layer = p->layer;
    bool quantized = lac_dtype_is_quantized(layer->dtype);
    size_t n_dwords = panel_dwords(layer), v = quantized ? 4 : 1;
    for (size_t t = 0; t < layer->n_tokens; t++)
        for (size_t i = 0; i < layer->n_in; i++) {
            size_t at = panel_at(layer, n_dwords, i / v, t);
            if (quantized)
                ((uint8_t *)p->x)[at * 4 + i % 4] =
                    ((const uint8_t *)layer->x)[t * layer->n_in + i];
            else
                ((float *)p->x)[at] = ((const float *)layer->x)[t * layer->n_in + i];
        }
}

/* Outputs in the layout's units whose weights take at most half of L2: the other half is for the
 * panels that pass.  All where only one does. */
static size_t choose_piece(const struct bench_layer *layer, const struct lac_weight *weight)
{
    size_t unit = lac_pattern_unit(weight->pattern);
    if (layer->n_tokens <= LAC_TILE)
        return lac_round_up(layer->n_out, unit);
    size_t bytes_per_unit = lac_weight_bytes(weight) / lac_ceil_div(layer->n_out, unit) + 1;
    return lac_max_size(layer->l2_bytes / 2 / bytes_per_unit, 1) * unit;
}

/* Kept blocks of the outputs below o, a multiple of the layout's unit or n_out. */
static size_t blocks_below(const struct lac_weight *weight, size_t o)
{
    return o >= weight->n_out ? weight->n_blocks
                              : weight->row_begin[o / lac_pattern_rows(weight->pattern)];
}

/* Outputs cut so that each worker has its share of the kept blocks. */
static void share_outputs(struct bench_product *p)
{
    const struct lac_weight *weight = &p->copies[0];
    size_t o = 0, n = p->crew->size;
    for (size_t i = 0; i < n; i++) {
        p->shares[i] = o;
        while (o < weight->n_out && blocks_below(weight, o) * n < (i + 1) * weight->n_blocks)
            o += lac_pattern_unit(weight->pattern);
    }
    p->shares[n] = weight->n_out;
}

/* Tokens are shared out in whole tiles, where that comes out even: within a twentieth. */
static void share_work(struct bench_product *p)
{
    size_t n = p->crew->size, n_tiles = lac_ceil_div(p->layer->n_tokens, LAC_TILE), most = 0;
    for (size_t i = 0; i <= n; i++) {
        p->shares[i] = lac_min_size(n_tiles * i / n * LAC_TILE, p->layer->n_tokens);
        if (i)
            most = lac_max_size(most, p->shares[i] - p->shares[i - 1]);
    }
    p->by_tokens = 20 * most * n <= 21 * p->layer->n_tokens;
    if (!p->by_tokens)
        share_outputs(p);
}

static enum lac_status copy_weights(struct bench_product *p, struct bench_weight *weight,
                                    struct lac_arena *arena, struct lac_error *error)
{
    p->copies = lac_arena_alloc(arena, weight->n_copies, sizeof *p->copies);
    if (!p->copies)
        return no_memory(error);
    for (size_t i = 0; i < weight->n_copies; i++) {
        p->copies[i] = weight->copies[i];
        if (p->kernel->pack &&
            !(p->copies[i].extra = p->kernel->pack(&p->copies[i], &weight->store.arena)))
            return no_memory(error);
    }
    return LAC_OK;
}

/* A thousand times slower than the others, plain C takes most of a comparison's time.  A multiple
 * of every layout's unit. */
enum { SAMPLED_OUTPUTS = 64 };

enum lac_status bench_product_open(struct bench_product *p, struct bench_layer *layer,
                                   const struct bench_crew *crew, struct bench_weight *weight,
                                   const struct lac_kernel *kernel, struct lac_error *error)
{
    struct lac_arena *arena = &layer->arena;
    size_t last = layer->n_tokens - 1;
    *p = (struct bench_product){
        .layer = layer,
        .crew = crew,
        .weight = weight,
        .kernel = kernel,
        .n_lanes = last - last % LAC_TILE + tile_lanes(layer, last - last % LAC_TILE),
        .piece = choose_piece(layer, &weight->copies[0]),
    };
    if (copy_weights(p, weight, arena, error))
        return error->status;
    p->shares = lac_arena_alloc(arena, crew->size + 1, sizeof *p->shares);
    p->x = lac_arena_alloc_zero(arena, panel_dwords(layer) * p->n_lanes, 4);
    p->x_scale = lac_arena_alloc(arena, p->n_lanes, sizeof(float));
    p->y_inv_scale = lac_arena_alloc(arena, p->n_lanes, sizeof(float));
    if (!p->shares || !p->x || !p->x_scale || !p->y_inv_scale)
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
    share_work(p);
    if (!kernel->needs && crew->size == 1 && !layer->cold)
        p->sample = lac_min_size(SAMPLED_OUTPUTS, layer->n_out);
    return LAC_OK;
}

static struct lac_linear_args args_of(const struct bench_product *p, size_t first)
{
    const struct bench_layer *layer = p->layer;
    size_t out_dwords = lac_ceil_div(layer->n_out, 4);
    return (struct lac_linear_args){
        .w = &p->copies[p->now],
        .out_end = layer->n_out,
        .n_tokens = tile_tokens(layer, first),
        .ld = tile_lanes(layer, first),
        .x = (const char *)p->x + first * panel_dwords(layer) * 4,
        .x_scale = lac_dtype_is_quantized(layer->dtype) ? p->x_scale + first : NULL,
        .y = p->y ? p->y + first * layer->n_out : NULL,
        .y_u8 = p->y_u8 ? p->y_u8 + first * out_dwords * 4 : NULL,
        .y_inv_scale = p->y_u8 ? p->y_inv_scale + first : NULL,
    };
}

static void run_sample(size_t rank, void *context)
{
    const struct bench_product *p = context;
    struct lac_linear_args args = args_of(p, 0);
    (void)rank;
    args.out_end = p->sample;
    p->kernel->run.linear(&args);
}

/* How many times more there is to do than in the sample. */
static double sample_factor(const struct bench_product *p)
{
    double blocks = (double)blocks_below(&p->copies[0], p->sample);
    double outputs = blocks > 0 ? (double)p->copies[0].n_blocks / blocks
                                : (double)p->layer->n_out / (double)p->sample;
    return outputs * (double)p->layer->n_tokens / (double)tile_tokens(p->layer, 0);
}

/* One worker's share. */
static void run_share(const struct bench_product *p, size_t rank)
{
    const struct bench_layer *layer = p->layer;
    size_t share_begin = p->shares[rank], share_end = p->shares[rank + 1];
    size_t token_begin = p->by_tokens ? share_begin : 0;
    size_t token_end = p->by_tokens ? share_end : layer->n_tokens;
    size_t out_begin = p->by_tokens ? 0 : share_begin;
    size_t out_end = p->by_tokens ? layer->n_out : share_end;
    for (size_t out = out_begin; out < out_end; out += p->piece)
        for (size_t first = token_begin; first < token_end; first += LAC_TILE) {
            struct lac_linear_args args = args_of(p, first);
            args.out_begin = out;
            args.out_end = lac_min_size(out + p->piece, out_end);
            p->kernel->run.linear(&args);
        }
}

static void work_warm(size_t rank, void *context)
{
    run_share(context, rank);
}

static void work_cold(void *context, size_t rank, size_t layer)
{
    struct bench_product product = *(const struct bench_product *)context;
    product.now = layer;
    run_share(&product, rank);
}

static void flush(void *context)
{
    const struct bench_product *p = context;
    bench_store_flush(&p->weight->store);
}

void bench_product_run(struct bench_product *p)
{
    bench_crew_run(p->crew, work_warm, p);
    p->now = (p->now + 1) % p->weight->n_copies;
}

int bench_product_turn(void *context, size_t n, uint64_t *ns)
{
    struct bench_product *p = context;
    struct bench_cold_stack stack = {p->crew, p->weight->n_copies, work_cold, flush, p};
    if (p->layer->cold) {
        bench_cold_times(&stack, n, ns);
        return 0;
    }
    for (size_t i = 0; i < n; i++)
        ns[i] =
            p->sample
                ? (uint64_t)((double)bench_crew_time(p->crew, run_sample, p, 1) * sample_factor(p))
                : bench_crew_time(p->crew, work_warm, p, 1);
    return 0;
}

/* Layers [begin, end) of a stack. */
struct cold_run {
    const struct bench_cold_stack *stack;
    size_t begin, end;
};

static void run_cold(size_t rank, void *context)
{
    const struct cold_run *run = context;
    for (size_t i = run->begin; i < run->end; i++)
        run->stack->work(run->stack->context, rank, i);
}

/* Layers that are timed together, so that the clock does not count; all of them are run once
 * before any is again. */
void bench_cold_times(const struct bench_cold_stack *stack, size_t n, uint64_t *ns)
{
    size_t at_once = lac_max_size(stack->n_layers / n, 1), begin = 0;
    for (size_t i = 0; i < n; i++, begin += at_once) {
        if (begin + at_once > stack->n_layers)
            begin = 0;
        if (!begin)
            stack->flush(stack->context);
        struct cold_run run = {stack, begin, begin + at_once};
        ns[i] = bench_crew_time(stack->crew, run_cold, &run, 0) / at_once;
    }
}

double bench_product_weight_bytes(const struct bench_product *p)
{
    return (double)lac_weight_bytes(&p->copies[0]);
}

double bench_product_bytes(const struct bench_product *p)
{
    const struct bench_layer *layer = p->layer;
    double x_size = lac_dtype_is_quantized(layer->dtype) ? 1 : 4;
    double y_size = layer->output == BENCH_OUTPUT_U8 ? 1 : 4;
    return bench_product_weight_bytes(p) +
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

/* Plain C takes its time: of many outputs the first and the last are enough.  A multiple of every
 * layout's unit. */
enum { CHECKED_OUTPUTS = 96 };

/* The end of the first outputs that are checked, and the begin of the last. */
static size_t checked_end(size_t n_out)
{
    return n_out <= 2 * CHECKED_OUTPUTS ? n_out : CHECKED_OUTPUTS;
}

static size_t checked_begin(size_t n_out)
{
    return n_out <= 2 * CHECKED_OUTPUTS ? n_out : (n_out / CHECKED_OUTPUTS - 1) * CHECKED_OUTPUTS;
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
    args.w = &p->copies[0];
    const struct lac_kernel *scalar = scalar_of(p->kernel);
    args.out_end = checked_end(p->layer->n_out);
    scalar->run.linear(&args);
    args.out_begin = checked_begin(p->layer->n_out);
    args.out_end = p->layer->n_out;
    if (args.out_begin < args.out_end)
        scalar->run.linear(&args);
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
            if (o == checked_end(n_out))
                o = checked_begin(n_out);
            if (o == n_out)
                break;
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
    *most = NAN;
    return product->sample ? LAC_OK : both_ends_error(product, NULL, most, error);
}

enum lac_status bench_rows_error(const struct bench_product *dense, const void *y, double *most,
                                 struct lac_error *error)
{
    return both_ends_error(dense, y, most, error);
}
