/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers in plain C: the definition. */
#include "simd/attention.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "simd/ops.h"
#include "simd/scalar/expand.h"
#include "simd/scalar/keys.h"
#include "simd/scalar/math.h"
#include "simd/scalar/ranges.h"
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

/* Quantised. */
struct query {
    int q[LAC_MAX_HEAD_DIM];
    float factor;
    float *scores; /* of every key, or NULL */
};

static float score(const struct query *query, const struct lac_kv_page *page, size_t token,
                   size_t head_dim)
{
    int dot = 0;
    for (size_t d = 0; d < head_dim; d++)
        dot += query->q[d] * (page->rows[(d / 4 * LAC_LANES + token) * 4 + d % 4] - 128);
    return (float)dot * (page->k_scale[token] * query->factor);
}

static const struct lac_kv_page *page_of(const void *const *pages, size_t key)
{
    return pages[key / LAC_LANES];
}

/* Of one feature, over n keys. */
static int weighted_sum(const void *const *pages, const int *w, const size_t *keys, size_t n,
                        size_t head_dim, size_t feature)
{
    size_t padded = lac_round_up(head_dim, 4);
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = keys[i];
        const int8_t *values = (const int8_t *)page_of(pages, j)->rows + padded * LAC_LANES;
        sum += w[i] * values[(j % LAC_LANES / 4 * padded + feature) * 4 + j % 4];
    }
    return sum;
}

/* The keys of one block that the query sees. */
static void add_block(const struct query *query, const void *const *pages,
                      struct lac_seen_keys seen, size_t head_dim, struct lac_range *r)
{
    float s[LAC_KEY_BLOCK], part[4] = {0}, max = r->max, v_max = 0x1p-100f;
    int w[LAC_KEY_BLOCK];
    size_t keys[LAC_KEY_BLOCK], n = lac_list_keys(seen, keys);
    for (size_t j = 0; j < n; j++) {
        s[j] = score(query, page_of(pages, keys[j]), keys[j] % LAC_LANES, head_dim);
        max = vec_max(max, s[j]);
        if (query->scores)
            query->scores[keys[j]] = s[j];
        v_max = fmaxf(v_max, page_of(pages, keys[j])->v_scale[keys[j] % LAC_LANES]);
    }
    for (size_t j = 0; j < n; j++) {
        float p = vec_exp2_weight(s[j] - max);
        float share = page_of(pages, keys[j])->v_scale[keys[j] % LAC_LANES] * (16383.0f / v_max);
        part[keys[j] % 4] += p;
        w[j] = (int)nearbyint((double)p * share);
    }
    float correction = vec_exp2_weight(r->max - max), step = v_max / 16383.0f;
    r->max = max;
    r->sum = fmaf(r->sum, correction, (part[0] + part[1]) + (part[2] + part[3]));
    for (size_t d = 0; d < head_dim; d++)
        r->o[d] =
            fmaf((float)weighted_sum(pages, w, keys, n, head_dim, d), step, correction * r->o[d]);
}

static struct query quantize_query(const float *q, size_t ld, size_t head_dim, float q_scale)
{
    struct query query = {.scores = NULL};
    float scale, factor = quantize_factor(q, head_dim, ld, &scale);
    for (size_t d = 0; d < head_dim; d++)
        query.q[d] = quantize_value(q[d * ld], factor);
    query.factor = scale * (q_scale * 0x1.715476p0f); /* log2 e */
    return query;
}

/* Query i of a segment, in a lane. */
static void attend_lane(const struct lac_attention_s8_args *a, const struct lac_query_segment *s,
                        size_t i, size_t lane)
{
    struct query query = quantize_query(s->q + i, s->ld, a->head_dim, a->scale);
    struct lac_range all = lac_range_begin(), r = all;
    size_t range = 0;
    for (size_t block = 0; block < a->seen.n_blocks; block++) {
        struct lac_seen_keys seen = lac_lane_keys(&a->seen, block, lane, a->n_keys);
        if (!seen.keys)
            continue;
        if (seen.block / LAC_RANGE_BLOCKS != range && r.sum > 0) {
            lac_range_join(&all, &r, a->head_dim, vec_exp2_weight);
            r = lac_range_begin();
        }
        range = seen.block / LAC_RANGE_BLOCKS;
        add_block(&query, a->pages, seen, a->head_dim, &r);
    }
    if (r.sum > 0)
        lac_range_join(&all, &r, a->head_dim, vec_exp2_weight);
    lac_range_join_lost(&all, a->lost, s->q + i, s->ld, a->head_dim, a->scale,
                        0x1.715476p0f /* log2 e */, vec_exp2_weight);
    float most = lac_range_finish(&all, a->head_dim, s->y + i, s->ld);
    if (s->abs_max)
        s->abs_max[i] = fmaxf(s->abs_max[i], most);
}

static void attention_s8(const struct lac_attention_s8_args *a)
{
    const struct lac_query_segment *end = a->queries + a->n_query_segments;
    size_t lane = 0;
    for (const struct lac_query_segment *s = a->queries; s < end; s++)
        for (size_t i = 0; i < s->n_queries; i++)
            attend_lane(a, s, i, lane++);
}

/* The range of entry `block` of the list. */
static struct lac_range range_of(const struct lac_attention_row_args *a, const struct query *query,
                                 size_t block)
{
    struct lac_range r = lac_range_begin();
    size_t end = lac_seen_range_end(a->seen, a->n_seen, block);
    for (; block < end; block++) {
        if (a->load)
            a->load(a->context, a->seen[block].block);
        add_block(query, a->pages, a->seen[block], a->head_dim, &r);
    }
    return r;
}

static void attend_row(const struct lac_attention_row_args *a, size_t i)
{
    struct query query = quantize_query(a->q + i * a->head_dim, 1, a->head_dim, a->scale);
    struct lac_range all = lac_range_begin();
    query.scores = a->votes ? a->scores : NULL;
    for (size_t block = 0; block < a->n_seen;
         block = lac_seen_range_end(a->seen, a->n_seen, block)) {
        struct lac_range r = a->parts && a->y
                                 ? lac_range_load(lac_attention_part_at(a, block, i), a->head_dim)
                                 : range_of(a, &query, block);
        if (a->y)
            lac_range_join(&all, &r, a->head_dim, vec_exp2_weight);
        else
            lac_range_store(&r, a->head_dim, lac_attention_part_at(a, block, i));
    }
    for (size_t j = 0; a->votes && j < lac_voting_keys(a); j++)
        a->votes[j] += vec_exp2_weight(a->scores[j] - all.max) * (1.0f / all.sum);
    if (a->y)
        lac_range_join_lost(&all, a->lost, a->q + i * a->head_dim, 1, a->head_dim, a->scale,
                            0x1.715476p0f /* log2 e */, vec_exp2_weight);
    if (a->y)
        lac_range_finish(&all, a->head_dim, a->y + i * a->head_dim, 1);
}

static void attention_row_s8(const struct lac_attention_row_args *a)
{
    for (size_t i = 0; i < a->n_queries; i++)
        attend_row(a, i);
}

static void score_lane(const struct lac_scores_args *o, const struct query *q, size_t lane)
{
    const struct lac_attention_s8_args *a = o->of_s8;
    for (size_t i = 0; i < a->seen.n_blocks; i++) {
        size_t keys[LAC_KEY_BLOCK];
        size_t n = lac_list_keys(lac_lane_keys(&a->seen, i, lane, a->n_keys), keys);
        float s[LAC_KEY_BLOCK];
        for (size_t j = 0; j < n; j++)
            s[j] = score(q, page_of(a->pages, keys[j]), keys[j] % LAC_LANES, a->head_dim);
        lac_put_scores(o, i, lane, keys, s, n);
    }
}

static void scores_s8(const struct lac_scores_args *o)
{
    const struct lac_attention_s8_args *a = o->of_s8;
    const struct lac_query_segment *end = a->queries + a->n_query_segments;
    size_t lane = 0;
    for (const struct lac_query_segment *s = a->queries; s < end; s++)
        for (size_t i = 0; i < s->n_queries; i++) {
            struct query q = quantize_query(s->q + i, s->ld, a->head_dim, a->scale);
            score_lane(o, &q, lane++);
        }
}

/* ---- Labels ---- */

static float page_score(const struct lac_page_scores_args *a, size_t query, size_t page)
{
    const struct lac_labels *labels = a->labels[page / LAC_LANES];
    const int8_t *q = a->q + query * a->n_dwords * 4;
    size_t lane = page % LAC_LANES;
    int most = INT_MIN;
    for (size_t i = 0; i < a->n_labels; i++) {
        int dot = 0;
        for (size_t f = 0; f < a->n_dwords * 4; f++) {
            size_t at = ((i * a->n_dwords + f / 4) * LAC_LANES + lane) * 4 + f % 4;
            dot += q[f] * (labels->rows[at] - 128);
        }
        most = dot > most ? dot : most;
    }
    return (float)most * (labels->scale[lane] * a->q_scale[query]);
}

static void page_scores(const struct lac_page_scores_args *a)
{
    for (size_t i = 0; i < a->n_queries; i++)
        for (size_t p = 0; p < lac_round_up(a->n_pages, LAC_LANES); p++)
            a->scores[i * a->ld + p] = page_score(a, i, p);
}

/* ---- Compact pages ---- */

static void expand_features(const struct lac_compact *c, const struct lac_compact_features *from,
                            struct lac_kv_page *to)
{
    const uint8_t *rows = from->rows + sizeof *to;
    size_t n_bytes = lac_kv_page_keys_bytes(c->head_dim);
    memcpy(to, from->rows, sizeof *to);
    memset(to->rows, 128, n_bytes);
    for (size_t i = 0; i < n_bytes; i++)
        if (from->dwords >> i / (LAC_LANES * 4) & 1)
            to->rows[i] = *rows++;
    memcpy(to->rows + n_bytes, rows, n_bytes);
}

static void expand_bits(const struct lac_compact *c, const struct lac_compact_bits *from,
                        struct lac_kv_page *to)
{
    size_t n_bytes = lac_kv_page_keys_bytes(c->head_dim);
    memcpy(to, from, sizeof *to);
    for (size_t i = 0; i < n_bytes; i++) {
        to->rows[i] = (uint8_t)(from->rows[i] % 16 * 16);
        to->rows[n_bytes + i] = (uint8_t)(from->rows[i] / 16 * 16) ^ 128;
    }
}

static void expand_page(const struct lac_compact *c, const void *from, void *to)
{
    if (c->form == LAC_COMPACT_FEATURES)
        expand_features(c, from, to);
    else
        expand_bits(c, from, to);
}

static void expand_s8(const struct lac_expand_args *a)
{
    lac_expand_each(a, expand_page);
}

LAC_ATTENTION_S8_OPS_DEFINE(scalar, 0)
