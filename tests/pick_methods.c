/* SPDX-License-Identifier: Apache-2.0 */
/* Each way of choosing against its definition, written down once more without kernels, and with all
 * kernels and forms of keys; attention over what was chosen against a masked softmax. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernel.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "src/run/plan.h"
#include "tests/pick_suite.h"

/* ---- Heads ---- */

static bool has_page(const struct pick_head *h, size_t block, size_t page)
{
    return h->bits[block * lac_pick_words(h->n) + page / 64] >> page % 64 & 1;
}

enum contents { RANDOM, PLANTED, EQUAL, ONE_HOT, N_CONTENTS };

/* PLANTED: some keys that all queries look at, and some that follow their queries at a distance. */
static struct pick_head make_head(size_t n, size_t dim, enum contents contents, uint64_t *state)
{
    struct pick_head h = pick_head_make(n, dim);
    for (size_t i = 0; i < n * dim; i++) {
        h.q[i] = contents == EQUAL ? 0 : random_float(state);
        h.k[i] = random_float(state) * (contents == ONE_HOT ? 1e4f : 1);
        h.v[i] = random_float(state);
    }
    for (size_t i = 0; contents == PLANTED && i < n; i++) {
        h.q[i * dim] = 4;
        if (i % 97 == 40)
            h.k[i * dim] = 6;
    }
    pick_head_fill(&h);
    return h;
}

/* ---- Definitions ---- */

static double score(const struct pick_head *h, size_t query, size_t key)
{
    double dot = 0;
    for (size_t d = 0; d < h->dim; d++)
        dot += (double)h->q[query * h->dim + d] * h->k[key * h->dim + d];
    return dot * h->scale;
}

/* Pages that are always seen. */
static bool is_kept(const struct pick_head *h, const struct lac_pick *c, size_t block, size_t page,
                    bool is_causal)
{
    size_t unit = c->kind == LAC_PICK_LINES ? 1 : 4, begin = block * LAC_PICK_QUERIES;
    size_t end = lac_min_size(begin + LAC_PICK_QUERIES, h->n);
    size_t seen = is_causal ? end : h->n;
    if (page * 16 >= seen)
        return false;
    for (size_t p = page / unit * unit; p < (page / unit + 1) * unit; p++)
        for (size_t key = p * 16; key < p * 16 + 16; key++)
            if (key < c->n_first || (key + c->n_near >= begin && key < end + c->n_near))
                return true;
    return false;
}

/* Weights of lines by the last queries of the block's span. */
static void weigh_lines(const struct pick_head *h, const struct lac_pick *c, size_t block,
                        bool is_causal, double *columns, double *groups, size_t n_negative)
{
    size_t span = block * LAC_PICK_QUERIES / LAC_PICK_SPAN * LAC_PICK_SPAN;
    size_t end = lac_min_size(span + LAC_PICK_SPAN, h->n);
    size_t up = lac_round_up(end, 16), begin = up - lac_min_size(c->n_sampled, up - span);
    double *p = pick_some(h->n, sizeof *p);
    for (size_t i = begin; i < end; i++) {
        size_t n = is_causal ? i + 1 : h->n;
        double most = -INFINITY, sum = 0;
        for (size_t j = 0; j < n; j++)
            most = fmax(most, p[j] = score(h, i, j));
        for (size_t j = 0; j < n; j++)
            sum += p[j] = exp(p[j] - most);
        for (size_t j = 0; j < n; j++) {
            columns[j / 16] += p[j] / sum;
            /* floor((i - j) / 16) */
            groups[(i + n_negative * 16 - j) / 16] += p[j] / sum;
        }
    }
    free(p);
}

static double mean_score(const struct pick_head *h, size_t block, size_t key_block)
{
    size_t begin = block * LAC_PICK_QUERIES, end = lac_min_size(begin + LAC_PICK_QUERIES, h->n);
    size_t first = key_block * LAC_KEY_BLOCK, last = lac_min_size(first + LAC_KEY_BLOCK, h->n);
    double sum = 0;
    for (size_t i = begin; i < end; i++)
        for (size_t j = first; j < last; j++)
            sum += score(h, i, j);
    return sum / ((double)(end - begin) * (double)(last - first));
}

/* Numbers as 8 bits keep them. */
static void quantize(const float *x, size_t n, double *to)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    for (size_t i = 0; i < n; i++)
        to[i] = most > 0 ? nearbyint(x[i] * 127 / most) * most / 127 : 0;
}

static double estimated(const struct pick_head *h, size_t query, size_t key)
{
    double q[LAC_MAX_HEAD_DIM], k[LAC_MAX_HEAD_DIM], dot = 0;
    quantize(h->q + query * h->dim, h->dim, q);
    quantize(h->k + key * h->dim, h->dim, k);
    for (size_t d = 0; d < h->dim; d++)
        dot += q[d] * k[d];
    return dot * h->scale;
}

/* ---- Comparisons ---- */

/* Lines that were chosen, by their weights, are as good as the best so many: rounding may swap
 * lines that weigh the same. */
static void check_lines(const struct pick_head *h, const struct lac_pick *c, size_t block,
                        bool is_causal)
{
    size_t begin = block * LAC_PICK_QUERIES;
    size_t end = lac_min_size(begin + LAC_PICK_QUERIES, h->n);
    size_t span = begin / LAC_PICK_SPAN * LAC_PICK_SPAN;
    size_t span_end = lac_min_size(span + LAC_PICK_SPAN, h->n);
    size_t n_seen = lac_ceil_div(is_causal ? end : h->n, 16);
    size_t n_pages = lac_ceil_div(is_causal ? span_end : h->n, 16);
    size_t n_negative = is_causal ? 0 : h->n_pages;
    double *columns = pick_some(h->n_pages, sizeof *columns),
           *groups = pick_some(3 * h->n_pages, 8);
    weigh_lines(h, c, block, is_causal, columns, groups, n_negative);
    /* Without diagonals: each page that is seen for its weight alone weighs at least as much as
     * each that is not, and their number is what was asked for. */
    size_t n_chosen = 0, n_outside = 0;
    double least = INFINITY, most = 0;
    for (size_t page = 0; page < n_pages; page++) {
        if (page < n_seen && is_kept(h, c, block, page, is_causal)) {
            check_each(has_page(h, block, page), "block %zu: page %zu", block, page);
            n_outside++;
        } else if (page >= n_seen) {
            check_each(!has_page(h, block, page), "block %zu: page %zu", block, page);
            n_outside++;
        } else if (has_page(h, block, page)) {
            least = fmin(least, columns[page]);
            n_chosen++;
        } else {
            most = fmax(most, columns[page]);
        }
    }
    size_t asked = lac_min_size(lac_ceil_div(c->columns.n, 16), n_pages);
    check_each(n_chosen <= asked && n_chosen + n_outside >= asked, "block %zu: %zu of %zu pages",
               block, n_chosen, asked);
    check_each(least >= most - 1e-5, "block %zu: %g chosen, %g not", block, least, most);
    free(columns);
    free(groups);
}

/* Without columns: pages of groups heavier than the lightest by which another is seen. */
static void check_diagonals(const struct pick_head *h, const struct lac_pick *c, size_t block,
                            bool is_causal)
{
    size_t begin = block * LAC_PICK_QUERIES;
    size_t end = lac_min_size(begin + LAC_PICK_QUERIES, h->n);
    size_t n_seen = lac_ceil_div(is_causal ? end : h->n, 16);
    size_t n_negative = is_causal ? 0 : h->n_pages, n_groups = n_negative + h->n_pages;
    double *columns = pick_some(h->n_pages, sizeof *columns),
           *groups = pick_some(3 * h->n_pages, 8);
    double heaviest = 0;
    size_t best = 0;
    weigh_lines(h, c, block, is_causal, columns, groups, n_negative);
    for (size_t g = 0; g < n_groups; g++)
        if (groups[g] > heaviest + 1e-5) {
            heaviest = groups[g];
            best = g;
        }
    /* Page by page: is it seen by some query of the block at a distance of the heaviest group? */
    for (size_t page = 0; page < n_seen; page++) {
        bool is_on = false;
        for (size_t i = begin; i < lac_round_up(end, 16); i++)
            for (size_t j = page * 16; j < page * 16 + 16; j++)
                is_on |= i + n_negative * 16 >= j && (i + n_negative * 16 - j) / 16 == best;
        check_each(!is_on || has_page(h, block, page), "block %zu: page %zu of group %zu", block,
                   page, best);
    }
    size_t n = 0, n_kept = 0;
    for (size_t page = 0; page < n_seen; page++) {
        n += has_page(h, block, page);
        n_kept += is_kept(h, c, block, page, is_causal);
    }
    check_each(n <= n_kept + 5 * lac_ceil_div(c->diagonals.n, 16), "block %zu: %zu pages", block,
               n);
    free(columns);
    free(groups);
}

/* Blocks that may be chosen or not. */
static bool is_candidate(const struct pick_head *h, const struct lac_pick *c, size_t block,
                         size_t key_block, bool is_causal)
{
    size_t end = lac_min_size((block + 1) * LAC_PICK_QUERIES, h->n);
    return key_block * LAC_KEY_BLOCK < (is_causal ? end : h->n) &&
           !is_kept(h, c, block, key_block * 4, is_causal);
}

/* All pages of a block that there are, or none. */
static bool has_block(const struct pick_head *h, size_t block, size_t key_block)
{
    size_t end = lac_min_size(key_block * 4 + 4, h->n_pages);
    bool first = has_page(h, block, key_block * 4);
    for (size_t page = key_block * 4; page < end; page++)
        check_each(has_page(h, block, page) == first, "half a block");
    return first;
}

static void check_pooled(const struct pick_head *h, const struct lac_pick *c, size_t block,
                         bool is_causal)
{
    size_t n_blocks = lac_ceil_div(h->n, LAC_KEY_BLOCK), n_chosen = 0, n_candidates = 0;
    double least = INFINITY, most = -INFINITY;
    for (size_t b = 0; b < n_blocks; b++) {
        if (!is_candidate(h, c, block, b, is_causal))
            continue;
        double s = mean_score(h, block, b);
        n_candidates++;
        if (has_block(h, block, b)) {
            least = fmin(least, s);
            n_chosen++;
        } else {
            most = fmax(most, s);
        }
    }
    size_t asked = lac_min_size(c->blocks.n, n_candidates);
    check_each(c->blocks.mass > 0 ? n_chosen <= asked : n_chosen == asked,
               "block %zu: %zu blocks for %zu", block, n_chosen, asked);
    check_each(least >= most - 1e-4 * (1 + fabs(most)), "block %zu: %g chosen, %g not", block,
               least, most);
}

static void check_estimated(const struct pick_head *h, const struct lac_pick *c, size_t block,
                            bool is_causal)
{
    size_t begin = block * LAC_PICK_QUERIES, n_all = lac_min_size(LAC_PICK_QUERIES, h->n - begin);
    size_t n = lac_min_size(n_all, 8), n_blocks = lac_ceil_div(h->n, LAC_KEY_BLOCK);
    double *best = pick_some(n_blocks, sizeof *best), slack = 0;
    for (size_t b = 0; b < n_blocks; b++)
        best[b] = -INFINITY;
    for (size_t lane = 0; lane < n; lane++) {
        size_t query = begin + (lane + 1) * n_all / n - 1;
        size_t end = is_causal ? query + 1 : h->n;
        double known = -INFINITY;
        for (size_t key = 0; key < end; key++)
            if (is_kept(h, c, block, key / 16, is_causal))
                known = fmax(known, estimated(h, query, key));
        for (size_t key = 0; key < end; key++)
            if (is_candidate(h, c, block, key / LAC_KEY_BLOCK, is_causal)) {
                double s = estimated(h, query, key), *to = &best[key / LAC_KEY_BLOCK];
                *to = fmax(*to, s - known);
                slack = fmax(slack, 1e-5 * (fabs(s) + fabs(known)));
            }
    }
    for (size_t b = 0; b < n_blocks; b++) {
        if (!is_candidate(h, c, block, b, is_causal))
            continue;
        if (fabs(best[b] - log(c->threshold)) > slack + 1e-5)
            check_each(has_block(h, block, b) == (best[b] >= log(c->threshold)),
                       "block %zu, keys %zu: %g", block, b, best[b]);
    }
    free(best);
}

static const struct {
    struct lac_pick choice;
    void (*check)(const struct pick_head *h, const struct lac_pick *c, size_t block,
                  bool is_causal);
} methods[] = {
    {{.kind = LAC_PICK_LINES, .n_first = 16, .n_near = 30, .columns = {80, 0}, .n_sampled = 32},
     check_lines},
    {{.kind = LAC_PICK_LINES, .columns = {4000, 0}, .n_sampled = 16}, check_lines},
    {{.kind = LAC_PICK_LINES, .n_near = 16, .diagonals = {48, 0}, .n_sampled = 64},
     check_diagonals},
    {{.kind = LAC_PICK_LINES, .n_first = 1, .diagonals = {0, 0.4}, .n_sampled = 384}, NULL},
    {{.kind = LAC_PICK_POOLED, .n_first = 1, .blocks = {3, 0}}, check_pooled},
    {{.kind = LAC_PICK_POOLED, .n_near = 70, .blocks = {100, 0.7}}, check_pooled},
    {{.kind = LAC_PICK_ESTIMATE, .n_first = 64, .n_near = 64, .threshold = 0.3}, check_estimated},
    {{.kind = LAC_PICK_ESTIMATE, .n_first = 1, .threshold = 0.9}, check_estimated},
};
enum { N_METHODS = sizeof methods / sizeof methods[0] };

static const size_t lengths[] = {1, 15, 48, 49, 65, 200, 383, 385, 800, 1153};
enum { N_LENGTHS = sizeof lengths / sizeof lengths[0] };

static void each_case(void (*check)(struct pick_head *h, size_t method, bool is_causal))
{
    static const size_t dims[] = {16, 5, 32};
    uint64_t state = test_seed() + 11;
    for (size_t i = 0; i < N_LENGTHS; i++)
        for (size_t contents = 0; contents < N_CONTENTS; contents++) {
            struct pick_head h =
                make_head(lengths[i], dims[(i + contents) % 3], (enum contents)contents, &state);
            for (size_t m = 0; m < N_METHODS; m++)
                check(&h, m, (m + i + contents) % 2);
            pick_head_free(&h);
        }
}

static void check_definition(struct pick_head *h, size_t method, bool is_causal)
{
    const struct lac_pick *c = &methods[method].choice;
    pick_head_choose(h, c, is_causal, LAC_F32, lac_cpu_features());
    for (size_t block = 0; block * LAC_PICK_QUERIES < h->n && methods[method].check; block++)
        methods[method].check(h, c, block, is_causal);
}

START_TEST(definitions)
{
    each_case(check_definition);
}
END_TEST

/* All scores equal: of the columns the first, of the blocks too. */
START_TEST(equal_scores)
{
    uint64_t state = test_seed() + 12;
    struct pick_head h = make_head(800, 16, EQUAL, &state);
    struct lac_pick c = {.kind = LAC_PICK_LINES, .columns = {64, 0}, .n_sampled = 32};
    pick_head_choose(&h, &c, true, LAC_F32, lac_cpu_features());
    for (size_t page = 0; page < 48; page++) /* block 11 has its own pages 44 to 47 */
        ck_assert_int_eq(has_page(&h, 11, page), page < 4 || page >= 44);
    c = (struct lac_pick){.kind = LAC_PICK_POOLED, .blocks = {2, 0}};
    pick_head_choose(&h, &c, true, LAC_F32, lac_cpu_features());
    for (size_t page = 0; page < 48; page++)
        ck_assert_int_eq(has_page(&h, 11, page), page < 8 || page >= 44);
    c = (struct lac_pick){.kind = LAC_PICK_ESTIMATE, .threshold = 0.99};
    pick_head_choose(&h, &c, true, LAC_F32, lac_cpu_features());
    for (size_t page = 0; page < 48; page++)
        ck_assert(has_page(&h, 11, page));
    pick_head_free(&h);
}
END_TEST

/* Something is chosen of what are no numbers too, and it has what is always seen. */
START_TEST(no_numbers)
{
    static const float numbers[] = {NAN, INFINITY, -INFINITY, 3e38f};
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
    uint64_t state = test_seed() + 13;
    for (size_t n = 0; n < sizeof numbers / sizeof numbers[0]; n++) {
        struct pick_head h = pick_head_make(500, 16);
        for (size_t i = 0; i < h.n * h.dim; i++) {
            h.q[i] = random_below(&state, 50) ? random_float(&state) : numbers[n];
            h.k[i] = random_below(&state, 90) ? random_float(&state) : numbers[n];
        }
        pick_head_fill(&h);
        for (size_t m = 0; m < N_METHODS; m++)
            for (size_t i = 0; i < 3; i++) {
                pick_head_choose(&h, &methods[m].choice, m % 2, dtypes[i], lac_cpu_features());
                for (size_t block = 0; block * LAC_PICK_QUERIES < h.n; block++)
                    for (size_t page = 0; page < h.n_pages; page++)
                        check_each(has_page(&h, block, page) ||
                                       !is_kept(&h, &methods[m].choice, block, page, m % 2),
                                   "method %zu, block %zu: page %zu", m, block, page);
            }
        pick_head_free(&h);
    }
}
END_TEST

/* Every instruction set chooses the same. */
static void check_features(struct pick_head *h, size_t method, bool is_causal)
{
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
    static const char *const isas[] = {"avx2", "avx512", "avx512_vnni", "neon", "neon_dotprod"};
    size_t n = lac_ceil_div(h->n, LAC_PICK_QUERIES) * lac_pick_words(h->n);
    uint64_t *expected = pick_some(n, sizeof *expected);
    for (size_t i = 0; i < 3; i++) {
        pick_head_choose(h, &methods[method].choice, is_causal, dtypes[i], 0);
        memcpy(expected, h->bits, n * sizeof *expected);
        for (size_t isa = 0; isa < sizeof isas / sizeof isas[0]; isa++) {
            unsigned allowed, features;
            ck_assert_int_eq(lac_isa_allowed(isas[isa], &allowed), 0);
            features = allowed & lac_cpu_features();
            if (strcmp(lac_isa_name(features), isas[isa]) != 0)
                continue; /* run under its own name */
            pick_head_choose(h, &methods[method].choice, is_causal, dtypes[i], features);
            check_each(!memcmp(expected, h->bits, n * sizeof *expected),
                       "%s: %zu queries, method %zu, dtype %d", isas[isa], h->n, method,
                       (int)dtypes[i]);
        }
    }
    free(expected);
}

START_TEST(instruction_sets)
{
    each_case(check_features);
}
END_TEST

/* ---- Attention over what was chosen ---- */

/* Queries [begin, end) of the head, whose results go to rows of y. */
static size_t find_queries(const struct pick_head *h, size_t begin, size_t end, float *y,
                           struct lac_query_segment *segments)
{
    size_t n = 0;
    for (size_t at = begin, stop; at < end; at = stop) {
        size_t tile = at / LAC_TILE;
        stop = lac_min_size(end, (tile + 1) * LAC_TILE);
        segments[n++] = (struct lac_query_segment){.q = h->queries[tile].q + at % LAC_TILE,
                                                   .y = y + (at - begin),
                                                   .ld = LAC_TILE,
                                                   .n_queries = stop - at};
    }
    return n;
}

static void check_result(const struct pick_head *h, size_t query, bool is_causal, const float *y)
{
    double most = -INFINITY, sum = 0, *p = pick_some(h->n, sizeof *p);
    for (size_t j = 0; j < h->n; j++)
        if (has_page(h, query / LAC_PICK_QUERIES, j / 16) && (!is_causal || j <= query))
            most = fmax(most, p[j] = score(h, query, j));
        else
            p[j] = -INFINITY;
    for (size_t j = 0; j < h->n; j++)
        sum += p[j] = exp(p[j] - most);
    for (size_t d = 0; d < h->dim; d++) {
        double exact = 0;
        for (size_t j = 0; j < h->n; j++)
            exact += p[j] * h->v[j * h->dim + d];
        /* Scores of up to 1e4 with 24 bits. */
        check_each(fabs(y[d * LAC_TILE] - exact / sum) < 1e-5 + 1e-6 * fabs(most),
                   "query %zu, row %zu: %g for %g", query, d, y[d * LAC_TILE], exact / sum);
    }
    free(p);
}

static void check_attention(struct pick_head *h, size_t method, bool is_causal)
{
    const struct lac_kernel *kernel =
        lac_kernel_find_dtype(LAC_OP_ATTENTION, LAC_F32, lac_cpu_features());
    size_t n_blocks = lac_ceil_div(h->n, LAC_KEY_BLOCK);
    struct lac_seen_block *blocks = pick_some(n_blocks, sizeof *blocks);
    struct lac_seen_mask *masks = pick_some(n_blocks, sizeof *masks);
    float *y = pick_some(2 * h->dim * LAC_TILE, sizeof *y);
    pick_head_choose(h, &methods[method].choice, is_causal, LAC_F32, lac_cpu_features());
    for (size_t begin = 0; begin < h->n; begin += LAC_PICK_QUERIES) {
        size_t n = lac_min_size(LAC_PICK_QUERIES, h->n - begin);
        const uint64_t *bits = h->bits + begin / LAC_PICK_QUERIES * lac_pick_words(h->n);
        struct lac_sight_queries queries = {(ptrdiff_t)begin, ~UINT64_C(0) >> (64 - n), h->n, 0};
        for (size_t part = 0; part < n; part += LAC_TILE) { /* of y's rows */
            size_t end = lac_min_size(n, part + LAC_TILE);
            struct lac_query_segment segments[3];
            queries.first = (ptrdiff_t)(begin + part);
            queries.lanes = ~UINT64_C(0) >> (64 - (end - part));
            struct lac_attention_args args = {
                .queries = segments,
                .n_query_segments = find_queries(h, begin + part, begin + end, y, segments),
                .head_dim = h->dim,
                .scale = h->scale,
                .segments = h->tiles,
                .n_segments = h->n_tiles,
                .segment_keys = LAC_TILE,
                .n_keys = h->n,
                .seen = lac_pick_list(bits, is_causal, &queries, blocks, masks),
            };
            kernel->run.attention(&args);
            for (size_t i = part; i < end; i += 7)
                check_result(h, begin + i, is_causal, y + (i - part));
        }
    }
    free(blocks);
    free(masks);
    free(y);
}

START_TEST(attention)
{
    each_case(check_attention);
}
END_TEST

void add_method_tests(Suite *suite)
{
    add_test(suite, "definitions", definitions);
    add_test(suite, "equal_scores", equal_scores);
    add_test(suite, "no_numbers", no_numbers);
    add_test(suite, "instruction_sets", instruction_sets);
    add_test(suite, "attention", attention);
}
