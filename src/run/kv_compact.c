/* SPDX-License-Identifier: Apache-2.0 */
/* Making pages of a cache compact (Xu et al. 2024, He et al. 2024). */
#include "src/run/kv_compact.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/compact.h"
#include "src/run/counted.h"
#include "src/run/kv_deal.h"
#include "src/run/kv_slots.h"
#include "src/run/kv_votes.h"

/* What it takes to work on a head, sized for the one with most slots. */
struct work {
    struct lac_kv *kv;
    struct lac_compact form;
    size_t layer, head;
    struct lac_kv_candidate *candidates;
    float *votes;   /* of its slots in their new order */
    void **pages;   /* its new pages */
    void *page;     /* to be packed */
    size_t *n_stay; /* ZIP: keys of each layer that stay as they are, but for the last */
};

static const struct lac_kv_rule *rule_of(const struct work *w)
{
    return &w->kv->shape.rules->of[w->layer * w->kv->shape.n_heads + w->head];
}

static bool is_compacting(const struct lac_kv_rule *rule)
{
    return rule->kind == LAC_KV_THIN || rule->kind == LAC_KV_ZIP;
}

static enum lac_status no_memory(const struct work *w, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory to make keys of %zu tokens compact",
                    w->kv->n_keys);
}

static void drop_pages(const struct work *w, size_t n)
{
    while (n--)
        lac_counted_drop(w->kv->host, w->pages[n]);
}

/* Pages for the head, the first n_compact of them compact: all or none. */
static bool new_pages(const struct work *w, size_t n_compact, size_t n)
{
    size_t page_bytes = lac_kv_page_bytes(w->form.dtype, w->form.head_dim);
    size_t compact_bytes = lac_compact_bytes(&w->form);
    for (size_t i = 0; i < n; i++) {
        w->pages[i] = lac_counted_new(w->kv->host, i < n_compact ? compact_bytes : page_bytes);
        if (!w->pages[i]) {
            drop_pages(w, i);
            return false;
        }
    }
    return true;
}

/* Full pages of keys before the last n. */
static size_t pages_before(const struct work *w, size_t n_last)
{
    size_t n = w->kv->n_keys - lac_kv_gone(w->kv, w->layer, w->head);
    return (n - lac_min_size(n, n_last)) / LAC_LANES;
}

/* ---- Features ---- */

/* The votes of the prompt's last queries, if there are any. */
static const float *feature_votes(const struct work *w)
{
    const struct lac_kv_votes *votes = w->kv->votes;
    bool has_votes = votes && votes->is_thin && votes->n_prompt == w->kv->n_keys;
    return has_votes ? lac_kv_head_votes(w->kv, w->layer, w->head) : NULL;
}

/* What a feature adds to the scores of n queries and n keys has the size (as Frobenius does) of
 * the product of their sizes, and the squares of four add up. */
static uint64_t choose_features(const struct work *w, size_t first, size_t end)
{
    const float *votes = feature_votes(w);
    double squares[LAC_MAX_HEAD_DIM] = {0}, size[LAC_MAX_HEAD_DIM / 4] = {0};
    size_t n = lac_ceil_div(w->form.head_dim, 4);
    uint64_t dwords = 0;
    for (size_t i = first; i < end; i++)
        lac_page_add_squares(&w->form, lac_kv_head(w->kv, w->layer, w->head)[i], squares);
    for (size_t f = 0; f < w->form.head_dim; f++)
        size[f / 4] += squares[f] * (votes ? (double)votes[f] : 1);
    for (size_t i = 0; i < w->form.n_dwords; i++) {
        size_t best = 0;
        for (size_t d = 1; d < n; d++)
            best = size[d] > size[best] ? d : best;
        dwords |= UINT64_C(1) << best;
        size[best] = -1;
    }
    return dwords;
}

static enum lac_status thin(const struct work *w, struct lac_error *error)
{
    size_t first = lac_kv_compact_pages(w->kv, w->layer, w->head);
    size_t end = pages_before(w, rule_of(w)->n_last);
    if (end <= first)
        return LAC_OK;
    if (!new_pages(w, end - first, end - first))
        return no_memory(w, error);
    uint64_t dwords = choose_features(w, first, end);
    for (size_t i = first; i < end; i++) {
        memcpy(w->page, lac_kv_head(w->kv, w->layer, w->head)[i],
               lac_kv_page_bytes(w->form.dtype, w->form.head_dim));
        lac_page_clear_features(&w->form, dwords, w->page);
        lac_page_pack(&w->form, w->page, w->pages[i - first]);
    }
    lac_kv_exchange_pages(w->kv, w->layer, w->head, first, w->pages, end - first, end - first);
    return LAC_OK;
}

/* ---- Bits ---- */

/* A head's slots behind its compact pages, in the order that they get: n_low that lose bits, then
 * the others; each in the order that they had. */
struct order {
    size_t first, n, n_low, n_chosen; /* of n: those that could be chosen, others are the last */
};

static size_t slot_of(const struct work *w, const struct order *o, size_t i)
{
    return i < o->n_chosen ? w->candidates[i].slot : o->first + i;
}

/* Whole pages of those with the fewest votes. */
static struct order choose_slots(const struct work *w)
{
    const struct lac_kv *kv = w->kv;
    const float *votes = lac_kv_head_votes(kv, w->layer, w->head);
    size_t n_slots = kv->n_keys - lac_kv_gone(kv, w->layer, w->head);
    struct order o = {.first = lac_kv_compact_pages(kv, w->layer, w->head) * LAC_LANES};
    size_t tail = lac_max_size(o.first, n_slots - lac_min_size(n_slots, rule_of(w)->n_last));
    struct lac_kv_candidate *c = w->candidates;
    o.n = n_slots - o.first;
    o.n_chosen = tail - o.first;
    o.n_low = (o.n_chosen - lac_min_size(o.n_chosen, w->n_stay[w->layer])) / LAC_LANES * LAC_LANES;
    /* Those with the fewest come first. */
    for (size_t i = 0; i < o.n_chosen; i++)
        c[i] = (struct lac_kv_candidate){-votes[o.first + i], (uint32_t)(o.first + i)};
    lac_kv_sort_by_votes(c, o.n_chosen);
    lac_kv_sort_by_slot(c, o.n_low);
    lac_kv_sort_by_slot(c + o.n_low, o.n_chosen - o.n_low);
    return o;
}

static void copy_slots(const struct work *w, const struct order *o, size_t begin, size_t end,
                       void *to)
{
    void *const *from = lac_kv_head(w->kv, w->layer, w->head);
    lac_kv_clear_page(&w->kv->shape, to);
    for (size_t i = begin; i < end; i++) {
        size_t slot = slot_of(w, o, i);
        lac_kv_copy_slot(&w->kv->shape, to, i - begin, from[slot / LAC_LANES], slot % LAC_LANES);
    }
}

/* Votes stay with their keys: who asks a second time gets the same answer. */
static void reorder_votes(const struct work *w, const struct order *o)
{
    float *votes = lac_kv_head_votes(w->kv, w->layer, w->head);
    for (size_t i = 0; i < o->n; i++)
        w->votes[i] = votes[slot_of(w, o, i)];
    memcpy(votes + o->first, w->votes, o->n * sizeof *votes);
}

static enum lac_status zip(const struct work *w, struct lac_error *error)
{
    if (!w->kv->votes || w->kv->votes->is_thin || w->kv->votes->n_prompt != w->kv->n_keys)
        return LAC_OK;
    struct order o = choose_slots(w);
    size_t n_low = o.n_low / LAC_LANES, n = lac_ceil_div(o.n, LAC_LANES);
    if (!n_low)
        return LAC_OK;
    if (!new_pages(w, n_low, n))
        return no_memory(w, error);
    for (size_t i = 0; i < n; i++) {
        size_t begin = i * LAC_LANES, end = lac_min_size(begin + LAC_LANES, o.n);
        copy_slots(w, &o, begin, end, i < n_low ? w->page : w->pages[i]);
        if (i >= n_low)
            continue;
        lac_page_round(&w->form, w->page);
        lac_page_pack(&w->form, w->page, w->pages[i]);
    }
    reorder_votes(w, &o);
    lac_kv_exchange_pages(w->kv, w->layer, w->head, o.first / LAC_LANES, w->pages, n, n_low);
    return LAC_OK;
}

/* ---- A cache ---- */

static enum lac_status open_work(struct work *w, struct lac_kv *kv, struct lac_error *error)
{
    size_t n_slots = lac_round_up(lac_kv_most_slots(kv), LAC_LANES);
    *w = (struct work){.kv = kv, .form = lac_kv_compact_form(&kv->shape)};
    w->candidates = lac_alloc(kv->host, n_slots, sizeof *w->candidates);
    w->votes = lac_alloc(kv->host, n_slots, sizeof *w->votes);
    w->pages = lac_alloc(kv->host, n_slots / LAC_LANES, sizeof *w->pages);
    w->page = lac_alloc(kv->host, 1, lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim));
    w->n_stay = lac_alloc(kv->host, kv->shape.n_layers, sizeof *w->n_stay);
    bool is_open = w->candidates && w->votes && w->pages && w->page && w->n_stay;
    return is_open ? LAC_OK : no_memory(w, error);
}

static void close_work(struct work *w)
{
    const struct lac_host *host = w->kv->host;
    lac_free(host, w->candidates);
    lac_free(host, w->votes);
    lac_free(host, w->pages);
    lac_free(host, w->page);
    lac_free(host, w->n_stay);
}

enum lac_status lac_kv_compact(struct lac_kv *kv, struct lac_error *error)
{
    struct work w;
    enum lac_status status = open_work(&w, kv, error);
    if (!status && kv->shape.rules->form == LAC_COMPACT_BITS)
        status = lac_kv_deal(kv, w.n_stay, error);
    for (w.layer = 0; w.layer < kv->shape.n_layers; w.layer++)
        for (w.head = 0; w.head < kv->shape.n_heads && !status; w.head++)
            if (is_compacting(rule_of(&w)))
                status = (rule_of(&w)->kind == LAC_KV_THIN ? thin : zip)(&w, error);
    close_work(&w);
    if (!status)
        lac_kv_close_votes(kv);
    return status;
}

/* The first n pages of a head, as far as nothing is lost. */
static enum lac_status pack_head(const struct work *w, size_t n, struct lac_error *error)
{
    void *const *pages = lac_kv_head(w->kv, w->layer, w->head);
    size_t n_packed = 0;
    if (!new_pages(w, n, n))
        return no_memory(w, error);
    while (n_packed < n && lac_page_pack(&w->form, pages[n_packed], w->pages[n_packed]))
        n_packed++;
    for (size_t i = n_packed; i < n; i++)
        lac_counted_drop(w->kv->host, w->pages[i]);
    lac_kv_exchange_pages(w->kv, w->layer, w->head, 0, w->pages, n_packed, n_packed);
    return LAC_OK;
}

enum lac_status lac_kv_pack_pages(struct lac_kv *kv, const int64_t *n_pages,
                                  struct lac_error *error)
{
    struct work w;
    if (!kv->n_compact)
        return LAC_OK;
    enum lac_status status = open_work(&w, kv, error);
    for (w.layer = 0; w.layer < kv->shape.n_layers; w.layer++)
        for (w.head = 0; w.head < kv->shape.n_heads && !status; w.head++)
            if (is_compacting(rule_of(&w)))
                status = pack_head(&w, (size_t)*n_pages++, error);
            else
                n_pages++;
    close_work(&w);
    return status;
}
