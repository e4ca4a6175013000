/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of key blocks chosen at run time, from queries and keys.
 *
 * A choice is made for each head and each block of LAC_PICK_QUERIES queries, counted from the
 * sequence's first.  What it comes to is a bit for each page of LAC_PICK_PAGE keys.  In a decoder
 * no query sees a key behind it.  src/run/pick.h makes the scores that are chosen by. */
#ifndef LACUNA_SPARSE_PICK_H
#define LACUNA_SPARSE_PICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sparse/seen.h"
#include "sparse/sight.h"
#include "src/base/error.h"

enum {
    LAC_PICK_QUERIES = 64,
    LAC_PICK_PAGE = 16,
    LAC_PICK_LANES = 16, /* queries that are scored together */
    /* Up to so many queries, from a multiple of it on, share what can be shared. */
    LAC_PICK_SPAN = 384,
};

enum lac_pick_kind {
    /* Vertical-slash (MInference, Jiang et al. 2024): the last n_sampled queries of a span see all
     * keys, and their weights (softmax) are added up along columns, by page of keys, and along
     * diagonals, by group of 16 distances between query and key.  The span's queries see the pages
     * and the groups that weigh most, as far as struct lac_pick_top takes them. */
    LAC_PICK_LINES,
    /* Blocks of LAC_KEY_BLOCK keys by the product of the mean query and the mean key (BiFormer, Zhu
     * et al. 2023; MoBA, Lu et al. 2025); a share of the mass is that of the softmax over blocks
     * (FlexPrefill, Lai et al. 2025). */
    LAC_PICK_POOLED,
    /* Blocks by an estimate of their products with few bits (SALE, Ji et al. 2025): a block stays
     * if for one of the queries some product comes near the largest of those with keys that are
     * always seen, e^(s - s_max) >= threshold.  Here the bits are 8, the least that processors
     * multiply faster, and the queries 8 of the block's 64. */
    LAC_PICK_ESTIMATE,
    /* Blocks by the model's own gates (SeerAttention, Gao et al. 2024: struct lac_gates): those of
     * more than `threshold` of the softmax over all blocks that are not behind the queries, or the
     * best of them. */
    LAC_PICK_GATED,
    LAC_N_PICKS
};

/* The shortest list of the best that has n items or holds this share of the mass: 0 asks for
 * neither. */
struct lac_pick_top {
    size_t n;
    double mass;
};

struct lac_pick {
    enum lac_pick_kind kind;
    /* Always seen: the first keys, and those from so many before the block's first query (and of
     * encoders behind its last) on, in whole pages (LINES) or blocks. */
    size_t n_first, n_near;
    struct lac_pick_top columns, diagonals; /* LINES; n in keys */
    size_t n_sampled;                       /* LINES: a multiple of LAC_PICK_LANES */
    struct lac_pick_top blocks;             /* POOLED, GATED; n in blocks */
    double threshold;                       /* ESTIMATE, GATED */
    double share;                           /* GATED: of the blocks that it could see, so many */
};

/* Is every number of the choice in its bounds? */
enum lac_status lac_pick_check(const struct lac_pick *choice, struct lac_error *error);

/* A decoder's queries are chosen for by so many, from a multiple of it on, in whole. */
size_t lac_pick_unit(const struct lac_pick *choice);

/* About how many blocks of n are chosen, to share work by. */
size_t lac_pick_cost(const struct lac_pick *choice, size_t n_blocks);

static inline size_t lac_pick_words(size_t n_keys)
{
    return (n_keys + 64 * LAC_PICK_PAGE - 1) / (64 * LAC_PICK_PAGE);
}

/* A block of queries in its sequence. */
struct lac_pick_place {
    size_t first, n; /* its queries; first is a multiple of LAC_PICK_QUERIES */
    size_t n_keys;
    bool is_causal;
};

/* Of what follows, bits are those of pages: lac_pick_words(n_keys) words. */

/* Sets the bits of what is always seen. */
void lac_pick_keep(const struct lac_pick *choice, const struct lac_pick_place *place,
                   uint64_t *bits);
/* Blocks of keys that are before the block's queries (of encoders: or behind) and not among `bits`,
 * in ascending order: returns how many. */
size_t lac_pick_candidates(const struct lac_pick_place *place, const uint64_t *bits,
                           uint32_t *blocks);
void lac_pick_add_block(const struct lac_pick_place *place, size_t block, uint64_t *bits);

/* Sets bit i of chosen for those of n items that `top` takes, by value from the largest on, of
 * equal ones the first; weights as values, and never negative.  Weights count in units of 2^-32,
 * and from where a share of the mass is asked for, none that is 0 is taken.  `chosen` is all 0. */
void lac_pick_take(const struct lac_pick_top *top, const float *values, const float *weights,
                   size_t n, uint64_t *chosen);

/* Chosen columns and diagonals of a span: bits of pages, for each that one of its queries sees, and
 * of groups of 16 distances d = query - key, group g = floor(d / 16) being bit g + n_negative. */
struct lac_pick_lines {
    const uint64_t *columns, *diagonals;
    size_t n_groups, n_negative;
};
void lac_pick_add_lines(const struct lac_pick_lines *lines, const struct lac_pick_place *place,
                        uint64_t *bits);

/* The list of those of a block's queries that are in lanes, as lac_sight_list() makes it. */
struct lac_seen lac_pick_list(const uint64_t *bits, bool is_causal,
                              const struct lac_sight_queries *queries,
                              struct lac_seen_block *blocks, struct lac_seen_mask *masks);

#endif
