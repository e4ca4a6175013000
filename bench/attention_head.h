/* SPDX-License-Identifier: Apache-2.0 */
/* One head of attention, as it is measured: its numbers, and the work of a kernel under a rule.
 *
 * Queries and keys have structure, or there would be nothing to choose: each block of 64 tokens is
 * about one of BENCH_TOPICS subjects, of which its queries ask and its keys tell, and one key in
 * BENCH_HEAVY is what all queries look at.
 *
 * Long sequences are measured in part: every n-th group of BENCH_GROUP_BLOCKS blocks of queries,
 * with all the keys that those see. */
#ifndef LACUNA_BENCH_ATTENTION_HEAD_H
#define LACUNA_BENCH_ATTENTION_HEAD_H

#include "bench/attention_gates.h"
#include "simd/attention.h"
#include "sparse/sight.h"
#include "src/base/arena.h"
#include "src/run/page_choice.h"
#include "src/run/pick.h"

/* As many queries as are chosen for together. */
enum {
    BENCH_GROUP_BLOCKS = LAC_PICK_SPAN / LAC_QUERY_BLOCK,
    BENCH_TOPICS = 16,
    BENCH_HEAVY = 509,
};

/* Queries, keys and values tile by tile, and the keys and values in pages of a dtype. */
struct bench_head {
    struct lac_arena arena;
    enum lac_dtype dtype;
    size_t length, dim, n_tiles;
    float **q, **y; /* [n_tiles][dim][lanes] */
    struct lac_kv_segment *panels;
    size_t n_pages;
    char *pages;
    void **page_at;                       /* [n_pages] */
    struct lac_kv_segment *page_segments; /* [n_pages]; bf16 */
    struct lac_seen_block *blocks;        /* [n_blocks] each */
    struct lac_seen_mask *masks;
    struct lac_seen_keys *keys;
    float *row; /* [2][dim]: a single query and its result */
    /* What is chosen of the span that begins at a query, SIZE_MAX: nothing yet. */
    struct lac_query_segment *queries; /* [n_tiles] */
    struct lac_pick_room room;
    uint64_t *bits;
    size_t chosen;
};

enum lac_status bench_head_open(struct bench_head *head, enum lac_dtype dtype, size_t length,
                                size_t dim, struct lac_error *error);
void bench_head_close(struct bench_head *head);

/* In place of n: the last block alone, for plain C. */
#define BENCH_LAST_BLOCK SIZE_MAX
/* A head's pages as a cache of one head, with the labels by which the last token chooses. */
struct bench_labels {
    struct lac_kv kv; /* with rules of its own */
    float *scores;
    size_t ld;
};

/* part: one key of so many is read.  Memory of the pages stays the head's. */
enum lac_status bench_labels_open(struct bench_labels *labels, struct bench_head *head,
                                  enum lac_kv_policy_kind kind, size_t part,
                                  struct lac_error *error);
void bench_labels_close(struct bench_labels *labels);

/* In place of n: the first block alone, for plain C. */
#define BENCH_FIRST_BLOCK SIZE_MAX

/* The work: a kernel under a rule. */
struct bench_attention {
    struct bench_head *head;
    const struct lac_kernel *kernel, *pager; /* pager: of int8 and bf16, else NULL */
    const struct lac_kernel *scorer;         /* with labels */
    const struct bench_labels *labels;       /* or NULL */
    const struct lac_sight *sight;
    const struct lac_pick *choice; /* in place of it, or NULL */
    struct lac_kernels kernels;    /* to choose with */
    struct lac_pick_gates gates;   /* with LAC_PICK_GATED */
    size_t every;                  /* of the groups: 1 is all of them */
};

/* Attends what is measured; int8: quantises that share of the keys first. */
void bench_attend(const struct bench_attention *attention);
/* Chooses for it, and no more. */
void bench_choose(const struct bench_attention *attention);
/* The last token alone, keys in pages. */
void bench_attend_row(const struct bench_attention *attention);
/* What it sees: entries of head->keys. */
size_t bench_list_row(const struct bench_attention *attention);
/* Writes all pages. */
void bench_fill_pages(const struct bench_attention *attention);

/* The work that is measured: pairs of query and key. */
struct bench_pairs {
    double all, seen;
    double computed; /* with what groups of 16 queries and pages of keys have beside */
    double blocks; /* of 64 queries by 64 keys with a pair that is seen; of a token alone: pages */
};
struct bench_pairs bench_count_pairs(const struct bench_attention *attention);

/* The queries that are measured, one after another: their results, up to n floats, and how many
 * there are in all. */
size_t bench_results(const struct bench_attention *attention, float *y, size_t n);

#endif
