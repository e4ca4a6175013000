/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of its cache a token reads, by their labels. */
#include "src/run/page_choice.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"

/* Pages that are read unasked: the first, and the last. */
enum { FIRST_PAGES = 1, LAST_PAGES = 4, UNASKED = FIRST_PAGES + LAST_PAGES };

size_t lac_page_choice_budget(const struct lac_kv_rule *rule, size_t place)
{
    size_t n_keys = rule->part ? (place + rule->part) / rule->part : rule->budget;
    return lac_max_size(lac_ceil_div(n_keys, LAC_LANES), UNASKED + 1);
}

bool lac_page_choice_is_needed(const struct lac_kv_rule *rule, size_t place)
{
    return lac_kv_chooses(rule) && place / LAC_LANES + 1 > lac_page_choice_budget(rule, place);
}

/* ---- Queries as labels want them ---- */

struct label_queries {
    int8_t q[LAC_ROW_QUERIES * LAC_MAX_HEAD_DIM * 2];
    float scale[LAC_ROW_QUERIES];
};

static void quantize(const float *x, size_t n, int8_t *y, float *scale)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    float factor = most > 0 ? 127 / most : 0;
    *scale = most / 127;
    for (size_t i = 0; i < n; i++)
        y[i] = (int8_t)rintf(x[i] * factor);
}

static void make_query(const struct lac_kv_rules *rules, const struct lac_kv_rule *rule,
                       const float *q, size_t head_dim, int8_t *to, float *scale)
{
    size_t half = rules->n_dwords * 2;
    float x[LAC_KV_MOST_CHANNELS];
    memset(to, 0, rules->n_dwords * 4);
    if (rule->kind == LAC_KV_CHANNELS) {
        for (size_t i = 0; i < rules->n_channels; i++)
            x[i] = q[rule->channels[i]];
        quantize(x, rules->n_channels, to, scale);
        return;
    }
    quantize(q, head_dim, to, scale);
    for (size_t f = 0; f < head_dim; f++) {
        to[half + f] = to[f] < 0 ? to[f] : 0;
        to[f] = to[f] > 0 ? to[f] : 0;
    }
}

/* ---- Scores ---- */

/* Four numbers: registers of that size are everywhere. */
typedef int32_t quad __attribute__((vector_size(16)));
typedef float float_quad __attribute__((vector_size(16)));
enum { QUADS = 4 }; /* that are looked at side by side, as one would wait for the one before */

static float_quad load_scores(const float *from)
{
    float_quad x;
    memcpy(&x, from, sizeof x);
    return x;
}

static float_quad larger(float_quad a, float_quad b)
{
    quad is_a = a > b;
    return (float_quad)(((quad)a & is_a) | ((quad)b & ~is_a));
}

static float largest(const float *scores, size_t begin, size_t end)
{
    float_quad most[QUADS];
    float one = -INFINITY;
    for (size_t k = 0; k < QUADS; k++)
        most[k] = (float_quad){one, one, one, one};
    for (; begin + QUADS * 4 <= end; begin += QUADS * 4)
#pragma GCC unroll 4
        for (size_t k = 0; k < QUADS; k++)
            most[k] = larger(load_scores(scores + begin + k * 4), most[k]);
    for (size_t k = 1; k < QUADS; k++)
        most[0] = larger(most[k], most[0]);
    for (size_t i = 0; i < 4; i++)
        one = most[0][i] > one ? most[0][i] : one;
    for (; begin < end; begin++)
        one = scores[begin] > one ? scores[begin] : one;
    return one;
}

/* best = scores - most, or the larger of that and what it was; n: rounded up to 4. */
static void keep_best(const float *scores, size_t n, float most, bool is_first, float *best)
{
    const float_quad top = {most, most, most, most};
    for (size_t p = 0; p < n; p += 4) {
        float_quad x = load_scores(scores + p) - top;
        if (!is_first)
            x = larger(load_scores(best + p), x);
        memcpy(best + p, &x, sizeof x);
    }
}

/* Scores of up to LAC_ROW_QUERIES queries from `first` on; then the best of them of each page, in
 * the row behind. */
static void score_pages(const struct lac_page_choice *c, size_t first, size_t n, size_t n_pages,
                        float *best)
{
    const struct lac_kv_rules *rules = c->kv->shape.rules;
    size_t head_dim = c->kv->shape.head_dim;
    const struct lac_kv_rule *rule = &rules->of[c->layer * c->kv->shape.n_heads + c->kv_head];
    struct label_queries queries;
    for (size_t i = 0; i < n; i++)
        make_query(rules, rule, c->q + (first + i) * head_dim, head_dim,
                   queries.q + i * rules->n_dwords * 4, &queries.scale[i]);
    struct lac_page_scores_args args = {
        .q = queries.q,
        .q_scale = queries.scale,
        .n_queries = n,
        .n_labels = rules->n_labels,
        .n_dwords = rules->n_dwords,
        .labels = lac_kv_head_labels(c->kv, c->layer, c->kv_head),
        .n_pages = n_pages,
        .scores = c->scores,
        .ld = c->ld,
    };
    c->scorer->run.page_scores(&args);
    for (size_t i = 0; i < n; i++) {
        const float *scores = c->scores + i * c->ld;
        keep_best(scores, n_pages, largest(scores, FIRST_PAGES, n_pages), first + i == 0, best);
    }
}

/* ---- The best ---- */

/* Numbers from 0 on in the order of the scores that they stand for, none of which is above 0. */
static quad rank_of(float_quad scores)
{
    const quad most = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
    quad bits = (quad)scores, is_below = bits < 0;
    return (~bits & is_below) | (most & ~is_below);
}

/* n: a multiple of LAC_LANES. */
static size_t count_above(const int32_t *ranks, size_t n, int32_t rank)
{
    const quad least = {rank, rank, rank, rank};
    quad count[QUADS] = {{0}};
    size_t sum = 0;
    for (size_t i = 0; i < n; i += QUADS * 4)
#pragma GCC unroll 4
        for (size_t k = 0; k < QUADS; k++) {
            quad x;
            memcpy(&x, ranks + i + k * 4, sizeof x);
            count[k] -= x > least;
        }
    for (size_t k = 0; k < QUADS; k++)
        for (size_t i = 0; i < 4; i++)
            sum += (size_t)count[k][i];
    return sum;
}

/* The best of them: those above a rank, and the last n_equal of that rank. */
struct threshold {
    int32_t rank;
    size_t n_equal;
};

/* The n best of more than n ranks, by halving: it ends early where no equals are cut apart. */
static struct threshold find_threshold(const int32_t *ranks, size_t n_ranks, size_t n)
{
    int32_t low = -1, high = INT32_MAX; /* more than n are above low, fewer above high */
    while (high - 1 > low) {
        int32_t middle = (int32_t)(((int64_t)low + high) / 2);
        size_t count = count_above(ranks, n_ranks, middle);
        if (count == n)
            return (struct threshold){middle, 0};
        *(count > n ? &low : &high) = middle;
    }
    return (struct threshold){high, n - count_above(ranks, n_ranks, high)};
}

/* Of scores [first, end), in their place; what does not take part is -1.  Returns how many there
 * are now. */
static size_t rank_scores(float *scores, size_t first, size_t end)
{
    const int32_t none = -1;
    size_t n = lac_round_up(end, LAC_LANES);
    for (size_t p = 0; p < n; p += 4) {
        quad ranks = rank_of(load_scores(scores + p));
        memcpy(scores + p, &ranks, sizeof ranks);
    }
    for (size_t p = 0; p < lac_min_size(first, n); p++)
        memcpy(scores + p, &none, sizeof none);
    for (size_t p = end; p < n; p++)
        memcpy(scores + p, &none, sizeof none);
    return n;
}

/* ---- The list ---- */

struct list {
    struct lac_seen_keys *seen;
    size_t n;
};

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

static void add_page(struct list *list, size_t page, uint64_t keys)
{
    size_t block = page / BLOCK_PAGES;
    if (!list->n || list->seen[list->n - 1].block != block)
        list->seen[list->n++] = (struct lac_seen_keys){block, 0};
    list->seen[list->n - 1].keys |= keys << page % BLOCK_PAGES * LAC_LANES;
}

static const uint64_t whole_page = (UINT64_C(1) << LAC_LANES) - 1;

/* Which of more than n_chosen ranks are chosen, one after another. */
struct chooser {
    struct threshold threshold;
    size_t n_later; /* of the threshold's rank, from the next on */
};

static struct chooser begin_choice(const int32_t *ranks, size_t n_ranks, size_t n_chosen)
{
    struct chooser c = {.threshold = find_threshold(ranks, n_ranks, n_chosen)};
    int32_t rank = c.threshold.rank;
    if (c.threshold.n_equal)
        c.n_later = count_above(ranks, n_ranks, rank - 1) - count_above(ranks, n_ranks, rank);
    return c;
}

static bool is_chosen(struct chooser *c, int32_t rank)
{
    if (rank != c->threshold.rank || !c->threshold.n_equal)
        return rank > c->threshold.rank;
    return c->n_later-- <= c->threshold.n_equal;
}

/* Which of the ranks [at, at + n), n <= 64, may be chosen. */
static uint64_t candidates(const struct chooser *c, const int32_t *ranks, size_t at, size_t n)
{
    const int32_t rank = c->threshold.rank - (c->threshold.n_equal ? 1 : 0);
    uint64_t bits = 0;
    for (size_t p = 0; p < n; p++)
        bits |= (uint64_t)(ranks[at + p] > rank) << p;
    return bits;
}

/* The pages before `end`.  Bits first: nobody could guess a branch for each page. */
static void add_chosen(struct list *list, struct chooser *c, const int32_t *ranks, size_t end)
{
    for (size_t page = 0; page < end; page += 64) {
        uint64_t bits = candidates(c, ranks, page, lac_min_size(end - page, 64));
        for (; bits; bits &= bits - 1) {
            size_t p = page + (size_t)__builtin_ctzll(bits);
            if (is_chosen(c, ranks[p]))
                add_page(list, p, whole_page);
        }
    }
}

size_t lac_choose_pages(const struct lac_page_choice *c, struct lac_seen_keys *seen)
{
    const struct lac_kv *kv = c->kv;
    const struct lac_kv_rule *rule =
        &kv->shape.rules->of[c->layer * kv->shape.n_heads + c->kv_head];
    size_t own = c->place / LAC_LANES, end = own + 1 - LAST_PAGES;
    float *best = c->scores + LAC_ROW_QUERIES * c->ld;
    struct list list = {seen, 0};
    for (size_t i = 0, n; i < c->n_queries; i += n) {
        n = lac_min_size(c->n_queries - i, LAC_ROW_QUERIES);
        score_pages(c, i, n, end, best);
    }
    size_t n_ranks = rank_scores(best, FIRST_PAGES, end);
    const int32_t *ranks = (const void *)best;
    struct chooser chooser =
        begin_choice(ranks, n_ranks, lac_page_choice_budget(rule, c->place) - UNASKED);
    for (size_t p = 0; p < FIRST_PAGES; p++)
        add_page(&list, p, whole_page);
    add_chosen(&list, &chooser, ranks, end);
    for (size_t p = end; p < own; p++)
        add_page(&list, p, whole_page);
    add_page(&list, own, whole_page >> (LAC_LANES - 1 - c->place % LAC_LANES));
    return list.n;
}

size_t lac_choose_blocks(const struct lac_page_choice *c, size_t n_first, size_t n_chosen,
                         struct lac_seen_keys *seen)
{
    size_t end = c->place / LAC_KEY_BLOCK, n = 0;
    float *best = c->scores + LAC_ROW_QUERIES * c->ld;
    struct chooser chooser = {.threshold = {-1, 0}};
    if (end > n_first + n_chosen) {
        for (size_t i = 0, some; i < c->n_queries; i += some) {
            some = lac_min_size(c->n_queries - i, LAC_ROW_QUERIES);
            score_pages(c, i, some, end * BLOCK_PAGES, best);
        }
        best[0] = -INFINITY; /* FIRST_PAGES are not scored */
        for (size_t b = 0; b < end; b++) {
            float most = best[b * BLOCK_PAGES];
            for (size_t p = 1; p < BLOCK_PAGES; p++)
                most = fmaxf(most, best[b * BLOCK_PAGES + p]);
            best[b] = most;
        }
        size_t n_ranks = rank_scores(best, n_first, end);
        chooser = begin_choice((const void *)best, n_ranks, n_chosen);
    }
    for (size_t b = 0; b < end; b++) {
        int32_t rank = 0;
        if (end > n_first + n_chosen && b >= n_first)
            memcpy(&rank, &best[b], sizeof rank);
        if (b < n_first || is_chosen(&chooser, rank))
            seen[n++] = (struct lac_seen_keys){b, ~UINT64_C(0)};
    }
    return n;
}
