/* SPDX-License-Identifier: Apache-2.0 */
/* A trie of byte strings. */
#include "src/text/trie.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"

static int compare(const void *left, const void *right)
{
    const struct lac_trie_key *a = left, *b = right;
    int order = memcmp(a->text.text, b->text.text, lac_min_size(a->text.size, b->text.size));
    if (order)
        return order;
    if (a->text.size != b->text.size)
        return a->text.size < b->text.size ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

static size_t shared_prefix(const struct lac_slice *a, const struct lac_slice *b)
{
    size_t n = 0, most = lac_min_size(a->size, b->size);
    while (n < most && a->text[n] == b->text[n])
        n++;
    return n;
}

/* Sorted keys: each brings the nodes that it does not share with the one before it. */
static size_t count_nodes(const struct lac_trie_key *keys, size_t n)
{
    size_t n_nodes = 1;
    for (size_t i = 0; i < n; i++)
        n_nodes += keys[i].text.size - (i ? shared_prefix(&keys[i - 1].text, &keys[i].text) : 0);
    return n_nodes;
}

/* The keys that begin with the path to a node. */
struct range {
    uint32_t begin, end, depth;
};

static void fill(struct lac_trie *trie, const struct lac_trie_key *keys, struct range *ranges)
{
    size_t made = 1;
    for (size_t node = 0; node < trie->n_nodes; node++) {
        struct range range = ranges[node];
        uint32_t i = range.begin, depth = range.depth;
        trie->first[node] = (uint32_t)made;
        trie->values[node] = -1;
        for (; i < range.end && keys[i].text.size == depth; i++)
            if (depth && trie->values[node] < 0)
                trie->values[node] = keys[i].value;
        while (i < range.end) {
            uint32_t begin = i;
            char label = keys[i].text.text[depth];
            while (i < range.end && keys[i].text.text[depth] == label)
                i++;
            trie->labels[made] = (uint8_t)label;
            ranges[made++] = (struct range){begin, i, depth + 1};
        }
    }
    trie->first[trie->n_nodes] = (uint32_t)made;
}

bool lac_trie_make(struct lac_trie *trie, struct lac_trie_key *keys, size_t n,
                   struct lac_arena *arena)
{
    if (n)
        qsort(keys, n, sizeof *keys, compare);
    size_t n_nodes = count_nodes(keys, n);
    struct range *ranges = lac_alloc(arena->host, n_nodes, sizeof *ranges);
    *trie = (struct lac_trie){
        .first = lac_arena_alloc(arena, n_nodes + 1, sizeof *trie->first),
        .labels = lac_arena_alloc_zero(arena, n_nodes, sizeof *trie->labels),
        .values = lac_arena_alloc(arena, n_nodes, sizeof *trie->values),
        .n_nodes = n_nodes,
    };
    bool good = ranges && trie->first && trie->labels && trie->values && n_nodes < UINT32_MAX;
    if (good) {
        ranges[0] = (struct range){0, (uint32_t)n, 0};
        fill(trie, keys, ranges);
    }
    lac_free(arena->host, ranges);
    return good;
}
