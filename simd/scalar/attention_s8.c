/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers in plain C: the definition. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "simd/ops.h"
#include "simd/scalar/math.h"
#include "src/base/checked.h"

/* Both factors are floats, so the product is exact in double. */
static int quantize_value(float x, float factor)
{
    double q = nearbyint((double)x * factor);
    return q >= -127 ? q > 127 ? 127 : (int)q : -127;
}

/* What x[0], x[ld], ... are multiplied with to become integers. */
static float quantize_factor(const float *x, size_t n, size_t ld, float *scale)
{
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i * ld]));
    *scale = most / 127.0f;
    return fminf(127.0f / most, FLT_MAX); /* finite for zeros */
}

static uint8_t *key_at(struct lac_kv_page *page, size_t token, size_t feature)
{
    return page->rows + (feature / 4 * LAC_LANES + token) * 4 + feature % 4;
}

static int8_t *value_at(struct lac_kv_page *page, size_t head_dim, size_t token, size_t feature)
{
    size_t padded = lac_round_up(head_dim, 4);
    return (int8_t *)page->rows + padded * LAC_LANES + (token / 4 * padded + feature) * 4 +
           token % 4;
}

static void add_token(struct lac_kv_page *page, size_t token, const float *k, const float *v,
                      size_t ld, size_t head_dim)
{
    float k_factor = quantize_factor(k, head_dim, ld, &page->k_scale[token]);
    float v_factor = quantize_factor(v, head_dim, ld, &page->v_scale[token]);
    for (size_t d = 0; d < head_dim; d++) {
        *key_at(page, token, d) = (uint8_t)(quantize_value(k[d * ld], k_factor) + 128);
        *value_at(page, head_dim, token, d) = (int8_t)quantize_value(v[d * ld], v_factor);
    }
}

static void clear_page(struct lac_kv_page *page, size_t head_dim)
{
    memset(page, 0, lac_kv_page_bytes(head_dim));
    memset(page->rows, 128, lac_kv_page_keys_bytes(head_dim));
}

static void kv_pages(const struct lac_kv_pages_args *a)
{
    char *next = a->pages;
    struct lac_kv_page *page = NULL;
    size_t token = 0;
    for (size_t i = 0; i < a->n_segments; i++) {
        const struct lac_kv_segment *s = &a->segments[i];
        for (size_t j = 0; j < s->n_keys; j++, token++) {
            if (token % LAC_LANES == 0) {
                page = (struct lac_kv_page *)(void *)next;
                next += lac_kv_page_bytes(a->head_dim);
                clear_page(page, a->head_dim);
            }
            add_token(page, token % LAC_LANES, s->k + j, s->v + j, s->ld, a->head_dim);
        }
    }
}

/* A quantised query, and its softmax and weighted sum so far. */
struct running {
    int q[LAC_MAX_HEAD_DIM];
    float q_factor, max, sum;
    float o[LAC_MAX_HEAD_DIM];
};

static float score(const struct running *r, const struct lac_kv_page *page, size_t token,
                   size_t head_dim)
{
    int dot = 0;
    for (size_t d = 0; d < head_dim; d++)
        dot += r->q[d] * (page->rows[(d / 4 * LAC_LANES + token) * 4 + d % 4] - 128);
    return (float)dot * (page->k_scale[token] * r->q_factor);
}

static float max_scale(const struct lac_kv_page *const *pages, size_t n_keys)
{
    float most = 0x1p-100f;
    for (size_t j = 0; j < n_keys; j++)
        most = fmaxf(most, pages[j / LAC_LANES]->v_scale[j % LAC_LANES]);
    return most;
}

static int weighted_sum(const struct lac_kv_page *const *pages, const int *w, size_t n_keys,
                        size_t head_dim, size_t feature)
{
    size_t padded = lac_round_up(head_dim, 4);
    int sum = 0;
    for (size_t j = 0; j < n_keys; j++) {
        const int8_t *values = (const int8_t *)pages[j / LAC_LANES]->rows + padded * LAC_LANES;
        sum += w[j] * values[(j % LAC_LANES / 4 * padded + feature) * 4 + j % 4];
    }
    return sum;
}

/* One block of n_keys keys. */
static void add_block(const struct lac_kv_page *const *pages, size_t n_keys, size_t head_dim,
                      struct running *r)
{
    float s[LAC_KEY_BLOCK], max = r->max, sum = 0, v_max = max_scale(pages, n_keys);
    int w[LAC_KEY_BLOCK];
    for (size_t j = 0; j < n_keys; j++) {
        s[j] = score(r, pages[j / LAC_LANES], j % LAC_LANES, head_dim);
        max = vec_max(max, s[j]);
    }
    for (size_t j = 0; j < n_keys; j++) {
        float p = vec_exp2_weight(s[j] - max);
        float share = pages[j / LAC_LANES]->v_scale[j % LAC_LANES] * (16383.0f / v_max);
        sum += p;
        w[j] = (int)nearbyint((double)p * share);
    }
    float correction = vec_exp2_weight(r->max - max), step = v_max / 16383.0f;
    r->max = max;
    r->sum = fmaf(r->sum, correction, sum);
    for (size_t d = 0; d < head_dim; d++)
        r->o[d] =
            fmaf((float)weighted_sum(pages, w, n_keys, head_dim, d), step, correction * r->o[d]);
}

static void attend(const struct lac_attention_s8_args *a, size_t lane)
{
    struct running r = {.max = -INFINITY};
    float scale, factor = quantize_factor(a->q + lane, a->head_dim, a->q_ld, &scale);
    for (size_t d = 0; d < a->head_dim; d++)
        r.q[d] = quantize_value(a->q[d * a->q_ld + lane], factor);
    r.q_factor = scale * (a->scale * 0x1.715476p0f); /* log2 e */
    for (size_t key = 0; key < a->n_keys; key += LAC_KEY_BLOCK)
        add_block(a->pages + key / LAC_LANES, lac_min_size(a->n_keys - key, LAC_KEY_BLOCK),
                  a->head_dim, &r);
    float share = 1.0f / r.sum;
    for (size_t d = 0; d < a->head_dim; d++) {
        float y = r.o[d] * share;
        a->y[d * a->y_ld + lane] = y;
        if (a->abs_max)
            a->abs_max[lane] = fmaxf(a->abs_max[lane], fabsf(y));
    }
}

static void attention_s8(const struct lac_attention_s8_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane++)
        if (a->lane_mask >> lane & 1)
            attend(a, lane);
}

LAC_ATTENTION_S8_OPS_DEFINE(scalar, 0)
