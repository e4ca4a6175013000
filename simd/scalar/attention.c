/* SPDX-License-Identifier: Apache-2.0 */
/* Attention and pages of fp32 and bf16 in plain C: the definition. */
#include "simd/attention.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "simd/ops.h"
#include "simd/scalar/expand.h"
#include "simd/scalar/keys.h"
#include "simd/scalar/math.h"
#include "simd/scalar/ranges.h"
#include "src/base/checked.h"
#include "src/base/half.h"

static float load(enum lac_dtype dtype, const void *from, size_t at)
{
    return dtype == LAC_BF16 ? lac_bf16_to_f32(((const uint16_t *)from)[at])
                             : ((const float *)from)[at];
}

static void store(enum lac_dtype dtype, void *to, size_t at, float x)
{
    if (dtype == LAC_BF16)
        ((uint16_t *)to)[at] = lac_bf16_from_f32(x);
    else
        ((float *)to)[at] = x;
}

/* ---- Pages. ---- */

static void write_slot(enum lac_dtype dtype, void *page, size_t slot, size_t head_dim,
                       const struct lac_kv_segment *s, size_t token)
{
    for (size_t f = 0; f < head_dim; f++) {
        float k = s ? ((const float *)s->k)[f * s->k_ld + token] : 0;
        float v = s ? ((const float *)s->v)[f * s->v_ld + token * s->v_step] : 0;
        store(dtype, page, f * LAC_LANES + slot, k);
        store(dtype, page, (LAC_LANES + slot) * head_dim + f, v);
    }
}

static void kv_pages(const struct lac_kv_pages_args *a, enum lac_dtype dtype)
{
    size_t key = a->first_key;
    for (size_t i = 0; i < a->n_segments; i++)
        for (size_t j = 0; j < a->segments[i].n_keys; j++, key++)
            write_slot(dtype, a->pages[key / LAC_LANES], key % LAC_LANES, a->head_dim,
                       &a->segments[i], j);
    for (; key > a->first_key && key % LAC_LANES; key++)
        write_slot(dtype, a->pages[key / LAC_LANES], key % LAC_LANES, a->head_dim, NULL, 0);
}

static void kv_pages_f32(const struct lac_kv_pages_args *a)
{
    kv_pages(a, LAC_F32);
}

static void kv_pages_bf16(const struct lac_kv_pages_args *a)
{
    kv_pages(a, LAC_BF16);
}

/* ---- Attention. ---- */

/* Keys that lie in segments, or else in pages. */
struct source {
    enum lac_dtype dtype;
    size_t head_dim;
    const struct lac_kv_segment *segments;
    const void *const *pages;
};

/* Feature f of one key is element k_at + f * k_ld of k. */
struct key {
    const void *k, *v;
    size_t k_at, k_ld, v_at, v_ld;
};

static struct key find_key(const struct source *from, size_t j)
{
    const struct lac_kv_segment *s = from->segments;
    if (!s) {
        const void *page = from->pages[j / LAC_LANES];
        size_t slot = j % LAC_LANES;
        return (struct key){page, page, slot, LAC_LANES, (LAC_LANES + slot) * from->head_dim, 1};
    }
    for (; j >= s->n_keys; s++)
        j -= s->n_keys;
    return (struct key){s->k, s->v, j, s->k_ld, j * s->v_step, s->v_ld};
}

struct query {
    const float *q;
    size_t ld;
    float scale;
    float *scores; /* of every key, or NULL */
};

static float score(const struct query *q, const struct source *from, const struct key *key)
{
    float dot = 0;
    for (size_t d = 0; d < from->head_dim; d++)
        dot = fmaf(load(from->dtype, key->k, key->k_at + d * key->k_ld), q->q[d * q->ld], dot);
    return dot * q->scale;
}

/* The keys of one block that the query sees. */
static void add_block(const struct query *q, const struct source *from, struct lac_seen_keys seen,
                      struct lac_range *r)
{
    float p[LAC_KEY_BLOCK], part[4] = {0}, max = r->max;
    struct key keys[LAC_KEY_BLOCK];
    size_t at[LAC_KEY_BLOCK], n = lac_list_keys(seen, at);
    for (size_t j = 0; j < n; j++) {
        keys[j] = find_key(from, at[j]);
        p[j] = score(q, from, &keys[j]);
        max = vec_max(max, p[j]);
        if (q->scores)
            q->scores[at[j]] = p[j];
    }
    for (size_t j = 0; j < n; j++) {
        p[j] = vec_exp_weight(p[j] - max);
        part[at[j] % 4] += p[j];
    }
    float correction = vec_exp_weight(r->max - max);
    r->max = max;
    r->sum = fmaf(r->sum, correction, (part[0] + part[1]) + (part[2] + part[3]));
    for (size_t d = 0; d < from->head_dim; d++) {
        r->o[d] *= correction;
        for (size_t j = 0; j < n; j++)
            r->o[d] =
                fmaf(load(from->dtype, keys[j].v, keys[j].v_at + d * keys[j].v_ld), p[j], r->o[d]);
    }
}

/* Query i of a segment, in a lane. */
static void attend_lane(const struct lac_attention_args *a, enum lac_dtype dtype,
                        const struct lac_query_segment *s, size_t i, size_t lane)
{
    struct source from = {.dtype = dtype, .head_dim = a->head_dim, .segments = a->segments};
    struct query q = {s->q + i, s->ld, a->scale, NULL};
    struct lac_range all = lac_range_begin(), r = all;
    size_t range = 0;
    for (size_t block = 0; block < a->seen.n_blocks; block++) {
        struct lac_seen_keys seen = lac_lane_keys(&a->seen, block, lane, a->n_keys);
        if (!seen.keys)
            continue;
        if (seen.block / LAC_RANGE_BLOCKS != range && r.sum > 0) {
            lac_range_join(&all, &r, a->head_dim, vec_exp_weight);
            r = lac_range_begin();
        }
        range = seen.block / LAC_RANGE_BLOCKS;
        add_block(&q, &from, seen, &r);
    }
    if (r.sum > 0)
        lac_range_join(&all, &r, a->head_dim, vec_exp_weight);
    lac_range_join_lost(&all, a->lost, q.q, q.ld, a->head_dim, a->scale, 1, vec_exp_weight);
    lac_range_finish(&all, a->head_dim, s->y + i, s->ld);
}

static void attention(const struct lac_attention_args *a, enum lac_dtype dtype)
{
    const struct lac_query_segment *end = a->queries + a->n_query_segments;
    size_t lane = 0;
    for (const struct lac_query_segment *s = a->queries; s < end; s++)
        for (size_t i = 0; i < s->n_queries; i++)
            attend_lane(a, dtype, s, i, lane++);
}

static void attention_f32(const struct lac_attention_args *a)
{
    attention(a, LAC_F32);
}

static void attention_bf16(const struct lac_attention_args *a)
{
    attention(a, LAC_BF16);
}

/* The range of entry `block` of the list. */
static struct lac_range range_of(const struct lac_attention_row_args *a, const struct query *q,
                                 const struct source *from, size_t block)
{
    struct lac_range r = lac_range_begin();
    size_t end = lac_seen_range_end(a->seen, a->n_seen, block);
    for (; block < end; block++) {
        if (a->load)
            a->load(a->context, a->seen[block].block);
        add_block(q, from, a->seen[block], &r);
    }
    return r;
}

static void attend_row(const struct lac_attention_row_args *a, const struct source *from, size_t i)
{
    struct query q = {a->q + i * a->head_dim, 1, a->scale, a->votes ? a->scores : NULL};
    struct lac_range all = lac_range_begin();
    for (size_t block = 0; block < a->n_seen;
         block = lac_seen_range_end(a->seen, a->n_seen, block)) {
        struct lac_range r = a->parts && a->y
                                 ? lac_range_load(lac_attention_part_at(a, block, i), a->head_dim)
                                 : range_of(a, &q, from, block);
        if (a->y)
            lac_range_join(&all, &r, a->head_dim, vec_exp_weight);
        else
            lac_range_store(&r, a->head_dim, lac_attention_part_at(a, block, i));
    }
    for (size_t j = 0; a->votes && j < lac_voting_keys(a); j++)
        a->votes[j] += vec_exp_weight(a->scores[j] - all.max) * (1.0f / all.sum);
    if (a->y)
        lac_range_join_lost(&all, a->lost, q.q, 1, a->head_dim, a->scale, 1, vec_exp_weight);
    if (a->y)
        lac_range_finish(&all, a->head_dim, a->y + i * a->head_dim, 1);
}

static void attention_row(const struct lac_attention_row_args *a, enum lac_dtype dtype)
{
    struct source from = {.dtype = dtype, .head_dim = a->head_dim, .pages = a->pages};
    for (size_t i = 0; i < a->n_queries; i++)
        attend_row(a, &from, i);
}

static void attention_row_f32(const struct lac_attention_row_args *a)
{
    attention_row(a, LAC_F32);
}

static void attention_row_bf16(const struct lac_attention_row_args *a)
{
    attention_row(a, LAC_BF16);
}

/* ---- Scores alone. ---- */

static void score_lane(const struct lac_scores_args *o, enum lac_dtype dtype, const struct query *q,
                       size_t lane)
{
    const struct lac_attention_args *a = o->of;
    struct source from = {.dtype = dtype, .head_dim = a->head_dim, .segments = a->segments};
    for (size_t i = 0; i < a->seen.n_blocks; i++) {
        size_t keys[LAC_KEY_BLOCK];
        size_t n = lac_list_keys(lac_lane_keys(&a->seen, i, lane, a->n_keys), keys);
        float s[LAC_KEY_BLOCK];
        for (size_t j = 0; j < n; j++) {
            struct key key = find_key(&from, keys[j]);
            s[j] = score(q, &from, &key);
        }
        lac_put_scores(o, i, lane, keys, s, n);
    }
}

static void scores(const struct lac_scores_args *o, enum lac_dtype dtype)
{
    const struct lac_attention_args *a = o->of;
    const struct lac_query_segment *end = a->queries + a->n_query_segments;
    size_t lane = 0;
    for (const struct lac_query_segment *s = a->queries; s < end; s++)
        for (size_t i = 0; i < s->n_queries; i++) {
            struct query q = {s->q + i, s->ld, a->scale, NULL};
            score_lane(o, dtype, &q, lane++);
        }
}

static void scores_f32(const struct lac_scores_args *a)
{
    scores(a, LAC_F32);
}

static void scores_bf16(const struct lac_scores_args *a)
{
    scores(a, LAC_BF16);
}

/* Scores of a lane to p; returns 1 / l. */
static float line_weights(const struct lac_score_lines_args *a, size_t lane)
{
    float max = LAC_NOT_SEEN, part[4] = {0};
    for (size_t i = 0; i < a->n_blocks; i++)
        max = vec_max(max, a->most[i * LAC_LANES + lane]);
    for (size_t j = 0; j < a->n_blocks * LAC_KEY_BLOCK; j++) {
        float *s = &a->scores[j * LAC_LANES + lane];
        *s = *s > LAC_NOT_SEEN ? vec_exp_weight(*s - max) : 0;
        part[j % 4] += *s;
    }
    float sum = (part[0] + part[1]) + (part[2] + part[3]);
    return sum > 0 ? 1.0f / sum : 0;
}

/* Of one page, below the diagonal or above it. */
static float line_sum(const float *p, const float share[LAC_LANES], uint64_t lanes, bool is_low)
{
    float sum[LAC_LANES] = {0};
    for (size_t j = 0; j < LAC_LANES; j++)
        for (size_t lane = 0; lane < LAC_LANES; lane++)
            if (lanes >> lane & 1 && (lane >= j) == is_low)
                sum[lane] = fmaf(p[j * LAC_LANES + lane], share[lane], sum[lane]);
    for (size_t half = LAC_LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            sum[i] += sum[i + half];
    return sum[0];
}

static void score_lines(const struct lac_score_lines_args *a)
{
    float share[LAC_LANES] = {0};
    for (size_t lane = 0; lane < LAC_LANES; lane++)
        if (a->lane_mask >> lane & 1)
            share[lane] = line_weights(a, lane);
    for (size_t i = 0; i < a->n_blocks * (LAC_KEY_BLOCK / LAC_LANES); i++) {
        const float *p = a->scores + i * LAC_LANES * LAC_LANES;
        a->low[i] += line_sum(p, share, a->lane_mask, true);
        a->high[i] += line_sum(p, share, a->lane_mask, false);
    }
}

/* ---- Compact pages ---- */

static void expand_features(const struct lac_compact *c, const struct lac_compact_features *from,
                            char *to)
{
    size_t row = LAC_LANES * (c->dtype == LAC_BF16 ? 2 : 4), n_there = 0;
    memset(to, 0, c->head_dim * row);
    for (size_t f = 0; f < c->head_dim; f++)
        if (from->dwords >> f / 4 & 1)
            memcpy(to + f * row, from->rows + n_there++ * row, row);
    memcpy(to + c->head_dim * row, from->rows + c->n_dwords * 4 * row, c->head_dim * row);
}

static void put_number(const struct lac_compact *c, char *to, size_t i, float x)
{
    uint16_t half = lac_bf16_from_f32(x);
    if (c->dtype == LAC_BF16)
        memcpy(to + i * sizeof half, &half, sizeof half);
    else
        memcpy(to + i * sizeof x, &x, sizeof x);
}

static void expand_bits(const struct lac_compact *c, const struct lac_compact_bits *from, char *to)
{
    size_t n = LAC_LANES * c->head_dim;
    for (size_t i = 0; i < n; i++) {
        put_number(c, to, i, from->k_scale[i % LAC_LANES] * (int8_t)from->rows[i]);
        put_number(c, to, n + i, from->v_scale[i / c->head_dim] * (int8_t)from->rows[n + i]);
    }
}

static void expand_page(const struct lac_compact *c, const void *from, void *to)
{
    if (c->form == LAC_COMPACT_FEATURES)
        expand_features(c, from, to);
    else
        expand_bits(c, from, to);
}

static void expand_f32(const struct lac_expand_args *a)
{
    lac_expand_each(a, expand_page);
}

static void expand_bf16(const struct lac_expand_args *a)
{
    lac_expand_each(a, expand_page);
}

LAC_ATTENTION_OPS_DEFINE(scalar, 0)
