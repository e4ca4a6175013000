/* SPDX-License-Identifier: Apache-2.0 */
/* What an append writes into each page, for every vector instruction set: include after a vector.h.
 */
#ifndef LACUNA_SIMD_TEMPLATE_PAGE_PARTS_H
#define LACUNA_SIMD_TEMPLATE_PAGE_PARTS_H

#include "simd/attention.h"
#include "src/base/checked.h"

/* Tokens of one page that lie in one segment: the first of them is at k and v. */
struct page_part {
    const float *k, *v;
    size_t k_ld, v_ld, v_step, n, slot;
};

/* The parts of one page, and the slots that they fill. */
struct page_parts {
    struct page_part at[LAC_LANES];
    size_t n, begin, end;
};

struct page_cursor {
    const struct lac_kv_segment *segment, *end;
    size_t token; /* in *segment */
    size_t key;
};

static inline struct page_cursor begin_pages(const struct lac_kv_pages_args *a)
{
    return (struct page_cursor){a->segments, a->segments + a->n_segments, 0, a->first_key};
}

/* False behind the last page. */
static int next_page(struct page_cursor *cursor, struct page_parts *parts)
{
    size_t slot = parts->begin = cursor->key % LAC_LANES;
    parts->n = 0;
    while (slot < LAC_LANES && cursor->segment < cursor->end) {
        const struct lac_kv_segment *s = cursor->segment;
        size_t left = s->n_keys - cursor->token, n = lac_min_size(left, LAC_LANES - slot);
        if (n)
            parts->at[parts->n++] = (struct page_part){
                .k = (const float *)s->k + cursor->token,
                .v = (const float *)s->v + cursor->token * s->v_step,
                .k_ld = s->k_ld,
                .v_ld = s->v_ld,
                .v_step = s->v_step,
                .n = n,
                .slot = slot,
            };
        slot += n;
        cursor->token += n;
        if (n == left) {
            cursor->segment++;
            cursor->token = 0;
        }
    }
    parts->end = slot;
    cursor->key += slot - parts->begin;
    return parts->n > 0;
}

/* Bits of n <= VEC_LANES lanes. */
static inline uint64_t first_lanes(size_t n)
{
    return (UINT64_C(1) << n) - 1;
}

#endif
