/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys a group of queries in lanes sees, for every vector instruction set: include after a
 * vector.h.
 *
 * Scores of keys that a lane does not see become NOT_SEEN; where a block has such keys, their
 * weights are set to 0 again after the exponential. */
#ifndef LACUNA_SIMD_TEMPLATE_SIGHT_H
#define LACUNA_SIMD_TEMPLATE_SIGHT_H

#include <stddef.h>

#include "simd/attention.h"
#include "src/base/checked.h"

/* The lowest number, and the next: scores above it were seen. */
#define NOT_SEEN  (-0x1.fffffep127f)
#define LOWEST_OF (-0x1.fffffcp127f)

struct sight {
    ptrdiff_t group;       /* position of the group's first lane */
    ptrdiff_t first, last; /* of the first and the last lane that counts */
    ptrdiff_t window;      /* 0: everything is seen */
    size_t begin, end;     /* keys that some lane sees, begin rounded down to whole pages */
};

/* lanes: those that count of the group that begins at that position; not 0. */
static inline struct sight look(ptrdiff_t group, uint64_t lanes, size_t window, size_t n_keys)
{
    struct sight s = {.group = group, .end = n_keys};
    if (!window)
        return s;
    s.window = (ptrdiff_t)lac_min_size(window, PTRDIFF_MAX / 2);
    s.first = group + __builtin_ctzll(lanes);
    s.last = group + 63 - __builtin_clzll(lanes);
    s.end = s.last < 0 ? 0 : lac_min_size((size_t)s.last + 1, n_keys);
    if (s.first >= s.window)
        s.begin = (size_t)(s.first - s.window + 1) / LAC_LANES * LAC_LANES;
    return s;
}

/* Is one of the keys [begin, end) hidden from a lane that counts? */
static inline int has_edge(const struct sight *s, size_t begin, size_t end)
{
    return s->window &&
           (s->first < (ptrdiff_t)end - 1 || s->last - s->window + 1 > (ptrdiff_t)begin);
}

/* The end of the block that key begin lies in, or of what is seen. */
static inline size_t block_end(const struct sight *s, size_t begin)
{
    return lac_min_size((begin / LAC_KEY_BLOCK + 1) * LAC_KEY_BLOCK, s->end);
}

static inline float clamp_key(ptrdiff_t key)
{
    return (float)(key < -1 ? -1 : key > LAC_KEY_BLOCK ? LAC_KEY_BLOCK : key);
}

/* Hides keys from begin on in the scores s of a group, rows of n_vecs vectors. */
static inline void hide_keys(const struct sight *sight, size_t begin, size_t n_keys, float *s,
                             size_t n_vecs)
{
    const vec hidden = vec_set1(NOT_SEEN);
    for (size_t i = 0; i < n_vecs; i++) {
        float low[VEC_LANES], high[VEC_LANES];
        for (size_t l = 0; l < VEC_LANES; l++) {
            ptrdiff_t last = sight->group + (ptrdiff_t)(i * VEC_LANES + l) - (ptrdiff_t)begin;
            high[l] = clamp_key(last);
            low[l] = clamp_key(last - sight->window + 1);
        }
        vec first = vec_load(low), last = vec_load(high);
        for (size_t j = 0; j < n_keys; j++) {
            float *at = s + (j * n_vecs + i) * VEC_LANES;
            vec key = vec_set1((float)j);
            vec x = vec_select_lt(key, first, hidden, vec_load(at));
            vec_store(at, vec_select_lt(last, key, hidden, x));
        }
    }
}

/* What weighs nothing where s was hidden. */
static inline vec hide_weight(vec s, vec weight)
{
    return vec_select_lt(s, vec_set1(LOWEST_OF), vec_set1(0), weight);
}

#endif
