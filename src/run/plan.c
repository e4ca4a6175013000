/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: which layout and which kernels each weight gets. */
#include "src/run/plan.h"

#include <math.h>

#include "src/base/checked.h"

/* What kernels cost, by the instruction set of the dense one, for tiles of LAC_TILE tokens: the
 * time of a stored dword of weights, and of a block row (its epilogue, the refill of its
 * accumulators), in units of a dword of the dense kernel.  Fitted on an Emerald Rapids core to
 * 768 x 768 weights in caches that keep 10 to 60 %; AMX to whole models, as it outruns the L3 that
 * their weights come from: BERT-base, of which 20 % are kept in 4x4, takes 31 ms dense, 24 in the
 * 59 % of lines that hold something, 15 in 4x4 without AMX.  Those of NEON follow from the number
 * of instructions in its loops on a core that starts four of them and two multiplications a cycle;
 * those of its bf16 and fp16 are taken to be those of fp32.
 *
 * few_below: token-lane kernels work on LAC_LANES tokens even for one, output-lane kernels take
 * their time for each.  Below this many tokens the latter win.  Of 16 bits they are reckoned from
 * one token's time and fp32's growth, of int4 without AVX-512 VNNI from int8's. */
struct cost {
    unsigned needs;
    enum lac_dtype dtype;
    /* by pattern: dense, 1, 4, 8, 16, 32, bitmap, 4x1, 16x16, 32x32 */
    double dword[LAC_N_PATTERNS];
    double block_row[LAC_N_PATTERNS];
    size_t few_below[LAC_N_PATTERNS];
};

static const struct cost costs[] = {
    /* best first; the last of each dtype needs nothing.  Only dense and 16x4 use AMX. */
    {LAC_CPU_AMX_INT8,
     LAC_S8,
     {1.0, 2.6, 1.85, 1.95, 1.0, 1.95, 2.4, 4, 1.95, 1.95},
     {600, 34, 83, 73, 380, 292, 380, 83, 146, 292},
     {2, 0, 3, 5, 3, 25, 32, 5, 11, 13}},
    {LAC_CPU_AVX512_VNNI,
     LAC_S8,
     {1.0, 1.6, 1.12, 1.05, 1.05, 1.05, 1.2, 1.95, 1.05, 1.05},
     {64, 8, 16, 32, 64, 128, 64, 34, 64, 128},
     {15, 0, 5, 9, 13, 15, 32, 5, 11, 13}},
    {LAC_CPU_AVX_VNNI,
     LAC_S8,
     {1.0, 1.5, 1.1, 1.2, 1.2, 1.2, 1.3, 2.1, 1.2, 1.2},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {15, 0, 3, 7, 9, 7, 5, 3, 9, 7}},
    {LAC_CPU_AVX512,
     LAC_S8,
     {1.0, 1.2, 0.98, 0.98, 0.98, 0.98, 1.2, 2.1, 0.98, 0.98},
     {16, 2, 4, 8, 16, 32, 16, 4, 16, 32},
     {17, 2, 5, 9, 11, 17, 17, 4, 11, 17}},
    {LAC_CPU_AVX512,
     LAC_F32,
     {1.0, 2.2, 1.12, 1.05, 1.05, 1.05, 1.2, 1.3, 1.05, 1.05},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {13, 0, 0, 0, 9, 13, 17, 0, 9, 13}},
    {LAC_CPU_AVX512,
     LAC_BF16,
     {1.0, 2.5, 1.2, 1.02, 1.05, 1.03, 1.1, 1.3, 1.05, 1.05},
     {40, 10, 16, 17, 40, 80, 16, 16, 40, 80},
     {17, 0, 0, 0, 13, 13, 13, 0, 0, 0}},
    {LAC_CPU_AVX512,
     LAC_F16,
     {1.0, 2.3, 1.15, 1.0, 1.03, 1.03, 1.1, 1.3, 1.03, 1.03},
     {40, 10, 16, 17, 40, 80, 16, 16, 40, 80},
     {17, 0, 0, 0, 13, 13, 13, 0, 0, 0}},
    {LAC_CPU_AVX2,
     LAC_S8,
     {1.0, 1.3, 1.05, 1.02, 1.02, 1.02, 1.2, 2.1, 1.02, 1.02},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {17, 3, 7, 11, 11, 13, 6, 3, 11, 13}},
    {LAC_CPU_AVX2,
     LAC_F32,
     {1.0, 1.7, 1.05, 1.02, 1.02, 1.02, 1.5, 1.3, 1.02, 1.02},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {9, 0, 0, 0, 13, 9, 9, 0, 13, 9}},
    {LAC_CPU_AVX2,
     LAC_BF16,
     {1.0, 1.7, 1.02, 1.05, 1.05, 1.05, 1.5, 1.3, 1.05, 1.05},
     {30, 8, 8, 15, 30, 60, 16, 8, 30, 60},
     {9, 0, 0, 0, 5, 3, 3, 0, 0, 0}},
    {LAC_CPU_AVX2,
     LAC_F16,
     {1.0, 1.7, 1.02, 1.05, 1.05, 1.05, 1.5, 1.3, 1.05, 1.05},
     {30, 8, 8, 15, 30, 60, 16, 8, 30, 60},
     {9, 0, 0, 0, 5, 3, 3, 0, 0, 0}},
    {LAC_CPU_NEON,
     LAC_S8,
     {1.0, 1.5, 1.1, 1.03, 1.03, 1.03, 1.5, 2.1, 1.03, 1.03},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {9, 0, 4, 6, 7, 7, 5, 3, 7, 7}},
    {LAC_CPU_NEON,
     LAC_F32,
     {1.0, 1.6, 1.1, 1.03, 1.03, 1.03, 1.5, 1.3, 1.03, 1.03},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {9, 0, 0, 0, 5, 5, 5, 0, 5, 5}},
    {LAC_CPU_NEON,
     LAC_BF16,
     {1.0, 1.6, 1.1, 1.03, 1.03, 1.03, 1.5, 1.3, 1.03, 1.03},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {9, 0, 0, 0, 5, 3, 3, 0, 0, 0}},
    {LAC_CPU_NEON,
     LAC_F16,
     {1.0, 1.6, 1.1, 1.03, 1.03, 1.03, 1.5, 1.3, 1.03, 1.03},
     {64, 8, 16, 32, 64, 128, 64, 16, 64, 128},
     {9, 0, 0, 0, 5, 3, 3, 0, 0, 0}},
    {LAC_CPU_AVX512_VNNI,
     LAC_S4,
     {1.0, 1.75, 1.05, 1.02, 1.02, 1.05, 20, 1.3, 1.02, 1.02},
     {36, 7, 12, 22, 40, 80, 36, 12, 40, 80},
     {17, 2, 6, 7, 14, 13, 0, 0, 0, 0}},
    {LAC_CPU_AVX_VNNI,
     LAC_S4,
     {1.0, 1.9, 1.02, 1.02, 1.04, 1.04, 20, 1.3, 1.04, 1.04},
     {24, 5, 8, 16, 24, 48, 24, 8, 24, 48},
     {15, 0, 3, 7, 9, 7, 0, 0, 0, 0}},
    {LAC_CPU_AVX512,
     LAC_S4,
     {1.0, 1.3, 1.07, 1.05, 1.02, 1.02, 20, 1.3, 1.02, 1.02},
     {20, 2, 4, 9, 20, 45, 20, 4, 20, 45},
     {17, 2, 5, 7, 11, 13, 0, 0, 0, 0}},
    {LAC_CPU_AVX2,
     LAC_S4,
     {1.0, 1.1, 1.0, 1.03, 1.03, 1.03, 20, 1.3, 1.03, 1.03},
     {9, 2, 5, 6, 9, 12, 9, 5, 9, 12},
     {15, 2, 5, 7, 9, 9, 0, 0, 0, 0}},
    {LAC_CPU_NEON,
     LAC_S4,
     {1.0, 1.5, 1.1, 1.03, 1.03, 1.03, 20, 1.3, 1.03, 1.03},
     {32, 4, 8, 16, 32, 64, 32, 8, 32, 64},
     {7, 0, 3, 5, 5, 3, 0, 0, 0, 0}},
    {0,
     LAC_S8,
     {1.0, 1.1, 1.05, 1.0, 1.0, 1.0, 20, 1.3, 1.0, 1.0},
     {16, 1, 4, 8, 16, 32, 16, 4, 16, 32},
     {16, 16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {0,
     LAC_F32,
     {1.0, 1.1, 1.05, 1.0, 1.0, 1.0, 20, 1.3, 1.0, 1.0},
     {16, 1, 4, 8, 16, 32, 16, 4, 16, 32},
     {16, 16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {0,
     LAC_BF16,
     {1.0, 1.1, 1.05, 1.0, 1.0, 1.0, 20, 1.3, 1.0, 1.0},
     {16, 1, 4, 8, 16, 32, 16, 4, 16, 32},
     {16, 16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {0,
     LAC_F16,
     {1.0, 1.1, 1.05, 1.0, 1.0, 1.0, 20, 1.3, 1.0, 1.0},
     {16, 1, 4, 8, 16, 32, 16, 4, 16, 32},
     {16, 16, 16, 16, 16, 16, 16, 16, 16, 16}},
    {0,
     LAC_S4,
     {1.0, 1.1, 1.05, 1.0, 1.0, 1.0, 20, 1.3, 1.0, 1.0},
     {16, 1, 4, 8, 16, 32, 16, 4, 16, 32},
     {16, 16, 16, 16, 16, 16, 16, 16, 16, 16}},
};

/* What the dense kernel of these features needs, of those that were built. */
static unsigned needs_of_dense(enum lac_dtype dtype, unsigned features)
{
    const struct lac_weight dense = {.dtype = dtype, .pattern = LAC_PATTERN_DENSE};
    return lac_kernel_find_linear(LAC_OP_LINEAR_TOKEN, &dense, features)->needs;
}

static const struct cost *find_cost(enum lac_dtype dtype, unsigned features)
{
    unsigned needs = needs_of_dense(dtype, features);
    const struct cost *c = costs;
    while (c->dtype != dtype || (c->needs & ~needs))
        c++;
    return c;
}

static void built_in_costs(const struct lac_weight_stats *stats, size_t n_out, size_t n_in,
                           enum lac_dtype dtype, unsigned features, double cost[LAC_N_PATTERNS])
{
    const struct cost *c = find_cost(dtype, features);
    double cost_dense = 0;
    for (int i = 0; i < LAC_N_PATTERNS; i++) {
        enum lac_pattern p = (enum lac_pattern)i;
        size_t rows = lac_pattern_rows(p), n_padded = lac_round_up(n_out, lac_pattern_unit(p));
        /* Lines of a bitmap are multiplied whole. */
        double dwords = p == LAC_PATTERN_DENSE || p == LAC_PATTERN_BITMAP
                            ? (double)n_padded * (double)lac_ceil_div(n_in, lac_dword_inputs(dtype))
                            : (double)stats->n_nonzero[p] * (double)lac_block_bytes(p, dtype) / 4;
        cost[p] = dwords * c->dword[p] + (double)(n_padded / rows) * c->block_row[p];
        if (p == LAC_PATTERN_DENSE)
            cost_dense = cost[p];
        cost[p] = lac_pattern_holds(p, dtype) ? cost[p] / cost_dense : INFINITY;
    }
}

/* Output-lane kernels add up narrow blocks of floats in an order of their own. */
static bool is_reordered(enum lac_pattern pattern, enum lac_dtype dtype)
{
    return !lac_dtype_is_quantized(dtype) && lac_pattern_rows(pattern) < LAC_LANES;
}

/* How much slower than dense each layout's bytes are read for one token (Emerald Rapids, weights
 * from memory, 80 % zeros).  Of tiles it is what their rows alone have; blocks of one output and
 * 4x1 gather, and narrow blocks of floats may not use their kernels.  Lines of bitmaps take 1.4 ns
 * in fp32, 1.5 in bf16 and 2.3 in fp16, more than the memory for their bytes. */
static double slowness_of(enum lac_pattern pattern, enum lac_dtype dtype)
{
    static const double slowness[] = {1.0, 3.0, 1.15, 1.05, 1.0, 1.0, 1.1, 3.0, 1.0, 1.0};
    _Static_assert(sizeof slowness / sizeof slowness[0] == LAC_N_PATTERNS, "one for each pattern");
    if (is_reordered(pattern, dtype))
        return 3.0;
    if (pattern == LAC_PATTERN_BITMAP && !lac_dtype_is_quantized(dtype))
        return dtype == LAC_F16 ? 2.0 : 1.5;
    return slowness[pattern];
}

/* Decoders spend their time on one token after another, for which every stored byte is read once.
 */
static void decode_costs(const struct lac_weight_stats *stats, size_t n_out, size_t n_in,
                         enum lac_dtype dtype, double cost[LAC_N_PATTERNS])
{
    double dense_bytes = 0;
    for (int i = 0; i < LAC_N_PATTERNS; i++) {
        enum lac_pattern p = (enum lac_pattern)i;
        size_t n_padded = lac_round_up(n_out, lac_pattern_unit(p));
        size_t n_dwords = lac_ceil_div(n_in, lac_dword_inputs(dtype));
        size_t n_lines = n_padded / LAC_OUT_UNIT * n_dwords;
        size_t block = lac_block_bytes(p, dtype);
        size_t bytes = stats->n_nonzero[p] * (block + sizeof(uint16_t));
        if (p == LAC_PATTERN_DENSE)
            dense_bytes = (double)(bytes = n_lines * block);
        else if (p == LAC_PATTERN_BITMAP)
            bytes = stats->n_nonzero[p] * block + n_lines * 2 * lac_dword_inputs(dtype);
        cost[p] = lac_pattern_holds(p, dtype) ? (double)bytes * slowness_of(p, dtype) / dense_bytes
                                              : INFINITY;
    }
}

void lac_plan_costs(const struct lac_network *network, const struct lac_weight_stats *stats,
                    size_t n_out, size_t n_in, double cost[LAC_N_PATTERNS])
{
    if (lac_family_is_decoder(network->config.family)) {
        decode_costs(stats, n_out, n_in, network->dtype, cost);
        return;
    }
    const struct lac_plan_table *table = network->plan_table;
    built_in_costs(stats, n_out, n_in, network->dtype, network->features, cost);
    double dense_ns = 0;
    for (int p = LAC_PATTERN_DENSE; table && p < LAC_N_PATTERNS; p++) {
        struct lac_plan_load load =
            lac_plan_load((enum lac_pattern)p, network->dtype, n_out, n_in, stats->n_nonzero[p]);
        double ns;
        if (!lac_plan_table_best(table, LAC_OP_LINEAR_TOKEN, &load, LAC_TILE, network->features,
                                 &ns)) {
            if (p == LAC_PATTERN_DENSE)
                return; /* there is nothing to compare with */
            continue;
        }
        if (p == LAC_PATTERN_DENSE)
            dense_ns = ns;
        cost[p] = ns / dense_ns;
    }
}

enum lac_pattern lac_plan_choose(const double cost[LAC_N_PATTERNS])
{
    static const enum lac_pattern coarse_first[LAC_N_PATTERNS] = {
        LAC_PATTERN_DENSE, LAC_PATTERN_32,     LAC_PATTERN_16,      LAC_PATTERN_8,
        LAC_PATTERN_4,     LAC_PATTERN_1,      LAC_PATTERN_TILE_32, LAC_PATTERN_TILE_16,
        LAC_PATTERN_4X1,   LAC_PATTERN_BITMAP,
    };
    enum lac_pattern best = LAC_PATTERN_DENSE;
    for (size_t i = 1; i < LAC_N_PATTERNS; i++)
        if (cost[coarse_first[i]] < cost[best])
            best = coarse_first[i];
    return best;
}

/* Some kernels keep a copy of the weight in an order of their own. */
static enum lac_status make_extra(struct lac_linear *linear, struct lac_arena *arena,
                                  struct lac_error *error)
{
    const struct lac_kernel *many = linear->many, *few = linear->few;
    if (few != many && few->pack) /* there is room for one copy */
        linear->few = many;
    if (!many->pack)
        return LAC_OK;
    linear->weight.extra = many->pack(&linear->weight, arena);
    if (!linear->weight.extra)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %s", linear->name, many->name);
    return LAC_OK;
}

static struct lac_plan_load load_of(const struct lac_linear *linear)
{
    const struct lac_weight *w = &linear->weight;
    return lac_plan_load(w->pattern, w->dtype, w->n_out, w->n_in, w->n_blocks);
}

/* The kernels that the table finds fastest, and below how many tokens `few` is the faster one. */
static void measured_kernels(const struct lac_network *network, struct lac_linear *linear)
{
    const struct lac_plan_table *table = network->plan_table;
    struct lac_plan_load load = load_of(linear);
    double ns;
    const struct lac_plan_row *many =
        lac_plan_table_best(table, LAC_OP_LINEAR_TOKEN, &load, LAC_TILE, network->features, &ns);
    const struct lac_plan_row *few =
        lac_plan_table_best(table, LAC_OP_LINEAR_OUTPUT, &load, 1, network->features, &ns);
    if (!many)
        return;
    linear->many = many->kernel;
    linear->few_below = 0;
    if (!few)
        return;
    linear->few = few->kernel;
    linear->few_below = 1;
    while (linear->few_below <= LAC_TILE && lac_plan_row_ns(few, &load, linear->few_below) <
                                                lac_plan_row_ns(many, &load, linear->few_below))
        linear->few_below++;
}

bool lac_plan_predict(const struct lac_network *network, const struct lac_linear *linear,
                      size_t n_tokens, struct lac_plan_prediction *prediction)
{
    const struct lac_plan_table *table = network->plan_table;
    const struct lac_kernel *kernel = n_tokens < linear->few_below ? linear->few : linear->many;
    const struct lac_plan_row *row = table ? lac_plan_table_find(table, kernel) : NULL;
    if (!row)
        return false;
    struct lac_plan_load load = load_of(linear);
    struct lac_plan_load dense = lac_plan_load(LAC_PATTERN_DENSE, load.dtype, load.n_out, load.n_in,
                                               linear->n_blocks[LAC_PATTERN_DENSE]);
    double token_ns = 0, output_ns = 0;
    const struct lac_plan_row *token = lac_plan_table_best(table, LAC_OP_LINEAR_TOKEN, &dense,
                                                           n_tokens, network->features, &token_ns);
    const struct lac_plan_row *output = lac_plan_table_best(
        table, LAC_OP_LINEAR_OUTPUT, &dense, n_tokens, network->features, &output_ns);
    if (!token || (output && output_ns < token_ns)) {
        token = output;
        token_ns = output_ns;
    }
    *prediction = (struct lac_plan_prediction){
        .kernel = kernel,
        .dense_kernel = token ? token->kernel : NULL,
        .ns = lac_plan_row_ns(row, &load, n_tokens),
        .dense_ns = token_ns,
    };
    return token != NULL;
}

enum lac_status lac_plan_kernels(const struct lac_network *network, struct lac_linear *linear,
                                 struct lac_arena *arena, struct lac_error *error)
{
    const struct lac_weight *w = &linear->weight;
    unsigned features = network->features;
    linear->many = lac_kernel_find_linear(LAC_OP_LINEAR_TOKEN, w, features);
    linear->few = lac_kernel_find_linear(LAC_OP_LINEAR_OUTPUT, w, features);
    if (!linear->many)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s: no kernel for %s %s of %zu x %zu",
                        linear->name, lac_pattern_name(w->pattern, w->dtype),
                        lac_dtype_name(w->dtype), w->n_out, w->n_in);
    /* A token's result must not depend on how many come with it.  Nor is the order of sums known of
     * a kernel that only the table prefers, such as another library's; integer sums have none. */
    const struct lac_kernel *usual = linear->many;
    linear->few_below = find_cost(w->dtype, features)->few_below[w->pattern];
    if (network->plan_table)
        measured_kernels(network, linear);
    bool has_own_order = is_reordered(w->pattern, w->dtype) ||
                         (!lac_dtype_is_quantized(w->dtype) && linear->many != usual);
    if (!linear->few || has_own_order || !linear->few_below)
        linear->few = linear->many;
    return make_extra(linear, arena, error);
}

static size_t layer_bytes(const struct lac_layer *layer)
{
    size_t gate = layer->gate.name ? lac_weight_bytes(&layer->gate.weight) : 0;
    return gate + lac_weight_bytes(&layer->query.weight) + lac_weight_bytes(&layer->key.weight) +
           lac_weight_bytes(&layer->value.weight) + lac_weight_bytes(&layer->mix.weight) +
           lac_weight_bytes(&layer->up.weight) + lac_weight_bytes(&layer->down.weight);
}

/* Measured on a core with 2 MB of L2, encoders of 384 and 768 features: with 90 % zeros 144 to 288
 * tokens did equally well and 768 cost a fifth more, as q, k, v, h and the attention's output no
 * longer stayed in L2 from one phase to the next; dense, whose weights pass through L2 in any
 * case, 384 or more did best. */
enum { DEFAULT_CACHE = 1 << 20, FEWEST_TOKENS = 96, MANY_TOKENS = 288, DENSE_TOKENS = 384 };

size_t lac_plan_batch_tokens(const struct lac_network *network, size_t cache_bytes)
{
    size_t cache = cache_bytes ? cache_bytes : DEFAULT_CACHE;
    if (layer_bytes(&network->layers[0]) > cache)
        return DENSE_TOKENS;
    size_t token_bytes = 5 * sizeof(float) * network->config.hidden_size;
    size_t n_fit = lac_round_up(2 * cache / token_bytes, LAC_TILE);
    return lac_max_size(FEWEST_TOKENS, lac_min_size(n_fit, MANY_TOKENS));
}

void lac_plan_shared(struct lac_kernels *kernels, unsigned features)
{
    kernels->quantize = lac_kernel_find(LAC_OP_QUANTIZE, features);
    kernels->score_lines = lac_kernel_find(LAC_OP_SCORE_LINES, features);
    kernels->norm = lac_kernel_find(LAC_OP_NORM, features);
    kernels->rope = lac_kernel_find(LAC_OP_ROPE, features);
    kernels->attention[LAC_F32] = lac_kernel_find_dtype(LAC_OP_ATTENTION, LAC_F32, features);
    kernels->attention[LAC_BF16] = lac_kernel_find_dtype(LAC_OP_ATTENTION, LAC_BF16, features);
    kernels->attention[LAC_S8] = lac_kernel_find(LAC_OP_ATTENTION_S8, features);
    static const enum lac_dtype cached[] = {LAC_F32, LAC_BF16, LAC_S8};
    for (size_t i = 0; i < sizeof cached / sizeof cached[0]; i++) {
        kernels->kv_pages[cached[i]] = lac_kernel_find_dtype(LAC_OP_KV_PAGES, cached[i], features);
        kernels->attention_row[cached[i]] =
            lac_kernel_find_dtype(LAC_OP_ATTENTION_ROW, cached[i], features);
        kernels->scores[cached[i]] = lac_kernel_find_dtype(LAC_OP_SCORES, cached[i], features);
        kernels->expand[cached[i]] = lac_kernel_find_dtype(LAC_OP_EXPAND, cached[i], features);
    }
    static const enum lac_dtype bundled[] = {LAC_F32, LAC_S8};
    for (size_t i = 0; i < sizeof bundled / sizeof bundled[0]; i++) {
        enum lac_dtype dtype = bundled[i];
        kernels->neuron_rows[dtype] = lac_kernel_find_dtype(LAC_OP_NEURON_ROWS, dtype, features);
        kernels->neuron_columns[dtype] =
            lac_kernel_find_dtype(LAC_OP_NEURON_COLUMNS, dtype, features);
    }
    kernels->page_scores = lac_kernel_find(LAC_OP_PAGE_SCORES, features);
    kernels->softmax = lac_kernel_find(LAC_OP_SOFTMAX, features);
    kernels->to_panel = lac_kernel_find(LAC_OP_TO_PANEL, features);
    kernels->from_panel = lac_kernel_find(LAC_OP_FROM_PANEL, features);
}
