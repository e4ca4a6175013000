/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values to pages of int8, for every vector instruction set: include after
 * simd/template/quantize.h and the definition of
 *
 *   store_values(to, stride, x, factor)  bytes round_half_even(x[i] * factor) of a vector of tokens
 *                                        and 4 features: 4 tokens of a feature are a dword, the
 *                                        features side by side, groups of 4 tokens stride apart */
#ifndef LACUNA_SIMD_TEMPLATE_KV_PAGES_S8_H
#define LACUNA_SIMD_TEMPLATE_KV_PAGES_S8_H

#include <string.h>

#include "simd/template/page_parts.h"
#include "simd/template/quantize.h"

/* rows[f][slot + i] = x[f * ld + i * step] for the tokens of a part. */
static void copy_part(const float *x, size_t ld, size_t step, const struct page_part *p,
                      size_t n_features, float *rows)
{
    for (size_t i = 0; step == 1 && i < p->n; i += VEC_LANES) {
        uint64_t lanes = first_lanes(lac_min_size(p->n - i, VEC_LANES));
        for (size_t f = 0; f < n_features; f++)
            vec_store_lanes(rows + f * LAC_LANES + p->slot + i, lanes,
                            vec_load_lanes(x + f * ld + i, lanes, vec_set1(0)));
    }
    for (size_t i = 0; step != 1 && i < p->n; i++)
        for (size_t f = 0; f < n_features; f++)
            rows[f * LAC_LANES + p->slot + i] = x[f * ld + i * step];
}

/* Bytes and scales of a page's keys; x is [n_features][ld]. */
static void page_keys(const float *x, size_t ld, size_t n_features, struct lac_kv_page *page)
{
    for (size_t lane = 0; lane < LAC_LANES; lane += VEC_LANES) {
        vec most = measure_tokens(x + lane, n_features, ld);
        quantize_tokens(x + lane, n_features, ld, most, page->rows + lane * 4, LAC_LANES,
                        page->k_scale + lane);
    }
}

static void page_values(const float *x, size_t ld, size_t n_features, struct lac_kv_page *page)
{
    int8_t *values = (int8_t *)page->rows + lac_kv_page_keys_bytes(n_features);
    size_t stride = lac_round_up(n_features, 4) * 4;
    for (size_t lane = 0; lane < LAC_LANES; lane += VEC_LANES) {
        const float *from = x + lane;
        int8_t *to = values + lane / 4 * stride;
        vec factor = quantize_factor(measure_tokens(from, n_features, ld), page->v_scale + lane);
        for (size_t f = 0; f < n_features; f += 4, from += 4 * ld, to += 16) {
            vec rows[4];
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++)
                rows[i] = f + i < n_features ? vec_load(from + i * ld) : vec_set1(0);
            store_values(to, stride, rows, factor);
        }
    }
}

/* Whole pages: slots that no part fills become empty. */
static void fill_page(const struct page_parts *parts, size_t head_dim, struct lac_kv_page *page)
{
    const struct page_part *p = parts->at;
    if (p->n == LAC_LANES && p->v_step == 1) {
        page_keys(p->k, p->k_ld, head_dim, page);
        page_values(p->v, p->v_ld, head_dim, page);
        return;
    }
    float rows[LAC_MAX_HEAD_DIM * LAC_LANES];
    memset(rows, 0, head_dim * LAC_LANES * sizeof *rows);
    for (; p < parts->at + parts->n; p++)
        copy_part(p->k, p->k_ld, 1, p, head_dim, rows);
    page_keys(rows, LAC_LANES, head_dim, page);
    for (p = parts->at; p < parts->at + parts->n; p++)
        copy_part(p->v, p->v_ld, p->v_step, p, head_dim, rows);
    page_values(rows, LAC_LANES, head_dim, page);
}

/* Bytes of one token's key or value, padded to whole dwords, from features that are ld apart. */
static void token_bytes(const float *x, size_t ld, size_t head_dim, uint8_t *bytes, float *scale)
{
    float row[LAC_MAX_HEAD_DIM];
    for (size_t f = 0; ld != 1 && f < head_dim; f++)
        row[f] = x[f * ld];
    if (ld != 1)
        x = row;
    quantize_row(x, head_dim, measure_row(x, head_dim), bytes, scale);
}

static void add_token(const struct page_part *p, size_t token, size_t head_dim,
                      struct lac_kv_page *page)
{
    uint8_t bytes[LAC_MAX_HEAD_DIM];
    size_t slot = p->slot + token, padded = lac_round_up(head_dim, 4);
    uint8_t *key = page->rows + slot * 4;
    uint8_t *value = page->rows + padded * (LAC_LANES + slot / 4 * 4) + slot % 4;
    token_bytes(p->k + token, p->k_ld, head_dim, bytes, &page->k_scale[slot]);
    for (size_t f = 0; f < padded; f += 4)
        memcpy(key + f * LAC_LANES, bytes + f, 4);
    token_bytes(p->v + token * p->v_step, p->v_ld, head_dim, bytes, &page->v_scale[slot]);
    for (size_t f = 0; f < padded; f++)
        value[f * 4] = bytes[f] ^ 128;
}

/* Empties the slots from `slot` on. */
static void clear_slots(struct lac_kv_page *page, size_t slot, size_t head_dim)
{
    size_t padded = lac_round_up(head_dim, 4), n = LAC_LANES - slot;
    uint8_t *values = page->rows + padded * LAC_LANES;
    memset(page->k_scale + slot, 0, n * sizeof *page->k_scale);
    memset(page->v_scale + slot, 0, n * sizeof *page->v_scale);
    for (size_t f = 0; n && f < padded; f += 4)
        memset(page->rows + f * LAC_LANES + slot * 4, 128, n * 4);
    for (; slot % 4; slot++)
        for (size_t f = 0; f < padded; f++)
            values[(slot / 4 * padded + f) * 4 + slot % 4] = 0;
    memset(values + slot * padded, 0, (LAC_LANES - slot) * padded);
}

/* Tokens behind others: one by one. */
static void extend_page(const struct page_parts *parts, size_t head_dim, struct lac_kv_page *page)
{
    for (size_t i = 0; i < parts->n; i++)
        for (size_t token = 0; token < parts->at[i].n; token++)
            add_token(&parts->at[i], token, head_dim, page);
    clear_slots(page, parts->end, head_dim);
}

static void kv_pages_s8(const struct lac_kv_pages_args *a)
{
    struct page_parts parts;
    struct page_cursor cursor = begin_pages(a);
    for (size_t i = a->first_key / LAC_LANES; next_page(&cursor, &parts); i++)
        (parts.begin || parts.end == 1 ? extend_page : fill_page)(&parts, a->head_dim, a->pages[i]);
}

#endif
