/* SPDX-License-Identifier: Apache-2.0 */
/* Attention of single tokens on their caches, keys in lanes: decoding. */
#include "src/run/rows.h"

#include <math.h>

#include "simd/attention.h"
#include "src/run/expanded.h"
#include "src/run/kv_lost.h"
#include "src/run/looked_up.h"
#include "src/run/page_choice.h"

/* What a token sees; kept for the next head and layer. */
static const struct lac_seen_row *list_row(const struct lac_member *m, const struct lac_row *row)
{
    const struct lac_region *r = m->region;
    struct lac_seen_row *seen = &r->seen_rows[m->rank];
    seen->keys = r->seen_keys + m->rank * r->n_blocks;
    if (seen->sight == row->sight && seen->position == row->place)
        return seen;
    seen->sight = row->sight;
    seen->position = row->place;
    seen->n = lac_sight_row(row->sight, row->place, row->place + 1, seen->keys);
    return seen;
}

static void copy_queries(const struct lac_row *row, size_t n, float *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = row->q[i * row->ld];
}

/* The same where the token chooses. */
static const struct lac_seen_row *list_chosen(const struct lac_member *m, const struct lac_row *row)
{
    const struct lac_region *r = m->region;
    const struct lac_config *config = &m->network->config;
    struct lac_seen_row *seen = &r->seen_rows[m->rank];
    float *q = r->row + m->rank * 2 * lac_query_size(config);
    copy_queries(row, row->n_heads * config->head_dim, q);
    const struct lac_page_choice choice = {
        .kv = row->kv,
        .layer = row->layer,
        .kv_head = row->kv_head,
        .place = row->place,
        .q = q,
        .n_queries = row->n_heads,
        .scorer = m->network->kernels.page_scores,
        .scores = r->scores + m->rank * (LAC_ROW_QUERIES + 1) * r->n_scores,
        .ld = r->n_scores,
    };
    seen->keys = r->seen_keys + m->rank * r->n_blocks;
    seen->sight = NULL; /* of nobody else */
    seen->n = lac_choose_pages(&choice, seen->keys);
    return seen;
}

/* The same where it looks up. */
static const struct lac_seen_row *list_looked_up(const struct lac_member *m,
                                                 const struct lac_row *row)
{
    const struct lac_region *r = m->region;
    struct lac_seen_row *seen = &r->seen_rows[m->rank];
    seen->keys = r->seen_keys + m->rank * r->n_blocks;
    seen->sight = NULL;
    seen->n = lac_list_looked_up(m, row, seen->keys);
    return seen;
}

/* Four queries share a pass over the keys, and memory makes them wait. */
enum { QUERIES_AT_ONCE = 4 };
/* Labels of so many pages take as long as reading one. */
enum { LABEL_SHARE = 16 };

size_t lac_row_cost(const struct lac_row *row)
{
    const struct lac_kv_rules *rules = row->kv->shape.rules;
    if (row->looks_up)
        return lac_looked_up_cost(row) * lac_ceil_div(row->n_heads, QUERIES_AT_ONCE);
    if (row->chooses) {
        const struct lac_kv_rule *rule =
            &rules->of[row->layer * row->kv->shape.n_heads + row->kv_head];
        size_t n_pages =
            lac_page_choice_budget(rule, row->place) + row->place / LAC_LANES / LABEL_SHARE;
        return lac_ceil_div(n_pages, LAC_KEY_BLOCK / LAC_LANES) *
               lac_ceil_div(row->n_heads, QUERIES_AT_ONCE);
    }
    const struct lac_sight_queries query = {
        .first = (ptrdiff_t)row->place, .lanes = 1, .n_keys = row->place + 1};
    size_t n = lac_sight_count(row->sight, &query);
    return lac_max_size(1, n) * lac_ceil_div(row->n_heads, QUERIES_AT_ONCE);
}

/* Parts of a row that several members share: of the one that has its first range. */
static float *parts_of(const struct lac_member *m, size_t slot)
{
    return m->region->parts + slot * m->region->n_parts;
}

/* The whole row, or if y is NULL the ranges listed; parts: simd/attention.h. */
static void run_kernel(const struct lac_member *m, const struct lac_row *row,
                       const struct lac_seen_keys *seen, size_t n_seen, float *parts, float *y)
{
    const struct lac_config *config = &m->network->config;
    size_t n = row->n_heads * config->head_dim;
    float *q = m->region->row + m->rank * 2 * lac_query_size(config);
    copy_queries(row, n, q);
    struct lac_lost_keys lost;
    bool has_lost = lac_kv_find_lost(row->kv, row->layer, row->kv_head, row->place,
                                     m->region->lost + m->rank * 2 * config->head_dim, &lost);
    struct lac_attention_row_args args = {
        .q = q,
        .n_queries = row->n_heads,
        .head_dim = config->head_dim,
        .scale = row->scale,
        .seen = seen,
        .n_seen = n_seen,
        .lost = y && has_lost ? &lost : NULL,
        .y = y,
        .parts = parts,
    };
    if (row->looks_up)
        lac_run_looked_up(m, row, &args);
    else
        lac_run_row(m, row->kv, row->layer, row->kv_head, &args);
}

static void finish_row(const struct lac_member *m, const struct lac_row *row,
                       const struct lac_seen_row *seen, float *parts)
{
    const struct lac_config *config = &m->network->config;
    size_t n_all = lac_query_size(config), n = row->n_heads * config->head_dim;
    float *y = m->region->row + (m->rank * 2 + 1) * n_all, most = 0;
    run_kernel(m, row, seen->keys, seen->n, parts, y);
    for (size_t i = 0; i < n; i++) {
        row->y[i * row->ld] = y[i];
        most = fabsf(y[i]) > most ? fabsf(y[i]) : most; /* fmaxf is a call */
    }
    *row->abs_max = fmaxf(*row->abs_max, most);
}

/* The member's entries of the list: its ranges, each having begun in its part. */
struct own_ranges {
    size_t begin, end;
    size_t n, n_all; /* ranges: its own, and everybody's */
};

static struct own_ranges find_ranges(const struct lac_member *m, const struct lac_seen_row *seen,
                                     const struct lac_share *share)
{
    struct own_ranges own = {0};
    for (size_t i = 0, end; i < seen->n; i = end, own.n_all++) {
        size_t at = share->done + share->cost * i / seen->n;
        end = lac_seen_range_end(seen->keys, seen->n, i);
        if (lac_share_owner(m, at, share->total) != m->rank)
            continue;
        own.begin = own.n++ ? own.begin : i;
        own.end = end;
    }
    return own;
}

void lac_attend_row(const struct lac_member *m, const struct lac_row *row,
                    const struct lac_share *share)
{
    size_t first = lac_share_owner(m, share->done, share->total);
    size_t last = lac_share_owner(m, share->done + share->cost - 1, share->total);
    if (m->rank < first || m->rank > last)
        return;
    const struct lac_seen_row *seen = (row->looks_up  ? list_looked_up
                                       : row->chooses ? list_chosen
                                                      : list_row)(m, row);
    struct own_ranges own = {.n = m->rank == first, .n_all = 1};
    if (first < last && seen->n)
        own = find_ranges(m, seen, share);
    if (!own.n)
        return;
    if (own.n == own.n_all) {
        finish_row(m, row, seen, NULL);
        return;
    }
    run_kernel(m, row, seen->keys + own.begin, own.end - own.begin, parts_of(m, first), NULL);
    /* Only one row begins in a member's part and ends behind it: the count is this row's. */
    atomic_size_t *n_done = &m->region->n_done[first];
    if (atomic_fetch_add_explicit(n_done, own.n, memory_order_acq_rel) + own.n < own.n_all)
        return;
    atomic_store_explicit(n_done, 0, memory_order_relaxed);
    finish_row(m, row, seen, parts_of(m, first));
}
