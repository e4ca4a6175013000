/* SPDX-License-Identifier: Apache-2.0 */
/* What attention reads: lists of key blocks, and which of their keys are seen.
 *
 * The keys of a sequence are cut into blocks of LAC_KEY_BLOCK, counted from key 0.  Whoever makes a
 * list, from rules (sparse/sight.h) or from contents, the kernels do what it says. */
#ifndef LACUNA_SPARSE_SEEN_H
#define LACUNA_SPARSE_SEEN_H

#include <stddef.h>
#include <stdint.h>

enum { LAC_KEY_BLOCK = 64 };

/* Ranges of blocks, counted from key 0 too: attention sums each by itself and then joins them, so
 * that those of one query may be worked on in different places. */
enum { LAC_RANGE_BLOCKS = 16 };

/* Which queries see each key of a block: bit l of lanes[j] says that of lane l and key j.  Keys in
 * lanes' place, as the loops over keys want them: a key is a row of scores, lanes a vector. */
struct lac_seen_mask {
    uint64_t lanes[LAC_KEY_BLOCK];
};

/* Every query in work sees all keys of the block. */
#define LAC_SEEN_WHOLE UINT32_MAX

struct lac_seen_block {
    uint32_t block;
    uint32_t mask; /* its place among the masks, or LAC_SEEN_WHOLE */
};

/* What queries in lanes see: blocks in ascending order; those that are not listed are not seen, and
 * the keys of one that is listed again count again.  Bits of keys that do not exist count for
 * nothing. */
struct lac_seen {
    const struct lac_seen_block *blocks;
    size_t n_blocks;
    const struct lac_seen_mask *masks;
};

/* What a single query sees of a block: bit j of keys says that of key j.  In ascending order of
 * blocks, none without a bit, and no bit of a key that does not exist. */
struct lac_seen_keys {
    size_t block;
    uint64_t keys;
};

/* Where the entries end that are in the range of entry i of n. */
static inline size_t lac_seen_range_end(const struct lac_seen_keys *seen, size_t n, size_t i)
{
    size_t range = seen[i].block / LAC_RANGE_BLOCKS;
    while (i < n && seen[i].block / LAC_RANGE_BLOCKS == range)
        i++;
    return i;
}

#endif
