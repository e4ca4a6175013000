/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of the pages of a cache. */
#include "src/run/kv_labels.h"

#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "src/run/counted.h"
#include "src/run/kv.h"

static const struct lac_kv_rule *rule_of(const struct lac_kv *kv, size_t t)
{
    return &kv->shape.rules->of[t];
}

static bool chooses(const struct lac_kv *kv, size_t t)
{
    return kv->shape.rules && lac_kv_is_labelled(rule_of(kv, t));
}

static size_t n_tables(const struct lac_kv *kv)
{
    return kv->shape.rules && kv->shape.rules->n_labels ? kv->shape.n_layers * kv->shape.n_heads
                                                        : 0;
}

static size_t block_bytes(const struct lac_kv *kv)
{
    return lac_labels_bytes(kv->shape.rules->n_labels, kv->shape.rules->n_dwords);
}

static void **table(const struct lac_kv *kv, size_t t)
{
    return kv->labels.at + t * kv->labels.capacity;
}

const void *const *lac_kv_head_labels(const struct lac_kv *kv, size_t layer, size_t head)
{
    return (const void *const *)table(kv, layer * kv->shape.n_heads + head);
}

/* ---- Memory ---- */

static enum lac_status no_memory(const struct lac_kv *kv, size_t n_blocks, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for labels of %zu pages of %zu heads",
                    n_blocks * LAC_LANES, n_tables(kv));
}

static bool grow_tables(struct lac_kv *kv, size_t n_blocks)
{
    struct lac_kv_labels *l = &kv->labels;
    size_t n;
    if (n_blocks <= l->capacity)
        return true;
    size_t capacity = lac_max_size(lac_max_size(4, n_blocks), l->capacity * 2);
    void **at =
        lac_mul_size(n_tables(kv), capacity, &n) ? lac_alloc(kv->host, n, sizeof *at) : NULL;
    if (!at)
        return false;
    for (size_t t = 0; l->n_blocks && t < n_tables(kv); t++)
        memcpy(at + t * capacity, table(kv, t), l->n_blocks * sizeof *at);
    lac_free(kv->host, l->at);
    l->at = at;
    l->capacity = capacity;
    return true;
}

static void drop_blocks(const struct lac_kv *kv, size_t t, size_t from, size_t to)
{
    for (size_t i = from; chooses(kv, t) && i < to; i++)
        lac_counted_drop(kv->host, table(kv, t)[i]);
}

static bool add_blocks_of(struct lac_kv *kv, size_t t, size_t n_blocks)
{
    for (size_t i = kv->labels.n_blocks; chooses(kv, t) && i < n_blocks; i++) {
        void *block = lac_counted_new(kv->host, block_bytes(kv));
        if (!block) {
            drop_blocks(kv, t, kv->labels.n_blocks, i);
            return false;
        }
        memset(block, 0, block_bytes(kv)); /* pages that are not full have labels too */
        table(kv, t)[i] = block;
    }
    return true;
}

/* For every head or none; those of a head side by side. */
static bool add_blocks(struct lac_kv *kv, size_t n_blocks)
{
    for (size_t t = 0; t < n_tables(kv); t++) {
        if (add_blocks_of(kv, t, n_blocks))
            continue;
        while (t--)
            drop_blocks(kv, t, kv->labels.n_blocks, n_blocks);
        return false;
    }
    kv->labels.n_blocks = n_blocks;
    return true;
}

/* That which the next full page's label goes into. */
static bool own_block(struct lac_kv *kv)
{
    size_t i = kv->n_keys / LAC_LANES / LAC_LANES;
    for (size_t t = 0; i < kv->labels.n_blocks && t < n_tables(kv); t++) {
        void **block = &table(kv, t)[i];
        if (!chooses(kv, t) || !lac_counted_is_shared(*block))
            continue;
        void *copy = lac_counted_new(kv->host, block_bytes(kv));
        if (!copy)
            return false;
        memcpy(copy, *block, block_bytes(kv));
        lac_counted_drop(kv->host, *block);
        *block = copy;
    }
    return true;
}

enum lac_status lac_kv_labels_reserve(struct lac_kv *kv, size_t n_pages, struct lac_error *error)
{
    size_t n_blocks = lac_ceil_div(n_pages, LAC_LANES);
    if (!n_tables(kv))
        return LAC_OK;
    if (!grow_tables(kv, n_blocks) || !own_block(kv) ||
        (n_blocks > kv->labels.n_blocks && !add_blocks(kv, n_blocks)))
        return no_memory(kv, n_blocks, error);
    return LAC_OK;
}

void lac_kv_labels_truncate(struct lac_kv *kv, size_t n_pages)
{
    size_t n_blocks = lac_min_size(kv->labels.n_blocks, lac_ceil_div(n_pages, LAC_LANES));
    for (size_t t = 0; t < n_tables(kv); t++)
        drop_blocks(kv, t, n_blocks, kv->labels.n_blocks);
    kv->labels.n_blocks = n_blocks;
}

enum lac_status lac_kv_labels_share(struct lac_kv *to, const struct lac_kv *from, size_t n_pages,
                                    struct lac_error *error)
{
    size_t n_blocks = lac_ceil_div(n_pages, LAC_LANES);
    if (!n_tables(to))
        return LAC_OK;
    if (!grow_tables(to, n_blocks))
        return no_memory(to, n_blocks, error);
    for (size_t t = 0; t < n_tables(to); t++)
        for (size_t i = 0; chooses(to, t) && i < n_blocks; i++)
            table(to, t)[i] = lac_counted_hold(table(from, t)[i]);
    to->labels.n_blocks = n_blocks;
    return LAC_OK;
}

void lac_kv_labels_clear(struct lac_kv *kv)
{
    lac_kv_labels_truncate(kv, 0);
    lac_free(kv->host, kv->labels.at);
    kv->labels = (struct lac_kv_labels){0};
}

size_t lac_kv_labels_bytes(const struct lac_kv *kv)
{
    size_t n = 0;
    for (size_t t = 0; t < n_tables(kv); t++)
        n += chooses(kv, t);
    return n ? n * kv->labels.n_blocks * block_bytes(kv) : 0;
}

/* ---- What is in them ---- */

/* A feature of a page's keys. */
static void load_feature(const struct lac_kv_shape *shape, const void *page, size_t f,
                         float x[LAC_LANES])
{
    if (shape->dtype == LAC_S8) {
        const struct lac_kv_page *p = page;
        const uint8_t *row = p->rows + f / 4 * LAC_LANES * 4 + f % 4;
        for (size_t j = 0; j < LAC_LANES; j++)
            x[j] = (float)(row[j * 4] - 128) * p->k_scale[j];
    } else if (shape->dtype == LAC_BF16) {
        const uint16_t *row = (const uint16_t *)page + f * LAC_LANES;
        for (size_t j = 0; j < LAC_LANES; j++)
            x[j] = lac_bf16_to_f32(row[j]);
    } else {
        memcpy(x, (const float *)page + f * LAC_LANES, LAC_LANES * sizeof *x);
    }
}

static uint8_t *number_at(const struct lac_kv_rules *rules, struct lac_labels *labels, size_t page,
                          size_t label, size_t f)
{
    return &labels->rows[((label * rules->n_dwords + f / 4) * LAC_LANES + page) * 4 + f % 4];
}

static uint8_t to_byte(float x)
{
    return (uint8_t)((int)(x < -127 ? -127 : x > 127 ? 127 : x) + 128);
}

/* Numbers that pad a label are 0. */
static void clear_page(const struct lac_kv_rules *rules, struct lac_labels *labels, size_t page)
{
    for (size_t i = 0; i < rules->n_labels; i++)
        for (size_t f = 0; f < rules->n_dwords * 4; f++)
            *number_at(rules, labels, page, i, f) = 128;
}

static void bound_page(const struct lac_kv *kv, const void *from, struct lac_labels *labels,
                       size_t page)
{
    const struct lac_kv_rules *rules = kv->shape.rules;
    size_t n = kv->shape.head_dim, half = rules->n_dwords * 2;
    float high[LAC_MAX_HEAD_DIM], low[LAC_MAX_HEAD_DIM], most = 0, x[LAC_LANES];
    for (size_t f = 0; f < n; f++) {
        load_feature(&kv->shape, from, f, x);
        high[f] = low[f] = x[0];
        for (size_t j = 1; j < LAC_LANES; j++) {
            high[f] = x[j] > high[f] ? x[j] : high[f];
            low[f] = x[j] < low[f] ? x[j] : low[f];
        }
        most = fmaxf(most, fmaxf(fabsf(high[f]), fabsf(low[f])));
    }
    float factor = most > 0 ? 127 / most : 0;
    labels->scale[page] = most / 127;
    for (size_t f = 0; f < n; f++) {
        *number_at(rules, labels, page, 0, f) = to_byte(ceilf(high[f] * factor));
        *number_at(rules, labels, page, 0, half + f) = to_byte(floorf(low[f] * factor));
    }
}

static void mark_page(const struct lac_kv *kv, const struct lac_kv_rule *rule, const void *from,
                      struct lac_labels *labels, size_t page)
{
    const struct lac_kv_rules *rules = kv->shape.rules;
    float x[LAC_KV_MOST_CHANNELS][LAC_LANES], most = 0;
    for (size_t i = 0; i < rules->n_channels; i++) {
        load_feature(&kv->shape, from, rule->channels[i], x[i]);
        for (size_t j = 0; j < LAC_LANES; j++)
            most = fmaxf(most, fabsf(x[i][j]));
    }
    float factor = most > 0 ? 127 / most : 0;
    labels->scale[page] = most / 127;
    for (size_t i = 0; i < rules->n_channels; i++)
        for (size_t j = 0; j < LAC_LANES; j++)
            *number_at(rules, labels, page, j, i) = to_byte(rintf(x[i][j] * factor));
}

void lac_kv_label(const struct lac_kv *kv, size_t layer, size_t head, size_t n_before, size_t n)
{
    size_t t = layer * kv->shape.n_heads + head;
    if (!chooses(kv, t))
        return;
    for (size_t i = n_before / LAC_LANES; i < (n_before + n) / LAC_LANES; i++) {
        struct lac_labels *labels = table(kv, t)[i / LAC_LANES];
        void *const *pages = lac_kv_remembers(kv, layer, head) ? lac_kv_head_memory(kv, layer, head)
                                                               : lac_kv_head(kv, layer, head);
        clear_page(kv->shape.rules, labels, i % LAC_LANES);
        if (rule_of(kv, t)->kind == LAC_KV_CHANNELS)
            mark_page(kv, rule_of(kv, t), pages[i], labels, i % LAC_LANES);
        else
            bound_page(kv, pages[i], labels, i % LAC_LANES);
    }
}

void lac_kv_label_all(const struct lac_kv *kv)
{
    for (size_t layer = 0; layer < kv->shape.n_layers; layer++)
        for (size_t head = 0; head < kv->shape.n_heads; head++)
            lac_kv_label(kv, layer, head, 0, kv->n_keys);
}
