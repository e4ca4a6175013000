/* SPDX-License-Identifier: Apache-2.0 */
/* The policies of caches that keep less which check_generate tries. */
#ifndef LACUNA_TESTS_GENERATE_POLICIES_H
#define LACUNA_TESTS_GENERATE_POLICIES_H

#include "tests/generate_naive.h"

static const size_t budgets[NAIVE_LAYERS] = {33, 200};

static const struct lac_kv_policy policies[] = {
    {.kind = LAC_KV_STREAM, .n_sinks = 4, .n_window = 100},
    {.kind = LAC_KV_STREAM, .n_sinks = 0, .n_window = 1},
    {.kind = LAC_KV_STREAM, .n_sinks = 65, .n_window = 65},
    {.kind = LAC_KV_STREAM, .n_sinks = 64, .n_window = LAC_KV_MOST},
    {.kind = LAC_KV_STREAM,
     .n_sinks = 1,
     .n_window = 66,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_STREAM, .n_sinks = 4, .n_window = 100, .rest = LAC_KV_MEAN},
    {.kind = LAC_KV_STREAM,
     .n_sinks = 0,
     .n_window = 1,
     .rest = LAC_KV_MEAN,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_SNAP, .n_budget = 64},
    {.kind = LAC_KV_SNAP, .layer_budgets = budgets, .n_layer_budgets = NAIVE_LAYERS},
    {.kind = LAC_KV_SNAP, .n_budget = 40, .full_heads = naive_retrieving, .n_full_heads = 2},
    {.kind = LAC_KV_SNAP, .n_budget = 120, .deal = LAC_KV_BY_MASS},
    {.kind = LAC_KV_SNAP,
     .n_budget = 60,
     .n_observed = 20,
     .deal = LAC_KV_BY_MASS,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_HEAVY, .n_budget = 64},
    {.kind = LAC_KV_HEAVY, .n_budget = 100, .n_window = 1, .n_observed = 70},
    {.kind = LAC_KV_HEAVY,
     .layer_budgets = budgets,
     .n_layer_budgets = NAIVE_LAYERS,
     .n_window = 30,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_THIN, .share = 0.5},
    {.kind = LAC_KV_THIN,
     .share = 0.4,
     .n_observed = 7,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_ZIP, .share = 0.7},
    {.kind = LAC_KV_ZIP,
     .share = 0.3,
     .n_observed = 50,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_MEMORY, .n_window = 1, .n_budget = LAC_KV_MOST},
    {.kind = LAC_KV_MEMORY,
     .n_window = 66,
     .n_sinks = 1000,
     .n_budget = 1,
     .full_heads = naive_retrieving,
     .n_full_heads = 2},
    {.kind = LAC_KV_MEMORY, .n_window = 65, .n_sinks = 4, .n_budget = 65},
};
enum { FIRST_SNAP = 7, FIRST_DEALT = 10, FIRST_HEAVY = 12, FIRST_MEAN = 5 };
enum { FIRST_THIN = 15, FIRST_ZIP = 17, FIRST_MEMORY = 19 };

/* What it reads depends on roundings that the definition does not know. */
enum { LOOKED_UP = 21 };
enum { N_POLICIES = sizeof policies / sizeof *policies };

#endif
