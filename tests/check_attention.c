/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in fp32, of bf16 and in integers: every kernel against the scalar one, bit for bit,
 * however the keys are cut into segments and wherever queries lie; the scalar one against a plain
 * definition in double. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/base/half.h"
#include "tests/attention_suite.h"

enum { MOST_SEGMENTS = 256 };

/* The same keys and values cut into segments, each between guard pages, with not-a-number in
 * the gaps between rows. */
struct cut {
    size_t n, step;
    struct lac_kv_segment segments[MOST_SEGMENTS];
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

static struct attention_head make_head(const struct lac_kernel *kernel, size_t n_queries,
                                       size_t n_keys, size_t head_dim, float width, uint64_t *state)
{
    struct attention_head h = {kernel->dtype, n_queries, n_keys, head_dim, NULL,
                               NULL,          NULL,      0.3f,   NULL};
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

static void free_head(struct attention_head *h)
{
    free(h->q);
    free(h->k);
    free(h->v);
    free(h->seen);
}

static size_t segment_size(const struct cut *cut, const struct attention_head *h, size_t i)
{
    size_t n = (h->head_dim - 1) * cut->segments[i].k_ld + cut->segments[i].n_keys;
    return n * (h->dtype == LAC_BF16 ? sizeof(uint16_t) : sizeof(float));
}

/* Rows end at the guard page, or begin after one: at any alignment of a number. */
static void *make_rows(const struct cut *cut, const struct attention_head *h, size_t i,
                       const float *from, int in_front)
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
static struct cut make_cut(const struct attention_head *h, size_t first, size_t step, int in_front)
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

static void free_cut(struct cut *cut, const struct attention_head *h, int in_front)
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
static void hide_pages(const struct attention_head *h, void **pages)
{
    uint64_t counted = all_lanes(h->n_queries);
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

static struct pages make_pages(const struct lac_kernel *kernel, const struct attention_head *h,
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
static void run_integers(const struct lac_kernel *kernel, const struct attention_head *h,
                         const struct cut *cut, const struct lac_attention_args *a)
{
    const struct lac_kernel *pager = find_kernel(LAC_OP_KV_PAGES, LAC_S8, kernel->needs);
    struct pages pages = make_pages(pager, h, cut);
    struct pages expected = make_pages(find_kernel(LAC_OP_KV_PAGES, LAC_S8, 0), h, cut);
    ck_assert_msg(!memcmp(pages.memory, expected.memory, pages.size),
                  "%s: %zu keys, head size %zu: pages differ", pager->name, h->n_keys, h->head_dim);
    hide_pages(h, pages.at);
    struct lac_attention_s8_args args = {.queries = a->queries,
                                         .n_query_segments = a->n_query_segments,
                                         .head_dim = a->head_dim,
                                         .scale = a->scale,
                                         .pages = (const void *const *)pages.at,
                                         .n_keys = h->n_keys,
                                         .seen = a->seen};
    kernel->run.attention_s8(&args);
    free_pages(&pages);
    free_pages(&expected);
}

/* Queries in up to MOST_PANELS panels, some lanes into each row; what is beside them is not a
 * number, and rows end where the last query does. */
enum { MOST_PANELS = 4 };

struct panels {
    size_t n;
    struct panel {
        size_t lane, bytes;
        float *q, *y, *abs_max; /* from the row's beginning on */
    } at[MOST_PANELS];
    struct lac_query_segment segments[MOST_PANELS];
};

static void add_panel(struct panels *panels, const struct attention_head *h, size_t first, size_t n,
                      size_t lane, size_t ld)
{
    size_t i = panels->n++, bytes = ((h->head_dim - 1) * ld + lane + n) * sizeof(float);
    float *q = guarded_alloc(bytes), *y = guarded_alloc(bytes);
    float *abs_max = guarded_alloc(n * sizeof *abs_max);
    memset(q, 0xff, bytes);
    for (size_t t = 0; t < n; t++) {
        abs_max[t] = 1e-3f;
        for (size_t d = 0; d < h->head_dim; d++)
            q[d * ld + lane + t] = h->q[(first + t) * h->head_dim + d];
    }
    for (size_t at = 0; at < bytes / sizeof *y; at++)
        y[at] = -77;
    panels->at[i] = (struct panel){lane, bytes, q, y, abs_max};
    panels->segments[i] = (struct lac_query_segment){q + lane, y + lane, abs_max, ld, n};
}

/* n_panels or fewer, of any size; 0: a single one of nothing else. */
static struct panels make_panels(const struct attention_head *h, size_t n_panels, uint64_t *state)
{
    struct panels panels = {.n = 0};
    if (!n_panels)
        add_panel(&panels, h, 0, h->n_queries, 0, h->n_queries);
    for (size_t first = 0, n; n_panels && first < h->n_queries; first += n) {
        size_t left = h->n_queries - first, lane = random_below(state, 20);
        n = panels.n + 1 < n_panels ? 1 + random_below(state, left) : left;
        add_panel(&panels, h, first, n, lane, lane + n + random_below(state, 20));
    }
    return panels;
}

/* Results, from panels that are freed; nothing else may have been written. */
static void take_results(const struct lac_kernel *kernel, const struct attention_head *h,
                         struct panels *panels, struct attention_result *r)
{
    size_t first = 0;
    for (size_t i = 0; i < panels->n; i++) {
        const struct panel *p = &panels->at[i];
        const struct lac_query_segment *s = &panels->segments[i];
        for (size_t at = 0; at < p->bytes / sizeof(float); at++) {
            size_t t = at % s->ld - p->lane;
            if (t < s->n_queries)
                r->y[(first + t) * h->head_dim + at / s->ld] = p->y[at];
            else
                check_each(p->y[at] == -77, "%s: lane %zu written", kernel->name, at % s->ld);
        }
        memcpy(r->abs_max + first, p->abs_max, s->n_queries * sizeof(float));
        guarded_free(p->q, p->bytes);
        guarded_free(p->y, p->bytes);
        guarded_free(p->abs_max, s->n_queries * sizeof(float));
        first += s->n_queries;
    }
}

/* All queries of h in one call. */
static void run_queries(const struct lac_kernel *kernel, const struct attention_head *h,
                        const struct cut *cut, size_t n_panels, uint64_t *state,
                        struct attention_result *r)
{
    struct panels panels = make_panels(h, n_panels, state);
    struct seen_list list;
    list_seen(h->seen, h->n_keys, all_lanes(h->n_queries), &list);
    struct lac_attention_args args = {.queries = panels.segments,
                                      .n_query_segments = panels.n,
                                      .head_dim = h->head_dim,
                                      .scale = h->scale,
                                      .segments = cut->segments,
                                      .n_segments = cut->n,
                                      .segment_keys = cut->step,
                                      .n_keys = h->n_keys,
                                      .seen = list.seen};
    if (kernel->op == LAC_OP_ATTENTION_S8)
        run_integers(kernel, h, cut, &args);
    else
        kernel->run.attention(&args);
    take_results(kernel, h, &panels, r);
}

static struct attention_result make_result(const struct attention_head *h)
{
    struct attention_result r = {malloc(h->n_queries * h->head_dim * sizeof(float)),
                                 malloc(h->n_queries * sizeof(float))};
    ck_assert(r.y && r.abs_max);
    return r;
}

static void free_result(struct attention_result *r)
{
    free(r->y);
    free(r->abs_max);
}

static void assert_same_result(const struct lac_kernel *kernel, const char *what,
                               const struct attention_head *h,
                               const struct attention_result *expected,
                               const struct attention_result *found)
{
    ck_assert_msg(!memcmp(expected->y, found->y, h->n_queries * h->head_dim * sizeof(float)) &&
                      !memcmp(expected->abs_max, found->abs_max, h->n_queries * sizeof(float)),
                  "%s: %zu queries, %zu keys, head size %zu: differs with %s", kernel->name,
                  h->n_queries, h->n_keys, h->head_dim, what);
}

/* One head on all kernels, in several cuts and places. */
static void check_head(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                       const struct attention_head *h, uint64_t *state)
{
    static const struct {
        size_t first, step;
    } cuts[] = {{48, 48}, {1, 48}, {13, 48}, {7, 16}, {47, 48}, {9, 20}};
    struct attention_result expected = make_result(h), found = make_result(h);
    struct cut whole = make_cut(h, h->n_keys, h->n_keys, 0);
    run_queries(scalar, h, &whole, 0, state, &expected);
    assert_attention(scalar, h, &expected);
    for (size_t n_panels = 0; n_panels <= MOST_PANELS; n_panels++) {
        run_queries(kernel, h, &whole, n_panels, state, &found);
        assert_same_result(kernel, "other panels", h, &expected, &found);
    }
    run_queries(scalar, h, &whole, MOST_PANELS, state, &found);
    assert_same_result(scalar, "other panels", h, &expected, &found);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        int in_front = (int)random_below(state, 2);
        struct cut cut = make_cut(h, cuts[i].first, cuts[i].step, in_front);
        run_queries(kernel, h, &cut, 1 + i % MOST_PANELS, state, &found);
        assert_same_result(kernel, "other segments", h, &expected, &found);
        free_cut(&cut, h, in_front);
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
    static const size_t queries[] = {1, 15, 16, 17, 33, 48, 49, 63, 64};
    static const size_t keys[] = {1, 2, 3, 5, 8, 13, 63, 64, 65, 130};
    static const size_t dims[] = {1, 3, 8, 20, 32, 64};
    uint64_t state = test_seed();
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++)
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            size_t n = queries[(d + k) % (sizeof queries / sizeof queries[0])];
            struct attention_head h = make_head(kernel, n, keys[k], dims[d], 1, &state);
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
        struct attention_head h = make_head(kernel, 5, 70, d, 1, &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
    struct attention_head h = make_head(kernel, 3, 9, LAC_MAX_HEAD_DIM, 1, &state);
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
        struct attention_head h = make_head(kernel, 4, n, 34 - n, 1, &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
}

START_TEST(remainders)
{
    each_kernel(remainders_kernel);
}
END_TEST

/* Blocks whose keys weigh 2^-9, 2^-17 and 2^-26 of the first one's, or nearly: weights of integers
 * are then small, or nothing. */
static void check_fading(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                         uint64_t *state)
{
    struct attention_head h = make_head(kernel, LAC_QUERY_BLOCK, 4 * LAC_KEY_BLOCK, 16, 1, state);
    h.scale = 1;
    for (size_t t = 0; t < h.n_queries; t++)
        h.q[t * h.head_dim] = 4;
    for (size_t j = 0; j < h.n_keys; j++)
        for (size_t d = 0; d < h.head_dim; d++)
            if (d)
                h.k[j * h.head_dim + d] *= 0x1p-5f;
            else
                h.k[j * h.head_dim] = -1.5f * (float)(j / LAC_KEY_BLOCK);
    if (h.dtype == LAC_BF16)
        round_bf16(h.k, h.n_keys * h.head_dim);
    check_head(kernel, scalar, &h, state);
    free_head(&h);
}

/* Zeros, equal keys, scores that leave one key alone, a maximum that keeps growing, one that all
 * else is small beside. */
static void contents_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const float widths[] = {0, 1e-20f, 30, 1e6f};
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        struct attention_head h = make_head(kernel, 7, 150, 16, widths[i], &state);
        check_head(kernel, scalar, &h, &state);
        free_head(&h);
    }
    struct attention_head h = make_head(kernel, 7, 200, 16, 1, &state);
    for (size_t j = 0; j < h.n_keys; j++)
        for (size_t d = 0; d < h.head_dim; d++)
            h.k[j * h.head_dim + d] = h.q[d] * (float)j; /* growing for query 0 */
    if (h.dtype == LAC_BF16)
        round_bf16(h.k, h.n_keys * h.head_dim);
    check_head(kernel, scalar, &h, &state);
    free_head(&h);
    check_fading(kernel, scalar, &state);
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
        size_t n_queries = 1 + random_below(&state, LAC_QUERY_BLOCK),
               n_keys = some_keys(i % 20 == 7, &state);
        struct attention_head h =
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
static void hide_at_random(struct attention_head *h, size_t unit, size_t share, uint64_t *state)
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
            any |= h->seen[j] & all_lanes(h->n_queries);
        for (size_t i = first * h->head_dim; !any && i < end * h->head_dim; i++)
            h->k[i] = h->v[i] = NAN;
    }
}

static void masks_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const size_t units[] = {1, 1, 16, 16, 64, 5};
    uint64_t state = test_seed();
    for (size_t i = 0; i < 48; i++) {
        size_t n_queries = 1 + random_below(&state, LAC_QUERY_BLOCK),
               n_keys = some_keys(i % 12 == 7, &state);
        struct attention_head h =
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
    add_label_tests(suite);
    add_compact_tests(suite);
    return run_suite(suite);
}
