/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_attention. */
#ifndef LACUNA_TESTS_ATTENTION_SUITE_H
#define LACUNA_TESTS_ATTENTION_SUITE_H

#include "simd/attention.h"
#include "tests/support.h"

/* The kernel of an operation that needs just these features, or scalar where there is none. */
const struct lac_kernel *find_kernel(enum lac_op op, enum lac_dtype dtype, unsigned needs);

/* Three ranges and a little. */
enum {
    MOST_LISTED_KEYS = (3 * LAC_RANGE_BLOCKS + 4) * LAC_KEY_BLOCK,
    MOST_LISTED = MOST_LISTED_KEYS / LAC_KEY_BLOCK
};

/* What queries in lanes see, as kernels take it. */
struct seen_list {
    struct lac_seen_block blocks[MOST_LISTED];
    struct lac_seen_mask masks[MOST_LISTED];
    struct lac_seen seen;
};

/* From who sees each of n_keys keys, bit by bit.  Blocks that all of the lanes `counted` see whole
 * have no mask, those that none of them sees are not listed. */
void list_seen(const uint64_t *lanes, size_t n_keys, uint64_t counted, struct seen_list *list);

/* tests/attention_pages.c */
void add_page_tests(Suite *suite);

#endif
