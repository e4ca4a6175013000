/* SPDX-License-Identifier: Apache-2.0 */
/* Pages that grow, and attention for one token: pages have the same bytes however their tokens were
 * appended, with every kernel; a row has the bits of the same query in a lane of many. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "tests/attention_suite.h"

enum { MOST_KEYS = MOST_LISTED_KEYS - 1, MOST_PAGES = MOST_LISTED_KEYS / LAC_LANES };

static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

/* Keys and values [n_keys][head_dim] of one head. */
struct history {
    enum lac_dtype dtype;
    size_t n_keys, head_dim;
    float *k, *v;
    const struct lac_lost_keys *lost; /* behind those, or NULL */
};

/* Pages, each between guard pages; NULL where there is none. */
struct pages {
    size_t bytes;
    void *at[MOST_PAGES];
};

static float *random_array(size_t n, uint64_t *state)
{
    float *x = malloc(n * sizeof *x);
    ck_assert_ptr_nonnull(x);
    for (size_t i = 0; i < n; i++)
        x[i] = random_float(state);
    return x;
}

static struct history make_history(enum lac_dtype dtype, size_t n_keys, size_t head_dim,
                                   uint64_t *state)
{
    return (struct history){.dtype = dtype,
                            .n_keys = n_keys,
                            .head_dim = head_dim,
                            .k = random_array(n_keys * head_dim, state),
                            .v = random_array(n_keys * head_dim, state)};
}

static void free_history(struct history *h)
{
    free(h->k);
    free(h->v);
}

/* Pages that hold the keys [first, n), full of what no number is. */
static struct pages make_pages(const struct history *h, size_t first, size_t n)
{
    struct pages pages = {.bytes = lac_kv_page_bytes(h->dtype, h->head_dim)};
    ck_assert_uint_eq(pages.bytes % 64, 0);
    for (size_t i = first / LAC_LANES; i < lac_ceil_div(n, LAC_LANES); i++) {
        pages.at[i] = i % 2 ? guarded_alloc_front(pages.bytes) : guarded_alloc(pages.bytes);
        memset(pages.at[i], 0xff, pages.bytes);
    }
    return pages;
}

static void free_pages(struct pages *pages)
{
    for (size_t i = 0; i < MOST_PAGES; i++)
        if (pages->at[i])
            (i % 2 ? guarded_free_front : guarded_free)(pages->at[i], pages->bytes);
}

/* The tokens [begin, end) as panel rows ld apart, or one of them with its features side by side. */
struct rows {
    float *k, *v;
    size_t bytes;
    struct lac_kv_segment segment;
};

static struct rows make_rows(const struct history *h, size_t begin, size_t end, size_t ld)
{
    size_t n = end - begin, hd = h->head_dim;
    struct rows r = {.bytes = ((hd - 1) * ld + n) * sizeof(float)};
    r.k = guarded_alloc(r.bytes);
    r.v = guarded_alloc(r.bytes);
    memset(r.k, 0xff, r.bytes);
    memset(r.v, 0xff, r.bytes);
    for (size_t j = 0; j < n; j++)
        for (size_t f = 0; f < hd; f++) {
            r.k[f * ld + j] = h->k[(begin + j) * hd + f];
            r.v[f * ld + j] = h->v[(begin + j) * hd + f];
        }
    r.segment = (struct lac_kv_segment){r.k, r.v, ld, ld, 1, n};
    return r;
}

static void free_rows(struct rows *r)
{
    guarded_free(r->k, r->bytes);
    guarded_free(r->v, r->bytes);
}

static void append(const struct lac_kernel *kernel, const struct history *h, struct pages *pages,
                   size_t begin, const struct lac_kv_segment *segments, size_t n_segments)
{
    struct lac_kv_pages_args args = {segments, n_segments, h->head_dim, pages->at, begin};
    kernel->run.kv_pages(&args);
}

/* The tokens [begin, end) in up to four segments, one call. */
static void append_some(const struct lac_kernel *kernel, const struct history *h,
                        struct pages *pages, size_t begin, size_t end, uint64_t *state)
{
    struct lac_kv_segment segments[4];
    struct rows rows[4];
    size_t n = 0;
    for (size_t at = begin, next; at < end; at = next, n++) {
        next = n == 3 ? end : lac_min_size(end, at + 1 + random_below(state, 50));
        size_t ld =
            next - at == 1 && random_u64(state) & 1 ? 1 : next - at + random_below(state, 9);
        rows[n] = make_rows(h, at, next, ld);
        segments[n] = rows[n].segment;
    }
    append(kernel, h, pages, begin, segments, n);
    while (n)
        free_rows(&rows[--n]);
}

/* By plain C, in one call. */
static struct pages expected_pages(const struct history *h, size_t first, size_t n)
{
    struct pages pages = make_pages(h, first, n);
    size_t begin = first / LAC_LANES * LAC_LANES;
    struct rows rows = make_rows(h, begin, n, n - begin);
    append(find_kernel(LAC_OP_KV_PAGES, h->dtype, 0), h, &pages, begin, &rows.segment, 1);
    free_rows(&rows);
    return pages;
}

static void assert_same_pages(const struct lac_kernel *kernel, const struct history *h,
                              const struct pages *expected, const struct pages *found, size_t n)
{
    for (size_t i = 0; i < lac_ceil_div(n, LAC_LANES); i++)
        ck_assert_msg(!memcmp(expected->at[i], found->at[i], expected->bytes),
                      "%s: page %zu of %zu keys, head size %zu", kernel->name, i, n, h->head_dim);
}

/* Numbers of a page of plain C against those that were appended. */
static void assert_contents(const struct history *h, const struct pages *pages)
{
    size_t hd = h->head_dim;
    for (size_t j = 0; j < lac_round_up(h->n_keys, LAC_LANES); j++)
        for (size_t f = 0; f < hd; f++) {
            size_t slot = j % LAC_LANES, k_at = f * LAC_LANES + slot, v_at = (16 + slot) * hd + f;
            double k = j < h->n_keys ? h->k[j * hd + f] : 0;
            double v = j < h->n_keys ? h->v[j * hd + f] : 0;
            const void *page = pages->at[j / LAC_LANES];
            double found_k, found_v, k_bound = 0, v_bound = 0;
            if (h->dtype == LAC_F32) {
                found_k = ((const float *)page)[k_at];
                found_v = ((const float *)page)[v_at];
            } else if (h->dtype == LAC_BF16) {
                uint32_t k_bits = (uint32_t)((const uint16_t *)page)[k_at] << 16;
                uint32_t v_bits = (uint32_t)((const uint16_t *)page)[v_at] << 16;
                float wide[2];
                memcpy(&wide[0], &k_bits, 4);
                memcpy(&wide[1], &v_bits, 4);
                found_k = wide[0];
                found_v = wide[1];
                k_bound = fabs(k) / 256;
                v_bound = fabs(v) / 256;
            } else {
                const struct lac_kv_page *p = page;
                size_t padded = lac_round_up(hd, 4);
                const uint8_t *values = p->rows + padded * LAC_LANES;
                found_k = (p->rows[(f / 4 * LAC_LANES + slot) * 4 + f % 4] - 128) *
                          (double)p->k_scale[slot];
                found_v = (int8_t)values[(slot / 4 * padded + f) * 4 + slot % 4] *
                          (double)p->v_scale[slot];
                k_bound = p->k_scale[slot] * 0.50001;
                v_bound = p->v_scale[slot] * 0.50001;
            }
            ck_assert(fabs(found_k - k) <= k_bound && fabs(found_v - v) <= v_bound);
        }
}

static void grow(const struct lac_kernel *kernel, struct history *h, uint64_t *state)
{
    struct pages pages = make_pages(h, 0, h->n_keys);
    for (size_t at = 0, next; at < h->n_keys; at = next) {
        next =
            lac_min_size(h->n_keys, at + 1 + random_below(state, random_u64(state) & 1 ? 3 : 90));
        append_some(kernel, h, &pages, at, next, state);
    }
    struct pages expected = expected_pages(h, 0, h->n_keys);
    assert_contents(h, &expected);
    assert_same_pages(kernel, h, &expected, &pages, h->n_keys);
    free_pages(&expected);
    /* Back to some key, and on from there: what lay behind is gone. */
    size_t begin = random_below(state, h->n_keys);
    size_t end = begin + 1 + random_below(state, h->n_keys - begin);
    append_some(kernel, h, &pages, begin, end, state);
    expected = expected_pages(h, 0, end);
    assert_same_pages(kernel, h, &expected, &pages, end);
    free_pages(&expected);
    /* No token changes nothing. */
    append(kernel, h, &pages, end, NULL, 0);
    expected = expected_pages(h, 0, end);
    assert_same_pages(kernel, h, &expected, &pages, end);
    free_pages(&expected);
    free_pages(&pages);
}

static const size_t head_dims[] = {1, 3, 8, 20, 64, 77, 128, 256};
enum { N_HEAD_DIMS = sizeof head_dims / sizeof head_dims[0] };

START_TEST(pages_grow)
{
    uint64_t state = test_seed();
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == LAC_OP_KV_PAGES && !((*k)->needs & ~lac_cpu_features()))
            for (size_t i = 0; i < N_HEAD_DIMS * 4; i++, n++) {
                size_t n_keys = 1 + random_below(&state, i < N_HEAD_DIMS ? 40 : 150);
                struct history h =
                    make_history((*k)->dtype, n_keys, head_dims[i % N_HEAD_DIMS], &state);
                grow(*k, &h, &state);
                free_history(&h);
            }
    ck_assert_uint_ge(n, N_DTYPES);
}
END_TEST

/* ---- Rows. ---- */

/* Queries of one token that share a key/value head, and what they see. */
struct group {
    size_t n_queries;
    float *q, *y;
    bool sees[MOST_KEYS];
};

static size_t list_group(const struct history *h, const struct group *g, struct lac_seen_keys *seen)
{
    size_t n = 0;
    for (size_t first = 0; first < h->n_keys; first += LAC_KEY_BLOCK) {
        uint64_t keys = 0;
        for (size_t j = first; j < lac_min_size(first + LAC_KEY_BLOCK, h->n_keys); j++)
            keys |= (uint64_t)g->sees[j] << (j - first);
        if (keys)
            seen[n++] = (struct lac_seen_keys){first / LAC_KEY_BLOCK, keys};
    }
    return n;
}

static struct lac_attention_row_args row_args(const struct history *h, const struct pages *pages,
                                              const struct group *g,
                                              const struct lac_seen_keys *seen, size_t n)
{
    return (struct lac_attention_row_args){
        .q = g->q,
        .n_queries = g->n_queries,
        .head_dim = h->head_dim,
        .scale = 0.3f,
        .pages = (const void *const *)pages->at,
        .seen = seen,
        .n_seen = n,
        .lost = h->lost,
    };
}

static void run_row(const struct lac_kernel *kernel, const struct history *h,
                    const struct pages *pages, const struct group *g, float *y)
{
    struct lac_seen_keys seen[MOST_LISTED];
    struct lac_attention_row_args args = row_args(h, pages, g, seen, list_group(h, g, seen));
    args.y = y;
    kernel->run.attention_row(&args);
}

/* The last ranges first, each in a call of its own. */
static void run_ranges(const struct lac_kernel *kernel, const struct history *h,
                       const struct pages *pages, const struct group *g, float *y)
{
    struct lac_seen_keys seen[MOST_LISTED];
    size_t n = list_group(h, g, seen), range = MOST_LISTED / LAC_RANGE_BLOCKS + 1;
    size_t size = range * g->n_queries * lac_attention_part(h->head_dim) * sizeof(float);
    float *parts = guarded_alloc(size);
    memset(parts, 0xff, size);
    while (range--) {
        size_t begin = 0, end;
        while (begin < n && seen[begin].block < range * LAC_RANGE_BLOCKS)
            begin++;
        end = begin < n ? lac_seen_range_end(seen, n, begin) : n;
        struct lac_attention_row_args args = row_args(h, pages, g, seen + begin, end - begin);
        args.parts = parts;
        kernel->run.attention_row(&args);
    }
    struct lac_attention_row_args args = row_args(h, pages, g, seen, n);
    args.pages = NULL;
    args.parts = parts;
    args.y = y;
    kernel->run.attention_row(&args);
    guarded_free(parts, size);
}

/* What a kernel for lanes is called with, whichever its arguments. */
struct lanes {
    float *q, *y; /* [head_dim][n] */
    struct lac_query_segment queries;
    struct seen_list list;
};

static void run_pages(const struct lac_kernel *kernel, const struct history *h,
                      const struct pages *pages, const struct lanes *l)
{
    struct lac_attention_s8_args args = {
        .queries = &l->queries,
        .n_query_segments = 1,
        .head_dim = h->head_dim,
        .scale = 0.3f,
        .pages = (const void *const *)pages->at,
        .n_keys = h->n_keys,
        .seen = l->list.seen,
        .lost = h->lost,
    };
    kernel->run.attention_s8(&args);
}

static void run_segments(const struct lac_kernel *kernel, const struct history *h,
                         const struct pages *pages, const struct lanes *l)
{
    struct lac_kv_segment segments[MOST_PAGES];
    size_t n = 0, element = h->dtype == LAC_BF16 ? 2 : 4;
    for (size_t key = 0; key < h->n_keys; key += LAC_LANES, n++)
        segments[n] = (struct lac_kv_segment){
            .k = pages->at[n],
            .v = (const char *)pages->at[n] + LAC_LANES * h->head_dim * element,
            .k_ld = LAC_LANES,
            .v_ld = 1,
            .v_step = h->head_dim,
            .n_keys = lac_min_size(LAC_LANES, h->n_keys - key),
        };
    struct lac_attention_args args = {
        .queries = &l->queries,
        .n_query_segments = 1,
        .head_dim = h->head_dim,
        .scale = 0.3f,
        .segments = segments,
        .n_segments = n,
        .segment_keys = LAC_LANES,
        .n_keys = h->n_keys,
        .seen = l->list.seen,
        .lost = h->lost,
    };
    kernel->run.attention(&args);
}

/* Query i of the group in a lane, its neighbours being other queries that see other keys. */
static void check_lane(const struct lac_kernel *row, const struct history *h,
                       const struct pages *pages, const struct group *g, size_t i, uint64_t *state)
{
    bool is_s8 = h->dtype == LAC_S8;
    const struct lac_kernel *many =
        find_kernel(is_s8 ? LAC_OP_ATTENTION_S8 : LAC_OP_ATTENTION, h->dtype, row->needs);
    size_t n = 1 + random_below(state, LAC_QUERY_BLOCK), lane = random_below(state, n);
    size_t size = h->head_dim * n * sizeof(float);
    struct lanes l = {.q = guarded_alloc(size), .y = guarded_alloc(size)};
    l.queries = (struct lac_query_segment){l.q, l.y, NULL, n, n};
    uint64_t seen[MOST_KEYS], own = UINT64_C(1) << lane;
    for (size_t j = 0; j < h->n_keys; j++)
        seen[j] = (j % 3 ? ~UINT64_C(0) : random_u64(state)) & ~own;
    for (size_t j = 0; j < h->n_keys; j++)
        seen[j] |= g->sees[j] ? own : 0;
    list_seen(seen, h->n_keys, all_lanes(n), &l.list);
    for (size_t at = 0; at < h->head_dim * n; at++)
        l.q[at] = at % n == lane ? g->q[i * h->head_dim + at / n] : random_float(state);
    (is_s8 ? run_pages : run_segments)(many, h, pages, &l);
    for (size_t d = 0; d < h->head_dim; d++)
        ck_assert_msg(!memcmp(&l.y[d * n + lane], &g->y[i * h->head_dim + d], 4),
                      "%s and %s: %zu keys, head size %zu, lane %zu of %zu: %a and %a", row->name,
                      many->name, h->n_keys, h->head_dim, lane, n,
                      (double)g->y[i * h->head_dim + d], (double)l.y[d * n + lane]);
    guarded_free(l.q, size);
    guarded_free(l.y, size);
}

/* A window, or pages and keys at random. */
static void choose_seen(struct group *g, size_t n_keys, uint64_t *state)
{
    size_t kind = random_below(state, 4), first = kind ? random_below(state, n_keys) : 0;
    bool whole = true;
    for (size_t j = 0; j < n_keys; j++) {
        if (j % LAC_LANES == 0)
            whole = random_u64(state) & 1;
        g->sees[j] = kind < 2 ? j >= first : whole && (kind == 2 || random_u64(state) & 1);
    }
}

/* Pages without a key that is seen are not there. */
static void drop_pages(struct pages *pages, const struct group *g, size_t n_keys)
{
    for (size_t i = 0; i * LAC_LANES < n_keys; i++) {
        bool any = false;
        for (size_t j = i * LAC_LANES; j < lac_min_size((i + 1) * LAC_LANES, n_keys); j++)
            any = any || g->sees[j];
        if (any)
            continue;
        (i % 2 ? guarded_free_front : guarded_free)(pages->at[i], pages->bytes);
        pages->at[i] = NULL;
    }
}

/* What queries that see all keys add to the votes, and their attention. */
static void run_votes(const struct lac_kernel *kernel, const struct history *h,
                      const struct pages *pages, const struct group *g, float *y, float *votes)
{
    struct lac_seen_keys seen[MOST_LISTED];
    size_t ld = lac_round_up(h->n_keys, LAC_KEY_BLOCK), size = LAC_ROW_QUERIES * ld * sizeof *votes;
    float *scores = guarded_alloc(size);
    memset(scores, 0xff, size);
    for (size_t i = 0; i < ld / LAC_KEY_BLOCK; i++) {
        size_t n = lac_min_size(h->n_keys - i * LAC_KEY_BLOCK, LAC_KEY_BLOCK);
        seen[i] = (struct lac_seen_keys){i, ~UINT64_C(0) >> (LAC_KEY_BLOCK - n)};
    }
    struct lac_attention_row_args args = {
        .q = g->q,
        .n_queries = g->n_queries,
        .head_dim = h->head_dim,
        .scale = 0.3f,
        .pages = (const void *const *)pages->at,
        .seen = seen,
        .n_seen = ld / LAC_KEY_BLOCK,
        .y = y,
        .votes = votes,
        .scores = scores,
        .scores_ld = ld,
    };
    kernel->run.attention_row(&args);
    guarded_free(scores, size);
}

/* Votes are added to what is there, have the same bits with every kernel, and weigh the values as
 * the results do. */
static void check_votes(const struct lac_kernel *kernel, const struct history *h,
                        const struct pages *pages, const struct group *g)
{
    size_t size = g->n_queries * h->head_dim * sizeof(float), n = h->n_keys * sizeof(float);
    float *y = guarded_alloc(size), *other = guarded_alloc(size);
    float *votes = guarded_alloc(n), *expected = guarded_alloc(n);
    for (size_t j = 0; j < h->n_keys; j++)
        votes[j] = expected[j] = (float)(j % 3);
    run_votes(find_kernel(LAC_OP_ATTENTION_ROW, h->dtype, 0), h, pages, g, other, expected);
    run_votes(kernel, h, pages, g, y, votes);
    ck_assert_msg(!memcmp(votes, expected, n) && !memcmp(y, other, size),
                  "%s: votes of %zu queries, %zu keys, head size %zu", kernel->name, g->n_queries,
                  h->n_keys, h->head_dim);
    for (size_t f = 0; f < h->head_dim; f++) {
        double by_votes = 0, found = 0, most = 0, bound = h->dtype == LAC_F32 ? 1e-5 : 1e-2;
        for (size_t i = 0; i < g->n_queries; i++)
            found += (double)y[i * h->head_dim + f];
        for (size_t j = 0; j < h->n_keys; j++) {
            double v = (double)h->v[j * h->head_dim + f];
            by_votes += ((double)votes[j] - (double)(j % 3)) * v;
            most = fmax(most, fabs(v));
        }
        ck_assert_msg(fabs(found - by_votes) <= bound * (double)g->n_queries * (most + 1),
                      "%s: feature %zu: %g and %g", kernel->name, f, found, by_votes);
    }
    guarded_free(y, size);
    guarded_free(other, size);
    guarded_free(votes, n);
    guarded_free(expected, n);
}

/* The first query's attention by the definition, lost keys being log_n's many. */
static void check_lost(const struct history *h, const struct group *g)
{
    double weights[MOST_KEYS] = {0}, lost = 0, sum = 0;
    for (size_t d = 0; d < h->head_dim; d++)
        lost += (double)h->lost->k[d] * (double)g->q[d];
    sum = lost = exp(lost * (double)0.3f + (double)h->lost->log_n);
    for (size_t j = 0; j < h->n_keys; j++) {
        double score = 0;
        for (size_t d = 0; d < h->head_dim; d++)
            score += (double)h->k[j * h->head_dim + d] * (double)g->q[d];
        weights[j] = g->sees[j] ? exp(score * (double)0.3f) : 0;
        sum += weights[j];
    }
    for (size_t f = 0; f < h->head_dim; f++) {
        double y = lost / sum * (double)h->lost->v[f];
        for (size_t j = 0; j < h->n_keys; j++)
            y += weights[j] / sum * (double)h->v[j * h->head_dim + f];
        ck_assert_msg(fabs(y - (double)g->y[f]) < 1e-4, "feature %zu: %g and %g", f,
                      (double)g->y[f], y);
    }
}

static void check_row(const struct lac_kernel *kernel, size_t head_dim, uint64_t *state)
{
    static const size_t most[] = {70, 400, 70, MOST_KEYS};
    size_t n_keys = 1 + random_below(state, most[random_below(state, head_dim < 100 ? 4 : 3)]);
    struct history h = make_history(kernel->dtype, n_keys, head_dim, state);
    struct group g = {.n_queries = 1 + random_below(state, 11)};
    size_t n = g.n_queries * head_dim, size = n * sizeof(float), row = head_dim * sizeof(float);
    float *k = guarded_alloc(row), *v = guarded_alloc(row);
    struct lac_lost_keys lost = {k, v, (float)random_below(state, 9)};
    for (size_t d = 0; d < head_dim; d++) {
        k[d] = random_float(state) / 4;
        v[d] = random_float(state);
    }
    h.lost = random_u64(state) & 1 ? &lost : NULL;
    choose_seen(&g, n_keys, state);
    g.q = guarded_alloc(size);
    g.y = guarded_alloc(size);
    float *y = guarded_alloc(size);
    for (size_t i = 0; i < n; i++)
        g.q[i] = random_float(state) * 4;
    struct pages some = expected_pages(&h, 0, n_keys), all = expected_pages(&h, 0, n_keys);
    drop_pages(&some, &g, n_keys);
    run_row(find_kernel(LAC_OP_ATTENTION_ROW, h.dtype, 0), &h, &some, &g, g.y);
    run_row(kernel, &h, &some, &g, y);
    ck_assert_msg(!memcmp(y, g.y, size), "%s: %zu queries, %zu keys, head size %zu", kernel->name,
                  g.n_queries, n_keys, head_dim);
    if (h.lost && h.dtype == LAC_F32)
        check_lost(&h, &g);
    memset(y, 0xff, size);
    run_ranges(kernel, &h, &some, &g, y);
    ck_assert_msg(!memcmp(y, g.y, size), "%s: %zu queries, %zu keys, head size %zu, by ranges",
                  kernel->name, g.n_queries, n_keys, head_dim);
    for (size_t i = 0; i < g.n_queries; i++)
        check_lane(kernel, &h, &all, &g, i, state);
    h.lost = NULL;
    check_votes(kernel, &h, &all, &g);
    free_pages(&some);
    free_pages(&all);
    guarded_free(k, row);
    guarded_free(v, row);
    guarded_free(g.q, size);
    guarded_free(g.y, size);
    guarded_free(y, size);
    free_history(&h);
}

START_TEST(rows_are_lanes)
{
    uint64_t state = test_seed();
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == LAC_OP_ATTENTION_ROW && !((*k)->needs & ~lac_cpu_features()))
            for (size_t i = 0; i < N_HEAD_DIMS * 4; i++, n++)
                check_row(*k, head_dims[i % N_HEAD_DIMS], &state);
    ck_assert_uint_ge(n, N_DTYPES);
}
END_TEST

void add_page_tests(Suite *suite)
{
    add_test(suite, "pages_grow", pages_grow);
    add_test(suite, "rows_are_lanes", rows_are_lanes);
}
