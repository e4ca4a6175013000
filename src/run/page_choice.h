/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages of its cache a token reads, by their labels (src/run/kv_labels.h). */
#ifndef LACUNA_RUN_PAGE_CHOICE_H
#define LACUNA_RUN_PAGE_CHOICE_H

#include "simd/attention.h"
#include "src/run/kv.h"

/* A token's queries of heads that share their keys. */
struct lac_page_choice {
    const struct lac_kv *kv;
    size_t layer, kv_head;
    size_t place;   /* the token's, among the keys */
    const float *q; /* [n_queries][head_dim] */
    size_t n_queries;
    const struct lac_kernel *scorer;
    float *scores; /* [LAC_ROW_QUERIES + 1][ld], room to work in */
    size_t ld;     /* from the number of pages on, a multiple of LAC_LANES */
};

/* Pages that a token at that place reads at most, and whether it has more. */
size_t lac_page_choice_budget(const struct lac_kv_rule *rule, size_t place);
bool lac_page_choice_is_needed(const struct lac_kv_rule *rule, size_t place);

/* Besides the first page, the token's own and those in which the 48 keys before that one lie, the
 * budget goes to those of the best scores, of equals to the last.  Of several queries that share
 * the keys each sets its own best score to 0, and the largest of them counts.  Returns the number
 * of entries; there is room for one for each block of keys. */
size_t lac_choose_pages(const struct lac_page_choice *choice, struct lac_seen_keys *seen);

/* The same of a memory, of whole blocks of keys: those before `place` are to be had, of which the
 * first n_first and n_chosen others are read, those whose best page is best. */
size_t lac_choose_blocks(const struct lac_page_choice *choice, size_t n_first, size_t n_chosen,
                         struct lac_seen_keys *seen);

#endif
