/* SPDX-License-Identifier: Apache-2.0 */
/* Compact pages: what is expanded is what was packed, with every kernel, between guard pages. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/half.h"
#include "src/run/compact.h"
#include "tests/attention_suite.h"

static const enum lac_dtype dtypes[] = {LAC_F32, LAC_BF16, LAC_S8};
static const size_t head_dims[] = {1, 3, 4, 8, 17, 63, 64, 80, 100, 128, 250, 256};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };
enum { N_HEAD_DIMS = sizeof head_dims / sizeof *head_dims, MOST_PAGES = 6 };

/* The first kernel that fills a page as a cache does, plain C. */
static void fill_page(const struct lac_compact *c, void *page, size_t n_keys, uint64_t *state)
{
    float *x = malloc(2 * LAC_LANES * c->head_dim * sizeof *x);
    ck_assert_ptr_nonnull(x);
    float size = ldexpf(1, (int)random_below(state, 60) - 30);
    for (size_t i = 0; i < 2 * LAC_LANES * c->head_dim; i++)
        x[i] = i % 37 == 5 ? 0 : random_float(state) * size;
    struct lac_kv_segment segment = {
        .k = x,
        .v = x + LAC_LANES * c->head_dim,
        .k_ld = LAC_LANES,
        .v_ld = LAC_LANES,
        .v_step = 1,
        .n_keys = n_keys,
    };
    struct lac_kv_pages_args args = {&segment, 1, c->head_dim, &page, 0};
    find_kernel(LAC_OP_KV_PAGES, c->dtype, 0)->run.kv_pages(&args);
    free(x);
}

static struct lac_compact make_form(enum lac_compact_form form, enum lac_dtype dtype,
                                    size_t head_dim, uint64_t *state)
{
    return (struct lac_compact){form, dtype, head_dim, 1 + random_below(state, (head_dim + 3) / 4)};
}

static void lose(const struct lac_compact *c, void *page, uint64_t *state)
{
    uint64_t dwords = 0;
    if (c->form == LAC_COMPACT_BITS) {
        lac_page_round(c, page);
        return;
    }
    for (size_t i = 0; i < c->n_dwords; i++)
        dwords |= UINT64_C(1) << random_below(state, (c->head_dim + 3) / 4);
    lac_page_clear_features(c, dwords, page);
}

static void check_expand(const struct lac_kernel *kernel, const struct lac_compact *c,
                         uint64_t *state)
{
    size_t n = 1 + random_below(state, MOST_PAGES), bytes = lac_compact_bytes(c);
    size_t page_bytes = lac_kv_page_bytes(c->dtype, c->head_dim);
    void *from[MOST_PAGES], *expected = guarded_alloc(n * page_bytes);
    void *found = guarded_alloc(n * page_bytes);
    for (size_t i = 0; i < n; i++) {
        void *page = (char *)expected + i * page_bytes;
        from[i] = i % 2 ? guarded_alloc_front(bytes) : guarded_alloc(bytes);
        fill_page(c, page, 1 + random_below(state, LAC_LANES), state);
        lose(c, page, state);
        ck_assert(lac_page_pack(c, page, from[i]));
    }
    memset(found, 0xff, n * page_bytes);
    struct lac_expand_args args = {c, (const void *const *)from, n, found};
    kernel->run.expand(&args);
    ck_assert_msg(!memcmp(found, expected, n * page_bytes),
                  "%s: form %d, %zu dwords of %zu features", kernel->name, (int)c->form,
                  c->n_dwords, c->head_dim);
    for (size_t i = 0; i < n; i++)
        (i % 2 ? guarded_free_front : guarded_free)(from[i], bytes);
    guarded_free(expected, n * page_bytes);
    guarded_free(found, n * page_bytes);
}

START_TEST(pages_come_back)
{
    uint64_t state = test_seed();
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        for (size_t i = 0; i < N_HEAD_DIMS * 8; i++) {
            if ((*k)->op != LAC_OP_EXPAND || ((*k)->needs & ~lac_cpu_features()))
                continue;
            struct lac_compact c = make_form(i % 2 ? LAC_COMPACT_BITS : LAC_COMPACT_FEATURES,
                                             (*k)->dtype, head_dims[i / 2 % N_HEAD_DIMS], &state);
            check_expand(*k, &c, &state);
            n++;
        }
    ck_assert_uint_ge(n, N_DTYPES);
}
END_TEST

/* The k-th number of a page's keys (or values) of a token. */
static double number_of(const struct lac_compact *c, void *page, bool is_value, size_t token,
                        size_t f)
{
    size_t at = is_value ? (LAC_LANES + token) * c->head_dim + f : f * LAC_LANES + token;
    struct lac_kv_page *p = page;
    size_t dwords = (c->head_dim + 3) / 4;
    if (c->dtype == LAC_F32)
        return (double)((float *)page)[at];
    if (c->dtype == LAC_BF16)
        return (double)lac_bf16_to_f32(((uint16_t *)page)[at]);
    if (!is_value)
        return (double)p->k_scale[token] * (p->rows[(f / 4 * LAC_LANES + token) * 4 + f % 4] - 128);
    uint8_t byte = p->rows[dwords * 64 + (token / 4 * dwords * 4 + f) * 4 + token % 4];
    return (double)p->v_scale[token] * (int8_t)byte;
}

/* Rounding keeps numbers within half a step: 1 / 7 of a token's largest in int8's 4 bits, less than
 * 1 / 63.5 in 8 bits; once more it changes nothing. */
START_TEST(rounding_is_small)
{
    uint64_t state = test_seed();
    for (size_t i = 0; i < N_DTYPES * N_HEAD_DIMS * 2; i++) {
        struct lac_compact c = make_form(LAC_COMPACT_BITS, dtypes[i % N_DTYPES],
                                         head_dims[i / N_DTYPES % N_HEAD_DIMS], &state);
        size_t bytes = lac_kv_page_bytes(c.dtype, c.head_dim);
        void *page = guarded_alloc(bytes), *rounded = guarded_alloc(bytes);
        void *compact = guarded_alloc(lac_compact_bytes(&c));
        fill_page(&c, page, 1 + random_below(&state, LAC_LANES), &state);
        memcpy(rounded, page, bytes);
        lac_page_round(&c, rounded);
        for (size_t k = 0; k < 2 * LAC_LANES; k++) {
            double most = 0, worst = 0, step = c.dtype == LAC_S8 ? 1.0 / 7 : 1.0 / 63.5;
            for (size_t f = 0; f < c.head_dim; f++) {
                double x = number_of(&c, page, k % 2, k / 2, f);
                most = fmax(most, fabs(x));
                worst = fmax(worst, fabs(x - number_of(&c, rounded, k % 2, k / 2, f)));
            }
            ck_assert_msg(worst <= most * step * 0.501, "%g of %g, dtype %d", worst, most,
                          (int)c.dtype);
        }
        ck_assert(lac_page_pack(&c, rounded, compact));
        ck_assert(c.head_dim < 8 || !lac_page_pack(&c, page, compact));
        if (c.dtype != LAC_S8) {
            memcpy(page, rounded, bytes);
            lac_page_round(&c, page);
            ck_assert(!memcmp(page, rounded, bytes));
        }
        guarded_free(page, bytes);
        guarded_free(rounded, bytes);
        guarded_free(compact, lac_compact_bytes(&c));
    }
}
END_TEST

/* ---- Rows whose pages come block by block. ---- */

enum {
    ROW_KEYS = (LAC_RANGE_BLOCKS + 2) * LAC_KEY_BLOCK - 5,
    ROW_PAGES = ROW_KEYS / LAC_LANES + 1
};
enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

/* Pages in one place, which blocks take in turns. */
struct loader {
    const void *all[ROW_PAGES], *pages[ROW_PAGES];
    char *room;
    size_t bytes;
};

static void load_block(void *context, size_t block)
{
    struct loader *l = context;
    for (size_t i = 0; i < BLOCK_PAGES && block * BLOCK_PAGES + i < ROW_PAGES; i++) {
        size_t page = block * BLOCK_PAGES + i;
        memcpy(l->room + i * l->bytes, l->all[page], l->bytes);
        l->pages[page] = l->room + i * l->bytes;
    }
}

static void check_loaded(const struct lac_kernel *kernel, size_t head_dim, size_t n_queries,
                         uint64_t *state)
{
    struct lac_compact c = {LAC_COMPACT_BITS, kernel->dtype, head_dim, 1};
    struct loader l = {.bytes = lac_kv_page_bytes(kernel->dtype, head_dim)};
    size_t n = n_queries * head_dim, n_seen = (ROW_KEYS + LAC_KEY_BLOCK - 1) / LAC_KEY_BLOCK;
    struct lac_seen_keys seen[ROW_KEYS / LAC_KEY_BLOCK + 1];
    float *q = guarded_alloc(n * sizeof *q), *y[2];
    l.room = guarded_alloc(BLOCK_PAGES * l.bytes);
    for (size_t i = 0; i < ROW_PAGES; i++) {
        void *page = guarded_alloc(l.bytes);
        fill_page(&c, page, LAC_LANES, state);
        l.all[i] = l.pages[i] = page;
    }
    for (size_t i = 0; i < n_seen; i++)
        seen[i] = (struct lac_seen_keys){i, ~UINT64_C(0)};
    seen[n_seen - 1].keys >>= n_seen * LAC_KEY_BLOCK - ROW_KEYS;
    for (size_t i = 0; i < n; i++)
        q[i] = random_float(state);
    for (size_t i = 0; i < 2; i++) {
        y[i] = guarded_alloc(n * sizeof **y);
        struct lac_attention_row_args a = {
            .q = q,
            .n_queries = n_queries,
            .head_dim = head_dim,
            .scale = 0.25f,
            .pages = l.pages,
            .seen = seen,
            .n_seen = n_seen,
            .load = i ? load_block : NULL,
            .context = &l,
            .y = y[i],
        };
        kernel->run.attention_row(&a);
    }
    ck_assert_msg(!memcmp(y[0], y[1], n * sizeof **y), "%s: %zu queries of %zu", kernel->name,
                  n_queries, head_dim);
    for (size_t i = 0; i < ROW_PAGES; i++)
        guarded_free((void *)l.all[i], l.bytes);
    guarded_free(l.room, BLOCK_PAGES * l.bytes);
    guarded_free(q, n * sizeof *q);
    guarded_free(y[0], n * sizeof **y);
    guarded_free(y[1], n * sizeof **y);
}

START_TEST(blocks_are_loaded)
{
    static const size_t n_queries[] = {1, 3, 4, 9};
    uint64_t state = test_seed();
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        for (size_t i = 0; i < 4; i++) {
            if ((*k)->op != LAC_OP_ATTENTION_ROW || ((*k)->needs & ~lac_cpu_features()))
                continue;
            check_loaded(*k, i % 2 ? 20 : 64, n_queries[i], &state);
            n++;
        }
    ck_assert_uint_ge(n, N_DTYPES);
}
END_TEST

void add_compact_tests(Suite *suite)
{
    add_test(suite, "blocks_are_loaded", blocks_are_loaded);
    add_test(suite, "pages_come_back", pages_come_back);
    add_test(suite, "rounding_is_small", rounding_is_small);
}
