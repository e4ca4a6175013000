/* SPDX-License-Identifier: Apache-2.0 */
/* The pages that a token chooses, against a choice made page by page from the keys themselves. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/base/half.h"
#include "src/run/page_choice.h"
#include "tests/run_suite.h"

enum { MOST_KEYS = 1300, MOST_PAGES = MOST_KEYS / LAC_LANES + 1, MOST_QUERIES = 11, PAGE = 16 };

struct scene {
    struct lac_kv_rules *rules;
    struct lac_kv kv;
    size_t n_keys, n_queries;
    float q[MOST_QUERIES * LAC_MAX_HEAD_DIM];
};

/* ---- A cache of one head ---- */

static void write_keys(struct scene *s, bool equal, uint64_t *state)
{
    const struct lac_kv_shape *shape = &s->kv.shape;
    float *k = malloc(s->n_keys * shape->head_dim * sizeof *k);
    ck_assert_ptr_nonnull(k);
    for (size_t i = 0; i < s->n_keys * shape->head_dim; i++)
        k[i] = equal ? 0.5f : random_float(state);
    const struct lac_kernel *pager = lac_kernel_find_dtype(LAC_OP_KV_PAGES, shape->dtype, 0);
    for (size_t at = 0, n; at < s->n_keys; at += n) {
        n = lac_min_size(s->n_keys - at, 1 + random_below(state, 50));
        const struct lac_kv_segment segment = {k + at, k + at, s->n_keys, s->n_keys, 1, n};
        struct lac_kv_pages_args args = {&segment, 1, shape->head_dim,
                                         lac_kv_head(&s->kv, 0, 0) + at / PAGE, at % PAGE};
        pager->run.kv_pages(&args);
        lac_kv_label(&s->kv, 0, 0, at, n);
    }
    free(k);
}

static void open_scene(struct scene *s, enum lac_kv_policy_kind kind, enum lac_dtype dtype,
                       size_t head_dim, bool equal, uint64_t *state)
{
    const struct lac_config config = {
        .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .head_dim = head_dim};
    struct lac_kv_policy policy = {.kind = kind};
    if (random_u64(state) & 1)
        policy.n_part = 1 + random_below(state, 20);
    else
        policy.n_budget = 1 + random_below(state, MOST_KEYS);
    s->n_keys = 1 + random_below(state, MOST_KEYS);
    s->n_queries = 1 + random_below(state, MOST_QUERIES);
    ck_assert(!lac_kv_rules_make(&lac_default_host, &policy, &config, &s->rules, NULL));
    for (size_t i = 0; i < s->rules->n_channels; i++)
        s->rules->of[0].channels[i] = (uint8_t)((i * 5 + 3) % head_dim);
    const struct lac_kv_shape shape = {1, 1, head_dim, dtype, s->rules, 0};
    lac_kv_init(&s->kv, &lac_default_host, &shape);
    ck_assert(!lac_kv_reserve(&s->kv, s->n_keys, NULL));
    write_keys(s, equal, state);
    lac_kv_advance(&s->kv, s->n_keys);
    for (size_t i = 0; i < s->n_queries * head_dim; i++)
        s->q[i] = random_float(state);
}

static void close_scene(struct scene *s)
{
    lac_kv_clear(&s->kv);
    lac_free(&lac_default_host, s->rules);
}

/* ---- The definition ---- */

static float key_at(const struct lac_kv *kv, size_t key, size_t f)
{
    const void *page = lac_kv_head(kv, 0, 0)[key / PAGE];
    size_t slot = key % PAGE;
    if (kv->shape.dtype == LAC_F32)
        return ((const float *)page)[f * PAGE + slot];
    if (kv->shape.dtype == LAC_BF16)
        return lac_bf16_to_f32(((const uint16_t *)page)[f * PAGE + slot]);
    const struct lac_kv_page *p = page;
    return (float)(p->rows[(f / 4 * PAGE + slot) * 4 + f % 4] - 128) * p->k_scale[slot];
}

/* Whole numbers of -127 to 127, in steps of the returned scale. */
static float steps_of(const float *x, size_t n, float (*round)(float), int *y)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    for (size_t i = 0; i < n; i++)
        y[i] = most > 0 ? (int)fmaxf(-127, fminf(127, round(x[i] * (127 / most)))) : 0;
    return most / 127;
}

static float bound(const struct scene *s, size_t query, size_t page)
{
    size_t n = s->kv.shape.head_dim;
    float ends[2 * LAC_MAX_HEAD_DIM] = {0};
    int q[LAC_MAX_HEAD_DIM], high[2 * LAC_MAX_HEAD_DIM], low[2 * LAC_MAX_HEAD_DIM], sum = 0;
    for (size_t f = 0; f < n; f++) {
        ends[f] = ends[n + f] = key_at(&s->kv, page * PAGE, f);
        for (size_t j = 1; j < PAGE; j++) {
            ends[f] = fmaxf(ends[f], key_at(&s->kv, page * PAGE + j, f));
            ends[n + f] = fminf(ends[n + f], key_at(&s->kv, page * PAGE + j, f));
        }
    }
    float q_scale = steps_of(s->q + query * n, n, rintf, q);
    float scale = steps_of(ends, 2 * n, ceilf, high);
    steps_of(ends, 2 * n, floorf, low);
    for (size_t f = 0; f < n; f++)
        sum += q[f] > 0 ? q[f] * high[f] : q[f] * low[n + f];
    return (float)sum * (scale * q_scale);
}

static float best_label(const struct scene *s, size_t query, size_t page)
{
    const uint8_t *channels = s->rules->of[0].channels;
    size_t n = s->rules->n_channels;
    float x[PAGE * LAC_KV_MOST_CHANNELS], own[LAC_KV_MOST_CHANNELS];
    int k[PAGE * LAC_KV_MOST_CHANNELS], q[LAC_KV_MOST_CHANNELS], most = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        own[i] = s->q[query * s->kv.shape.head_dim + channels[i]];
        for (size_t j = 0; j < PAGE; j++)
            x[j * n + i] = key_at(&s->kv, page * PAGE + j, channels[i]);
    }
    float q_scale = steps_of(own, n, rintf, q), scale = steps_of(x, PAGE * n, rintf, k);
    for (size_t j = 0; j < PAGE; j++) {
        int sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += q[i] * k[j * n + i];
        most = sum > most ? sum : most;
    }
    return (float)most * (scale * q_scale);
}

/* seen[p]: does the token at `place` read page p? */
static void choose(const struct scene *s, size_t place, bool *seen)
{
    const struct lac_kv_rule *rule = &s->rules->of[0];
    size_t own = place / PAGE,
           n = rule->part ? (place + 1 + rule->part - 1) / rule->part : rule->budget;
    size_t left = lac_max_size((n + PAGE - 1) / PAGE, 6) - 5;
    float score[MOST_PAGES];
    for (size_t p = 1; p + 3 < own; p++)
        score[p] = -INFINITY;
    for (size_t i = 0; i < s->n_queries; i++) {
        float own_score[MOST_PAGES], most = -INFINITY;
        for (size_t p = 1; p + 3 < own; p++) {
            own_score[p] = (rule->kind == LAC_KV_QUEST ? bound : best_label)(s, i, p);
            most = fmaxf(most, own_score[p]);
        }
        for (size_t p = 1; p + 3 < own; p++)
            score[p] = fmaxf(score[p], own_score[p] - most);
    }
    for (size_t p = 0; p <= own; p++)
        seen[p] = !p || p + 3 >= own;
    while (left--) {
        size_t best = 0;
        for (size_t p = 1; p + 3 < own; p++)
            if (!seen[p] && (!best || score[p] >= score[best]))
                best = p;
        seen[best] = true;
    }
}

/* ---- Against it ---- */

static void check_list(const struct scene *s, size_t place, const struct lac_seen_keys *list,
                       size_t n)
{
    bool seen[MOST_PAGES];
    size_t at = 0;
    choose(s, place, seen);
    for (size_t block = 0; block <= place / LAC_KEY_BLOCK; block++) {
        uint64_t keys = 0;
        for (size_t j = block * LAC_KEY_BLOCK; j < (block + 1) * LAC_KEY_BLOCK && j <= place; j++)
            keys |= (uint64_t)seen[j / PAGE] << j % LAC_KEY_BLOCK;
        if (!keys)
            continue;
        ck_assert_uint_lt(at, n);
        ck_assert_msg(list[at].block == block && list[at].keys == keys,
                      "place %zu of %zu: block %zu is %zu: %llx, not %llx", place, s->n_keys, block,
                      list[at].block, (unsigned long long)list[at].keys, (unsigned long long)keys);
        at++;
    }
    ck_assert_uint_eq(at, n);
}

static void check_choice(const struct scene *s, size_t place, unsigned features)
{
    float *scores = aligned_alloc(64, (LAC_ROW_QUERIES + 1) * 128 * sizeof *scores);
    struct lac_seen_keys list[MOST_KEYS / LAC_KEY_BLOCK + 1];
    ck_assert_ptr_nonnull(scores);
    const struct lac_page_choice choice = {
        .kv = &s->kv,
        .place = place,
        .q = s->q,
        .n_queries = s->n_queries,
        .scorer = lac_kernel_find(LAC_OP_PAGE_SCORES, features),
        .scores = scores,
        .ld = 128,
    };
    check_list(s, place, list, lac_choose_pages(&choice, list));
    free(scores);
}

START_TEST(test_choice)
{
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
    static const size_t head_dims[] = {8, 20, 64, 128};
    uint64_t state = test_seed();
    size_t n_checked = 0;
    for (size_t i = 0; i < 120; i++) {
        struct scene s;
        enum lac_kv_policy_kind kind = i % 2 ? LAC_KV_QUEST : LAC_KV_CHANNELS;
        open_scene(&s, kind, dtypes[i % 3], head_dims[i % 4], i % 10 == 7, &state);
        size_t places[] = {s.n_keys - 1, random_below(&state, s.n_keys), (s.n_keys - 1) / 16 * 16,
                           lac_min_size(s.n_keys - 1, 6 * PAGE)};
        for (size_t k = 0; k < 4; k++)
            if (lac_page_choice_is_needed(&s.rules->of[0], places[k])) {
                check_choice(&s, places[k], k % 2 ? 0 : lac_cpu_features());
                n_checked++;
            }
        close_scene(&s);
    }
    ck_assert_uint_gt(n_checked, 100);
}
END_TEST

/* ---- Whole blocks ---- */

enum { BLOCK_PAGES = LAC_KEY_BLOCK / PAGE };

/* seen[b]: of the first n blocks, n_first and of the others those with the best pages. */
static void choose_blocks(const struct scene *s, size_t n, size_t n_first, size_t n_chosen,
                          bool *seen)
{
    float score[MOST_PAGES / BLOCK_PAGES];
    for (size_t b = 0; b < n; b++) {
        seen[b] = b < n_first;
        score[b] = -INFINITY;
    }
    for (size_t i = 0; i < s->n_queries; i++) {
        float own[MOST_PAGES], most = -INFINITY;
        for (size_t p = 1; p < n * BLOCK_PAGES; p++) {
            own[p] = bound(s, i, p);
            most = fmaxf(most, own[p]);
        }
        for (size_t p = 1; p < n * BLOCK_PAGES; p++)
            score[p / BLOCK_PAGES] = fmaxf(score[p / BLOCK_PAGES], own[p] - most);
    }
    while (n_chosen--) {
        size_t best = SIZE_MAX;
        for (size_t b = 0; b < n; b++)
            if (!seen[b] && (best == SIZE_MAX || score[b] >= score[best]))
                best = b;
        if (best != SIZE_MAX)
            seen[best] = true;
    }
}

static void check_blocks(const struct scene *s, size_t n, size_t n_first, size_t n_chosen,
                         unsigned features)
{
    float *scores = aligned_alloc(64, (LAC_ROW_QUERIES + 1) * 128 * sizeof *scores);
    struct lac_seen_keys list[MOST_KEYS / LAC_KEY_BLOCK + 1];
    bool seen[MOST_PAGES];
    size_t at = 0;
    ck_assert_ptr_nonnull(scores);
    const struct lac_page_choice choice = {
        .kv = &s->kv,
        .place = n * LAC_KEY_BLOCK,
        .q = s->q,
        .n_queries = s->n_queries,
        .scorer = lac_kernel_find(LAC_OP_PAGE_SCORES, features),
        .scores = scores,
        .ld = 128,
    };
    size_t n_listed = lac_choose_blocks(&choice, n_first, n_chosen, list);
    choose_blocks(s, n, n_first, n_chosen, seen);
    for (size_t b = 0; b < n; b++) {
        if (!seen[b])
            continue;
        ck_assert_uint_lt(at, n_listed);
        ck_assert_msg(list[at].block == b && list[at].keys == ~UINT64_C(0),
                      "%zu first and %zu of %zu blocks: %zu in place of %zu", n_first, n_chosen, n,
                      list[at].block, b);
        at++;
    }
    ck_assert_uint_eq(at, n_listed);
    free(scores);
}

START_TEST(test_blocks)
{
    static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
    static const size_t head_dims[] = {8, 20, 64, 128};
    uint64_t state = test_seed();
    for (size_t i = 0; i < 60; i++) {
        struct scene s;
        open_scene(&s, LAC_KV_QUEST, dtypes[i % 3], head_dims[i % 4], i % 10 == 7, &state);
        size_t n = s.n_keys / LAC_KEY_BLOCK;
        for (size_t k = 0; k < 6 && n; k++)
            check_blocks(&s, 1 + random_below(&state, n), random_below(&state, 4),
                         1 + random_below(&state, n), k % 2 ? 0 : lac_cpu_features());
        close_scene(&s);
    }
}
END_TEST

/* Cut off and written again, by two owners: each has the labels of its own keys. */
START_TEST(test_label_copies)
{
    uint64_t state = test_seed();
    for (size_t i = 0; i < 20; i++) {
        struct scene s, t;
        open_scene(&s, i % 2 ? LAC_KV_QUEST : LAC_KV_CHANNELS, LAC_S8, 64, false, &state);
        size_t kept = random_below(&state, s.n_keys);
        t = s;
        lac_kv_init(&t.kv, &lac_default_host, &s.kv.shape);
        ck_assert(!lac_kv_share(&t.kv, &s.kv, kept, NULL));
        ck_assert(!lac_kv_reserve(&t.kv, s.n_keys - kept, NULL));
        /* All of it anew, in pages that are its own. */
        lac_kv_truncate(&t.kv, 0);
        ck_assert(!lac_kv_reserve(&t.kv, t.n_keys, NULL));
        write_keys(&t, false, &state);
        lac_kv_advance(&t.kv, t.n_keys);
        for (size_t k = 0; k < 2; k++) {
            const struct scene *one = k ? &t : &s;
            if (lac_page_choice_is_needed(&s.rules->of[0], one->n_keys - 1))
                check_choice(one, one->n_keys - 1, lac_cpu_features());
        }
        lac_kv_clear(&t.kv);
        close_scene(&s);
    }
}
END_TEST

void add_choice_tests(Suite *suite)
{
    add_test(suite, "choice", test_choice);
    add_test(suite, "blocks", test_blocks);
    add_test(suite, "label_copies", test_label_copies);
}
