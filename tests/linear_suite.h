/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check_linear share: random weights with activations between guard pages. */
#ifndef LACUNA_TESTS_LINEAR_SUITE_H
#define LACUNA_TESTS_LINEAR_SUITE_H

#include <stdbool.h>

#include "sparse/layout.h"
#include "src/base/arena.h"
#include "tests/support.h"

/* LARGEST: every product is -128 * -128. */
enum content { RANDOM, EXTREME, ZERO, N_CONTENTS, LARGEST = N_CONTENTS };

/* One product: weight, activations between guard pages, and what a kernel makes of them. */
struct product {
    size_t n_out, n_in, n_tokens, ld;
    enum lac_dtype dtype;
    enum lac_pattern pattern;
    void *elements; /* row-major [n_out, n_in] */
    struct lac_arena arena;
    struct lac_weight weight;
    void *x;
    size_t x_size;
    bool guards_front; /* of x: the fault is right before it, else behind */
    float *x_scale, *factor, *residual, *inv_scale;
};

/* The sizes, dtype and pattern are set; the rest is made of them. */
void make_product(struct product *p, uint64_t *state, enum content content);
void free_product(struct product *p);

/* Sizes round the edges of blocks, units and dwords. */
enum { N_OUTS = 7, N_INS = 7 };
extern const size_t outs[N_OUTS], ins[N_INS];

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* Up to four outliers in most outputs, at random places. */
void random_outliers(struct lac_outliers *outliers, size_t n_out, size_t n_in,
                     struct lac_arena *arena, uint64_t *state);

/* The tests of each file. */
void add_layout_tests(Suite *suite);
void add_outlier_tests(Suite *suite);
void add_rounding_tests(Suite *suite);

#endif
