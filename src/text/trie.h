/* SPDX-License-Identifier: Apache-2.0 */
/* A trie of byte strings, built once and then read. */
#ifndef LACUNA_TEXT_TRIE_H
#define LACUNA_TEXT_TRIE_H

#include "src/text/vocab.h"

/* Nodes lie in the order of their depth, the children of each side by side with ascending labels:
 * those of node i are first[i] .. first[i + 1] - 1.  Node 0 is the root and nobody's child. */
struct lac_trie {
    uint32_t *first; /* [n_nodes + 1] */
    uint8_t *labels; /* [n_nodes] the byte that leads to a node */
    int32_t *values; /* [n_nodes] of the string that ends in a node, or -1 */
    size_t n_nodes;  /* 0: an empty trie that must not be asked */
};

struct lac_trie_key {
    struct lac_slice text;
    int32_t value; /* not negative */
};

/* Sorts the keys.  Of equal texts the one with the least value counts; an empty text counts for
 * nothing.  False without memory. */
bool lac_trie_make(struct lac_trie *trie, struct lac_trie_key *keys, size_t n,
                   struct lac_arena *arena);

/* The child of a node along byte, or 0. */
static inline uint32_t lac_trie_child(const struct lac_trie *trie, uint32_t node, uint8_t byte)
{
    uint32_t low = trie->first[node], high = trie->first[node + 1];
    while (high - low > 4) {
        uint32_t middle = low + (high - low) / 2;
        if (trie->labels[middle] <= byte)
            low = middle;
        else
            high = middle;
    }
    for (; low < high; low++)
        if (trie->labels[low] == byte)
            return low;
    return 0;
}

#endif
