/* SPDX-License-Identifier: Apache-2.0 */
/* What a group of queries in lanes sees of a block, for every vector instruction set: include after
 * a vector.h.
 *
 * Pages of a block that no lane sees are left out, the others stand together as if there were no
 * gap: 16 keys more or less change nothing in the order of sums.  Scores of keys that a lane does
 * not see become NOT_SEEN; where a block has such keys, their weights are set to 0 again after the
 * exponential. */
#ifndef LACUNA_SIMD_TEMPLATE_SIGHT_H
#define LACUNA_SIMD_TEMPLATE_SIGHT_H

#include <stddef.h>
#include <string.h>

#include "simd/attention.h"
#include "src/base/checked.h"

/* The lowest number, and the next: scores above it were seen. */
#define NOT_SEEN  LAC_NOT_SEEN
#define LOWEST_OF (-0x1.fffffcp127f)

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

struct block_sight {
    size_t first_page; /* of the block, among all pages of the sequence */
    size_t pages[BLOCK_PAGES];
    size_t n_pages, n_keys; /* up to the last key that is seen */
    int hides;              /* some key of these is hidden from some lane */
    int is_ragged;          /* some page of these from all of some LAC_LANES lanes */
    uint64_t lanes[LAC_KEY_BLOCK];
};

/* All keys that there are. */
static inline void see_whole(struct block_sight *s, size_t n_keys)
{
    s->hides = s->is_ragged = 0;
    s->n_keys = n_keys;
    s->n_pages = lac_ceil_div(n_keys, LAC_LANES);
    for (size_t i = 0; i < s->n_pages; i++)
        s->pages[i] = s->first_page + i;
}

/* Whether of LAC_LANES lanes there are some, but none sees. */
static inline int leaves_out(uint64_t seeing, uint64_t lanes)
{
    const uint64_t group = (UINT64_C(1) << LAC_LANES) - 1;
    for (; lanes; lanes >>= LAC_LANES, seeing >>= LAC_LANES)
        if (lanes & group && !(seeing & group))
            return 1;
    return 0;
}

/* Block i of the list, for those of the lanes from `lane` on that count; false: they see nothing of
 * it. */
static inline int look(const struct lac_seen *seen, size_t i, size_t n_keys, size_t lane,
                       uint64_t lanes, struct block_sight *s)
{
    const struct lac_seen_block *b = &seen->blocks[i];
    size_t n = lac_min_size(n_keys - (size_t)b->block * LAC_KEY_BLOCK, LAC_KEY_BLOCK);
    s->first_page = (size_t)b->block * BLOCK_PAGES;
    if (b->mask == LAC_SEEN_WHOLE) {
        see_whole(s, n);
        return 1;
    }
    const uint64_t *from = seen->masks[b->mask].lanes;
    uint64_t all = lanes;
    s->n_pages = s->n_keys = 0;
    s->is_ragged = 0;
    for (size_t page = 0; page * LAC_LANES < n; page++) {
        size_t end = lac_min_size(n - page * LAC_LANES, LAC_LANES), last = 0;
        uint64_t all_page = lanes, any = 0;
        for (size_t j = 0; j < end; j++) {
            uint64_t x = from[page * LAC_LANES + j] >> lane & lanes;
            s->lanes[s->n_pages * LAC_LANES + j] = x;
            all_page &= x;
            any |= x;
            last = x ? j + 1 : last;
        }
        if (!last)
            continue;
        all &= all_page;
        s->is_ragged |= leaves_out(any, lanes);
        s->n_keys = s->n_pages * LAC_LANES + last;
        s->pages[s->n_pages++] = s->first_page + page;
    }
    s->hides = all != lanes;
    return s->n_pages > 0;
}

/* Hides keys in the scores s of a group, rows of n_vecs vectors. */
static inline void hide_keys(const struct block_sight *sight, float *s, size_t n_vecs)
{
    const vec hidden = vec_set1(NOT_SEEN);
    for (size_t j = 0; j < sight->n_keys; j++)
        for (size_t i = 0; i < n_vecs; i++, s += VEC_LANES)
            vec_store(s, vec_load_lanes(s, sight->lanes[j] >> i * VEC_LANES, hidden));
}

/* What weighs nothing where s was hidden. */
static inline vec hide_weight(vec s, vec weight)
{
    return vec_select_lt(s, vec_set1(LOWEST_OF), vec_set1(0), weight);
}

#endif
