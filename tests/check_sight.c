/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of attention: the lists that follow from them against what each rule says of one query and
 * one key, written a second time here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparse/sight.h"
#include "src/base/checked.h"
#include "tests/support.h"

enum { MOST_KEYS = 700, MOST_BLOCKS = MOST_KEYS / LAC_KEY_BLOCK + 1, MOST_TERMS = 3 };

/* A rule with room for what its terms point to. */
struct rule {
    struct lac_sight sight;
    struct lac_sight_term terms[MOST_TERMS];
    struct lac_range ranges[MOST_TERMS][4];
    uint64_t bits[MOST_TERMS][64];
    size_t n_keys;
};

/* ---- What the rules say. ---- */

static bool window_sees(const struct rule *r, const struct lac_sight_term *term, size_t q, size_t k)
{
    const struct lac_sight_window *w = &term->as.window;
    size_t query = q / w->block, key = k / w->block;
    size_t more = (size_t)(w->per_token * (double)(r->sight.is_causal ? q + 1 : r->n_keys));
    size_t apart = query > key ? query - key : key - query;
    if (apart % w->dilation)
        return false;
    apart /= w->dilation;
    return query < key ? apart <= w->right : apart <= w->left || apart - w->left <= more;
}

static bool is_global(const struct rule *r, const struct lac_sight_global *g, size_t at)
{
    size_t n_blocks = lac_ceil_div(r->n_keys, g->block);
    for (size_t i = 0; i < g->n_ranges; i++)
        if (g->ranges[i].begin <= at && at < g->ranges[i].end)
            return true;
    bool is_last = at < r->n_keys && at / g->block + g->n_last >= n_blocks;
    return at / g->block < g->n_first || is_last;
}

static bool global_sees(const struct rule *r, const struct lac_sight_term *term, size_t q, size_t k)
{
    const struct lac_sight_global *g = &term->as.global;
    return (g->parts & LAC_SIGHT_ROWS && is_global(r, g, q)) ||
           (g->parts & LAC_SIGHT_COLUMNS && is_global(r, g, k));
}

static bool strided_sees(const struct rule *r, const struct lac_sight_term *term, size_t q,
                         size_t k)
{
    const struct lac_sight_strided *s = &term->as.strided;
    (void)r;
    (void)q;
    return k / s->block % s->stride == s->offset;
}

static bool blocks_see(const struct rule *r, const struct lac_sight_term *term, size_t q, size_t k)
{
    const struct lac_sight_blocks *b = &term->as.blocks;
    size_t row = q / b->block, column = k / b->block;
    (void)r;
    return row < b->n_rows && column < b->n_columns &&
           b->bits[row * b->row_words + column / 64] >> column % 64 & 1;
}

/* Along one axis, counted among the tokens that are whole dilations apart. */
static bool axis_sees(const struct lac_sight_axis *a, size_t q, size_t k)
{
    if (q % a->dilation != k % a->dilation)
        return false;
    long n = 0;
    for (size_t i = q % a->dilation; i < a->size; i += a->dilation)
        n++;
    long query = (long)(q / a->dilation), key = (long)(k / a->dilation), window = (long)a->window;
    long stride = (long)a->stride, leader = query - query % stride + stride / 2;
    leader = leader < n ? leader : n - 1;
    window = window < n ? window : n;
    long first = leader - window / 2;
    first = first < 0 ? 0 : first > n - window ? n - window : first;
    return first <= key && key < first + window;
}

static bool neighbours_see(const struct rule *r, const struct lac_sight_term *term, size_t q,
                           size_t k)
{
    const struct lac_sight_neighbours *g = &term->as.neighbours;
    (void)r;
    for (size_t i = g->n_axes; i-- > 0; q /= g->axes[i].size, k /= g->axes[i].size)
        if (!axis_sees(&g->axes[i], q % g->axes[i].size, k % g->axes[i].size))
            return false;
    return q == 0 && k == 0; /* nothing is left of numbers within the grid */
}

static bool all_sees(const struct rule *r, const struct lac_sight_term *term, size_t q, size_t k)
{
    (void)r;
    (void)term;
    (void)q;
    (void)k;
    return true;
}

/* Random blocks have no other definition than their own: random_blocks tests what is asked of it.
 */
static bool random_sees(const struct rule *r, const struct lac_sight_term *term, size_t q, size_t k)
{
    const struct lac_sight alone = {r->sight.is_causal, term, 1, 0};
    return lac_sight_sees(&alone, r->n_keys, q, k);
}

static bool (*const definitions[LAC_N_SIGHTS])(const struct rule *, const struct lac_sight_term *,
                                               size_t, size_t) = {
    [LAC_SIGHT_ALL] = all_sees,         [LAC_SIGHT_WINDOW] = window_sees,
    [LAC_SIGHT_GLOBAL] = global_sees,   [LAC_SIGHT_RANDOM] = random_sees,
    [LAC_SIGHT_STRIDED] = strided_sees, [LAC_SIGHT_NEIGHBOURS] = neighbours_see,
    [LAC_SIGHT_BLOCKS] = blocks_see,
};

static bool sees(const struct rule *r, size_t q, size_t k)
{
    if (r->sight.is_causal && k > q)
        return false;
    if (r->n_keys <= r->sight.n_dense)
        return true;
    for (size_t i = 0; i < r->sight.n_terms; i++)
        if (definitions[r->terms[i].kind](r, &r->terms[i], q, k))
            return true;
    return false;
}

/* ---- Rules at random. ---- */

static size_t random_block(uint64_t *state)
{
    static const size_t sizes[] = {1, 5, 16, 32, 48, 64, 128, 200};
    return sizes[random_below(state, sizeof sizes / sizeof sizes[0])];
}

static void make_window(struct rule *r, size_t i, uint64_t *state)
{
    size_t most = random_u64(state) & 1 ? 10 : 300, block = random_block(state);
    r->terms[i].as.window = (struct lac_sight_window){
        .left = random_below(state, 8) ? random_below(state, most) : SIZE_MAX,
        .right = random_below(state, 8) ? random_below(state, most) : SIZE_MAX,
        .dilation = random_u64(state) & 1 ? 1 : 1 + random_below(state, 90),
        .block = random_u64(state) & 1 ? 1 : block,
    };
    if (r->terms[i].as.window.block == 1 && random_u64(state) & 1)
        r->terms[i].as.window.per_token = (double)random_below(state, 5) / 4;
}

static void make_global(struct rule *r, size_t i, uint64_t *state)
{
    size_t n = random_below(state, 5), at = 0;
    for (size_t k = 0; k < n; k++) {
        at += random_below(state, 150);
        r->ranges[i][k].begin = at;
        at += 1 + random_below(state, random_u64(state) & 1 ? 1 : 100);
        r->ranges[i][k].end = at;
    }
    r->terms[i].as.global = (struct lac_sight_global){
        .ranges = r->ranges[i],
        .n_ranges = n,
        .block = random_block(state),
        .n_first = random_below(state, 3),
        .n_last = r->sight.is_causal ? 0 : random_below(state, 3),
        .parts = (unsigned)random_below(state, 4),
    };
}

static void make_random(struct rule *r, size_t i, uint64_t *state)
{
    r->terms[i].as.random = (struct lac_sight_random){
        random_block(state), random_below(state, LAC_SIGHT_MOST_RANDOM + 1), random_u64(state)};
}

static void make_strided(struct rule *r, size_t i, uint64_t *state)
{
    size_t stride = 1 + random_below(state, 9);
    r->terms[i].as.strided =
        (struct lac_sight_strided){random_block(state), stride, random_below(state, stride)};
}

static void make_neighbours(struct rule *r, size_t i, uint64_t *state)
{
    struct lac_sight_neighbours *g = &r->terms[i].as.neighbours;
    static const size_t most[] = {0, 700, 30, 9};
    *g = (struct lac_sight_neighbours){.n_axes = 1 + random_below(state, LAC_SIGHT_MOST_AXES)};
    for (size_t k = 0; k < g->n_axes; k++) {
        size_t size = 1 + random_below(state, most[g->n_axes]);
        g->axes[k] = (struct lac_sight_axis){
            size, 1 + random_below(state, size + 3), 1 + random_below(state, 20),
            random_u64(state) & 1 ? 1 : 1 + random_below(state, lac_min_size(size, 5))};
    }
}

static void make_blocks(struct rule *r, size_t i, uint64_t *state)
{
    size_t block = lac_max_size(16, random_block(state));
    size_t n = random_below(state, lac_min_size(46, r->n_keys / block + 2) + 1);
    for (size_t k = 0; k < 64; k++)
        r->bits[i][k] = random_u64(state) & random_u64(state) &
                        (random_u64(state) & 1 ? ~UINT64_C(0) : random_u64(state));
    r->terms[i].as.blocks = (struct lac_sight_blocks){r->bits[i], block, n, n, 1};
}

static void make_all(struct rule *r, size_t i, uint64_t *state)
{
    (void)r;
    (void)i;
    (void)state;
}

static void (*const makers[LAC_N_SIGHTS])(struct rule *, size_t, uint64_t *) = {
    [LAC_SIGHT_ALL] = make_all,         [LAC_SIGHT_WINDOW] = make_window,
    [LAC_SIGHT_GLOBAL] = make_global,   [LAC_SIGHT_RANDOM] = make_random,
    [LAC_SIGHT_STRIDED] = make_strided, [LAC_SIGHT_NEIGHBOURS] = make_neighbours,
    [LAC_SIGHT_BLOCKS] = make_blocks,
};

/* The first term of this kind. */
static void make_rule(struct rule *r, enum lac_sight_kind kind, uint64_t *state)
{
    *r = (struct rule){.n_keys = 1 + random_below(state, MOST_KEYS)};
    r->sight = (struct lac_sight){random_u64(state) & 1, r->terms,
                                  1 + random_below(state, random_u64(state) & 1 ? 1 : MOST_TERMS),
                                  random_u64(state) % 8 ? 0 : random_below(state, MOST_KEYS)};
    for (size_t i = 0; i < r->sight.n_terms; i++) {
        r->terms[i].kind = i ? 1 + random_below(state, LAC_N_SIGHTS - 1) : kind;
        makers[r->terms[i].kind](r, i, state);
    }
    struct lac_error error = {0};
    ck_assert_msg(!lac_sight_check(&r->sight, &error), "%s", error.text);
}

/* ---- Lists. ---- */

static void check_list(const struct rule *r, const struct lac_sight_queries *q)
{
    struct lac_seen_block blocks[MOST_BLOCKS];
    struct lac_seen_mask masks[MOST_BLOCKS];
    struct lac_seen seen = lac_sight_list(&r->sight, q, blocks, masks);
    ck_assert_uint_le(seen.n_blocks, lac_sight_count(&r->sight, q));
    size_t at = 0;
    for (size_t block = 0; block * LAC_KEY_BLOCK < r->n_keys; block++) {
        bool is_listed = at < seen.n_blocks && blocks[at].block == block;
        bool all = true, any = false;
        for (size_t j = 0; j < LAC_KEY_BLOCK && block * LAC_KEY_BLOCK + j < r->n_keys; j++)
            for (size_t lane = 0; lane < 64; lane++) {
                if (!(q->lanes >> lane & 1))
                    continue;
                size_t query = (size_t)(q->first + (ptrdiff_t)lane);
                size_t key = block * LAC_KEY_BLOCK + j;
                bool is_behind = r->sight.is_causal && key > query;
                bool expected = sees(r, query, key) || (key < q->n_global && !is_behind);
                bool found = is_listed && (blocks[at].mask == LAC_SEEN_WHOLE ||
                                           masks[blocks[at].mask].lanes[j] >> lane & 1);
                check_each(expected == found, "kind %d: query %zu key %zu of %zu: %d",
                           (int)r->terms[0].kind, query, block * LAC_KEY_BLOCK + j, r->n_keys,
                           found);
                all = all && expected;
                any = any || expected;
            }
        check_each(is_listed == any, "block %zu", block);
        check_each(!is_listed || all == (blocks[at].mask == LAC_SEEN_WHOLE), "mask of block %zu",
                   block);
        at += is_listed;
    }
    ck_assert_uint_eq(at, seen.n_blocks);
}

static void check_one_row(const struct rule *r, size_t query)
{
    struct lac_seen_keys seen[MOST_BLOCKS];
    size_t n = lac_sight_row(&r->sight, query, r->n_keys, seen), at = 0;
    for (size_t block = 0; block * LAC_KEY_BLOCK < r->n_keys; block++) {
        uint64_t expected = 0;
        for (size_t j = 0; j < LAC_KEY_BLOCK && block * LAC_KEY_BLOCK + j < r->n_keys; j++)
            expected |= (uint64_t)sees(r, query, block * LAC_KEY_BLOCK + j) << j;
        if (!expected)
            continue;
        ck_assert_uint_lt(at, n);
        ck_assert_uint_eq(seen[at].block, block);
        ck_assert_msg(seen[at].keys == expected, "kind %d: query %zu, block %zu",
                      (int)r->terms[0].kind, query, block);
        at++;
    }
    ck_assert_uint_eq(at, n);
}

/* Where the queries of a stretch differ in whole blocks, the stretch has an end. */
static void check_end(const struct rule *r, size_t query)
{
    size_t end = lac_sight_end(&r->sight, r->n_keys, query);
    ck_assert_uint_gt(end, query);
}

START_TEST(lists)
{
    uint64_t state = test_seed();
    struct rule r;
    for (size_t i = 0; i < 60 * LAC_N_SIGHTS; i++) {
        make_rule(&r, (enum lac_sight_kind)(i % LAC_N_SIGHTS), &state);
        for (size_t turn = 0; turn < 4; turn++) {
            /* Queries may stand behind the keys, and lanes in front of the first query. */
            size_t begin = random_below(&state, 64), n = 1 + random_below(&state, 64 - begin);
            size_t query = random_below(&state, r.n_keys + 20);
            uint64_t lanes = ~UINT64_C(0) >> (64 - n) << begin;
            size_t n_global = random_u64(&state) & 1 ? random_below(&state, r.n_keys) : 0;
            struct lac_sight_queries q = {(ptrdiff_t)query - (ptrdiff_t)begin, lanes, r.n_keys,
                                          n_global};
            check_list(&r, &q);
            check_one_row(&r, query);
            check_end(&r, query);
        }
    }
}
END_TEST

/* As many blocks as asked for, or as there are, none twice; each as often as any other. */
START_TEST(random_blocks)
{
    enum { BLOCKS = 40, DRAWS = 3, UNITS = 4000 };
    size_t often[BLOCKS] = {0};
    for (size_t i = 0; i < 2; i++) {
        struct lac_sight_term term = {.kind = LAC_SIGHT_RANDOM, .as.random = {64, DRAWS, 7}};
        struct lac_sight sight = {i, &term, 1, 0};
        for (size_t unit = 0; unit < UNITS; unit++) {
            struct lac_seen_keys seen[BLOCKS];
            size_t query = unit * 64 + unit % 64;
            size_t n = lac_sight_row(&sight, query, BLOCKS * 64, seen);
            size_t there = i ? unit + 1 : BLOCKS;
            if (there > BLOCKS)
                break; /* a decoder's query behind its keys draws among those too */
            ck_assert_uint_eq(n, lac_min_size(DRAWS, there));
            for (size_t k = 0; k < n && !i; k++)
                often[seen[k].block]++;
        }
    }
    for (size_t k = 0; k < BLOCKS; k++) /* 300 each, deviation 17 */
        ck_assert_msg(often[k] > 200 && often[k] < 400, "block %zu: %zu", k, often[k]);
}
END_TEST

/* Dense lists are whole, causal ones have masks on the diagonal alone. */
START_TEST(few_masks)
{
    struct lac_sight_term all = {.kind = LAC_SIGHT_ALL};
    struct lac_seen_block blocks[MOST_BLOCKS];
    struct lac_seen_mask masks[MOST_BLOCKS];
    struct lac_sight_queries q = {384, (UINT64_C(1) << 48) - 1, 600, 0};
    struct lac_seen seen =
        lac_sight_list(&(struct lac_sight){false, &all, 1, 0}, &q, blocks, masks);
    ck_assert_uint_eq(seen.n_blocks, 10);
    for (size_t i = 0; i < 10; i++)
        ck_assert_uint_eq(blocks[i].mask, LAC_SEEN_WHOLE);
    seen = lac_sight_list(&(struct lac_sight){true, &all, 1, 0}, &q, blocks, masks);
    ck_assert_uint_eq(seen.n_blocks, 7);
    for (size_t i = 0; i < 7; i++)
        ck_assert_uint_eq(blocks[i].mask == LAC_SEEN_WHOLE, i < 6);
}
END_TEST

/* How often a list shows a key to a lane. */
static size_t times_seen(const struct lac_seen *seen, size_t lane, size_t key)
{
    size_t n = 0;
    for (size_t i = 0; i < seen->n_blocks; i++)
        if (seen->blocks[i].block == key / LAC_KEY_BLOCK)
            n += seen->blocks[i].mask == LAC_SEEN_WHOLE ||
                 seen->masks[seen->blocks[i].mask].lanes[key % LAC_KEY_BLOCK] >> lane & 1;
    return n;
}

/* BigBird's rule, with blocks of any size: the first block counts again but for the first and last
 * blocks of queries; not in a sequence that is seen whole. */
START_TEST(keys_count_again)
{
    static const size_t sizes[] = {64, 16, 100, 37};
    uint64_t state = test_seed();
    struct lac_seen_block blocks[MOST_BLOCKS + LAC_SIGHT_MOST_AGAIN];
    struct lac_seen_mask masks[MOST_BLOCKS + LAC_SIGHT_MOST_AGAIN];
    for (size_t i = 0; i < 200; i++) {
        size_t block = sizes[i % 4], again = 1 + random_below(&state, 5);
        size_t n_keys = 1 + random_below(&state, MOST_KEYS);
        const struct lac_sight_term terms[] = {
            {.kind = LAC_SIGHT_WINDOW, .as.window = {1, 1, 1, block, 0}},
            {.kind = LAC_SIGHT_GLOBAL, .as.global = {NULL, 0, block, 1, 1, 3, again}},
        };
        struct lac_sight sight = {false, terms, 2, 5 * block};
        ck_assert_int_eq(lac_sight_check(&sight, NULL), LAC_OK);
        struct lac_sight_queries q = {(ptrdiff_t)random_below(&state, n_keys),
                                      UINT64_C(0xffffffff) << random_below(&state, 32), n_keys, 0};
        struct lac_seen seen = lac_sight_list(&sight, &q, blocks, masks);
        ck_assert_uint_le(seen.n_blocks, lac_sight_count(&sight, &q));
        for (size_t lane = 0; lane < 64; lane++) {
            size_t query = (size_t)q.first + lane, last = (n_keys - 1) / block;
            bool is_row = query / block == 0 || (query / block == last && query < n_keys);
            for (size_t key = 0; q.lanes >> lane & 1 && key < n_keys; key++) {
                size_t expected = lac_sight_sees(&sight, n_keys, query, key);
                if (key < block && !is_row && n_keys > sight.n_dense)
                    expected += again;
                check_each(times_seen(&seen, lane, key) == expected,
                           "query %zu, key %zu of %zu: %zu times", query, key, n_keys, expected);
            }
        }
    }
}
END_TEST

START_TEST(bad_rules)
{
    static const struct lac_range backward[] = {{5, 5}}, crossed[] = {{5, 9}, {8, 10}};
    const struct {
        bool is_causal;
        struct lac_sight_term term;
    } cases[] = {
        {0, {.kind = LAC_N_SIGHTS}},
        {0, {.kind = LAC_SIGHT_WINDOW, .as.window = {.dilation = 1}}},
        {0, {.kind = LAC_SIGHT_WINDOW, .as.window = {.block = 1}}},
        {0, {.kind = LAC_SIGHT_WINDOW, .as.window = {0, 0, 1, 1, 1.5}}},
        {0, {.kind = LAC_SIGHT_WINDOW, .as.window = {0, 0, 1, 2, 0.5}}},
        {0, {.kind = LAC_SIGHT_GLOBAL}},
        {1, {.kind = LAC_SIGHT_GLOBAL, .as.global = {.block = 1, .n_last = 1}}},
        {0, {.kind = LAC_SIGHT_GLOBAL, .as.global = {.block = 1, .parts = 4}}},
        {0, {.kind = LAC_SIGHT_GLOBAL, .as.global = {backward, 1, 1, 0, 0, 3, 0}}},
        {0, {.kind = LAC_SIGHT_GLOBAL, .as.global = {crossed, 2, 1, 0, 0, 3, 0}}},
        {1, {.kind = LAC_SIGHT_GLOBAL, .as.global = {NULL, 0, 64, 1, 0, 3, 1}}},
        {0, {.kind = LAC_SIGHT_GLOBAL, .as.global = {NULL, 0, 128, 1, 0, 3, 33}}},
        {0, {.kind = LAC_SIGHT_RANDOM, .as.random = {.n = 1}}},
        {0, {.kind = LAC_SIGHT_RANDOM, .as.random = {16, LAC_SIGHT_MOST_RANDOM + 1, 0}}},
        {0, {.kind = LAC_SIGHT_STRIDED, .as.strided = {16, 0, 0}}},
        {0, {.kind = LAC_SIGHT_STRIDED, .as.strided = {16, 3, 3}}},
        {0, {.kind = LAC_SIGHT_NEIGHBOURS}},
        {0, {.kind = LAC_SIGHT_NEIGHBOURS, .as.neighbours = {1, {{10, 3, 1, 11}}}}},
        {0, {.kind = LAC_SIGHT_NEIGHBOURS, .as.neighbours = {4, {{10, 3, 1, 1}}}}},
        {0, {.kind = LAC_SIGHT_BLOCKS, .as.blocks = {NULL, 64, 1, 1, 1}}},
        {0, {.kind = LAC_SIGHT_BLOCKS, .as.blocks = {(const uint64_t[]){0}, 64, 1, 65, 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lac_sight sight = {cases[i].is_causal, &cases[i].term, 1, 0};
        ck_assert_msg(lac_sight_check(&sight, NULL) == LAC_E_ARGUMENT, "case %zu", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sight");
    add_test(suite, "lists", lists);
    add_test(suite, "random_blocks", random_blocks);
    add_test(suite, "few_masks", few_masks);
    add_test(suite, "keys_count_again", keys_count_again);
    add_test(suite, "bad_rules", bad_rules);
    return run_suite(suite);
}
