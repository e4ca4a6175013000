/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but linear layers and attention in plain C: the definitions that all other kernels are
 * compared with.  Sums have a fixed order and multiply-adds are fused, so that comparing is for
 * equality. */
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

/* Halves of the sums are folded onto each other. */
static float fold_parts(float part[LAC_LANES])
{
    for (size_t half = LAC_LANES / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            part[i] += part[i + half];
    return part[0];
}

static float sum_token(const float *x, size_t n_features, size_t ld)
{
    float part[LAC_LANES] = {0};
    for (size_t f = 0; f < n_features; f++)
        part[f % LAC_LANES] += x[f * ld];
    return fold_parts(part);
}

static float sum_squares(const float *x, size_t n_features, size_t ld, float mean)
{
    float part[LAC_LANES] = {0};
    for (size_t f = 0; f < n_features; f++) {
        float distance = x[f * ld] - mean;
        part[f % LAC_LANES] = fmaf(distance, distance, part[f % LAC_LANES]);
    }
    return fold_parts(part);
}

/* What one token's features are normed with. */
struct token_norm {
    float mean, factor;
};

static float norm_feature(const struct lac_norm_args *a, struct token_norm n, size_t f, size_t t)
{
    return fmaf((a->x[f * a->ld + t] - n.mean) * n.factor, a->gamma[f], a->beta ? a->beta[f] : 0);
}

/* Bytes before features: y may be x. */
static void norm_token(const struct lac_norm_args *a, size_t t)
{
    size_t n = a->n_features, ld = a->ld;
    float share = 1.0f / (float)n, most = 0;
    struct token_norm token = {0, 0};
    if (a->rule == LAC_RULE_LAYER_NORM)
        token.mean = sum_token(a->x + t, n, ld) * share;
    token.factor = 1.0f / sqrtf(sum_squares(a->x + t, n, ld, token.mean) * share + a->eps);
    for (size_t f = 0; f < n; f++)
        most = fmaxf(most, fabsf(norm_feature(a, token, f, t)));
    float factor = fminf(127.0f / most, FLT_MAX);
    for (size_t f = 0; a->y_u8 && f < lac_round_up(n, 4); f++)
        a->y_u8[(f / 4 * ld + t) * 4 + f % 4] =
            f < n ? quantize_value(norm_feature(a, token, f, t), factor) : 128;
    if (a->y_u8)
        a->y_scale[t] = most / 127.0f;
    for (size_t f = 0; a->y && f < n; f++)
        a->y[f * ld + t] = norm_feature(a, token, f, t);
}

static void norm(const struct lac_norm_args *a)
{
    for (size_t t = 0; t < a->n_lanes; t++)
        norm_token(a, t);
}

static void rope(const struct lac_rope_args *a)
{
    size_t half = a->n_rotated / 2;
    for (size_t head = 0; head < a->n_heads; head++)
        for (size_t i = 0; i < half; i++)
            for (size_t t = 0; t < a->n_lanes; t++) {
                float *low = a->x + (head * a->head_dim + i) * a->ld + t,
                      *high = low + half * a->ld;
                float x0 = *low, x1 = *high;
                float cosine = a->cos[i * a->ld + t], sine = a->sin[i * a->ld + t];
                *low = fmaf(-x1, sine, x0 * cosine);
                *high = fmaf(x0, sine, x1 * cosine);
            }
}

static void softmax(const struct lac_softmax_args *a)
{
    float max = -INFINITY;
    for (size_t i = 0; i < a->n; i++)
        max = fmaxf(max, a->x[i]);
    for (size_t i = 0; i < a->n; i++)
        a->y[i] = lac_exp(a->x[i] - max);
    float share = 1.0f / sum_token(a->y, a->n, 1);
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
