/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_attention. */
#ifndef LACUNA_TESTS_ATTENTION_SUITE_H
#define LACUNA_TESTS_ATTENTION_SUITE_H

#include "simd/attention.h"
#include "tests/support.h"

/* One sequence's head: queries [n_queries][head_dim], keys and values [n_keys][head_dim]. */
struct attention_head {
    enum lac_dtype dtype; /* what keys and values are kept as */
    size_t n_queries, n_keys, head_dim;
    float *q, *k, *v;
    float scale;
    uint64_t *seen; /* [n_keys]: bit t says that query t sees the key */
};

/* Outputs of n_queries queries and, in integers alone, their largest magnitudes. */
struct attention_result {
    float *y, *abs_max;
};

/* tests/attention_truth.c: the results against the definition, in double. */
void assert_attention(const struct lac_kernel *kernel, const struct attention_head *h,
                      const struct attention_result *r);

/* The kernel of an operation that needs just these features, or scalar where there is none. */
const struct lac_kernel *find_kernel(enum lac_op op, enum lac_dtype dtype, unsigned needs);

/* Three ranges and a little. */
enum {
    MOST_LISTED_KEYS = (3 * LAC_RANGE_BLOCKS + 4) * LAC_KEY_BLOCK,
    MOST_LISTED = MOST_LISTED_KEYS / LAC_KEY_BLOCK
};

/* The first n lanes, 1 <= n <= 64. */
static inline uint64_t all_lanes(size_t n)
{
    return ~UINT64_C(0) >> (64 - n);
}

/* What queries in lanes see, as kernels take it. */
struct seen_list {
    struct lac_seen_block blocks[MOST_LISTED];
    struct lac_seen_mask masks[MOST_LISTED];
    struct lac_seen seen;
};

/* From who sees each of n_keys keys, bit by bit.  Blocks that all of the lanes `counted` see whole
 * have no mask, those that none of them sees are not listed. */
void list_seen(const uint64_t *lanes, size_t n_keys, uint64_t counted, struct seen_list *list);

/* tests/attention_pages.c, tests/attention_compact.c */
void add_page_tests(Suite *suite);
/* tests/attention_labels.c */
void add_label_tests(Suite *suite);
void add_compact_tests(Suite *suite);

#endif
