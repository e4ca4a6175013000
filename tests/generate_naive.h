/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of caches that keep less: a tiny decoder in double precision, token by token. */
#ifndef LACUNA_TESTS_GENERATE_NAIVE_H
#define LACUNA_TESTS_GENERATE_NAIVE_H

#include <lacuna/generate.h>

#include "tests/tiny.h"

enum { NAIVE_HIDDEN = 32, NAIVE_HEADS = 4, NAIVE_KV_HEADS = 2, NAIVE_LAYERS = 2 };
enum { NAIVE_HEAD = NAIVE_HIDDEN / NAIVE_HEADS, NAIVE_TOKENS = 420, NAIVE_PAGE = 16 };

/* The model; window 0: none of its own. */
struct tiny naive_tiny(size_t window);

/* The full heads of policies that have some: the first of the first layer, the second of the
 * second. */
extern const struct lac_kv_head naive_retrieving[2];

/* Log-probabilities of ids 1 to n - 1, given those before them as far as the policy lets them be
 * seen; MEMORY: all of it.  false: a choice of keys is so close that another rounding may turn it.
 */
bool naive_score(const struct tiny *tiny, const struct lac_kv_policy *policy, const int32_t *ids,
                 size_t n, size_t n_prompt, double *log_probabilities);

/* Pages that are kept when `sure` tokens are certain and n are there, if budgets are not dealt. */
size_t naive_pages(const struct lac_kv_policy *policy, size_t window, size_t sure, size_t n,
                   size_t n_prompt);

#endif
