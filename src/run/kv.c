/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of keys and values of one sequence. */
#include "src/run/kv.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/counted.h"
#include "src/run/kv_choice.h"
#include "src/run/kv_compact.h"
#include "src/run/kv_lost.h"
#include "src/run/kv_votes.h"

static size_t page_bytes(const struct lac_kv *kv)
{
    return lac_kv_page_bytes(kv->shape.dtype, kv->shape.head_dim);
}

static void *new_page(const struct lac_kv *kv)
{
    return lac_counted_new(kv->host, page_bytes(kv));
}

static void drop_page(const struct lac_kv *kv, void *bytes)
{
    lac_counted_drop(kv->host, bytes);
}

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

static void **table(const struct lac_kv *kv, size_t i)
{
    return kv->pages + i * kv->capacity;
}

/* Pages that head i has given up. */
static size_t gone_pages(const struct lac_kv *kv, size_t i)
{
    return kv->n_gone ? kv->n_gone[i] / LAC_LANES : 0;
}

static size_t least_gone(const struct lac_kv *kv)
{
    size_t least = kv->n_gone ? SIZE_MAX : 0;
    for (size_t t = 0; kv->n_gone && t < n_tables(kv); t++)
        least = lac_min_size(least, kv->n_gone[t]);
    return least;
}

size_t lac_kv_most_slots(const struct lac_kv *kv)
{
    return kv->n_keys - least_gone(kv);
}

void lac_kv_init(struct lac_kv *kv, const struct lac_host *host, const struct lac_kv_shape *shape)
{
    *kv = (struct lac_kv){.host = host, .shape = *shape};
}

static void drop_pages(struct lac_kv *kv, size_t n_kept)
{
    for (size_t t = 0; t < n_tables(kv); t++)
        for (size_t i = n_kept; i < kv->n_pages; i++)
            drop_page(kv, table(kv, t)[i - gone_pages(kv, t)]);
    kv->n_pages = lac_min_size(kv->n_pages, n_kept);
}

void lac_kv_clear(struct lac_kv *kv)
{
    for (size_t t = 0; t < n_tables(kv); t++)
        for (size_t i = gone_pages(kv, t); i < kv->n_pages; i++)
            drop_page(kv, table(kv, t)[i - gone_pages(kv, t)]);
    lac_kv_labels_clear(kv);
    lac_kv_memory_clear(kv);
    lac_kv_pools_clear(kv);
    lac_free(kv->host, kv->pages);
    lac_free(kv->host, kv->n_gone);
    lac_free(kv->host, kv->n_skipped);
    lac_free(kv->host, kv->n_compact);
    lac_free(kv->host, kv->lost);
    lac_free(kv->host, kv->votes);
    lac_kv_init(kv, kv->host, &kv->shape);
}

static enum lac_status no_memory(const struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY,
                    "no memory for keys and values of %zu tokens: %zu pages of %zu bytes",
                    n_pages * LAC_LANES, n_tables(kv) * n_pages, page_bytes(kv));
}

/* Room in every table for what it has of n_pages pages. */
static enum lac_status grow_tables(struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    size_t n_most = n_pages - least_gone(kv) / LAC_LANES, n;
    if (kv->shape.rules && !kv->n_gone) {
        kv->n_gone = lac_alloc_zero(kv->host, n_tables(kv), sizeof *kv->n_gone);
        if (!kv->n_gone)
            return no_memory(kv, n_pages, error);
    }
    if (kv->shape.rules && kv->shape.rules->form && !kv->n_compact) {
        kv->n_compact = lac_alloc_zero(kv->host, n_tables(kv), sizeof *kv->n_compact);
        if (!kv->n_compact)
            return no_memory(kv, n_pages, error);
    }
    enum lac_status status = lac_kv_open_lost(kv, error);
    if (status || n_most <= kv->capacity)
        return status;
    size_t capacity = lac_max_size(lac_max_size(8, n_most), kv->capacity * 2);
    void **pages =
        lac_mul_size(n_tables(kv), capacity, &n) ? lac_alloc(kv->host, n, sizeof *pages) : NULL;
    if (!pages)
        return no_memory(kv, n_pages, error);
    for (size_t t = 0; kv->n_pages && t < n_tables(kv); t++)
        memcpy(pages + t * capacity, table(kv, t),
               (kv->n_pages - gone_pages(kv, t)) * sizeof *pages);
    lac_free(kv->host, kv->pages);
    kv->pages = pages;
    kv->capacity = capacity;
    return LAC_OK;
}

/* The last page of each head, if the next key goes into it, becomes the cache's own.  A copy that
 * was made stays, whatever fails after it. */
static enum lac_status own_last_pages(struct lac_kv *kv, struct lac_error *error)
{
    if (kv->n_keys % LAC_LANES == 0)
        return LAC_OK;
    size_t last = kv->n_keys / LAC_LANES;
    for (size_t t = 0; t < n_tables(kv); t++) {
        void **page = &table(kv, t)[last - gone_pages(kv, t)];
        if (!lac_counted_is_shared(*page))
            continue;
        void *copy = new_page(kv);
        if (!copy)
            return no_memory(kv, 1, error);
        memcpy(copy, *page, page_bytes(kv));
        drop_page(kv, *page);
        *page = copy;
    }
    return LAC_OK;
}

/* Pages that head t gets when all get up to n_pages: from this one on. */
static size_t first_new(const struct lac_kv *kv, size_t t)
{
    return lac_max_size(kv->n_pages, gone_pages(kv, t));
}

/* Head t's, or none. */
static bool add_pages_of(struct lac_kv *kv, size_t t, size_t n_pages)
{
    void **pages = table(kv, t);
    for (size_t i = first_new(kv, t); i < n_pages; i++) {
        void *page = new_page(kv);
        if (!page) {
            while (i-- > first_new(kv, t))
                drop_page(kv, pages[i - gone_pages(kv, t)]);
            return false;
        }
        pages[i - gone_pages(kv, t)] = page;
    }
    return true;
}

/* Pages up to n_pages for every head, as far as it has not given them up, or for none.  Those of a
 * head one after another: they then lie side by side, most often, and are read twice as fast. */
static bool add_pages(struct lac_kv *kv, size_t n_pages)
{
    for (size_t t = 0; t < n_tables(kv); t++) {
        if (add_pages_of(kv, t, n_pages))
            continue;
        while (t--)
            for (size_t i = first_new(kv, t); i < n_pages; i++)
                drop_page(kv, table(kv, t)[i - gone_pages(kv, t)]);
        return false;
    }
    kv->n_pages = n_pages;
    return true;
}

enum lac_status lac_kv_reserve(struct lac_kv *kv, size_t n_more, struct lac_error *error)
{
    size_t n_keys;
    if (!n_more)
        return LAC_OK;
    if (!lac_add_size(kv->n_keys, n_more, &n_keys) || n_keys > SIZE_MAX - LAC_LANES)
        return lac_fail(error, LAC_E_LIMIT, "a sequence of %zu and %zu tokens", kv->n_keys, n_more);
    size_t n_pages = lac_ceil_div(n_keys, LAC_LANES);
    enum lac_status status = grow_tables(kv, n_pages, error);
    if (!status)
        status = own_last_pages(kv, error);
    if (!status)
        status = lac_kv_labels_reserve(kv, n_pages, error);
    if (!status)
        status = lac_kv_memory_reserve(kv, n_pages, error);
    if (!status)
        status = lac_kv_pools_reserve(kv, n_keys, error);
    if (!status && kv->n_pages < n_pages && !add_pages(kv, n_pages))
        status = no_memory(kv, n_pages - kv->n_pages, error);
    return status;
}

void lac_kv_advance(struct lac_kv *kv, size_t n)
{
    kv->n_keys += n;
    if (kv->votes)
        kv->votes->n_counted = lac_max_size(kv->votes->n_counted, kv->n_keys);
}

void lac_kv_truncate(struct lac_kv *kv, size_t n_keys)
{
    kv->n_keys = n_keys;
    drop_pages(kv, lac_ceil_div(n_keys, LAC_LANES));
    lac_kv_labels_truncate(kv, kv->n_pages);
    lac_kv_memory_truncate(kv, kv->n_pages);
    lac_kv_pools_truncate(kv, n_keys);
}

/* *copy = a copy of [n_layers][n_heads] numbers, if there are any. */
static enum lac_status copy_counts(const struct lac_kv *kv, const size_t *counts, size_t **copy,
                                   struct lac_error *error)
{
    if (!counts)
        return LAC_OK;
    *copy = lac_alloc(kv->host, n_tables(kv), sizeof **copy);
    if (!*copy)
        return no_memory(kv, kv->n_pages, error);
    memcpy(*copy, counts, n_tables(kv) * sizeof **copy);
    return LAC_OK;
}

static enum lac_status copy_lost(struct lac_kv *to, const struct lac_kv *from,
                                 struct lac_error *error)
{
    if (!from->lost)
        return LAC_OK;
    to->lost = lac_alloc(to->host, 1, lac_kv_lost_bytes(from));
    if (!to->lost)
        return no_memory(to, from->n_pages, error);
    memcpy(to->lost, from->lost, lac_kv_lost_bytes(from));
    return LAC_OK;
}

enum lac_status lac_kv_share(struct lac_kv *to, const struct lac_kv *from, size_t n_keys,
                             struct lac_error *error)
{
    size_t n_pages = lac_ceil_div(n_keys, LAC_LANES);
    enum lac_status status = copy_counts(to, from->n_gone, &to->n_gone, error);
    if (!status)
        status = copy_counts(to, from->n_skipped, &to->n_skipped, error);
    if (!status)
        status = copy_counts(to, from->n_compact, &to->n_compact, error);
    if (!status)
        status = copy_lost(to, from, error);
    if (!status)
        status = lac_kv_copy_votes(to, from, error);
    if (!status)
        status = grow_tables(to, n_pages, error);
    if (!status)
        status = lac_kv_labels_share(to, from, n_pages, error);
    if (!status)
        status = lac_kv_memory_share(to, from, n_pages, error);
    if (status)
        return status;
    for (size_t t = 0; t < n_tables(to); t++)
        for (size_t i = 0; i < n_pages - gone_pages(to, t); i++) {
            table(to, t)[i] = lac_counted_hold(table(from, t)[i]);
        }
    to->n_pages = n_pages;
    to->n_keys = n_keys;
    to->n_least = from->n_least;
    return LAC_OK;
}

struct lac_kv_gap lac_kv_gap_of(const struct lac_kv *kv, size_t layer, size_t head)
{
    size_t t = layer * kv->shape.n_heads + head;
    size_t n = lac_kv_gone(kv, layer, head) - lac_kv_skipped(kv, layer, head);
    size_t n_before = n ? kv->shape.rules->of[t].n_sinks * LAC_KEY_BLOCK : 0;
    return (struct lac_kv_gap){(int64_t)n_before, (int64_t)n};
}

/* Keys in no gap that head t can go on with: behind its sinks and before what it sees. */
static size_t skipped_by(const struct lac_kv *kv, size_t t, size_t n_keys, size_t n_gone,
                         const struct lac_kv_gap *gap)
{
    const struct lac_kv_rule *rule = kv->shape.rules ? &kv->shape.rules->of[t] : NULL;
    if (!rule || !lac_kv_streams(rule) || (size_t)gap->n_before != rule->n_sinks * LAC_KEY_BLOCK)
        return n_gone;
    size_t n_skipped = n_gone - (size_t)gap->n_keys, own = (n_keys - n_skipped) / LAC_KEY_BLOCK;
    size_t window = (own - lac_min_size(own, rule->n_left)) * LAC_KEY_BLOCK;
    return (size_t)(gap->n_before + gap->n_keys) <= window ? n_skipped : n_gone;
}

enum lac_status lac_kv_restore(struct lac_kv *kv, size_t n_keys, const int64_t *n_gone,
                               const struct lac_kv_gap *gaps, struct lac_error *error)
{
    bool has_gone = kv->shape.rules;
    for (size_t t = 0; t < n_tables(kv); t++)
        has_gone = has_gone || n_gone[t];
    if (has_gone) {
        kv->n_gone = lac_alloc(kv->host, n_tables(kv), sizeof *kv->n_gone);
        kv->n_skipped = lac_alloc(kv->host, n_tables(kv), sizeof *kv->n_skipped);
    }
    if (has_gone && (!kv->n_gone || !kv->n_skipped))
        return no_memory(kv, lac_ceil_div(n_keys, LAC_LANES), error);
    for (size_t t = 0; has_gone && t < n_tables(kv); t++) {
        kv->n_gone[t] = (size_t)n_gone[t];
        kv->n_skipped[t] = skipped_by(kv, t, n_keys, kv->n_gone[t], &gaps[t]);
    }
    enum lac_status status = grow_tables(kv, lac_ceil_div(n_keys, LAC_LANES), error);
    /* Pages come one for each head that has not given up so many. */
    kv->n_pages = status ? 0 : least_gone(kv) / LAC_LANES;
    size_t n_pages = lac_ceil_div(n_keys, LAC_LANES);
    if (!status && kv->n_pages < n_pages && !add_pages(kv, n_pages))
        status = no_memory(kv, n_pages - kv->n_pages, error);
    if (!status)
        status = lac_kv_labels_reserve(kv, n_pages, error);
    if (!status)
        status = lac_kv_memory_reserve(kv, n_pages, error);
    if (!status)
        kv->n_keys = kv->n_least = n_keys;
    return status;
}

/* ---- Rules ---- */

/* Drops pages [from, to) of head t; the others move up. */
static void remove_pages(struct lac_kv *kv, size_t t, size_t from, size_t to)
{
    void **pages = table(kv, t);
    size_t n = kv->n_pages - gone_pages(kv, t);
    for (size_t i = from; i < to; i++)
        drop_page(kv, pages[i]);
    memmove(pages + from, pages + to, (n - to) * sizeof *pages);
    kv->n_gone[t] += (to - from) * LAC_LANES;
    lac_kv_pools_truncate(kv, 0);
}

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

static void stream(struct lac_kv *kv, size_t t, size_t n_sure)
{
    const struct lac_kv_rule *rule = &kv->shape.rules->of[t];
    size_t n_skipped = kv->n_skipped ? kv->n_skipped[t] : 0, sinks = rule->n_sinks * BLOCK_PAGES;
    size_t own = (n_sure - n_skipped) / LAC_KEY_BLOCK;
    size_t first = (own - lac_min_size(own, rule->n_left)) * BLOCK_PAGES;
    size_t n_moved = gone_pages(kv, t) - n_skipped / LAC_LANES;
    if (first <= sinks + n_moved)
        return;
    first -= n_moved;
    if (rule->remembers)
        lac_kv_lose(kv, t, sinks, first);
    remove_pages(kv, t, sinks, first);
}

enum lac_status lac_kv_new_pages(const struct lac_kv *kv, size_t n, void **pages,
                                 struct lac_error *error)
{
    for (size_t i = 0; i < n; i++) {
        pages[i] = new_page(kv);
        if (pages[i])
            continue;
        while (i--)
            drop_page(kv, pages[i]);
        return no_memory(kv, n, error);
    }
    return LAC_OK;
}

void lac_kv_replace_pages(struct lac_kv *kv, size_t layer, size_t head, void *const *pages,
                          size_t n_dropped)
{
    size_t t = layer * kv->shape.n_heads + head;
    for (size_t i = gone_pages(kv, t); i < kv->n_pages; i++)
        drop_page(kv, table(kv, t)[i - gone_pages(kv, t)]);
    kv->n_gone[t] += n_dropped;
    memcpy(table(kv, t), pages, (kv->n_pages - gone_pages(kv, t)) * sizeof *pages);
    lac_kv_pools_truncate(kv, 0);
}

void lac_kv_exchange_pages(struct lac_kv *kv, size_t layer, size_t head, size_t first,
                           void *const *pages, size_t n, size_t n_compact)
{
    size_t t = layer * kv->shape.n_heads + head;
    void **at = table(kv, t) + first;
    for (size_t i = 0; i < n; i++) {
        drop_page(kv, at[i]);
        at[i] = pages[i];
    }
    kv->n_compact[t] = first + n_compact;
    lac_kv_pools_truncate(kv, 0);
}

/* Heavy hitters are looked for so often behind a prompt: at multiples of it. */
enum { CHOICE_STEP = LAC_KEY_BLOCK };

static bool has_rule(const struct lac_kv *kv, enum lac_kv_policy_kind kind)
{
    bool has = false;
    for (size_t t = 0; kv->shape.rules && t < n_tables(kv); t++)
        has = has || kv->shape.rules->of[t].kind == kind;
    return has;
}

size_t lac_kv_stop(const struct lac_kv *kv, size_t n_prompt)
{
    bool is_heavy = has_rule(kv, LAC_KV_HEAVY),
         is_compact = kv->shape.rules && kv->shape.rules->form;
    if (kv->n_keys < n_prompt)
        return is_heavy || is_compact || has_rule(kv, LAC_KV_SNAP) ? n_prompt : SIZE_MAX;
    return is_heavy ? lac_round_up(kv->n_keys + 1, CHOICE_STEP) : SIZE_MAX;
}

size_t lac_kv_most_guesses(const struct lac_kv *kv, size_t n_text, size_t n_prompt)
{
    size_t stop = lac_kv_stop(kv, n_prompt);
    return has_rule(kv, LAC_KV_HEAVY) ? 0 : stop - lac_min_size(stop, n_text);
}

/* Do heads choose here? */
static bool is_place(const struct lac_kv *kv, size_t n_prompt)
{
    if (kv->n_keys == n_prompt)
        return true;
    return kv->n_keys > n_prompt && kv->n_keys % CHOICE_STEP == 0 && has_rule(kv, LAC_KV_HEAVY);
}

enum lac_status lac_kv_settle(struct lac_kv *kv, size_t n_sure, size_t n_prompt,
                              struct lac_error *error)
{
    if (!kv->shape.rules || !kv->n_pages)
        return LAC_OK;
    if (kv->n_keys == n_sure && is_place(kv, n_prompt)) {
        /* A page that nothing is in yet would be in the way. */
        lac_kv_truncate(kv, kv->n_keys);
        kv->n_least = n_sure;
        enum lac_status status =
            kv->shape.rules->form ? lac_kv_compact(kv, error) : lac_kv_choose(kv, error);
        if (status)
            return status;
    }
    for (size_t t = 0; t < n_tables(kv); t++)
        if (lac_kv_streams(&kv->shape.rules->of[t]))
            stream(kv, t, n_sure);
    kv->n_least = n_sure;
    return LAC_OK;
}

size_t lac_kv_bytes(const struct lac_kv *kv)
{
    struct lac_compact form = lac_kv_compact_form(&kv->shape);
    size_t n_pages = 0, n_compact = 0;
    for (size_t t = 0; t < n_tables(kv); t++) {
        n_pages += kv->n_pages - gone_pages(kv, t);
        n_compact += kv->n_compact ? kv->n_compact[t] : 0;
    }
    n_pages -= n_compact;
    return n_pages * page_bytes(kv) + n_compact * lac_compact_bytes(&form) + lac_kv_lost_bytes(kv) +
           lac_kv_votes_bytes(kv) + lac_kv_labels_bytes(kv) + lac_kv_memory_bytes(kv) +
           lac_kv_pools_bytes(kv);
}
