/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys heads keep whose votes decide (Li et al. 2024, Zhang et al. 2023). */
#include "src/run/kv_choice.h"

#include <string.h>

#include "src/base/checked.h"
#include "src/run/kv_deal.h"
#include "src/run/kv_slots.h"
#include "src/run/kv_votes.h"

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.n_layers * kv->shape.n_heads;
}

static size_t n_slots_of(const struct lac_kv *kv, size_t t)
{
    return kv->n_keys - (kv->n_gone ? kv->n_gone[t] : 0);
}

/* Does the head give up something now, if it may keep so many? */
static bool is_over(const struct lac_kv *kv, size_t t, size_t budget)
{
    return lac_kv_is_voted(&kv->shape.rules->of[t]) && n_slots_of(kv, t) >= budget + LAC_LANES;
}

/* ---- Who stays ---- */

/* After a prompt a key has the votes of the one with most of those round it: what belongs together
 * stays. */
enum { POOL_SIDE = 3 };

static float pooled(const float *votes, size_t n, size_t i, size_t side)
{
    size_t begin = i - lac_min_size(i, side), end = lac_min_size(i + side + 1, n);
    float most = 0;
    for (size_t k = begin; votes && k < end; k++)
        most = votes[k] > most ? votes[k] : most;
    return most;
}

/* The n_chosen of the first n slots that stay, in order; votes NULL: there were none. */
static void choose(const float *votes, size_t n, size_t n_chosen, size_t side,
                   struct lac_kv_candidate *candidates)
{
    for (size_t i = 0; i < n; i++)
        candidates[i] = (struct lac_kv_candidate){pooled(votes, n, i, side), (uint32_t)i};
    lac_kv_sort_by_votes(candidates, n);
    lac_kv_sort_by_slot(candidates, n_chosen);
}

/* ---- The choice of a head ---- */

/* What stays of a head's slots: the chosen, then those from `tail` on. */
struct choice {
    const struct lac_kv_candidate *chosen;
    size_t n_chosen, tail, n_kept;
};

static size_t slot_of(const struct choice *c, size_t i)
{
    return i < c->n_chosen ? c->chosen[i].slot : c->tail + (i - c->n_chosen);
}

static void gather(const struct lac_kv_shape *shape, void *const *from, const struct choice *c,
                   void *const *to)
{
    for (size_t i = 0; i < c->n_kept; i++) {
        size_t slot = slot_of(c, i);
        if (i % LAC_LANES == 0)
            lac_kv_clear_page(shape, to[i / LAC_LANES]);
        lac_kv_copy_slot(shape, to[i / LAC_LANES], i % LAC_LANES, from[slot / LAC_LANES],
                         slot % LAC_LANES);
    }
}

/* Votes stay with their keys. */
static void gather_votes(float *votes, const struct choice *c, size_t n_slots)
{
    for (size_t i = 0; i < c->n_kept; i++)
        votes[i] = votes[slot_of(c, i)];
    memset(votes + c->n_kept, 0, (n_slots - c->n_kept) * sizeof *votes);
}

/* The votes that count now for a head, or NULL. */
static float *votes_of(const struct lac_kv *kv, size_t layer, size_t head)
{
    const struct lac_kv_rule *rule = &kv->shape.rules->of[layer * kv->shape.n_heads + head];
    size_t n_prompt = rule->kind == LAC_KV_SNAP ? kv->n_keys : 0;
    bool has_votes = kv->votes && kv->votes->n_prompt == n_prompt && !kv->votes->is_thin;
    return has_votes ? lac_kv_head_votes(kv, layer, head) : NULL;
}

/* Room for the work: as many candidates as slots; a budget a layer; the pages that heads have when
 * they have chosen, one head after another. */
struct room {
    struct lac_kv_candidate *candidates;
    size_t *budgets;
    void **pages;
};

/* What a head keeps that may keep so many. */
static size_t n_kept_of(const struct lac_kv *kv, size_t t, size_t budget)
{
    size_t n_slots = n_slots_of(kv, t);
    return n_slots - (n_slots - budget) / LAC_LANES * LAC_LANES;
}

static void choose_head(struct lac_kv *kv, size_t layer, size_t head, const struct room *room,
                        void **pages)
{
    size_t t = layer * kv->shape.n_heads + head, n_slots = n_slots_of(kv, t);
    const struct lac_kv_rule *rule = &kv->shape.rules->of[t];
    size_t n_kept = n_kept_of(kv, t, room->budgets[layer]);
    struct choice c = {
        .chosen = room->candidates,
        .n_chosen = n_kept - rule->n_last,
        .tail = n_slots - rule->n_last,
        .n_kept = n_kept,
    };
    float *votes = votes_of(kv, layer, head);
    choose(votes, c.tail, c.n_chosen, rule->kind == LAC_KV_SNAP ? POOL_SIDE : 0, room->candidates);
    gather(&kv->shape, lac_kv_head(kv, layer, head), &c, pages);
    if (votes)
        gather_votes(votes, &c, kv->votes->n_slots);
    lac_kv_replace_pages(kv, layer, head, pages, n_slots - n_kept);
}

/* Budgets of all layers; those without a head that chooses may have any. */
static enum lac_status find_budgets(const struct lac_kv *kv, size_t *budgets,
                                    struct lac_error *error)
{
    const struct lac_kv_rules *rules = kv->shape.rules;
    if (rules->deal == LAC_KV_BY_MASS)
        return lac_kv_deal(kv, budgets, error);
    for (size_t t = 0; t < n_tables(kv); t++)
        if (lac_kv_is_voted(&rules->of[t]))
            budgets[t / kv->shape.n_heads] = rules->of[t].budget;
    return LAC_OK;
}

/* Pages first: with budgets that are dealt out, heads must not choose twice. */
static enum lac_status choose_all(struct lac_kv *kv, struct room *room, struct lac_error *error)
{
    size_t n_heads = kv->shape.n_heads, n = 0;
    enum lac_status status = find_budgets(kv, room->budgets, error);
    for (size_t t = 0; t < n_tables(kv) && !status; t++)
        if (is_over(kv, t, room->budgets[t / n_heads]))
            n += lac_ceil_div(n_kept_of(kv, t, room->budgets[t / n_heads]), LAC_LANES);
    room->pages = status ? NULL : lac_alloc(kv->host, n, sizeof *room->pages);
    if (!status && !room->pages)
        status = lac_fail(error, LAC_E_MEMORY, "no memory for %zu pages", n);
    if (!status)
        status = lac_kv_new_pages(kv, n, room->pages, error);
    void **pages = room->pages;
    for (size_t t = 0; t < n_tables(kv) && !status; t++) {
        size_t budget = room->budgets[t / n_heads];
        if (!is_over(kv, t, budget))
            continue;
        n = lac_ceil_div(n_kept_of(kv, t, budget), LAC_LANES);
        choose_head(kv, t / n_heads, t % n_heads, room, pages);
        pages += n;
    }
    return status;
}

enum lac_status lac_kv_choose(struct lac_kv *kv, struct lac_error *error)
{
    bool is_any = false;
    for (size_t t = 0; t < n_tables(kv); t++)
        is_any = is_any || is_over(kv, t, kv->shape.rules->of[t].budget);
    if (!is_any)
        return LAC_OK;
    size_t n_most = lac_kv_most_slots(kv);
    struct room room = {
        .candidates = lac_alloc(kv->host, n_most, sizeof *room.candidates),
        .budgets = lac_alloc(kv->host, kv->shape.n_layers, sizeof *room.budgets),
    };
    enum lac_status status = LAC_OK;
    if (!room.candidates || !room.budgets)
        status = lac_fail(error, LAC_E_MEMORY, "no memory to choose among %zu keys", n_most);
    else
        status = choose_all(kv, &room, error);
    lac_free(kv->host, room.candidates);
    lac_free(kv->host, room.budgets);
    lac_free(kv->host, room.pages);
    if (!status)
        lac_kv_close_votes(kv);
    return status;
}
