/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in fp32, of bf16 and in integers: every kernel against the scalar one, bit for bit,
 * however the keys are cut into segments and wherever queries lie; the scalar one against a plain
 * definition in double. */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/base/half.h"
#include "tests/attention_suite.h"

enum { MOST_SEGMENTS = 256, LD = LAC_TILE };

/* One sequence's head: queries [n_queries][head_dim], keys and values [n_keys][head_dim]. */
struct head {
    enum lac_dtype dtype; /* what keys and values are kept as */
    size_t n_queries, n_keys, head_dim;
    float *q, *k, *v;
    float scale;
    uint64_t *seen; /* [n_keys]: bit t says that query t sees the key */
};

/* The same keys and values cut into segments, each between guard pages, with not-a-number in
 * the gaps between rows. */
struct cut {
    size_t n, step;
    struct lac_kv_segment segments[MOST_SEGMENTS];
};

/* Outputs of n_queries queries and, in integers alone, their largest magnitudes. */
struct result {
    float *y, *abs_max;
};

static float *random_array(size_t n, float width, uint64_t *state)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++)
        x[i] = random_float(state) * width;
    return x;
}

/* Numbers that bf16 keeps as they are. */
static void round_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = lac_bf16_to_f32(lac_bf16_from_f32(x[i]));
}

static struct head make_head(const struct lac_kernel *kernel, size_t n_queries, size_t n_keys,
                             size_t head_dim, float width, uint64_t *state)
{
    struct head h = {kernel->dtype, n_queries, n_keys, head_dim, NULL, NULL, NULL, 0.3f, NULL};
    h.q = random_array(n_queries * head_dim, width, state);
    h.k = random_array(n_keys * head_dim, width, state);
    h.v = random_array(n_keys * head_dim, width, state);
    h.seen = malloc(n_keys * sizeof *h.seen);
    ck_assert_ptr_nonnull(h.seen);
    memset(h.seen, 0xff, n_keys * sizeof *h.seen);
    if (h.dtype == LAC_BF16) {
        round_bf16(h.k, n_keys * head_dim);
        round_bf16(h.v, n_keys * head_dim);
    }
    return h;
}

static void free_head(struct head *h)
{
    free(h->q);
    free(h->k);
    free(h->v);
    free(h->seen);
}

static size_t segment_size(const struct cut *cut, const struct head *h, size_t i)
{
    size_t n = (h->head_dim - 1) * cut->segments[i].k_ld + cut->segments[i].n_keys;
    return n * (h->dtype == LAC_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* Rows end at the guard page, or begin after one: at any alignment of a number. */
static void *make_rows(const struct cut *cut, const struct head *h, size_t i, const float *from,
                       int in_front)
{
    const struct lac_kv_segment *s = &cut->segments[i];
    size_t size = segment_size(cut, h, i);
    void *rows = in_front ? guarded_alloc_front(size) : guarded_alloc(size);
    memset(rows, 0xff, size); /* not a number */
    for (size_t j = 0; j < s->n_keys; j++)
        for (size_t d = 0; d < h->head_dim; d++)
            if (h->dtype == LAC_BF16)
                ((uint16_t *)rows)[d * s->k_ld + j] = lac_bf16_from_f32(from[j * h->head_dim + d]);
            else
                ((float *)rows)[d * s->k_ld + j] = from[j * h->head_dim + d];
    return rows;
}

/* Segments of `first` keys, then of `step`. */
static struct cut make_cut(const struct head *h, size_t first, size_t step, int in_front)
{
    struct cut cut = {.step = step};
    for (size_t at = 0; at < h->n_keys;) {
        size_t i = cut.n++, n = lac_min_size(i ? step : first, h->n_keys - at);
        ck_assert_uint_lt(i, MOST_SEGMENTS);
        cut.segments[i].n_keys = n;
        cut.segments[i].k_ld = cut.segments[i].v_ld = lac_round_up(n + 1, LAC_LANES);
        cut.segments[i].v_step = 1;
        cut.segments[i].k = make_rows(&cut, h, i, h->k + at * h->head_dim, in_front);
        cut.segments[i].v = make_rows(&cut, h, i, h->v + at * h->head_dim, in_front);
        at += n;
    }
    return cut;
}

static void free_cut(struct cut *cut, const struct head *h, int in_front)
{
    void (*release)(void *, size_t) = in_front ? guarded_free_front : guarded_free;
    for (size_t i = 0; i < cut->n; i++) {
        release((void *)cut->segments[i].k, segment_size(cut, h, i));
        release((void *)cut->segments[i].v, segment_size(cut, h, i));
    }
}

const struct lac_kernel *find_kernel(enum lac_op op, enum lac_dtype dtype, unsigned needs)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == op && (*k)->dtype == dtype && (*k)->needs == needs)
            return *k;
    return lac_kernel_find_dtype(op, dtype, 0);
}

void list_seen(const uint64_t *lanes, size_t n_keys, uint64_t counted, struct seen_list *list)
{
    size_t n = 0, n_masks = 0;
    for (size_t first = 0; first < n_keys; first += LAC_KEY_BLOCK) {
        struct lac_seen_mask *mask = &list->masks[n_masks];
        uint64_t any = 0, all = counted;
        for (size_t j = 0; j < LAC_KEY_BLOCK; j++) {
            /* Keys that do not exist may be seen as well. */
            mask->lanes[j] = first + j < n_keys ? lanes[first + j] : ~UINT64_C(0);
            if (first + j < n_keys) {
                any |= lanes[first + j];
                all &= lanes[first + j];
            }
        }
        if (!(any & counted))
            continue;
        ck_assert_uint_lt(n, MOST_LISTED);
        list->blocks[n++] = (struct lac_seen_block){
            (uint32_t)(first / LAC_KEY_BLOCK), all == counted ? LAC_SEEN_WHOLE : (uint32_t)n_masks};
        n_masks += all != counted;
    }
    list->seen = (struct lac_seen){list->blocks, n, list->masks};
}

/* Pages that no query sees are not there. */
static void hide_pages(const struct head *h, void **pages)
{
    uint64_t counted = (UINT64_C(1) << h->n_queries) - 1;
    for (size_t first = 0; first < h->n_keys; first += LAC_LANES) {
        uint64_t any = 0;
        for (size_t j = first; j < lac_min_size(first + LAC_LANES, h->n_keys); j++)
            any |= h->seen[j];
        if (!(any & counted))
            pages[first / LAC_LANES] = NULL;
    }
}

/* Quantised keys and values between guard pages. */
struct pages {
    size_t n, size;
    char *memory;
    void *at[MOST_LISTED_KEYS / LAC_LANES];
};

static struct pages make_pages(const struct lac_kernel *kernel, const struct head *h,
                               const struct cut *cut)
{
    size_t page_bytes = lac_kv_page_bytes(LAC_S8, h->head_dim);
    struct pages pages = {.n = lac_ceil_div(h->n_keys, LAC_LANES)};
    ck_assert_uint_le(pages.n, sizeof pages.at / sizeof pages.at[0]);
    pages.size = pages.n * page_bytes;
    pages.memory = guarded_alloc(pages.size);
    memset(pages.memory, 0xff, pages.size);
    for (size_t i = 0; i < pages.n; i++)
        pages.at[i] = pages.memory + i * page_bytes;
    struct lac_kv_pages_args args = {cut->segments, cut->n, h->head_dim, pages.at, 0};
    kernel->run.kv_pages(&args);
    return pages;
}

static void free_pages(struct pages *pages)
{
    guarded_free(pages->memory, pages->size);
}

/* The pages of the kernel beside an attention kernel are those of the scalar one. */
static void run_integers(const struct lac_kernel *kernel, const struct head *h,
                         const struct cut *cut, const struct lac_attention_args *a, float *abs_max)
{
    const struct lac_kernel *pager = find_kernel(LAC_OP_KV_PAGES, LAC_S8, kernel->needs);
    struct pages pages = make_pages(pager, h, cut);
    struct pages expected = make_pages(find_kernel(LAC_OP_KV_PAGES, LAC_S8, 0), h, cut);
    ck_assert_msg(!memcmp(pages.memory, expected.memory, pages.size),
                  "%s: %zu keys, head size %zu: pages differ", pager->name, h->n_keys, h->head_dim);
    hide_pages(h, pages.at);
    struct lac_attention_s8_args args = {.q = a->q,
                                         .q_ld = a->q_ld,
                                         .n_lanes = a->n_lanes,
                                         .lane_mask = a->lane_mask,
                                         .head_dim = a->head_dim,
                                         .scale = a->scale,
                                         .pages = (const void *const *)pages.at,
                                         .n_keys = h->n_keys,
                                         .seen = a->seen,
                                         .y = a->y,
                                         .y_ld = a->y_ld,
                                         .abs_max = abs_max};
    kernel->run.attention_s8(&args);
    free_pages(&pages);
    free_pages(&expected);
}

/* Runs queries [0, n_queries) of h in lanes from `lane` on, one call; checks that no other lane
 * is written.  Other lanes of q are not numbers. */
static void run_lanes(const struct lac_kernel *kernel, const struct head *h, const struct cut *cut,
                      size_t lane, size_t n_lanes, struct result *r)
{
    size_t n = h->n_queries, size = h->head_dim * LD * sizeof(float);
    size_t max_size = n_lanes * sizeof(float);
    float *q = guarded_alloc(size), *y = guarded_alloc(size), *abs_max = guarded_alloc(max_size);
    memset(q, 0xff, size);
    for (size_t t = 0; t < n; t++)
        for (size_t d = 0; d < h->head_dim; d++)
            q[d * LD + lane + t] = h->q[t * h->head_dim + d];
    for (size_t i = 0; i < h->head_dim * LD; i++)
        y[i] = -77;
    for (size_t t = 0; t < n_lanes; t++)
        abs_max[t] = 1e-3f;
    uint64_t seen[MOST_LISTED_KEYS];
    struct seen_list list;
    for (size_t j = 0; j < h->n_keys; j++)
        seen[j] = h->seen[j] << lane;
    list_seen(seen, h->n_keys, ((UINT64_C(1) << n) - 1) << lane, &list);
    struct lac_attention_args args = {.q = q,
                                      .q_ld = LD,
                                      .n_lanes = n_lanes,
                                      .lane_mask = ((UINT64_C(1) << n) - 1) << lane,
                                      .head_dim = h->head_dim,
                                      .scale = h->scale,
                                      .segments = cut->segments,
                                      .n_segments = cut->n,
                                      .segment_keys = cut->step,
                                      .n_keys = h->n_keys,
                                      .seen = list.seen,
                                      .y = y,
                                      .y_ld = LD};
    if (kernel->op == LAC_OP_ATTENTION_S8)
        run_integers(kernel, h, cut, &args, abs_max);
    else
        kernel->run.attention(&args);
    for (size_t i = 0; i < h->head_dim * LD; i++) {
        size_t t = i % LD - lane;
        if (t < n)
            r->y[t * h->head_dim + i / LD] = y[i];
        else
            check_each(y[i] == -77, "%s: lane %zu written", kernel->name, i % LD);
    }
    for (size_t t = 0; t < n_lanes; t++)
        if (t - lane < n)
            r->abs_max[t - lane] = abs_max[t];
        else
            check_each(abs_max[t] == 1e-3f, "%s: abs_max of lane %zu", kernel->name, t);
    guarded_free(q, size);
    guarded_free(y, size);
    guarded_free(abs_max, max_size);
}

static struct result make_result(const struct head *h)
{
    struct result r = {malloc(h->n_queries * h->head_dim * sizeof(float)),
                       malloc(h->n_queries * sizeof(float))};
    ck_assert(r.y && r.abs_max);
    return r;
}

static void free_result(struct result *r)
{
    free(r->y);
    free(r->abs_max);
}

static void assert_same_result(const struct lac_kernel *kernel, const char *what,
                               const struct head *h, const struct result *expected,
                               const struct result *found)
{
    ck_assert_msg(!memcmp(expected->y, found->y, h->n_queries * h->head_dim * sizeof(float)) &&
                      !memcmp(expected->abs_max, found->abs_max, h->n_queries * sizeof(float)),
                  "%s: %zu queries, %zu keys, head size %zu: differs with %s", kernel->name,
                  h->n_queries, h->n_keys, h->head_dim, what);
}

/* Does query t see key j? */
static bool sees(const struct head *h, size_t t, size_t j)
{
    return h->seen[j] >> t & 1;
}

static double score(const struct head *h, size_t t, size_t j, double *size)
{
    double dot = 0;
    *size = 0;
    for (size_t d = 0; d < h->head_dim; d++) {
        double product = (double)h->q[t * h->head_dim + d] * h->k[j * h->head_dim + d];
        dot += product;
        *size += fabs(product);
    }
    *size *= h->scale;
    return dot * h->scale;
}

static double largest_of(const float *x, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

static double sum_of(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(x[i]);
    return sum;
}

/* What quantising a query and a key may do to their score: each number is off by half a step at
 * most (and by a rounding of the factor), a step being max|x| / 127. */
static double score_error(const struct head *h, size_t t, size_t j)
{
    const float *q = h->q + t * h->head_dim, *k = h->k + j * h->head_dim;
    double n = (double)h->head_dim, slack = 1 + 1e-5;
    double q_off = largest_of(q, h->head_dim) / 254 * slack;
    double k_off = largest_of(k, h->head_dim) / 254 * slack;
    return h->scale *
           (q_off * sum_of(k, h->head_dim) + k_off * sum_of(q, h->head_dim) + n * q_off * k_off);
}

/* How far off what a query sees may be: */
struct errors {
    double score;   /* each score */
    double weight;  /* each weight, of itself */
    double value;   /* each value */
    double outcome; /* and the result, in units of 1 / sum p */
};

static struct errors errors_of(const struct lac_kernel *kernel, const struct head *h, size_t t)
{
    struct errors e = {0};
    if (kernel->op == LAC_OP_ATTENTION)
        return e;
    for (size_t j = 0; j < h->n_keys; j++)
        if (sees(h, t, j))
            e.score = fmax(e.score, score_error(h, t, j));
    double most = fmax(largest_of(h->v, h->n_keys * h->head_dim), 127 * 0x1p-100);
    e.weight = 1.03e-4; /* vec_exp2_weight */
    e.value = most / 254 * (1 + 1e-5);
    e.outcome = (double)h->n_keys * most * (0.5 / 16383) * (1 + 1e-3); /* 14 bits */
    return e;
}

/* y = sum p v / sum p.  In fp32, a score's error is at most (head_dim + 3) u scale sum|q k| =: e,
 * and u |s - m| more when the maximum is taken off; so each p is off by a factor of at most
 * 1 + e' with e' for both and 2^-23 for exp; the same for their sum, and n_keys + 4 roundings
 * for the sums: |err| <= (2 e' + 2 (n_keys + 4) u) sum p|v| / sum p.  Integers add struct errors
 * to it. */
static void assert_attention(const struct lac_kernel *kernel, const struct head *h,
                             const struct result *r)
{
    double u = FLT_EPSILON / 2, *p = malloc(h->n_keys * sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (size_t t = 0; t < h->n_queries; t++) {
        double max = -INFINITY, sum = 0, size, largest = 0, most = 1e-3f, width = 0;
        struct errors errors = errors_of(kernel, h, t);
        for (size_t j = 0; j < h->n_keys; j++) {
            p[j] = -INFINITY;
            if (!sees(h, t, j))
                continue;
            p[j] = score(h, t, j, &size);
            max = fmax(max, p[j]);
            largest = fmax(largest, size);
        }
        if (isinf(max)) { /* sees nothing */
            for (size_t d = 0; d < h->head_dim; d++)
                ck_assert(r->y[t * h->head_dim + d] == 0);
            continue;
        }
        for (size_t j = 0; j < h->n_keys; j++) {
            /* Far below the maximum nothing is left that an error could be seen in. */
            width = fmax(width, fmin(max - p[j], 110));
            sum += p[j] = exp(p[j] - max);
        }
        double e = ((double)h->head_dim + 3) * u * largest + u * width + 2 * u;
        e += errors.score + errors.weight;
        for (size_t d = 0; d < h->head_dim; d++) {
            double exact = 0, scale = 0;
            for (size_t j = 0; j < h->n_keys; j++) {
                if (!sees(h, t, j))
                    continue;
                exact += p[j] * h->v[j * h->head_dim + d];
                scale += p[j] * fabs(h->v[j * h->head_dim + d]);
            }
            double share = fmin(expm1(2 * e), 1e30);
            double bound = (2 * share + 2 * ((double)h->n_keys + 4) * u) * scale / sum;
            bound += (1 + 2 * share) * (errors.value + errors.outcome / sum);
            double y = r->y[t * h->head_dim + d];
            check_each(fabs(y - exact / sum) <= bound + 1e-37,
                       "%s: query %zu row %zu: %.9g for %.9g, bound %g", kernel->name, t, d, y,
                       exact / sum, bound);
            most = fmax(most, fabs(y));
        }
        ck_assert_msg(kernel->op == LAC_OP_ATTENTION || r->abs_max[t] == (float)most,
                      "abs_max %g for %g", r->abs_max[t], most);
    }
    free(p);
}

/* One head on all kernels, in several cuts and places. */
static void check_head(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                       const struct head *h, uint64_t *state)
{
    static const struct {
        size_t first, step;
    } cuts[] = {{48, 48}, {1, 48}, {13, 48}, {7, 16}, {47, 48}, {9, 20}};
    struct result expected = make_result(h), found = make_result(h);
    struct cut whole = make_cut(h, h->n_keys, h->n_keys, 0);
    run_lanes(scalar, h, &whole, 0, lac_round_up(h->n_queries, LAC_LANES), &expected);
    assert_attention(scalar, h, &expected);
    for (size_t n_lanes = LAC_LANES; n_lanes <= LAC_TILE; n_lanes += LAC_LANES) {
        if (h->n_queries > n_lanes)
            continue;
        size_t last = n_lanes - h->n_queries;
        run_lanes(kernel, h, &whole, 0, n_lanes, &found);
        assert_same_result(kernel, "more lanes", h, &expected, &found);
        run_lanes(kernel, h, &whole, random_below(state, last + 1), n_lanes, &found);
        assert_same_result(kernel, "another lane", h, &expected, &found);
        for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
            int in_front = (int)random_below(state, 2);
            struct cut cut = make_cut(h, cuts[i].first, cuts[i].step, in_front);
            run_lanes(kernel, h, &cut, last, n_lanes, &found);
            assert_same_result(kernel, "other segments", h, &expected, &found);
            free_cut(&cut, h, in_front);
        }
    }
    free_cut(&whole, h, 0);
    free_result(&expected);
    free_result(&found);
}

static bool is_attention(const struct lac_kernel *kernel)
{
    return kernel->op == LAC_OP_ATTENTION || kernel->op == LAC_OP_ATTENTION_S8;
}

static void each_kernel(void (*check)(const struct lac_kernel *, const struct lac_kernel *))
{
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (is_attention(*k) && !((*k)->needs & ~lac_cpu_features())) {
            check(*k, find_kernel((*k)->op, (*k)->dtype, 0));
            n++;
        }
    ck_assert_uint_ge(n, 2);
}

static void shapes_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const size_t queries[] = {1, 15, 16, 17, 33, 48};
    static const size_t keys[] = {1, 2, 3, 5, 8, 13, 63, 64, 65, 130};
    static const size_t dims[] = {1, 3, 8, 20, 32, 64};
    uint64_t state = test_seed();
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++)
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            size_t n = queries[(d + k) % (sizeof queries / sizeof queries[0])];
            struct head h = make_head(kernel, n, keys[k], dims[d], 1, &state);
            check_head(kernel, scalar, &h, &state);
            free_head(&h);
        }
}

START_TEST(shapes)
{
    each_kernel(shapes_kernel);
}
END_TEST

static void large_heads_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    uint64_t state = test_seed();
    for (size_t d = 117; d <= LAC_MAX_HEAD_DIM; d += 139) {
        struct head h = make_head(kernel, 5, 70, d, 1, &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
    struct head h = make_head(kernel, 3, 9, LAC_MAX_HEAD_DIM, 1, &state);
    check_head(kernel, scalar, &h, &state);
    free_head(&h);
}

START_TEST(large_heads)
{
    each_kernel(large_heads_kernel);
}
END_TEST

/* Every number of rows and keys that a register tile may be left with. */
static void remainders_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    uint64_t state = test_seed();
    for (size_t n = 1; n <= 33; n++) {
        struct head h = make_head(kernel, 4, n, 34 - n, 1, &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
}

START_TEST(remainders)
{
    each_kernel(remainders_kernel);
}
END_TEST

/* Zeros, equal keys, scores that leave one key alone, a maximum that keeps growing. */
static void contents_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const float widths[] = {0, 1e-20f, 30, 1e6f};
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct head h = make_head(kernel, 7, 150, 16, widths[i], &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
    struct head h = make_head(kernel, 7, 200, 16, 1, &state);
    for (size_t j = 0; j < h.n_keys; j++)
        for (size_t d = 0; d < h.head_dim; d++)
            h.k[j * h.head_dim + d] = h.q[d] * (float)j; /* growing for query 0 */
    if (h.dtype == LAC_BF16)
        round_bf16(h.k, h.n_keys * h.head_dim);
    check_head(kernel, scalar, &h, &state);
    free_head(&h);
}

START_TEST(contents)
{
    each_kernel(contents_kernel);
}
END_TEST

/* Of one range, or of up to three. */
static size_t some_keys(bool is_long, uint64_t *state)
{
    return 1 + random_below(state, is_long ? 3 * LAC_RANGE_BLOCKS * LAC_KEY_BLOCK : 300);
}

/* Causal, and sliding windows of all sizes; queries before, among and behind the keys. */
static void windows_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    uint64_t state = test_seed();
    for (size_t i = 0; i < 40; i++) {
        size_t n_queries = 1 + random_below(&state, LAC_TILE),
               n_keys = some_keys(i % 20 == 7, &state);
        struct head h =
            make_head(kernel, n_queries, n_keys, 1 + random_below(&state, 40), 2, &state);
        size_t first = random_below(&state, n_keys + 20);
        size_t window = i % 3 ? 1 + random_below(&state, i % 3 == 1 ? 30 : 200) : SIZE_MAX;
        for (size_t j = 0; j < n_keys; j++)
            for (size_t t = 0; t < n_queries; t++)
                if (j > first + t || first + t - j >= window)
                    h.seen[j] &= ~(UINT64_C(1) << t);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
}

START_TEST(windows)
{
    each_kernel(windows_kernel);
}
END_TEST

/* Each key on its own, pages, blocks, or queries that see nothing, hidden at random; pages that no
 * query sees hold no numbers (in integers they are missing: hide_pages). */
static void hide_at_random(struct head *h, size_t unit, size_t share, uint64_t *state)
{
    uint64_t blind = random_u64(state) & random_u64(state) & random_u64(state);
    for (size_t first = 0; first < h->n_keys; first += unit) {
        uint64_t lanes = 0;
        for (size_t t = 0; t < h->n_queries; t++)
            lanes |= (uint64_t)(random_below(state, 8) < share) << t;
        if (random_below(state, 3) == 0)
            lanes = random_below(state, 8) < share ? ~UINT64_C(0) : 0;
        for (size_t j = first; j < lac_min_size(first + unit, h->n_keys); j++)
            h->seen[j] = lanes & ~blind;
    }
    for (size_t first = 0; h->dtype != LAC_S8 && first < h->n_keys; first += LAC_LANES) {
        size_t end = lac_min_size(first + LAC_LANES, h->n_keys);
        uint64_t any = 0;
        for (size_t j = first; j < end; j++)
            any |= h->seen[j] & ((UINT64_C(1) << h->n_queries) - 1);
        for (size_t i = first * h->head_dim; !any && i < end * h->head_dim; i++)
            h->k[i] = h->v[i] = NAN;
    }
}

static void masks_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const size_t units[] = {1, 1, 16, 16, 64, 5};
    uint64_t state = test_seed();
    for (size_t i = 0; i < 48; i++) {
        size_t n_queries = 1 + random_below(&state, LAC_TILE),
               n_keys = some_keys(i % 12 == 7, &state);
        struct head h =
            make_head(kernel, n_queries, n_keys, 1 + random_below(&state, 40), 2, &state);
        hide_at_random(&h, units[i % 6], i % 9, &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
}

START_TEST(masks)
{
    each_kernel(masks_kernel);
}
END_TEST

int main(void)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (is_attention(*k) && (*k)->needs & ~lac_cpu_features())
            printf("not run on this machine: %s\n", (*k)->name);
    Suite *suite = suite_create("attention");
    add_test(suite, "shapes", shapes);
    add_test(suite, "large_heads", large_heads);
    add_test(suite, "remainders", remainders);
    add_test(suite, "contents", contents);
    add_test(suite, "windows", windows);
    add_test(suite, "masks", masks);
    add_page_tests(suite);
    return run_suite(suite);
}
