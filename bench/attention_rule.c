/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of attention that are measured, by name. */
#include "bench/attention_rule.h"

#include <math.h>

#include "bench/bench.h"
#include "src/base/checked.h"

enum {
    DENSE,
    WINDOW,
    SINKS,
    GLOBAL,
    BIGBIRD,
    STRIDED,
    NEIGHBOURS,
    BLOCKS,
    VERTICAL_SLASH,
    POOLED,
    ESTIMATE,
    GATE,
    QUEST,
    CHANNELS
};

const char *const bench_rule_names[] = {
    "dense",          "window", "sinks",    "global", "bigbird", "strided",  "neighbours", "blocks",
    "vertical_slash", "pooled", "estimate", "gate",   "quest",   "channels", NULL};

int bench_rule_has_zeros(int name)
{
    return name == BLOCKS || name == VERTICAL_SLASH || name == POOLED || name == GATE;
}

/* A decoder's window is behind the query, an encoder's half behind and half before it. */
static struct lac_sight_term window_term(size_t n, size_t block, int is_causal)
{
    size_t left = is_causal ? n - 1 : n / 2, right = is_causal ? 0 : n / 2;
    return (struct lac_sight_term){
        .kind = LAC_SIGHT_WINDOW,
        .as.window = {.left = left, .right = right, .dilation = 1, .block = block},
    };
}

static struct lac_sight_term global_term(size_t block, size_t n_first, size_t n_last,
                                         unsigned parts)
{
    return (struct lac_sight_term){
        .kind = LAC_SIGHT_GLOBAL,
        .as.global = {.block = block, .n_first = n_first, .n_last = n_last, .parts = parts},
    };
}

/* A grid with lines of 64, windows of about as many tokens, that move by half of themselves. */
static struct lac_sight_term grid_term(size_t length, size_t window)
{
    size_t side = (size_t)lround(sqrt((double)window)), lines = lac_ceil_div(length, 64);
    side = lac_max_size(1, lac_min_size(side, 64));
    struct lac_sight_axis down = {lines, side, lac_max_size(1, side / 2), 1}, along = down;
    along.size = lac_min_size(64, length);
    return (struct lac_sight_term){.kind = LAC_SIGHT_NEIGHBOURS,
                                   .as.neighbours = {.n_axes = 2, .axes = {down, along}}};
}

/* In each row of blocks the same number is kept, drawn without return; a decoder's from those up to
 * the diagonal, which is always one of them. */
static enum lac_status draw_blocks(struct bench_rule *rule, double zeros, int is_causal,
                                   size_t length, const struct bench_rule_settings *settings,
                                   struct lac_arena *arena, struct lac_error *error)
{
    size_t n = lac_ceil_div(length, settings->block), words = lac_ceil_div(n, 64);
    uint64_t random = settings->seed, *bits = lac_arena_alloc_zero(arena, n * words, sizeof *bits);
    if (!bits)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu rows of blocks", n);
    for (size_t row = 0; row < n; row++) {
        size_t there = is_causal ? row + 1 : n;
        size_t kept = lac_max_size(1, (size_t)lround((1 - zeros) * (double)there));
        uint64_t *own = bits + row * words;
        if (is_causal)
            own[row / 64] |= UINT64_C(1) << row % 64;
        for (size_t i = is_causal ? 1 : 0; i < kept;) {
            size_t at = bench_random_below(&random, there);
            i += !(own[at / 64] >> at % 64 & 1);
            own[at / 64] |= UINT64_C(1) << at % 64;
        }
    }
    rule->asked = 1 - zeros;
    rule->terms[0] = (struct lac_sight_term){
        .kind = LAC_SIGHT_BLOCKS,
        .as.blocks = {bits, settings->block, n, n, words},
    };
    return LAC_OK;
}

/* What is chosen at run time: as many keys as are not zeros, three quarters of them in columns, or
 * as many blocks; or what comes near the best. */
static void make_choice(struct bench_rule *rule, int name, double zeros, size_t length,
                        const struct bench_rule_settings *settings)
{
    const double n_kept = (1 - zeros) * (double)length;
    rule->is_chosen = 1;
    rule->choice = (struct lac_pick){.kind = LAC_PICK_ESTIMATE,
                                     .n_first = LAC_KEY_BLOCK,
                                     .n_near = LAC_KEY_BLOCK,
                                     .threshold = settings->threshold};
    if (name == ESTIMATE)
        return;
    rule->asked = 1 - zeros;
    if (name == POOLED || name == GATE) {
        rule->choice.kind = name == GATE ? LAC_PICK_GATED : LAC_PICK_POOLED;
        rule->choice.blocks.n = lac_max_size(1, (size_t)lround(n_kept / LAC_KEY_BLOCK));
        return;
    }
    rule->choice.kind = LAC_PICK_LINES;
    rule->choice.n_sampled = 2 * LAC_PICK_LANES;
    rule->choice.columns.n = lac_max_size(1, (size_t)lround(0.75 * n_kept));
    rule->choice.diagonals.n = lac_max_size(1, (size_t)lround(0.25 * n_kept));
}

enum lac_kv_policy_kind bench_rule_policy(int name)
{
    return name == QUEST ? LAC_KV_QUEST : name == CHANNELS ? LAC_KV_CHANNELS : LAC_KV_FULL;
}

enum lac_status bench_rule_make(struct bench_rule *rule, int name, double zeros, int is_causal,
                                size_t length, const struct bench_rule_settings *settings,
                                struct lac_arena *arena, struct lac_error *error)
{
    const size_t window = settings->window, block = settings->block;
    const unsigned both = LAC_SIGHT_COLUMNS | LAC_SIGHT_ROWS;
    struct lac_sight_term *term = rule->terms;
    *rule = (struct bench_rule){.sight = {is_causal, rule->terms, 1}, .asked = NAN};
    switch (name) {
    case VERTICAL_SLASH:
    case POOLED:
    case ESTIMATE:
    case GATE:
        if (name == GATE && (!is_causal || length % LAC_PICK_QUERIES))
            return lac_fail(error, LAC_E_ARGUMENT,
                            "gate: of --mode causal, and whole blocks of %d tokens",
                            (int)LAC_PICK_QUERIES);
        make_choice(rule, name, zeros, length, settings);
        if (lac_pick_check(&rule->choice, error))
            return error->status;
        *term = (struct lac_sight_term){.kind = LAC_SIGHT_ALL};
        break;
    case DENSE:
    case QUEST:
    case CHANNELS:
        *term = (struct lac_sight_term){.kind = LAC_SIGHT_ALL};
        break;
    case WINDOW:
        *term = window_term(window, 1, is_causal);
        break;
    case SINKS:
        *term++ = window_term(window, 1, is_causal);
        *term++ = global_term(1, 4, 0, LAC_SIGHT_COLUMNS);
        break;
    case GLOBAL: /* Longformer's, with one token that sees and shows all */
        *term++ = window_term(window, 1, is_causal);
        *term++ = global_term(1, 1, 0, is_causal ? LAC_SIGHT_COLUMNS : both);
        break;
    case BIGBIRD:
        *term++ = window_term(2, block, is_causal);
        *term++ = global_term(block, 1, is_causal ? 0 : 1, both);
        *term++ = (struct lac_sight_term){.kind = LAC_SIGHT_RANDOM,
                                          .as.random = {block, 3, settings->seed}};
        break;
    case STRIDED: /* one head of eight, with its own shard */
        *term++ = window_term(4, block, is_causal);
        *term++ = (struct lac_sight_term){.kind = LAC_SIGHT_STRIDED, .as.strided = {block, 8, 3}};
        break;
    case NEIGHBOURS:
        *term = grid_term(length, window);
        break;
    default:
        if (draw_blocks(rule, zeros, is_causal, length, settings, arena, error))
            return error->status;
    }
    rule->sight.n_terms = lac_max_size(1, (size_t)(term - rule->terms));
    return lac_sight_check(&rule->sight, error);
}
