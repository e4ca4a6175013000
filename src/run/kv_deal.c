/* SPDX-License-Identifier: Apache-2.0 */
/* One budget for all layers (Wang et al. 2024). */
#include "src/run/kv_deal.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/run/kv_votes.h"

/* Keys of a layer that may go, and what share of its votes the k with most of them have, heads
 * together: curve[k], k from 0 to n. */
struct layer {
    size_t n, n_heads;
    double *curve;
};

static const struct lac_kv_rule *rule_of(const struct lac_kv *kv, size_t layer, size_t head)
{
    return &kv->shape.rules->of[layer * kv->shape.n_heads + head];
}

/* Heads of a layer that choose give up the same numbers. */
static struct layer count(const struct lac_kv *kv, size_t layer)
{
    struct layer l = {0};
    for (size_t head = 0; head < kv->shape.n_heads; head++) {
        const struct lac_kv_rule *rule = rule_of(kv, layer, head);
        size_t n_slots = kv->n_keys - lac_kv_gone(kv, layer, head);
        if (!lac_kv_is_voted(rule))
            continue;
        l.n = n_slots - lac_min_size(n_slots, rule->n_last);
        l.n_heads++;
    }
    return l;
}

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

/* sorted: room for n votes. */
static void draw(const struct lac_kv *kv, size_t layer, struct layer *l, float *sorted)
{
    for (size_t k = 0; k <= l->n; k++)
        l->curve[k] = 0;
    for (size_t head = 0; head < kv->shape.n_heads; head++) {
        if (!lac_kv_is_voted(rule_of(kv, layer, head)))
            continue;
        memcpy(sorted, lac_kv_head_votes(kv, layer, head), l->n * sizeof *sorted);
        qsort(sorted, l->n, sizeof *sorted, falling);
        for (size_t k = 0; k < l->n; k++)
            l->curve[k + 1] += (double)sorted[k];
    }
    for (size_t k = 1; k <= l->n; k++)
        l->curve[k] += l->curve[k - 1];
    for (size_t k = 1; k <= l->n && l->curve[l->n] > 0; k++)
        l->curve[k] = k < l->n ? l->curve[k] / l->curve[l->n] : 1;
}

/* The fewest keys with that share, or all. */
static size_t keys_of(const struct layer *l, double share)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->curve[middle] < share)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t keys_of_all(const struct layer *layers, size_t n_layers, double share)
{
    size_t total = 0;
    for (size_t i = 0; i < n_layers; i++)
        total += layers[i].n_heads * keys_of(&layers[i], share);
    return total;
}

/* As many halvings as a double has bits. */
enum { HALVINGS = 53 };

static double largest_share(const struct layer *layers, size_t n_layers, size_t n_most)
{
    double low = 0, high = 1;
    if (keys_of_all(layers, n_layers, high) <= n_most)
        return high;
    for (size_t i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (keys_of_all(layers, n_layers, middle) <= n_most)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static const struct lac_kv_rule *any_rule(const struct lac_kv *kv)
{
    const struct lac_kv_rule *rule = kv->shape.rules->of;
    while (!lac_kv_is_voted(rule))
        rule++;
    return rule;
}

static void deal(const struct lac_kv *kv, struct layer *layers, double *curves, float *sorted,
                 size_t *budgets)
{
    const struct lac_kv_rule *rule = any_rule(kv);
    size_t n_heads = 0, n_layers = kv->shape.n_layers;
    for (size_t i = 0; i < n_layers; i++) {
        layers[i].curve = curves;
        draw(kv, i, &layers[i], sorted);
        curves += layers[i].n + 1;
        n_heads += layers[i].n_heads;
    }
    double share = largest_share(layers, n_layers, n_heads * (rule->budget - rule->n_last));
    for (size_t i = 0; i < n_layers; i++)
        budgets[i] = rule->n_last + keys_of(&layers[i], share);
}

/* Keys of each layer that have that share of its votes. */
static void share_out(const struct lac_kv *kv, struct layer *layers, double *curve, float *sorted,
                      size_t *n_keys)
{
    for (size_t i = 0; i < kv->shape.n_layers; i++) {
        layers[i].curve = curve;
        draw(kv, i, &layers[i], sorted);
        n_keys[i] = keys_of(&layers[i], kv->shape.rules->share);
    }
}

enum lac_status lac_kv_deal(const struct lac_kv *kv, size_t *budgets, struct lac_error *error)
{
    size_t n_layers = kv->shape.n_layers, n = 0, n_most = 0;
    if (!kv->votes || kv->votes->n_prompt != kv->n_keys || kv->votes->is_thin) {
        for (size_t i = 0; i < n_layers; i++)
            budgets[i] = LAC_KV_MOST;
        return LAC_OK;
    }
    struct layer *layers = lac_alloc(kv->host, n_layers, sizeof *layers);
    for (size_t i = 0; layers && i < n_layers; i++) {
        layers[i] = count(kv, i);
        n += layers[i].n + 1;
        n_most = lac_max_size(n_most, layers[i].n);
    }
    double *curves = layers ? lac_alloc(kv->host, n, sizeof *curves) : NULL;
    float *sorted = curves ? lac_alloc(kv->host, n_most + 1, sizeof *sorted) : NULL;
    if (sorted)
        (kv->shape.rules->share > 0 ? share_out : deal)(kv, layers, curves, sorted, budgets);
    enum lac_status status =
        sorted ? LAC_OK
               : lac_fail(error, LAC_E_MEMORY, "no memory for the votes of %zu layers", n_layers);
    lac_free(kv->host, layers);
    lac_free(kv->host, curves);
    lac_free(kv->host, sorted);
    return status;
}
