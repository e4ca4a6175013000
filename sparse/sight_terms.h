/* SPDX-License-Identifier: Apache-2.0 */
/* What lists ask of each kind of term. */
#ifndef LACUNA_SPARSE_SIGHT_TERMS_H
#define LACUNA_SPARSE_SIGHT_TERMS_H

#include "sparse/sight.h"

/* A term of a rule, in a sequence. */
struct lac_sight_place {
    const struct lac_sight_term *term;
    size_t n_keys;
    bool is_causal;
};

struct lac_sight_ops {
    /* The keys of a block that a query sees: exact but for keys that do not exist. */
    uint64_t (*keys)(const struct lac_sight_place *place, size_t query, size_t block);
    /* The first block from `block` on that one of the queries may see, SIZE_MAX if none is left:
     * never too far, and so near that blocks without a key are few. */
    size_t (*next)(const struct lac_sight_place *place, struct lac_range queries, size_t block);
    /* True only if all queries see all keys of the block; false need not mean anything. */
    bool (*is_whole)(const struct lac_sight_place *place, struct lac_range queries, size_t block);
    /* lac_sight_end() of this term. */
    size_t (*end)(const struct lac_sight_place *place, size_t query);
};

extern const struct lac_sight_ops lac_sight_ops[LAC_N_SIGHTS];

/* Is the query one of the rows of a global term? */
bool lac_global_row(const struct lac_sight_place *place, size_t query);

/* sparse/neighbours.c */
uint64_t lac_neighbours_keys(const struct lac_sight_place *place, size_t query, size_t block);
size_t lac_neighbours_next(const struct lac_sight_place *place, struct lac_range queries,
                           size_t block);
bool lac_neighbours_whole(const struct lac_sight_place *place, struct lac_range queries,
                          size_t block);
size_t lac_neighbours_end(const struct lac_sight_place *place, size_t query);

/* Bits of the keys [begin, end) in a block. */
static inline uint64_t lac_block_bits(size_t block, size_t begin, size_t end)
{
    size_t first = block * LAC_KEY_BLOCK, low = begin > first ? begin - first : 0;
    if (end <= first || low >= LAC_KEY_BLOCK || begin >= end)
        return 0;
    size_t high = end - first;
    uint64_t bits = ~UINT64_C(0) << low;
    return high < LAC_KEY_BLOCK ? bits & ((UINT64_C(1) << high) - 1) : bits;
}

/* The keys of a block, as far as they exist. */
static inline struct lac_range lac_block_keys(size_t block, size_t n_keys)
{
    size_t begin = block * LAC_KEY_BLOCK, end = begin + LAC_KEY_BLOCK;
    return (struct lac_range){begin, end < n_keys ? end : n_keys};
}

#endif
