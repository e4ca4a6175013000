/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: which layout and which kernels each weight gets. */
#include "src/run/plan.h"

#include "src/base/checked.h"

/* Time of one stored dword of weights, and of passing from one block row to the next, both in
 * units of a dword of the dense kernel.  A block row costs its epilogue and the refill of its
 * accumulators, so narrow blocks pay it more often for the same outputs. */
struct cost {
    unsigned needs; /* features of the kernels it was measured on */
    enum lac_dtype dtype;
    double dword[LAC_N_PATTERNS];
    double block_row[LAC_N_PATTERNS];
};

static const struct cost costs[] = {
    /* best first; the last of each dtype needs nothing.  Only dense and 16x4 use AMX. */
    {LAC_CPU_AMX_INT8, LAC_S8, {1.0, 7.5, 5.6, 5.8, 1.5}, {1230, 107, 215, 200, 1230}},
    {LAC_CPU_AVX512_VNNI, LAC_S8, {1.0, 1.6, 1.12, 1.05, 1.05}, {64, 8, 16, 32, 64}},
    {LAC_CPU_AVX512, LAC_F32, {1.0, 2.2, 1.12, 1.05, 1.05}, {64, 8, 16, 32, 64}},
    {LAC_CPU_AVX2, LAC_S8, {1.0, 1.3, 1.05, 1.02, 1.02}, {64, 8, 16, 32, 64}},
    {LAC_CPU_AVX2, LAC_F32, {1.0, 1.7, 1.05, 1.02, 1.02}, {64, 8, 16, 32, 64}},
    {0, LAC_S8, {1.0, 1.1, 1.05, 1.0, 1.0}, {16, 1, 4, 8, 16}},
    {0, LAC_F32, {1.0, 1.1, 1.05, 1.0, 1.0}, {16, 1, 4, 8, 16}},
};

/* Token-lane kernels work on 16 tokens even for one; output-lane kernels take their time for each.
 * Below this many tokens the latter win (768x768, dense and 80 % sparse). */
static const size_t few_below[LAC_N_PATTERNS] = {
    [LAC_PATTERN_DENSE] = 12, [LAC_PATTERN_16] = 8, [LAC_PATTERN_8] = 6,
    [LAC_PATTERN_4] = 3,      [LAC_PATTERN_1] = 0,
};

static const struct cost *find_cost(enum lac_dtype dtype, unsigned features)
{
    const struct cost *c = costs;
    while (c->dtype != dtype || (c->needs & ~features))
        c++;
    return c;
}

void lac_plan_costs(const struct lac_weight_stats *stats, size_t n_out, size_t n_in,
                    enum lac_dtype dtype, unsigned features, double cost[LAC_N_PATTERNS])
{
    const struct cost *c = find_cost(dtype, features);
    size_t n_padded = lac_round_up(n_out, LAC_OUT_UNIT);
    double dense = (double)n_padded * (double)lac_ceil_div(n_in, lac_dword_inputs(dtype)) +
                   (double)(n_padded / LAC_OUT_UNIT) * c->block_row[LAC_PATTERN_DENSE];
    for (int p = 0; p < LAC_N_PATTERNS; p++) {
        size_t rows = lac_pattern_rows((enum lac_pattern)p);
        double stored = (double)stats->n_nonzero[p] * (double)rows;
        cost[p] = (stored * c->dword[p] + (double)(n_padded / rows) * c->block_row[p]) / dense;
    }
    cost[LAC_PATTERN_DENSE] = 1.0;
}

enum lac_pattern lac_plan_choose(const double cost[LAC_N_PATTERNS])
{
    static const enum lac_pattern coarse_first[LAC_N_PATTERNS] = {
        LAC_PATTERN_DENSE, LAC_PATTERN_16, LAC_PATTERN_8, LAC_PATTERN_4, LAC_PATTERN_1,
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

enum lac_status lac_plan_kernels(struct lac_linear *linear, unsigned features,
                                 struct lac_arena *arena, struct lac_error *error)
{
    const struct lac_weight *w = &linear->weight;
    linear->many = lac_kernel_find_linear(LAC_OP_LINEAR_TOKEN, w, features);
    linear->few = lac_kernel_find_linear(LAC_OP_LINEAR_OUTPUT, w, features);
    if (!linear->many)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s: no kernel for %s %s of %zu x %zu",
                        linear->name, lac_pattern_name(w->pattern, w->dtype),
                        lac_dtype_name(w->dtype), w->n_out, w->n_in);
    /* Output-lane kernels of narrow fp32 blocks sum in an order of their own; a token's result must
     * not depend on how many come with it.  Integer sums have no order. */
    bool has_own_order = w->dtype == LAC_F32 && lac_pattern_rows(w->pattern) < LAC_LANES;
    linear->few_below = linear->few && !has_own_order ? few_below[w->pattern] : 0;
    if (!linear->few_below)
        linear->few = linear->many;
    return make_extra(linear, arena, error);
}

void lac_plan_shared(struct lac_kernels *kernels, unsigned features)
{
    kernels->quantize = lac_kernel_find(LAC_OP_QUANTIZE, features);
    kernels->norm = lac_kernel_find(LAC_OP_NORM, features);
    kernels->attention = lac_kernel_find(LAC_OP_ATTENTION, features);
    kernels->softmax = lac_kernel_find(LAC_OP_SOFTMAX, features);
    kernels->to_panel = lac_kernel_find(LAC_OP_TO_PANEL, features);
    kernels->from_panel = lac_kernel_find(LAC_OP_FROM_PANEL, features);
}
