/* SPDX-License-Identifier: Apache-2.0 */
/* Votes of the end of a prompt, and what they leave of it (Li et al. 2024). */
#include "src/run/kv_snap.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"

/* ---- Votes ---- */

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

static size_t gone_of(const struct lac_kv *kv, size_t t)
{
    return kv->n_gone ? kv->n_gone[t] : 0;
}

/* Does the head give up something when the prompt has gone through? */
static bool is_over(const struct lac_kv *kv, size_t t, size_t n_prompt)
{
    const struct lac_kv_rule *rule = &kv->shape.rules->of[t];
    return rule->kind == LAC_KV_SNAP && n_prompt - gone_of(kv, t) >= rule->budget + LAC_LANES;
}

static size_t bytes_of(const struct lac_kv *kv, size_t n_slots)
{
    size_t n_rows = n_tables(kv) + kv->shape.n_heads * LAC_ROW_QUERIES;
    return sizeof(struct lac_kv_votes) + n_rows * n_slots * sizeof(float);
}

size_t lac_kv_votes_bytes(const struct lac_kv *kv)
{
    return kv->votes ? bytes_of(kv, kv->votes->n_slots) : 0;
}

static enum lac_status no_memory(size_t n_slots, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for the votes on %zu keys", n_slots);
}

/* Votes on another prompt do not count for this one. */
static enum lac_status open_votes(struct lac_kv *kv, size_t n_prompt, struct lac_error *error)
{
    if (kv->votes && kv->votes->n_prompt == n_prompt)
        return LAC_OK;
    size_t n_most = n_prompt - (kv->n_keys - lac_kv_most_slots(kv));
    size_t n_slots = lac_round_up(n_most, LAC_KEY_BLOCK);
    struct lac_kv_votes *votes = lac_alloc_zero(kv->host, 1, bytes_of(kv, n_slots));
    if (!votes)
        return no_memory(n_slots, error);
    lac_free(kv->host, kv->votes);
    kv->votes = votes;
    votes->n_prompt = n_prompt;
    votes->n_slots = n_slots;
    return LAC_OK;
}

enum lac_status lac_kv_vote(struct lac_kv *kv, size_t n_prompt, size_t n_more, size_t *n_voters,
                            struct lac_error *error)
{
    size_t n_observed = 0, end = kv->n_keys + n_more;
    *n_voters = 0;
    if (!kv->shape.rules || kv->n_keys >= n_prompt)
        return LAC_OK;
    for (size_t t = 0; t < n_tables(kv); t++)
        if (is_over(kv, t, n_prompt))
            n_observed = kv->shape.rules->of[t].n_observed;
    size_t first = n_prompt - lac_min_size(n_prompt, n_observed);
    if (!n_observed || end <= first)
        return LAC_OK;
    enum lac_status status = open_votes(kv, n_prompt, error);
    if (status)
        return status;
    first = lac_max_size(first, kv->votes->n_counted);
    *n_voters = end > first ? lac_min_size(n_more, end - first) : 0;
    return LAC_OK;
}

enum lac_status lac_kv_copy_votes(struct lac_kv *to, const struct lac_kv *from,
                                  struct lac_error *error)
{
    if (!from->votes)
        return LAC_OK;
    to->votes = lac_alloc(to->host, 1, lac_kv_votes_bytes(from));
    if (!to->votes)
        return no_memory(from->votes->n_slots, error);
    memcpy(to->votes, from->votes, lac_kv_votes_bytes(from));
    return LAC_OK;
}

enum lac_status lac_kv_restore_votes(struct lac_kv *kv, const struct lac_kv_votes *sizes,
                                     const float *votes, struct lac_error *error)
{
    kv->votes = lac_alloc_zero(kv->host, 1, bytes_of(kv, sizes->n_slots));
    if (!kv->votes)
        return no_memory(sizes->n_slots, error);
    *kv->votes = *sizes;
    memcpy(kv->votes->at, votes, n_tables(kv) * sizes->n_slots * sizeof *votes);
    return LAC_OK;
}

/* ---- Who stays ---- */

struct candidate {
    float votes;
    uint32_t slot;
};

/* Of equals the later one. */
static int by_votes(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->votes > y->votes || x->votes < y->votes)
        return x->votes > y->votes ? -1 : 1;
    return x->slot > y->slot ? -1 : x->slot < y->slot;
}

static int by_slot(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* A key has the votes of the one with most of those round it: what belongs together stays. */
enum { POOL_SIDE = 3 };

static float pooled(const float *votes, size_t n, size_t i)
{
    size_t begin = i - lac_min_size(i, POOL_SIDE), end = lac_min_size(i + POOL_SIDE + 1, n);
    float most = 0;
    for (size_t k = begin; votes && k < end; k++)
        most = votes[k] > most ? votes[k] : most;
    return most;
}

/* The n_chosen of the first n slots that stay, in order; votes NULL: there were none. */
static void choose(const float *votes, size_t n, size_t n_chosen, struct candidate *candidates)
{
    for (size_t i = 0; i < n; i++)
        candidates[i] = (struct candidate){pooled(votes, n, i), (uint32_t)i};
    qsort(candidates, n, sizeof *candidates, by_votes);
    qsort(candidates, n_chosen, sizeof *candidates, by_slot);
}

/* ---- Slots of pages: simd/attention.h ---- */

static void copy_floats(size_t element, size_t head_dim, char *to, size_t i, const char *from,
                        size_t j)
{
    size_t values = LAC_LANES * head_dim * element, row = head_dim * element;
    for (size_t f = 0; f < head_dim; f++)
        memcpy(to + (f * LAC_LANES + i) * element, from + (f * LAC_LANES + j) * element, element);
    memcpy(to + values + i * row, from + values + j * row, row);
}

static void copy_bytes(size_t head_dim, struct lac_kv_page *to, size_t i,
                       const struct lac_kv_page *from, size_t j)
{
    size_t n_dwords = lac_ceil_div(head_dim, 4), values = lac_kv_page_keys_bytes(head_dim);
    to->k_scale[i] = from->k_scale[j];
    to->v_scale[i] = from->v_scale[j];
    for (size_t d = 0; d < n_dwords; d++)
        memcpy(to->rows + (d * LAC_LANES + i) * 4, from->rows + (d * LAC_LANES + j) * 4, 4);
    uint8_t *v = to->rows + values + i / 4 * n_dwords * 16 + i % 4;
    const uint8_t *w = from->rows + values + j / 4 * n_dwords * 16 + j % 4;
    for (size_t f = 0; f < n_dwords * 4; f++)
        v[f * 4] = w[f * 4];
}

static void copy_slot(const struct lac_kv_shape *shape, void *to, size_t i, const void *from,
                      size_t j)
{
    if (shape->dtype == LAC_S8)
        copy_bytes(shape->head_dim, to, i, from, j);
    else
        copy_floats(shape->dtype == LAC_BF16 ? 2 : 4, shape->head_dim, to, i, from, j);
}

static void clear_page(const struct lac_kv_shape *shape, void *page)
{
    memset(page, 0, lac_kv_page_bytes(shape->dtype, shape->head_dim));
    if (shape->dtype == LAC_S8)
        memset(((struct lac_kv_page *)page)->rows, 128, lac_kv_page_keys_bytes(shape->head_dim));
}

/* ---- The choice of a head ---- */

/* What stays of a head's slots: the chosen, then those from `tail` on. */
struct choice {
    const struct candidate *chosen;
    size_t n_chosen, tail, n_kept;
};

static void gather(const struct lac_kv_shape *shape, void *const *from, const struct choice *c,
                   void *const *to)
{
    for (size_t i = 0; i < c->n_kept; i++) {
        size_t slot = i < c->n_chosen ? c->chosen[i].slot : c->tail + (i - c->n_chosen);
        if (i % LAC_LANES == 0)
            clear_page(shape, to[i / LAC_LANES]);
        copy_slot(shape, to[i / LAC_LANES], i % LAC_LANES, from[slot / LAC_LANES],
                  slot % LAC_LANES);
    }
}

/* Room for the work: as many candidates as slots, as many pages as they fill. */
struct room {
    struct candidate *candidates;
    void **pages;
};

static enum lac_status snap_head(struct lac_kv *kv, size_t layer, size_t head,
                                 const struct room *room, struct lac_error *error)
{
    size_t t = layer * kv->shape.n_heads + head;
    const struct lac_kv_rule *rule = &kv->shape.rules->of[t];
    size_t n_slots = kv->n_keys - gone_of(kv, t);
    size_t n_dropped = (n_slots - rule->budget) / LAC_LANES * LAC_LANES;
    struct choice c = {
        .chosen = room->candidates,
        .n_chosen = n_slots - n_dropped - rule->n_observed,
        .tail = n_slots - rule->n_observed,
        .n_kept = n_slots - n_dropped,
    };
    size_t n_pages = lac_ceil_div(c.n_kept, LAC_LANES);
    bool has_votes = kv->votes && kv->votes->n_prompt == kv->n_keys;
    enum lac_status status = lac_kv_new_pages(kv, n_pages, room->pages, error);
    if (status)
        return status;
    choose(has_votes ? lac_kv_head_votes(kv, layer, head) : NULL, c.tail, c.n_chosen,
           room->candidates);
    gather(&kv->shape, lac_kv_head(kv, layer, head), &c, room->pages);
    lac_kv_replace_pages(kv, layer, head, room->pages, n_dropped);
    return LAC_OK;
}

enum lac_status lac_kv_snap(struct lac_kv *kv, struct lac_error *error)
{
    bool is_any = false;
    for (size_t t = 0; t < n_tables(kv); t++)
        is_any = is_any || is_over(kv, t, kv->n_keys);
    if (!is_any)
        return LAC_OK;
    size_t n_most = lac_kv_most_slots(kv);
    struct room room = {
        .candidates = lac_alloc(kv->host, n_most, sizeof *room.candidates),
        .pages = lac_alloc(kv->host, lac_ceil_div(n_most, LAC_LANES), sizeof *room.pages),
    };
    enum lac_status status = LAC_OK;
    if (!room.candidates || !room.pages)
        status = no_memory(n_most, error);
    for (size_t t = 0; t < n_tables(kv) && !status; t++)
        if (is_over(kv, t, kv->n_keys))
            status = snap_head(kv, t / kv->shape.n_heads, t % kv->shape.n_heads, &room, error);
    lac_free(kv->host, room.candidates);
    lac_free(kv->host, room.pages);
    if (!status) {
        lac_free(kv->host, kv->votes);
        kv->votes = NULL;
    }
    return status;
}
