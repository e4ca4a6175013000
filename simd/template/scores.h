/* SPDX-License-Identifier: Apache-2.0 */
/* What attention's scores of a block become when they are all that is wanted, for every vector
 * instruction set: include after a vector.h.  What is computed: struct lac_scores_args. */
#ifndef LACUNA_SIMD_TEMPLATE_SCORES_H
#define LACUNA_SIMD_TEMPLATE_SCORES_H

#include "simd/template/sight.h"

/* Where one vector of lanes has its scores in rows of all that were worked on. */
struct score_column {
    const float *s;
    size_t step, n_keys;
};

static inline void write_most(const struct score_column *c, float *to)
{
    vec most = vec_set1(NOT_SEEN);
    const float *s = c->s;
    for (size_t j = 0; j < c->n_keys; j++, s += c->step)
        most = vec_max(most, vec_load(s));
    vec_store(to, vec_add(most, vec_set1(0))); /* of two zeros the positive one */
}

static inline void write_sums(const struct score_column *c, float *to)
{
    vec part[4] = {vec_set1(0), vec_set1(0), vec_set1(0), vec_set1(0)};
    const float *s = c->s;
    for (size_t j = 0; j < c->n_keys; j += 4)
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++, s += c->step) {
            if (j + r >= c->n_keys)
                break;
            vec x = vec_load(s);
            part[r] = vec_add(part[r], hide_weight(x, x));
        }
    vec_store(to, vec_add(vec_add(part[0], part[1]), vec_add(part[2], part[3])));
}

/* Pages that are not seen have their rows too. */
static inline void write_rows(const struct score_column *c, const struct block_sight *sight,
                              float *to)
{
    const vec hidden = vec_set1(NOT_SEEN);
    size_t next = 0, j = 0;
    for (size_t page = 0; page < BLOCK_PAGES; page++) {
        const int is_seen = next < sight->n_pages && sight->pages[next] == sight->first_page + page;
        for (size_t i = 0; i < LAC_LANES; i++, to += LAC_LANES)
            vec_store(to,
                      is_seen && j + i < c->n_keys ? vec_load(c->s + (j + i) * c->step) : hidden);
        next += (size_t)is_seen;
        j += is_seen ? LAC_LANES : 0;
    }
}

/* Of block i of the list, lanes from `lane` on in n_vecs vectors: s as attention has it. */
static inline void write_scores(const struct lac_scores_args *o, size_t i, size_t lane,
                                const struct block_sight *sight, const float *s, const int n_vecs)
{
    for (int v = 0; v < n_vecs; v++, lane += VEC_LANES) {
        const struct score_column c = {s + v * VEC_LANES, (size_t)n_vecs * VEC_LANES,
                                       sight->n_keys};
        if (o->most)
            write_most(&c, o->most + i * LAC_LANES + lane);
        if (o->sums)
            write_sums(&c, o->sums + i * LAC_LANES + lane);
        if (o->scores)
            write_rows(&c, sight, o->scores + i * LAC_KEY_BLOCK * LAC_LANES + lane);
    }
}

#endif
