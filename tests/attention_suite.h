/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_attention. */
#ifndef LACUNA_TESTS_ATTENTION_SUITE_H
#define LACUNA_TESTS_ATTENTION_SUITE_H

#include "simd/attention.h"
#include "tests/support.h"

/* The kernel of an operation that needs just these features, or scalar where there is none. */
const struct lac_kernel *find_kernel(enum lac_op op, enum lac_dtype dtype, unsigned needs);

/* tests/attention_pages.c */
void add_page_tests(Suite *suite);

#endif
