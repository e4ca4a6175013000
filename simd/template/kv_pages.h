/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values to pages, for every vector instruction set: include after
 * simd/template/quantize.h and the definition of
 *
 *   store_values(to, stride, x, factor)  bytes round_half_even(x[i] * factor) of a vector of tokens
 *                                        and 4 features: 4 tokens of a feature are a dword, the
 *                                        features side by side, groups of 4 tokens stride apart */
#ifndef LACUNA_SIMD_TEMPLATE_KV_PAGES_H
#define LACUNA_SIMD_TEMPLATE_KV_PAGES_H

#include <string.h>

#include "simd/kernel.h"
#include "simd/template/quantize.h"
#include "src/base/checked.h"

/* Tokens of one page that lie in one segment. */
struct page_part {
    const float *k, *v;
    size_t ld, n;
};

struct page_cursor {
    const struct lac_kv_segment *segment, *end;
    size_t key; /* in *segment */
};

static size_t next_page(struct page_cursor *cursor, struct page_part parts[LAC_LANES])
{
    size_t n_parts = 0, room = LAC_LANES;
    while (room && cursor->segment < cursor->end) {
        const struct lac_kv_segment *s = cursor->segment;
        size_t left = s->n_keys - cursor->key, n = lac_min_size(left, room);
        if (n)
            parts[n_parts++] = (struct page_part){s->k + cursor->key, s->v + cursor->key, s->ld, n};
        room -= n;
        cursor->key += n;
        if (n == left) {
            cursor->segment++;
            cursor->key = 0;
        }
    }
    return n_parts;
}

/* rows[f][at + i] = x[f][i] for n tokens. */
static void copy_part(const float *x, size_t ld, size_t n, size_t n_features, float *rows)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        uint64_t lanes = (1u << lac_min_size(n - i, VEC_LANES)) - 1;
        for (size_t f = 0; f < n_features; f++)
            vec_store_lanes(rows + f * LAC_LANES + i, lanes,
                            vec_load_lanes(x + f * ld + i, lanes, vec_set1(0)));
    }
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

static void kv_pages(const struct lac_kv_pages_args *a)
{
    float rows[LAC_MAX_HEAD_DIM * LAC_LANES];
    struct page_part parts[LAC_LANES];
    struct page_cursor cursor = {a->segments, a->segments + a->n_segments, 0};
    size_t n_parts, page_bytes = lac_kv_page_bytes(a->head_dim);
    char *to = a->pages;
    for (; (n_parts = next_page(&cursor, parts)); to += page_bytes) {
        struct lac_kv_page *page = (struct lac_kv_page *)(void *)to;
        if (parts[0].n == LAC_LANES) {
            page_keys(parts[0].k, parts[0].ld, a->head_dim, page);
            page_values(parts[0].v, parts[0].ld, a->head_dim, page);
            continue;
        }
        memset(rows, 0, a->head_dim * LAC_LANES * sizeof *rows);
        for (size_t i = 0, at = 0; i < n_parts; at += parts[i++].n)
            copy_part(parts[i].k, parts[i].ld, parts[i].n, a->head_dim, rows + at);
        page_keys(rows, LAC_LANES, a->head_dim, page);
        for (size_t i = 0, at = 0; i < n_parts; at += parts[i++].n)
            copy_part(parts[i].v, parts[i].ld, parts[i].n, a->head_dim, rows + at);
        page_values(rows, LAC_LANES, a->head_dim, page);
    }
}

#endif
