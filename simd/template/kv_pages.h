/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values to pages of fp32 and bf16, for every vector instruction set: include after
 * simd/template/panel.h. */
#ifndef LACUNA_SIMD_TEMPLATE_KV_PAGES_H
#define LACUNA_SIMD_TEMPLATE_KV_PAGES_H

#include <string.h>

#include "simd/template/page_parts.h"
#include "src/base/half.h"

/* Elements at, at + 1, ... of a page from n floats side by side. */
static inline void store_run(void *page, size_t at, const float *x, size_t n, const int is_bf16)
{
    size_t i = 0;
    if (!is_bf16) {
        for (; i < n; i += VEC_LANES) {
            uint64_t lanes = first_lanes(lac_min_size(n - i, VEC_LANES));
            vec_store_lanes((float *)page + at + i, lanes,
                            vec_load_lanes(x + i, lanes, vec_set1(0)));
        }
        return;
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store_bf16((uint16_t *)page + at + i, vec_load(x + i));
    for (; i < n; i++)
        ((uint16_t *)page)[at + i] = lac_bf16_from_f32(x[i]);
}

static inline void store_one(void *page, size_t at, float x, const int is_bf16)
{
    if (is_bf16)
        ((uint16_t *)page)[at] = lac_bf16_from_f32(x);
    else
        ((float *)page)[at] = x;
}

static inline void add_keys(const struct page_part *p, size_t head_dim, void *page,
                            const int is_bf16)
{
    for (size_t f = 0; f < head_dim; f++)
        if (p->n == 1)
            store_one(page, f * LAC_LANES + p->slot, p->k[f * p->k_ld], is_bf16);
        else
            store_run(page, f * LAC_LANES + p->slot, p->k + f * p->k_ld, p->n, is_bf16);
}

static inline void add_values_of(const struct page_part *p, size_t head_dim, void *page,
                                 const int is_bf16)
{
    size_t at = (LAC_LANES + p->slot) * head_dim;
    if (p->v_ld == 1) {
        for (size_t j = 0; j < p->n; j++)
            store_run(page, at + j * head_dim, p->v + j * p->v_step, head_dim, is_bf16);
        return;
    }
    if (p->n == LAC_LANES && p->v_step == 1) {
        float scratch[LAC_LANES * LAC_MAX_HEAD_DIM], *rows[LAC_LANES];
        for (size_t j = 0; j < LAC_LANES; j++)
            rows[j] = (is_bf16 ? scratch : (float *)page + at) + j * head_dim;
        from_panel(&(struct lac_from_panel_args){p->v, LAC_LANES, head_dim, p->v_ld, rows});
        if (is_bf16)
            store_run(page, at, scratch, LAC_LANES * head_dim, 1);
        return;
    }
    for (size_t j = 0; j < p->n; j++)
        for (size_t f = 0; f < head_dim; f++)
            store_one(page, at + j * head_dim + f, p->v[f * p->v_ld + j * p->v_step], is_bf16);
}

/* Empties the slots from `slot` on. */
static inline void clear_slots(void *page, size_t slot, size_t head_dim, size_t element_bytes)
{
    char *keys = page, *values = keys + (LAC_LANES + slot) * head_dim * element_bytes;
    size_t n = (LAC_LANES - slot) * element_bytes;
    for (size_t f = 0; n && f < head_dim; f++)
        memset(keys + (f * LAC_LANES + slot) * element_bytes, 0, n);
    memset(values, 0, n * head_dim);
}

static inline void write_pages(const struct lac_kv_pages_args *a, const int is_bf16)
{
    struct page_parts parts;
    struct page_cursor cursor = begin_pages(a);
    for (size_t i = a->first_key / LAC_LANES; next_page(&cursor, &parts); i++) {
        for (size_t k = 0; k < parts.n; k++) {
            add_keys(&parts.at[k], a->head_dim, a->pages[i], is_bf16);
            add_values_of(&parts.at[k], a->head_dim, a->pages[i], is_bf16);
        }
        clear_slots(a->pages[i], parts.end, a->head_dim, is_bf16 ? 2 : 4);
    }
}

static void kv_pages_f32(const struct lac_kv_pages_args *a)
{
    write_pages(a, 0);
}

static void kv_pages_bf16(const struct lac_kv_pages_args *a)
{
    write_pages(a, 1);
}

#endif
