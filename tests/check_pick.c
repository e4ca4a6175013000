/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing what to attend to: selections and lists against naive ones, the kernels against scalar
 * ones. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sparse/pick.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "tests/pick_suite.h"

/* ---- Taking the best ---- */

enum { MOST_ITEMS = 700 };

struct item {
    float value, weight;
    size_t index;
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->value != y->value)
        return x->value > y->value ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void take_naively(const struct lac_pick_top *top, struct item *items, size_t n, bool *taken)
{
    uint64_t total = 0, sum = 0;
    memset(taken, 0, n * sizeof *taken);
    for (size_t i = 0; i < n; i++)
        total += (uint64_t)((double)items[i].weight * 0x1p32);
    double enough = ceil(top->mass * (double)total);
    qsort(items, n, sizeof *items, compare_items);
    for (size_t i = 0; i < n && (top->n || top->mass > 0); i++) {
        if ((top->n && i >= top->n) || (top->mass > 0 && (double)sum >= enough))
            break;
        taken[items[i].index] = true;
        sum += (uint64_t)((double)items[i].weight * 0x1p32);
    }
}

/* Numbers that grow with their weights: random, few different ones, all equal, all 0, negative. */
static void make_items(size_t kind, size_t n, uint64_t *state, struct item *items)
{
    for (size_t i = 0; i < n; i++) {
        float x = fabsf(random_float(state));
        float w = kind == 0   ? x
                  : kind == 1 ? (float)random_below(state, 3) / 4
                  : kind == 2 ? 0.125f
                  : kind == 3 ? 0
                              : expf(8 * x - 8);
        items[i] = (struct item){kind == 4 ? 8 * x - 8 : w, w, i};
        if (kind == 3 && random_below(state, 2))
            items[i].value = -0.0f;
    }
}

START_TEST(the_best_are_taken)
{
    static const size_t counts[] = {1, 2, 63, 64, 65, 300, MOST_ITEMS};
    static const struct lac_pick_top tops[] = {{0, 0},    {1, 0},    {5, 0},    {64, 0},
                                               {1000, 0}, {0, 1e-9}, {0, 0.5},  {0, 0.9},
                                               {0, 1},    {3, 0.5},  {40, 0.2}, {200, 0.99}};
    uint64_t state = test_seed();
    for (size_t kind = 0; kind < 5; kind++)
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++)
            for (size_t t = 0; t < sizeof tops / sizeof tops[0]; t++) {
                struct item items[MOST_ITEMS];
                float values[MOST_ITEMS], weights[MOST_ITEMS];
                uint64_t bits[(MOST_ITEMS + 63) / 64] = {0};
                bool taken[MOST_ITEMS];
                size_t n = counts[c];
                make_items(kind, n, &state, items);
                for (size_t i = 0; i < n; i++) {
                    values[i] = items[i].value;
                    weights[i] = items[i].weight;
                }
                lac_pick_take(&tops[t], values, weights, n, bits);
                take_naively(&tops[t], items, n, taken);
                for (size_t i = 0; i < sizeof bits * 8; i++)
                    check_each((bits[i / 64] >> i % 64 & 1) == (i < n && taken[i]),
                               "kind %zu, %zu items, top %zu: item %zu", kind, n, t, i);
            }
}
END_TEST

/* ---- Lists ---- */

static bool list_shows(const struct lac_seen *seen, size_t lane, size_t key)
{
    for (size_t i = 0; i < seen->n_blocks; i++)
        if (seen->blocks[i].block == key / LAC_KEY_BLOCK) {
            uint32_t mask = seen->blocks[i].mask;
            return mask == LAC_SEEN_WHOLE ||
                   seen->masks[mask].lanes[key % LAC_KEY_BLOCK] >> lane & 1;
        }
    return false;
}

START_TEST(lists_show_the_pages)
{
    enum { MOST_KEYS = 600, WORDS = 1 };
    uint64_t state = test_seed() + 1;
    for (size_t round = 0; round < 600; round++) {
        size_t n_keys = 1 + random_below(&state, MOST_KEYS), share = random_below(&state, 9);
        size_t block = random_below(&state, lac_ceil_div(n_keys, LAC_PICK_QUERIES));
        size_t begin = block * LAC_PICK_QUERIES;
        size_t n = lac_min_size(LAC_PICK_QUERIES, n_keys - begin);
        size_t from = random_below(&state, n), count = 1 + random_below(&state, n - from);
        size_t lane = random_below(&state, 64 - count + 1);
        bool is_causal = random_below(&state, 2);
        uint64_t bits[WORDS] = {0};
        for (size_t page = 0; page < lac_ceil_div(n_keys, LAC_PICK_PAGE); page++)
            bits[0] |= (uint64_t)(random_below(&state, 8) < share) << page;
        struct lac_sight_queries q = {
            .first = (ptrdiff_t)(begin + from) - (ptrdiff_t)lane,
            .lanes = ~UINT64_C(0) >> (64 - count) << lane,
            .n_keys = n_keys,
            .n_global = round % 5 ? 0 : random_below(&state, 20),
        };
        struct lac_seen_block blocks[MOST_KEYS / LAC_KEY_BLOCK + 1];
        struct lac_seen_mask masks[MOST_KEYS / LAC_KEY_BLOCK + 1];
        struct lac_seen seen = lac_pick_list(bits, is_causal, &q, blocks, masks);
        for (size_t i = 0; i < seen.n_blocks; i++)
            ck_assert(blocks[i].block < lac_ceil_div(n_keys, LAC_KEY_BLOCK) &&
                      (!i || blocks[i].block > blocks[i - 1].block));
        for (size_t l = lane; l < lane + count; l++)
            for (size_t key = 0; key < n_keys; key++) {
                bool shows = bits[0] >> key / LAC_PICK_PAGE & 1;
                shows |= key / LAC_PICK_PAGE * LAC_PICK_PAGE < q.n_global;
                shows &= !is_causal || (ptrdiff_t)key <= q.first + (ptrdiff_t)l;
                check_each(list_shows(&seen, l, key) == shows, "round %zu, lane %zu, key %zu",
                           round, l, key);
            }
    }
}
END_TEST

START_TEST(lines_become_pages)
{
    enum { MOST_KEYS = 600 };
    uint64_t state = test_seed() + 2;
    for (size_t round = 0; round < 400; round++) {
        size_t n_keys = 1 + random_below(&state, MOST_KEYS);
        size_t n_pages = lac_ceil_div(n_keys, LAC_PICK_PAGE);
        size_t begin =
            random_below(&state, lac_ceil_div(n_keys, LAC_PICK_QUERIES)) * LAC_PICK_QUERIES;
        bool is_causal = random_below(&state, 2);
        struct lac_pick_place place = {begin, lac_min_size(LAC_PICK_QUERIES, n_keys - begin),
                                       n_keys, is_causal};
        uint64_t columns[1] = {random_u64(&state) & random_u64(&state) & random_u64(&state)};
        uint64_t diagonals[2] = {0}, bits[1] = {0};
        size_t n_negative = is_causal ? 0 : n_pages, n_groups = n_negative + n_pages;
        for (size_t i = 0; i < 3; i++) {
            size_t at = random_below(&state, n_groups);
            diagonals[at / 64] |= UINT64_C(1) << at % 64;
        }
        struct lac_pick_lines lines = {columns, diagonals, n_groups, n_negative};
        lac_pick_add_lines(&lines, &place, bits);
        size_t end = is_causal ? begin + place.n : n_keys;
        for (size_t page = 0; page < 64; page++) {
            bool shows = page * LAC_PICK_PAGE < end && columns[0] >> page & 1;
            /* Queries count in whole pages of them. */
            for (size_t i = begin; i < lac_round_up(begin + place.n, LAC_PICK_PAGE); i++)
                for (size_t j = page * LAC_PICK_PAGE; j < (page + 1) * LAC_PICK_PAGE; j++) {
                    ptrdiff_t d = (ptrdiff_t)i - (ptrdiff_t)j;
                    ptrdiff_t group = (d >= 0 ? d / 16 : -((15 - d) / 16)) + (ptrdiff_t)n_negative;
                    shows |= page * LAC_PICK_PAGE < end && group >= 0 &&
                             group < (ptrdiff_t)n_groups && diagonals[group / 64] >> group % 64 & 1;
                }
            check_each((bits[0] >> page & 1) == shows, "round %zu, page %zu", round, page);
        }
    }
}
END_TEST

START_TEST(bounds)
{
    struct lac_error error = {0};
    const struct lac_pick good = {.kind = LAC_PICK_LINES, .n_sampled = 16};
    struct lac_pick c = good;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_OK);
    c.n_sampled = 17;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
    c = good;
    c.n_sampled = LAC_PICK_SPAN + 16;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
    c = good;
    c.columns.mass = 1.5;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
    c = good;
    c.diagonals.mass = (double)NAN;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
    c = good;
    c.threshold = -1;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
    c = good;
    c.n_near = SIZE_MAX;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
    c = good;
    c.kind = LAC_N_PICKS;
    ck_assert_int_eq(lac_pick_check(&c, &error), LAC_E_ARGUMENT);
}
END_TEST

/* ---- Kernels ---- */

enum { KEYS = 330, BLOCKS = (KEYS + LAC_KEY_BLOCK - 1) / LAC_KEY_BLOCK, MOST_DIM = 72 };

/* What a kernel of scores gives, or of lines. */
struct outputs {
    float scores[BLOCKS][LAC_KEY_BLOCK][LAC_LANES];
    float most[BLOCKS][LAC_LANES], sums[BLOCKS][LAC_LANES];
};

struct scored {
    size_t n_keys, dim, first; /* first: keys of the first segment */
    float q[MOST_DIM * LAC_LANES];
    float *k; /* [n_keys][dim] */
    uint64_t lanes;
    struct lac_seen_block blocks[BLOCKS];
    struct lac_seen_mask masks[BLOCKS];
    struct lac_seen seen;
};

static struct scored *make_scored(uint64_t *state)
{
    struct scored *s = malloc(sizeof *s);
    ck_assert_ptr_nonnull(s);
    *s = (struct scored){.n_keys = 1 + random_below(state, KEYS),
                         .dim = 1 + random_below(state, MOST_DIM)};
    s->first = 1 + random_below(state, LAC_TILE);
    s->k = malloc(s->n_keys * s->dim * sizeof *s->k);
    ck_assert_ptr_nonnull(s->k);
    float width = random_below(state, 6) ? 3 : 0;
    for (size_t i = 0; i < s->dim * LAC_LANES; i++)
        s->q[i] = random_float(state) * width;
    for (size_t i = 0; i < s->n_keys * s->dim; i++)
        s->k[i] = lac_bf16_to_f32(lac_bf16_from_f32(random_float(state)));
    s->lanes = (UINT64_C(1) << (1 + random_below(state, LAC_LANES))) - 1;
    size_t n = 0, n_masks = 0;
    for (size_t b = 0; b * LAC_KEY_BLOCK < s->n_keys; b++) {
        if (!random_below(state, 4))
            continue;
        bool is_whole = random_below(state, 2);
        s->blocks[n++] =
            (struct lac_seen_block){(uint32_t)b, is_whole ? LAC_SEEN_WHOLE : (uint32_t)n_masks};
        if (is_whole)
            continue;
        for (size_t j = 0; j < LAC_KEY_BLOCK; j++) {
            uint64_t page = random_below(state, 4) ? ~UINT64_C(0) : 0;
            for (size_t i = 0; i < LAC_LANES; i++)
                s->masks[n_masks].lanes[j + i] = page & random_u64(state);
            j += LAC_LANES - 1;
        }
        n_masks++;
    }
    s->seen = (struct lac_seen){s->blocks, n, s->masks};
    return s;
}

/* Keys in segments at the end of readable memory, each with its own. */
struct segments {
    size_t n;
    struct lac_kv_segment at[KEYS];
    size_t bytes[KEYS];
};

static void make_segments(const struct scored *s, enum lac_dtype dtype, struct segments *segments)
{
    segments->n = 0;
    for (size_t at = 0; at < s->n_keys;) {
        size_t i = segments->n++, n = lac_min_size(i ? LAC_TILE : s->first, s->n_keys - at);
        size_t size = dtype == LAC_BF16 ? 2 : 4;
        segments->bytes[i] = s->dim * n * size;
        char *k = guarded_alloc(segments->bytes[i]);
        for (size_t d = 0; d < s->dim; d++)
            for (size_t j = 0; j < n; j++) {
                float x = s->k[(at + j) * s->dim + d];
                uint16_t half = lac_bf16_from_f32(x);
                memcpy(k + (d * n + j) * size, size == 2 ? (void *)&half : (void *)&x, size);
            }
        segments->at[i] = (struct lac_kv_segment){k, k, n, n, 1, n};
        at += n;
    }
}

static void free_segments(struct segments *segments)
{
    for (size_t i = 0; i < segments->n; i++)
        guarded_free((void *)segments->at[i].k, segments->bytes[i]);
}

static void run_scores(const struct lac_kernel *kernel, const struct scored *s,
                       const struct segments *segments, void *const *pages, struct outputs *o)
{
    struct lac_query_segment queries = {
        .q = s->q, .ld = LAC_LANES, .n_queries = (size_t)__builtin_popcountll(s->lanes)};
    struct lac_attention_args of = {.queries = &queries,
                                    .n_query_segments = 1,
                                    .head_dim = s->dim,
                                    .scale = 0.4f,
                                    .segments = segments->at,
                                    .n_segments = segments->n,
                                    .segment_keys = LAC_TILE,
                                    .n_keys = s->n_keys,
                                    .seen = s->seen};
    struct lac_attention_s8_args of_s8 = {.queries = &queries,
                                          .n_query_segments = 1,
                                          .head_dim = s->dim,
                                          .scale = 0.4f,
                                          .pages = (const void *const *)pages,
                                          .n_keys = s->n_keys,
                                          .seen = s->seen};
    struct lac_scores_args args = {&of, &of_s8, &o->scores[0][0][0], &o->most[0][0],
                                   &o->sums[0][0]};
    memset(o, 0, sizeof *o);
    kernel->run.scores(&args);
}

static void check_outputs(const struct lac_kernel *kernel, const struct scored *s,
                          const struct outputs *found, const struct outputs *expected)
{
    for (size_t i = 0; i < s->seen.n_blocks; i++)
        for (size_t lane = 0; lane < LAC_LANES; lane++) {
            if (!(s->lanes >> lane & 1))
                continue;
            check_each(!memcmp(&found->most[i][lane], &expected->most[i][lane], 4),
                       "%s: block %zu, lane %zu: most %g for %g", kernel->name, i, lane,
                       found->most[i][lane], expected->most[i][lane]);
            check_each(!memcmp(&found->sums[i][lane], &expected->sums[i][lane], 4),
                       "%s: block %zu, lane %zu: sum %g for %g", kernel->name, i, lane,
                       found->sums[i][lane], expected->sums[i][lane]);
            for (size_t j = 0; j < LAC_KEY_BLOCK; j++)
                check_each(!memcmp(&found->scores[i][j][lane], &expected->scores[i][j][lane], 4),
                           "%s: block %zu, key %zu, lane %zu: %g for %g", kernel->name, i, j, lane,
                           found->scores[i][j][lane], expected->scores[i][j][lane]);
        }
}

/* The scalar kernel's scores are what they are said to be: integers are off by what rounding q and
 * k does, at most a step of each against the largest number of the other. */
static void check_scalar(const struct lac_kernel *kernel, const struct scored *s,
                         const struct outputs *o)
{
    for (size_t i = 0; i < s->seen.n_blocks; i++)
        for (size_t j = 0; j < LAC_KEY_BLOCK; j++)
            for (size_t lane = 0; lane < LAC_LANES; lane++) {
                size_t key = s->blocks[i].block * LAC_KEY_BLOCK + j;
                double dot = 0, bound = 1e-5;
                if (!(s->lanes >> lane & 1))
                    continue;
                if (key >= s->n_keys || !list_shows(&s->seen, lane, key)) {
                    check_each(o->scores[i][j][lane] == LAC_NOT_SEEN, "%s: seen", kernel->name);
                    continue;
                }
                for (size_t d = 0; d < s->dim; d++)
                    dot += (double)s->q[d * LAC_LANES + lane] * s->k[key * s->dim + d] * 0.4;
                if (kernel->dtype == LAC_S8) {
                    dot *= 1.4426950408889634;
                    bound = (double)s->dim * 0.4 * 1.45 * 3 / 127 * 1.1;
                }
                check_each(fabs(o->scores[i][j][lane] - dot) <= bound, "%s: %g for %g",
                           kernel->name, o->scores[i][j][lane], dot);
            }
}

static const struct lac_kernel *scalar_of(const struct lac_kernel *kernel)
{
    return lac_kernel_find_dtype(kernel->op, kernel->dtype, 0);
}

static void scores_kernel(const struct lac_kernel *kernel)
{
    uint64_t state = test_seed() + 3;
    struct outputs *found = malloc(sizeof *found), *expected = malloc(sizeof *expected);
    struct segments *segments = malloc(sizeof *segments);
    ck_assert(found && expected && segments);
    for (size_t round = 0; round < 60; round++) {
        struct scored *s = make_scored(&state);
        size_t n_pages = lac_ceil_div(s->n_keys, LAC_LANES);
        size_t page_bytes = lac_kv_page_bytes(LAC_S8, s->dim);
        char *memory = guarded_alloc(n_pages * page_bytes);
        void *pages[KEYS / LAC_LANES + 1];
        for (size_t i = 0; i < n_pages; i++)
            pages[i] = memory + i * page_bytes;
        make_segments(s, LAC_F32, segments);
        struct lac_kv_pages_args args = {segments->at, segments->n, s->dim, pages, 0};
        lac_kernel_find_dtype(LAC_OP_KV_PAGES, LAC_S8, 0)->run.kv_pages(&args);
        if (kernel->dtype == LAC_BF16) {
            free_segments(segments);
            make_segments(s, LAC_BF16, segments);
        }
        run_scores(scalar_of(kernel), s, segments, pages, expected);
        run_scores(kernel, s, segments, pages, found);
        check_outputs(kernel, s, found, expected);
        check_scalar(kernel, s, expected);
        free_segments(segments);
        guarded_free(memory, n_pages * page_bytes);
        free(s->k);
        free(s);
    }
    free(found);
    free(expected);
    free(segments);
}

static void lines_kernel(const struct lac_kernel *kernel)
{
    uint64_t state = test_seed() + 4;
    enum { MOST_BLOCKS = 5, N = MOST_BLOCKS * LAC_KEY_BLOCK * LAC_LANES, PAGES = MOST_BLOCKS * 4 };
    for (size_t round = 0; round < 60; round++) {
        size_t n = 1 + random_below(&state, MOST_BLOCKS), bytes = n * LAC_KEY_BLOCK * 64;
        float *scores = guarded_alloc(bytes), *same = guarded_alloc(bytes);
        float *most = guarded_alloc(n * 64);
        float low[2][PAGES], high[2][PAGES], width = round % 4 ? 5 : 0;
        uint64_t lanes = round % 3 ? 0xffff : random_u64(&state) & 0xffff;
        for (size_t i = 0; i < n * LAC_LANES; i++)
            most[i] = LAC_NOT_SEEN;
        for (size_t i = 0; i < n * LAC_KEY_BLOCK * LAC_LANES; i++) {
            size_t lane = i % LAC_LANES, block = i / (LAC_KEY_BLOCK * LAC_LANES);
            bool is_seen = random_below(&state, 4) && !(round % 5 == 0 && lane == 3);
            same[i] = scores[i] = is_seen ? random_float(&state) * width : LAC_NOT_SEEN;
            most[block * LAC_LANES + lane] = fmaxf(most[block * LAC_LANES + lane], scores[i]);
            if (!(lanes >> lane & 1))
                same[i] = scores[i] = NAN;
        }
        for (size_t i = 0; i < PAGES; i++)
            low[0][i] = low[1][i] = high[0][i] = high[1][i] = 0.5f;
        struct lac_score_lines_args expected = {scores, most, n, lanes, low[0], high[0]};
        struct lac_score_lines_args found = {same, most, n, lanes, low[1], high[1]};
        scalar_of(kernel)->run.score_lines(&expected);
        kernel->run.score_lines(&found);
        double total = 0;
        size_t n_seeing = 0;
        for (size_t i = 0; i < PAGES; i++) {
            check_each(low[0][i] == low[1][i] && high[0][i] == high[1][i],
                       "%s: round %zu, page %zu: %g, %g for %g, %g", kernel->name, round, i,
                       low[1][i], high[1][i], low[0][i], high[0][i]);
            total += (double)low[0][i] + (double)high[0][i] - 1;
        }
        for (size_t lane = 0; lane < LAC_LANES; lane++)
            n_seeing += lanes >> lane & 1 && !(round % 5 == 0 && lane == 3);
        ck_assert_double_lt(fabs(total - (double)n_seeing), 1e-4);
        guarded_free(scores, bytes);
        guarded_free(same, bytes);
        guarded_free(most, n * 64);
    }
}

static void each_kernel(enum lac_op op, void (*check)(const struct lac_kernel *))
{
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == op && !((*k)->needs & ~lac_cpu_features())) {
            check(*k);
            n++;
        } else if ((*k)->op == op) {
            printf("not run on this machine: %s\n", (*k)->name);
        }
    ck_assert_uint_ge(n, 1);
}

START_TEST(scores)
{
    each_kernel(LAC_OP_SCORES, scores_kernel);
}
END_TEST

START_TEST(score_lines)
{
    each_kernel(LAC_OP_SCORE_LINES, lines_kernel);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pick");
    add_test(suite, "the_best_are_taken", the_best_are_taken);
    add_test(suite, "lists_show_the_pages", lists_show_the_pages);
    add_test(suite, "lines_become_pages", lines_become_pages);
    add_test(suite, "bounds", bounds);
    add_test(suite, "scores", scores);
    add_test(suite, "score_lines", score_lines);
    add_method_tests(suite);
    add_gate_tests(suite);
    add_network_tests(suite);
    add_trial_tests(suite);
    return run_suite(suite);
}
