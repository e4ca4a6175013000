/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_ops. */
#ifndef LACUNA_TESTS_OPS_SUITE_H
#define LACUNA_TESTS_OPS_SUITE_H

#include "simd/kernel.h"
#include "tests/support.h"

/* Where the page that must not be touched lies. */
enum guard { GUARD_BEHIND, GUARD_BEFORE, N_GUARDS };
void *alloc(enum guard guard, size_t size);
void release(enum guard guard, void *memory, size_t size);

enum { N_FEATURE_COUNTS = 8, N_TILES = 5 };
extern const size_t feature_counts[N_FEATURE_COUNTS];
/* Tiles of ld lanes of which a kernel works on n; the first is a row. */
extern const struct tile_lanes {
    size_t ld, n;
} tiles[N_TILES];

/* Calls check(kernel, scalar kernel) for each that this machine runs. */
void each_kernel(enum lac_op op,
                 void (*check)(const struct lac_kernel *, const struct lac_kernel *));

/* tests/ops_panels.c */
void add_panel_tests(Suite *suite);

#endif
