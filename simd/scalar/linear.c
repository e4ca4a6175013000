/* SPDX-License-Identifier: Apache-2.0 */
/* The linear layer in plain C: the definition that every other kernel is compared with. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "simd/kernel.h"
#include "simd/neurons.h"
#include "simd/ops.h"
#include "simd/scalar/linear.h"
#include "sparse/bitmap.h"
#include "sparse/int4.h"
#include "sparse/loose.h"
#include "src/base/half.h"

static float activate(enum lac_activation activation, float v)
{
    switch (activation) {
    case LAC_ACT_RELU:
        return v > 0 ? v : 0;
    case LAC_ACT_GELU:
        return 0.5f * v * (1 + erff(v * 0x1.6a09e6p-1f));
    case LAC_ACT_GELU_TANH: /* sqrt(2 / pi) = 0.79788456 */
        return 0.5f * v * (1 + tanhf(0.79788456f * (v + 0.044715f * v * v * v)));
    case LAC_ACT_TANH:
        return tanhf(v);
    case LAC_ACT_SILU:
        return v / (1 + expf(-v));
    case LAC_ACT_NONE:
    case LAC_N_ACTIVATIONS:
        break;
    }
    return v;
}

static uint8_t quantize(float v, float inv_scale)
{
    /* 1.5 * 2^23 leaves no place for a fraction: the sum is rounded once, to a whole number. */
    float q = fmaf(v, inv_scale, 0x1.8p23f + 128) - 0x1.8p23f;
    return (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
}

/* Everything after the sum: output o of token t. */
static void finish(const struct lac_linear_args *a, size_t o, size_t t, float v)
{
    size_t at = o * a->ld + t;
    v = activate(a->activation, v);
    if (a->factor)
        v *= a->factor[at];
    if (a->residual)
        v += a->residual[at];
    if (a->y)
        a->y[at] = v;
    if (a->abs_max && fabsf(v) > a->abs_max[t])
        a->abs_max[t] = fabsf(v);
    if (a->y_u8)
        a->y_u8[(o / 4 * a->ld + t) * 4 + o % 4] = quantize(v, a->y_inv_scale[t]);
}

/* The kept dwords of one output, one after another. */
struct walk {
    const struct lac_weight *w;
    size_t b, r, k, j;     /* block row, output in it, next block or line, dword of a block */
    const uint8_t *values; /* bitmap: of line k */
};

static struct walk walk_begin(const struct lac_weight *w, size_t o)
{
    size_t rows = lac_pattern_rows(w->pattern), b = o / rows, first = w->row_begin[b];
    bool is_bitmap = w->pattern == LAC_PATTERN_BITMAP;
    return (struct walk){
        .w = w,
        .b = b,
        .r = o % rows,
        .k = is_bitmap ? 0 : first,
        .values = (const uint8_t *)w->blocks +
                  first * (is_bitmap ? lac_block_bytes(w->pattern, w->dtype) : 0),
    };
}

static bool next_of_bitmap(struct walk *walk, size_t *d, uint8_t dword[4])
{
    const struct lac_weight *w = walk->w;
    uint8_t line[LAC_LINE_BYTES];
    if (walk->k == w->n_dwords)
        return false;
    *d = walk->k++;
    walk->values = lac_bitmap_expand(lac_bitmap_mask(w, walk->b * w->n_dwords + *d), walk->values,
                                     w->dtype, line);
    memcpy(dword, line + walk->r * 4, 4);
    return true;
}

/* False after the last one; else dword d of the inputs. */
static bool next(struct walk *walk, size_t *d, uint8_t dword[4])
{
    const struct lac_weight *w = walk->w;
    if (w->pattern == LAC_PATTERN_BITMAP)
        return next_of_bitmap(walk, d, dword);
    if (walk->k == w->row_begin[walk->b + 1])
        return false;
    size_t k = walk->k, j = walk->j++;
    *d = (w->index ? w->index[k] : k - w->row_begin[walk->b]) + j;
    memcpy(dword, lac_weight_dword(w, k, j, walk->r), 4);
    if (walk->j == lac_block_dwords(w->pattern, w->dtype) || *d + 1 == w->n_dwords) {
        walk->j = 0;
        walk->k++;
    }
    return true;
}

/* v with the outliers of output o. */
static float add_outliers(const struct lac_linear_args *a, size_t o, size_t t, float v)
{
    const struct lac_outliers *out = &a->w->outliers;
    float sum = 0;
    if (!out->n || out->begin[o] == out->begin[o + 1])
        return v;
    for (uint32_t k = out->begin[o]; k < out->begin[o + 1]; k++) {
        size_t i = out->index[k];
        int x = ((const uint8_t *)a->x)[(i / 4 * a->ld + t) * 4 + i % 4] - 128;
        sum = fmaf(out->values[k], (float)x, sum);
    }
    return fmaf(sum, a->x_scale[t], v);
}

/* From the sum, offset included, to what is activated. */
static float scale_sum(const struct lac_linear_args *a, size_t o, size_t t, int32_t sum)
{
    const struct lac_weight *w = a->w;
    return add_outliers(a, o, t, fmaf((float)sum * w->scale[o], a->x_scale[t], w->bias[o]));
}

/* A quad's four inputs are anywhere. */
static float sum_loose(const struct lac_linear_args *a, size_t o, size_t t)
{
    const struct lac_weight *w = a->w;
    size_t rows = lac_pattern_rows(w->pattern);
    uint32_t acc = (uint32_t)w->offset[o];
    for (size_t k = w->row_begin[o / rows]; k < w->row_begin[o / rows + 1]; k++) {
        const int8_t *weights = (const int8_t *)lac_weight_dword(w, k, 0, o % rows);
        for (size_t i = 0; i < LAC_LOOSE_INPUTS; i++) {
            size_t input = w->index[k * LAC_LOOSE_INPUTS + i];
            acc += (uint32_t)(((const uint8_t *)a->x)[(input / 4 * a->ld + t) * 4 + input % 4] *
                              weights[i]);
        }
    }
    return scale_sum(a, o, t, (int32_t)acc);
}

static float sum_s8(const struct lac_linear_args *a, size_t o, size_t t)
{
    const struct lac_weight *w = a->w;
    if (w->pattern == LAC_PATTERN_4X1)
        return sum_loose(a, o, t);
    struct walk walk = walk_begin(w, o);
    /* Unsigned, because the sum may wrap on its way (see the offset in sparse/layout.c). */
    uint32_t acc = (uint32_t)w->offset[o];
    uint8_t dword[4];
    for (size_t d; next(&walk, &d, dword);) {
        const uint8_t *x = (const uint8_t *)a->x + (d * a->ld + t) * 4;
        for (int i = 0; i < 4; i++)
            acc += (uint32_t)(x[i] * (int8_t)dword[i]);
    }
    return scale_sum(a, o, t, (int32_t)acc);
}

static float sum_f32(const struct lac_linear_args *a, size_t o, size_t t)
{
    struct walk walk = walk_begin(a->w, o);
    float acc = 0;
    uint8_t dword[4];
    for (size_t d; next(&walk, &d, dword);) {
        float weight;
        memcpy(&weight, dword, sizeof weight);
        acc += weight * ((const float *)a->x)[d * a->ld + t];
    }
    return acc + a->w->bias[o];
}

static float sum_half(const struct lac_linear_args *a, size_t o, size_t t)
{
    const struct lac_weight *w = a->w;
    struct walk walk = walk_begin(w, o);
    float acc = 0;
    uint8_t dword[4];
    for (size_t d; next(&walk, &d, dword);) {
        uint16_t halves[2];
        memcpy(halves, dword, sizeof halves);
        for (size_t i = 0, row = d * 2; i < 2 && row < w->n_in; i++, row++) {
            float weight =
                w->dtype == LAC_BF16 ? lac_bf16_to_f32(halves[i]) : lac_f16_to_f32(halves[i]);
            acc += weight * ((const float *)a->x)[row * a->ld + t];
        }
    }
    return acc + w->bias[o];
}

static float sum_s4(const struct lac_linear_args *a, size_t o, size_t t)
{
    const struct lac_weight *w = a->w;
    struct walk walk = walk_begin(w, o);
    size_t rows = lac_pattern_rows(w->pattern), begin = walk.k;
    const uint8_t *group = w->group + lac_weight_first_group(w, walk.b) * rows + walk.r;
    uint32_t acc = (uint32_t)w->offset[o];
    uint8_t dword[4];
    for (size_t d, k = begin; next(&walk, &d, dword); k++) {
        int8_t weights[LAC_INT4_INPUTS];
        lac_int4_decode(dword, group[(k - begin) / LAC_INT4_BLOCKS * rows], weights);
        size_t first = d * LAC_INT4_INPUTS;
        for (size_t i = first; i < w->n_in && i < first + LAC_INT4_INPUTS; i++)
            acc += (uint32_t)(((const uint8_t *)a->x)[(i / 4 * a->ld + t) * 4 + i % 4] *
                              weights[i - first]);
    }
    return scale_sum(a, o, t, (int32_t)acc);
}

static void linear(const struct lac_linear_args *a, size_t n_lanes)
{
    static float (*const sums[LAC_N_DTYPES])(const struct lac_linear_args *, size_t, size_t) = {
        [LAC_S8] = sum_s8,    [LAC_F32] = sum_f32, [LAC_BF16] = sum_half,
        [LAC_F16] = sum_half, [LAC_S4] = sum_s4,
    };
    for (size_t o = a->out_begin; o < a->out_end; o++)
        for (size_t t = 0; t < n_lanes; t++)
            finish(a, o, t, sums[a->w->dtype](a, o, t));
    if (!a->y_u8 || a->out_end != a->w->n_out)
        return;
    for (size_t o = a->w->n_out; o % 4; o++)
        for (size_t t = 0; t < n_lanes; t++)
            a->y_u8[(o / 4 * a->ld + t) * 4 + o % 4] = 128;
}

static void linear_token(const struct lac_linear_args *a)
{
    linear(a, a->ld);
}

static void linear_output(const struct lac_linear_args *a)
{
    linear(a, a->n_tokens);
}

#define KERNEL(name_, op_, pattern_, dtype_, run_)                                                 \
    const struct lac_kernel lac_##name_##_scalar = {                                               \
        .name = #name_ "/scalar",                                                                  \
        .op = op_,                                                                                 \
        .pattern = pattern_,                                                                       \
        .dtype = dtype_,                                                                           \
        .run.linear = run_,                                                                        \
    };

LAC_LINEAR_KERNELS(KERNEL, LAC_OP_LINEAR_TOKEN, token, linear_token)
LAC_LINEAR_KERNELS(KERNEL, LAC_OP_LINEAR_OUTPUT, output, linear_output)

/* ---- Some neurons: simd/neurons.h ---- */

static float dot_row_s8(const struct lac_neurons_args *a, size_t i, size_t t)
{
    const struct lac_linear_args *l = &a->linear;
    const int8_t *row = (const int8_t *)a->part + a->list[i] * a->stride;
    uint32_t acc = (uint32_t)l->w->offset[i];
    for (size_t k = 0; k < l->w->n_in; k++)
        acc += (uint32_t)(((const uint8_t *)l->x)[(k / 4 * l->ld + t) * 4 + k % 4] * row[k]);
    return scale_sum(l, i, t, (int32_t)acc);
}

static float dot_row_f32(const struct lac_neurons_args *a, size_t i, size_t t)
{
    const struct lac_linear_args *l = &a->linear;
    const float *row = (const float *)(const void *)(a->part + a->list[i] * a->stride);
    float acc = 0;
    for (size_t k = 0; k < l->w->n_in; k++)
        acc += row[k] * ((const float *)l->x)[k * l->ld + t];
    return acc + l->w->bias[i];
}

static float dot_columns_s8(const struct lac_neurons_args *a, size_t o, size_t t)
{
    const struct lac_linear_args *l = &a->linear;
    uint32_t acc = 0;
    for (size_t k = 0; k < l->w->n_in; k++) {
        int x = ((const uint8_t *)l->x)[(k / 4 * l->ld + t) * 4 + k % 4] - 128;
        acc += (uint32_t)(x * (a->part[a->list[k] * a->stride + o] - 128));
    }
    return scale_sum(l, o, t, (int32_t)acc);
}

static float dot_columns_f32(const struct lac_neurons_args *a, size_t o, size_t t)
{
    const struct lac_linear_args *l = &a->linear;
    float acc = 0;
    for (size_t k = 0; k < l->w->n_in; k++) {
        const float *column = (const float *)(const void *)(a->part + a->list[k] * a->stride);
        acc += column[o] * ((const float *)l->x)[k * l->ld + t];
    }
    return acc + l->w->bias[o];
}

#define NEURONS(name, dot)                                                                         \
    static void name(const struct lac_neurons_args *a)                                             \
    {                                                                                              \
        for (size_t o = a->linear.out_begin; o < a->linear.out_end; o++)                           \
            for (size_t t = 0; t < a->linear.n_tokens; t++)                                        \
                finish(&a->linear, o, t, dot(a, o, t));                                            \
    }
NEURONS(neuron_rows_s8, dot_row_s8)
NEURONS(neuron_rows_f32, dot_row_f32)
NEURONS(neuron_columns_s8, dot_columns_s8)
NEURONS(neuron_columns_f32, dot_columns_f32)

#define ISA       scalar
#define ISA_NEEDS 0
LAC_NEURON_OPS_DEFINE(s8, LAC_S8)
LAC_NEURON_OPS_DEFINE(f32, LAC_F32)
