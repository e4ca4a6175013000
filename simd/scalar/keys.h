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

/* One lane's scores of block i, in the form of `o`: s of the keys seen, n of them. */
static inline void lac_put_scores(const struct lac_scores_args *o, size_t i, size_t lane,
                                  const size_t *keys, const float *s, size_t n)
{
    float part[4] = {0}, most = LAC_NOT_SEEN, *to = o->scores;
    if (to)
        to += i * LAC_KEY_BLOCK * LAC_LANES + lane;
    for (size_t j = 0; to && j < LAC_KEY_BLOCK; j++)
        to[j * LAC_LANES] = LAC_NOT_SEEN;
    for (size_t j = 0; j < n; j++) {
        part[keys[j] % 4] += s[j];
        most = s[j] > most ? s[j] : most;
        if (to)
            to[keys[j] % LAC_KEY_BLOCK * LAC_LANES] = s[j];
    }
    if (o->most)
        o->most[i * LAC_LANES + lane] = most + 0.0f;
    if (o->sums)
        o->sums[i * LAC_LANES + lane] = (part[0] + part[1]) + (part[2] + part[3]);
}

/* How many keys queries that vote see: all of the first ones. */
static inline size_t lac_voting_keys(const struct lac_attention_row_args *a)
{
    size_t keys[LAC_KEY_BLOCK];
    return (a->n_seen - 1) * LAC_KEY_BLOCK + lac_list_keys(a->seen[a->n_seen - 1], keys);
}

#endif
