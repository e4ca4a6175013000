/* SPDX-License-Identifier: Apache-2.0 */
/* The files of check_pick. */
#ifndef LACUNA_TESTS_PICK_SUITE_H
#define LACUNA_TESTS_PICK_SUITE_H

#include "src/run/pick.h"
#include "tests/support.h"
#include "tests/tiny.h"

/* n items of 0. */
void *pick_some(size_t n, size_t size);

/* One head of a sequence, tile by tile, in every form that attention takes keys in. */
struct pick_head {
    size_t n, dim, n_tiles, n_pages;
    float *q, *k, *v;                  /* [n][dim] */
    float *panels;                     /* [n_tiles][3][dim][LAC_TILE] */
    struct lac_kv_segment *tiles;      /* [n_tiles] */
    struct lac_query_segment *queries; /* [n_tiles] */
    struct lac_kv_segment *bf16;       /* [n_pages] */
    void **pages_bf16, **pages_s8;
    char *memory_bf16, *memory_s8;
    float scale;
    const struct lac_pick_gates *gates; /* or NULL */
    struct lac_pick_sizes sizes;
    void *room_memory;
    struct lac_pick_room room;
    uint64_t *bits; /* [n_blocks][words] */
};

struct pick_head pick_head_make(size_t n, size_t dim);
/* With room for gates of a model of so many heads; they are borrowed. */
void pick_head_gate(struct pick_head *head, const struct lac_pick_gates *gates, size_t n_heads);
/* Once q, k and v are there. */
void pick_head_fill(struct pick_head *head);
void pick_head_free(struct pick_head *head);

/* Chooses for all queries, span by span, with the kernels of these features. */
void pick_head_choose(struct pick_head *head, const struct lac_pick *choice, bool is_causal,
                      enum lac_dtype dtype, unsigned features);

/* A token's features x[dim] of a tiny decoder, turned by its position. */
void naive_turn(size_t dim, size_t position, double *x);
/* What the gates of a head say: weights[block of queries][block of keys], both n_blocks, from
 * queries and keys [token][head_dim] before their rotation. */
void naive_gates(const struct tiny *tiny, size_t layer, size_t head, const double *q,
                 const double *k, size_t n_blocks, double *weights);

/* tests/pick_methods.c */
void add_method_tests(Suite *suite);
/* tests/pick_gates.c */
void add_gate_tests(Suite *suite);
/* tests/pick_network.c */
void add_network_tests(Suite *suite);
/* tests/pick_trial.c */
void add_trial_tests(Suite *suite);

#endif
