/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of pages by their labels: every kernel's are the scalar one's, bit for bit. */
#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "tests/attention_suite.h"

enum { MOST_BLOCKS = 6 };

/* Of pages, each block between guard pages; extreme: only the largest and the least numbers. */
static void make_labels(struct lac_page_scores_args *a, void **blocks, bool extreme,
                        uint64_t *state)
{
    size_t n_bytes = lac_labels_bytes(a->n_labels, a->n_dwords);
    for (size_t b = 0; b * LAC_LANES < a->n_pages; b++) {
        struct lac_labels *labels = guarded_alloc(n_bytes);
        for (size_t i = 0; i < LAC_LANES; i++)
            labels->scale[i] = i % 5 == 4 ? 0 : fabsf(random_float(state));
        for (size_t i = 0; i < n_bytes - sizeof *labels; i++)
            labels->rows[i] = (uint8_t)(extreme ? (random_u64(state) & 1 ? 255 : 1)
                                                : 1 + random_below(state, 255));
        blocks[b] = labels;
    }
}

static void check_scores(const struct lac_kernel *kernel, size_t n_labels, size_t n_dwords,
                         uint64_t *state)
{
    bool extreme = random_u64(state) & 1;
    struct lac_page_scores_args a = {
        .n_queries = 1 + random_below(state, LAC_ROW_QUERIES),
        .n_labels = n_labels,
        .n_dwords = n_dwords,
        .n_pages = 1 + random_below(state, MOST_BLOCKS * LAC_LANES),
    };
    a.ld = lac_round_up(a.n_pages, LAC_LANES);
    size_t n_bytes = lac_labels_bytes(n_labels, n_dwords), q_size = a.n_queries * n_dwords * 4;
    size_t size = a.n_queries * a.ld * sizeof(float);
    void *blocks[MOST_BLOCKS];
    int8_t *q = guarded_alloc(q_size);
    float q_scale[LAC_ROW_QUERIES], *found = guarded_alloc(size), *expected = guarded_alloc(size);
    make_labels(&a, blocks, extreme, state);
    for (size_t i = 0; i < q_size; i++)
        q[i] = (int8_t)(extreme ? (i & 1 ? 127 : -127) : (int)random_below(state, 255) - 127);
    for (size_t i = 0; i < a.n_queries; i++)
        q_scale[i] = fabsf(random_float(state));
    a.q = q;
    a.q_scale = q_scale;
    a.labels = (const void *const *)blocks;
    a.scores = expected;
    find_kernel(LAC_OP_PAGE_SCORES, LAC_S8, 0)->run.page_scores(&a);
    a.scores = found;
    kernel->run.page_scores(&a);
    ck_assert_msg(!memcmp(found, expected, size), "%s: %zu pages of %zu labels of %zu dwords",
                  kernel->name, a.n_pages, n_labels, n_dwords);
    for (size_t b = 0; b * LAC_LANES < a.n_pages; b++)
        guarded_free(blocks[b], n_bytes);
    guarded_free(q, q_size);
    guarded_free(found, size);
    guarded_free(expected, size);
}

START_TEST(labels_are_scored)
{
    static const size_t dwords[] = {1, 2, 3, 4, 5, 32, 77, 128};
    uint64_t state = test_seed();
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == LAC_OP_PAGE_SCORES && !((*k)->needs & ~lac_cpu_features()))
            for (size_t i = 0; i < 64; i++, n++)
                check_scores(*k, i % 2 ? LAC_LANES : 1 + random_below(&state, 3), dwords[i % 8],
                             &state);
    ck_assert_uint_ge(n, 1);
}
END_TEST

void add_label_tests(Suite *suite)
{
    add_test(suite, "labels_are_scored", labels_are_scored);
}
