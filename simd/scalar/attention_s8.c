/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers in plain C: the definition. */
#include "simd/attention.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "simd/ops.h"
#include "simd/scalar/keys.h"
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

static void add_token(struct lac_kv_page *page, size_t slot, const struct lac_kv_segment *s,
                      size_t token, size_t head_dim)
{
    const float *k = (const float *)s->k + token, *v = (const float *)s->v + token * s->v_step;
    float k_factor = quantize_factor(k, head_dim, s->k_ld, &page->k_scale[slot]);
    float v_factor = quantize_factor(v, head_dim, s->v_ld, &page->v_scale[slot]);
    for (size_t d = 0; d < head_dim; d++) {
        *key_at(page, slot, d) = (uint8_t)(quantize_value(k[d * s->k_ld], k_factor) + 128);
        *value_at(page, head_dim, slot, d) = (int8_t)quantize_value(v[d * s->v_ld], v_factor);
    }
}

/* Features that pad too. */
static void clear_slot(struct lac_kv_page *page, size_t slot, size_t head_dim)
{
    page->k_scale[slot] = page->v_scale[slot] = 0;
    for (size_t d = 0; d < lac_round_up(head_dim, 4); d++) {
        *key_at(page, slot, d) = 128;
        *value_at(page, head_dim, slot, d) = 0;
    }
}

static void kv_pages_s8(const struct lac_kv_pages_args *a)
{
    size_t key = a->first_key;
    for (size_t i = 0; i < a->n_segments; i++)
        for (size_t j = 0; j < a->segments[i].n_keys; j++, key++) {
            struct lac_kv_page *page = a->pages[key / LAC_LANES];
            clear_slot(page, key % LAC_LANES, a->head_dim);
            add_token(page, key % LAC_LANES, &a->segments[i], j, a->head_dim);
        }
    for (; key > a->first_key && key % LAC_LANES; key++)
        clear_slot(a->pages[key / LAC_LANES], key % LAC_LANES, a->head_dim);
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

static const struct lac_kv_page *page_of(const void *const *pages, size_t key)
{
    return pages[key / LAC_LANES];
}

/* Of one feature, over the keys [begin, end). */
static int weighted_sum(const void *const *pages, const int *w, struct lac_keys_seen keys,
                        size_t head_dim, size_t feature)
{
    size_t padded = lac_round_up(head_dim, 4);
    int sum = 0;
    for (size_t j = keys.begin; j < keys.end; j++) {
        const int8_t *values = (const int8_t *)page_of(pages, j)->rows + padded * LAC_LANES;
        sum += w[j - keys.begin] * values[(j % LAC_LANES / 4 * padded + feature) * 4 + j % 4];
    }
    return sum;
}

/* Keys of one block. */
static void add_block(const void *const *pages, struct lac_keys_seen keys, size_t head_dim,
                      struct running *r)
{
    float s[LAC_KEY_BLOCK], part[4] = {0}, max = r->max, v_max = 0x1p-100f;
    int w[LAC_KEY_BLOCK];
    for (size_t j = keys.begin; j < keys.end; j++) {
        s[j - keys.begin] = score(r, page_of(pages, j), j % LAC_LANES, head_dim);
        max = vec_max(max, s[j - keys.begin]);
        v_max = fmaxf(v_max, page_of(pages, j)->v_scale[j % LAC_LANES]);
    }
    for (size_t j = keys.begin; j < keys.end; j++) {
        float p = vec_exp2_weight(s[j - keys.begin] - max);
        float share = page_of(pages, j)->v_scale[j % LAC_LANES] * (16383.0f / v_max);
        part[j % 4] += p;
        w[j - keys.begin] = (int)nearbyint((double)p * share);
    }
    float correction = vec_exp2_weight(r->max - max), step = v_max / 16383.0f;
    r->max = max;
    r->sum = fmaf(r->sum, correction, (part[0] + part[1]) + (part[2] + part[3]));
    for (size_t d = 0; d < head_dim; d++)
        r->o[d] =
            fmaf((float)weighted_sum(pages, w, keys, head_dim, d), step, correction * r->o[d]);
}

/* A query whose features are ld apart, as those of y. */
struct query {
    const float *q;
    size_t ld, head_dim;
    float scale;
};

/* Returns max|y|. */
static float attend(const struct query *q, const void *const *pages, struct lac_keys_seen seen,
                    float *y, size_t y_ld)
{
    struct running r = {.max = -INFINITY};
    float scale, factor = quantize_factor(q->q, q->head_dim, q->ld, &scale), most = 0;
    for (size_t d = 0; d < q->head_dim; d++)
        r.q[d] = quantize_value(q->q[d * q->ld], factor);
    r.q_factor = scale * (q->scale * 0x1.715476p0f); /* log2 e */
    for (size_t begin = seen.begin, end; begin < seen.end; begin = end) {
        end = lac_min_size((begin / LAC_KEY_BLOCK + 1) * LAC_KEY_BLOCK, seen.end);
        add_block(pages, (struct lac_keys_seen){begin, end}, q->head_dim, &r);
    }
    float share = r.sum > 0 ? 1.0f / r.sum : 0;
    for (size_t d = 0; d < q->head_dim; d++) {
        y[d * y_ld] = r.o[d] * share + 0.0f;
        most = fmaxf(most, fabsf(y[d * y_ld]));
    }
    return most;
}

static void attention_s8(const struct lac_attention_s8_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane++)
        if (a->lane_mask >> lane & 1) {
            struct query q = {a->q + lane, a->q_ld, a->head_dim, a->scale};
            ptrdiff_t position = a->first_query + (ptrdiff_t)lane;
            float most = attend(&q, a->pages, lac_keys_seen(position, a->window, a->n_keys),
                                a->y + lane, a->y_ld);
            if (a->abs_max)
                a->abs_max[lane] = fmaxf(a->abs_max[lane], most);
        }
}

static void attention_row_s8(const struct lac_attention_row_args *a)
{
    for (size_t i = 0; i < a->n_queries; i++) {
        struct query q = {a->q + i * a->head_dim, 1, a->head_dim, a->scale};
        attend(&q, a->pages, (struct lac_keys_seen){a->first_key, a->n_keys},
               a->y + i * a->head_dim, 1);
    }
}

LAC_ATTENTION_S8_OPS_DEFINE(scalar, 0)
