/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of single tokens on their caches, keys in lanes: decoding. */
#ifndef LACUNA_RUN_ROWS_H
#define LACUNA_RUN_ROWS_H

#include "src/run/member.h"

/* One token's queries of heads that share the keys and see alike. */
struct lac_row {
    const struct lac_kv *kv;
    size_t layer, kv_head, n_heads;
    const struct lac_sight *sight;
    size_t place;           /* of the token, among the head's keys */
    bool chooses;           /* the pages that it reads */
    bool looks_up;          /* what is before its window: src/run/looked_up.h */
    const float *cos, *sin; /* then: of its angles; the next is ld further */
    float scale;
    const float *q; /* of the first head; the next feature is ld further */
    float *y;
    size_t ld;
    float *abs_max;
};

/* Work in a row of all the work of a pass: a team's members take equal parts of it.  With a team of
 * one nobody counts. */
struct lac_share {
    size_t done, cost, total;
};

/* Whose is the work that begins at `done`? */
static inline size_t lac_share_owner(const struct lac_member *m, size_t done, size_t total)
{
    return m->team->size > 1 ? done * m->team->size / total : 0;
}

/* In what queries in lanes cost, groups of lanes times blocks of keys. */
size_t lac_row_cost(const struct lac_row *row);

/* The member's part of a row's attention: ranges of its keys.  Whoever is last joins them. */
void lac_attend_row(const struct lac_member *m, const struct lac_row *row,
                    const struct lac_share *share);

#endif
