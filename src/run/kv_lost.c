/* SPDX-License-Identifier: Apache-2.0 */
/* The means of what streaming heads have given up (Tang et al. 2024). */
#include "src/run/kv_lost.h"

#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/base/half.h"

enum { BLOCK_PAGES = LAC_KEY_BLOCK / LAC_LANES };

enum lac_status lac_kv_open_lost(struct lac_kv *kv, struct lac_error *error)
{
    size_t n = kv->shape.n_layers * kv->shape.n_heads;
    if (kv->lost || !kv->shape.rules || kv->shape.rules->rest != LAC_KV_MEAN)
        return LAC_OK;
    kv->lost = lac_alloc_zero(kv->host, n * lac_kv_lost_size(kv), sizeof *kv->lost);
    return kv->lost ? LAC_OK
                    : lac_fail(error, LAC_E_MEMORY, "no memory for the means of %zu heads", n);
}

static float element(enum lac_dtype dtype, const void *at, size_t i)
{
    return dtype == LAC_BF16 ? lac_bf16_to_f32(((const uint16_t *)at)[i]) : ((const float *)at)[i];
}

static void add_floats(const struct lac_kv_shape *shape, const void *page, double *sums)
{
    size_t n = shape->head_dim;
    for (size_t f = 0; f < n; f++)
        for (size_t j = 0; j < LAC_LANES; j++) {
            sums[f] += (double)element(shape->dtype, page, f * LAC_LANES + j);
            sums[n + f] += (double)element(shape->dtype, page, (LAC_LANES + j) * n + f);
        }
}

static void add_bytes(size_t head_dim, const struct lac_kv_page *page, double *sums)
{
    size_t n_dwords = lac_ceil_div(head_dim, 4);
    const uint8_t *k = page->rows, *v = page->rows + lac_kv_page_keys_bytes(head_dim);
    for (size_t f = 0; f < head_dim; f++)
        for (size_t j = 0; j < LAC_LANES; j++) {
            int key = k[(f / 4 * LAC_LANES + j) * 4 + f % 4] - 128;
            int value = (int8_t)v[(j / 4 * n_dwords * 4 + f) * 4 + j % 4];
            sums[f] += (double)(page->k_scale[j] * (float)key);
            sums[head_dim + f] += (double)(page->v_scale[j] * (float)value);
        }
}

static void add_pages(const struct lac_kv_shape *shape, void *const *pages, size_t n, double *sums)
{
    for (size_t i = 0; i < n; i++)
        if (shape->dtype == LAC_S8)
            add_bytes(shape->head_dim, pages[i], sums);
        else
            add_floats(shape, pages[i], sums);
    sums[2 * shape->head_dim] += (double)(n * LAC_LANES);
}

static void **pages_of(const struct lac_kv *kv, size_t t)
{
    return lac_kv_head(kv, t / kv->shape.n_heads, t % kv->shape.n_heads);
}

void lac_kv_lose(struct lac_kv *kv, size_t t, size_t from, size_t to)
{
    if (kv->lost)
        add_pages(&kv->shape, pages_of(kv, t) + from, to - from,
                  kv->lost + t * lac_kv_lost_size(kv));
}

bool lac_kv_find_lost(const struct lac_kv *kv, size_t layer, size_t head, size_t place, float *room,
                      struct lac_lost_keys *lost)
{
    size_t t = layer * kv->shape.n_heads + head, n = kv->shape.head_dim;
    double sums[2 * LAC_MAX_HEAD_DIM + 1];
    if (!kv->lost || !kv->shape.rules || !kv->shape.rules->of[t].remembers)
        return false;
    const struct lac_kv_rule *rule = &kv->shape.rules->of[t];
    size_t own = place / LAC_KEY_BLOCK, sinks = rule->n_sinks * BLOCK_PAGES;
    size_t first = (own - lac_min_size(own, rule->n_left)) * BLOCK_PAGES;
    size_t n_moved = (lac_kv_gone(kv, layer, head) - lac_kv_skipped(kv, layer, head)) / LAC_LANES;
    memcpy(sums, kv->lost + t * lac_kv_lost_size(kv), lac_kv_lost_size(kv) * sizeof *sums);
    if (first > sinks + n_moved)
        add_pages(&kv->shape, pages_of(kv, t) + sinks, first - n_moved - sinks, sums);
    if (!(sums[2 * n] > 0))
        return false;
    for (size_t i = 0; i < 2 * n; i++)
        room[i] = (float)(sums[i] / sums[2 * n]);
    *lost = (struct lac_lost_keys){room, room + n, (float)log(sums[2 * n])};
    return true;
}
