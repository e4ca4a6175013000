/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but linear layers in plain C: the definitions that all other kernels are compared
 * with.  Sums have a fixed order and multiply-adds are fused, so that comparing is for equality. */
#include "simd/ops.h"

#include <float.h>
#include <math.h>

#include "simd/kernel.h"
#include "simd/scalar/math.h"
#include "src/base/checked.h"

/* Both factors are floats, so the product is exact in double. */
static uint8_t quantize_value(float x, float factor)
{
    double q = nearbyint((double)x * factor);
    return (uint8_t)((q >= -127 ? q > 127 ? 127 : (int)q : -127) + 128);
}

static void quantize_token(const float *x, size_t n_features, size_t ld, float most, uint8_t *y,
                           float *scale)
{
    float factor = fminf(127.0f / most, FLT_MAX); /* finite for a token of zeros */
    *scale = most / 127.0f;
    for (size_t f = 0; f < lac_round_up(n_features, 4); f++)
        y[f / 4 * ld * 4 + f % 4] = f < n_features ? quantize_value(x[f * ld], factor) : 128;
}

static float measure_token(const float *x, size_t n_features, size_t ld)
{
    float most = 0;
    for (size_t f = 0; f < n_features; f++)
        most = fmaxf(most, fabsf(x[f * ld]));
    return most;
}

static void quantize(const struct lac_quantize_args *a)
{
    for (size_t t = 0; t < a->n_lanes; t++) {
        float most = a->abs_max ? a->abs_max[t] : measure_token(a->x + t, a->n_features, a->ld);
        quantize_token(a->x + t, a->n_features, a->ld, most, a->y_u8 + t * 4, a->y_scale + t);
    }
}

/* Sums are kept in four parts, feature f in part f mod 4. */
static float add_parts(const float part[4])
{
    return (part[0] + part[1]) + (part[2] + part[3]);
}

static void norm_token(const struct lac_norm_args *a, size_t t)
{
    const float *x = a->x + t;
    float *y = a->y + t;
    float share = 1.0f / (float)a->n_features;
    float sums[4] = {0}, squares[4] = {0}, most = 0;
    for (size_t f = 0; f < a->n_features; f++)
        sums[f % 4] += x[f * a->ld];
    float mean = add_parts(sums) * share;
    for (size_t f = 0; f < a->n_features; f++) {
        float distance = x[f * a->ld] - mean;
        squares[f % 4] = fmaf(distance, distance, squares[f % 4]);
    }
    float variance = add_parts(squares) * share;
    float factor = 1.0f / sqrtf(variance + a->eps);
    for (size_t f = 0; f < a->n_features; f++) {
        float v = fmaf((x[f * a->ld] - mean) * factor, a->gamma[f], a->beta[f]);
        y[f * a->ld] = v;
        most = fmaxf(most, fabsf(v));
    }
    if (a->y_u8)
        quantize_token(y, a->n_features, a->ld, most, a->y_u8 + t * 4, a->y_scale + t);
}

static void norm(const struct lac_norm_args *a)
{
    for (size_t t = 0; t < a->n_lanes; t++)
        norm_token(a, t);
}

/* Softmax and weighted sum so far of one query. */
struct running {
    float max, sum;
    float o[LAC_MAX_HEAD_DIM];
};

/* One block of keys: k[j] and v[j] are at key j, whose rows are ld[j] apart. */
struct keys {
    const float *k[LAC_KEY_BLOCK], *v[LAC_KEY_BLOCK];
    size_t ld[LAC_KEY_BLOCK], n;
};

static void add_block(const struct lac_attention_args *a, const float *q, const struct keys *keys,
                      struct running *r)
{
    float p[LAC_KEY_BLOCK], max = r->max, sum = 0;
    for (size_t j = 0; j < keys->n; j++) {
        float dot = 0;
        for (size_t d = 0; d < a->head_dim; d++)
            dot = fmaf(keys->k[j][d * keys->ld[j]], q[d * a->q_ld], dot);
        p[j] = dot * a->scale;
        max = vec_max(max, p[j]);
    }
    for (size_t j = 0; j < keys->n; j++) {
        p[j] = lac_exp(p[j] - max);
        sum += p[j];
    }
    float correction = lac_exp(r->max - max);
    r->max = max;
    r->sum = fmaf(r->sum, correction, sum);
    for (size_t d = 0; d < a->head_dim; d++) {
        r->o[d] *= correction;
        for (size_t j = 0; j < keys->n; j++)
            r->o[d] = fmaf(keys->v[j][d * keys->ld[j]], p[j], r->o[d]);
    }
}

static void attend(const struct lac_attention_args *a, size_t lane)
{
    struct running r = {.max = -INFINITY};
    struct keys keys = {.n = 0};
    for (size_t i = 0; i < a->n_segments; i++) {
        const struct lac_kv_segment *s = &a->segments[i];
        for (size_t j = 0; j < s->n_keys; j++) {
            keys.k[keys.n] = s->k + j;
            keys.v[keys.n] = s->v + j;
            keys.ld[keys.n++] = s->ld;
            if (keys.n == LAC_KEY_BLOCK) {
                add_block(a, a->q + lane, &keys, &r);
                keys.n = 0;
            }
        }
    }
    if (keys.n)
        add_block(a, a->q + lane, &keys, &r);
    float share = 1.0f / r.sum;
    for (size_t d = 0; d < a->head_dim; d++)
        a->y[d * a->y_ld + lane] = r.o[d] * share;
}

static void attention(const struct lac_attention_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane++)
        if (a->lane_mask >> lane & 1)
            attend(a, lane);
}

/* Element i adds to sum i mod 16, and then halves of the sums are folded onto each other. */
static float sum_row(const float *x, size_t n)
{
    float sums[LAC_LANES] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i % LAC_LANES] += x[i];
    for (size_t half = LAC_LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}

static void softmax(const struct lac_softmax_args *a)
{
    float max = -INFINITY;
    for (size_t i = 0; i < a->n; i++)
        max = fmaxf(max, a->x[i]);
    for (size_t i = 0; i < a->n; i++)
        a->y[i] = lac_exp(a->x[i] - max);
    float share = 1.0f / sum_row(a->y, a->n);
    for (size_t i = 0; i < a->n; i++)
        a->y[i] *= share;
}

static void to_panel(const struct lac_to_panel_args *a)
{
    for (size_t f = 0; f < a->n_features; f++)
        for (size_t lane = 0; lane < LAC_LANES; lane++)
            a->panel[f * a->ld + lane] = lane < a->n_rows ? a->rows[lane][f] : 0;
}

static void from_panel(const struct lac_from_panel_args *a)
{
    for (size_t lane = 0; lane < a->n_rows; lane++)
        for (size_t f = 0; f < a->n_features; f++)
            a->rows[lane][f] = a->panel[f * a->ld + lane];
}

LAC_OPS_DEFINE(scalar, 0)
