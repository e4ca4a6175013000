/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that a query sees. */
#ifndef LACUNA_SIMD_SCALAR_KEYS_H
#define LACUNA_SIMD_SCALAR_KEYS_H

#include "simd/attention.h"
#include "sparse/seen.h"

/* Of block i of a list, by the query in a lane; none behind the n_keys that there are. */
static inline struct lac_seen_keys lac_lane_keys(const struct lac_seen *seen, size_t i, size_t lane,
                                                 size_t n_keys)
{
    const struct lac_seen_block *b = &seen->blocks[i];
    size_t left = n_keys - (size_t)b->block * LAC_KEY_BLOCK;
    struct lac_seen_keys keys = {b->block, 0};
    for (size_t j = 0; j < LAC_KEY_BLOCK && j < left; j++)
        if (b->mask == LAC_SEEN_WHOLE || seen->masks[b->mask].lanes[j] >> lane & 1)
            keys.keys |= UINT64_C(1) << j;
    return keys;
}

/* The keys' numbers in the sequence; returns how many there are. */
static inline size_t lac_list_keys(struct lac_seen_keys seen, size_t keys[LAC_KEY_BLOCK])
{
    size_t n = 0;
    for (size_t j = 0; j < LAC_KEY_BLOCK; j++)
        if (seen.keys >> j & 1)
            keys[n++] = seen.block * LAC_KEY_BLOCK + j;
    return n;
}

/* How many keys queries that vote see: all of the first ones. */
static inline size_t lac_voting_keys(const struct lac_attention_row_args *a)
{
    size_t keys[LAC_KEY_BLOCK];
    return (a->n_seen - 1) * LAC_KEY_BLOCK + lac_list_keys(a->seen[a->n_seen - 1], keys);
}

#endif
