/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel contract and registry.
 *
 * A kernel is one exported constant of struct lac_kernel, listed in its folder's table.c.  The
 * scalar kernel of an operation is its definition.  Running a kernel cannot fail, allocates
 * nothing, and reads and writes nothing outside the arrays its arguments describe.
 *
 * Panels.  Tokens are lanes.  A tile holds up to LAC_TILE tokens; ld is its number of lanes:
 *
 *   f32 panel   float   [n_features][ld]
 *   u8 panel    uint8_t [ceil(n_features / 4)][ld][4]     u8 = s8 + 128, per-token scales [ld]
 *
 * ld is a multiple of LAC_LANES and panels start on 64 bytes.  Lanes past the tile's tokens
 * belong to the tile: kernels may compute and write them, and their values never reach a token.
 * In a u8 panel the features that pad the last dword meet zero weights.
 *
 * All operations but the linear ones and those of neurons give the same bits with every kernel, as
 * long as values are finite: sums have a fixed order, and every multiply-add is fused. */
#ifndef LACUNA_SIMD_KERNEL_H
#define LACUNA_SIMD_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "simd/cpu.h"
#include "sparse/layout.h"

enum { LAC_LANES = 16, LAC_TILE = 48 };

enum lac_op {
    LAC_OP_LINEAR_TOKEN,  /* lanes are tokens */
    LAC_OP_LINEAR_OUTPUT, /* lanes are outputs */
    LAC_OP_QUANTIZE,
    LAC_OP_NORM,
    LAC_OP_ROPE,
    /* simd/attention.h */
    LAC_OP_KV_PAGES,  /* LAC_F32, LAC_BF16, LAC_S8 */
    LAC_OP_ATTENTION, /* LAC_F32, LAC_BF16 */
    LAC_OP_ATTENTION_S8,
    LAC_OP_ATTENTION_ROW, /* LAC_F32, LAC_BF16, LAC_S8 */
    LAC_OP_SCORES,        /* the same */
    LAC_OP_SCORE_LINES,
    LAC_OP_PAGE_SCORES,
    LAC_OP_EXPAND, /* simd/compact.h: LAC_F32, LAC_BF16, LAC_S8 */
    LAC_OP_SOFTMAX,
    LAC_OP_TO_PANEL,
    LAC_OP_FROM_PANEL,
    /* simd/neurons.h */
    LAC_OP_NEURON_ROWS,    /* LAC_S8, LAC_F32 */
    LAC_OP_NEURON_COLUMNS, /* LAC_S8, LAC_F32 */
    LAC_N_OPS,
};

enum lac_activation {
    LAC_ACT_NONE,
    LAC_ACT_RELU,
    LAC_ACT_GELU,      /* x * Phi(x), by erf */
    LAC_ACT_GELU_TANH, /* its tanh approximation (gelu_new) */
    LAC_ACT_TANH,
    LAC_ACT_SILU, /* x / (1 + e^-x) */
    LAC_N_ACTIVATIONS,
};

/* y = W x, finished: for output o and token t, with acc = sum_i W[o,i] x[i,t],
 *
 *   int8:  v = ((acc + offset[o]) * scale[o]) * x_scale[t] + bias[o]      the sum as a float, a
 *          product that is rounded, a fused multiply-add
 *   int4:  the same, W being g * s4 (sparse/int4.h)
 *   both, for an output that has outliers (sparse/outliers.h): v = fma(s, x_scale[t], v), s the sum
 *          of outlier * (x - 128) in their order, from 0 by fused multiply-adds
 *   fp32:  v = acc + bias[o]        acc summed in an order that is the same for every token
 *   bf16, fp16:  the same: only weights have 16 bits, products and sums 32
 *   v = activation(v);  v *= factor[o][t];  v += residual[o][t];
 *   y[o][t] = v;  abs_max[t] = max(abs_max[t], |v|);
 *   y_u8[o][t] = clamp(round_half_even(v * y_inv_scale[t]) + 128, 0, 255), the product not rounded
 *                before, for |v * y_inv_scale[t]| < 2^15 - 128: beyond, any byte
 *
 * y and y_u8 may each be NULL, not both.  factor, residual and abs_max may be NULL; y may be factor
 * or residual.  Rows [out_begin, out_end) are computed: both multiples of the layout's unit
 * (lac_pattern_unit), except that out_end may be n_out; y, y_u8, factor and residual are whole
 * panels of n_out features.  y_u8
 * bytes that pad the last dword are written as 128 by whoever computes the last output.
 * Token-lane kernels take a multiple of LAC_LANES up to LAC_TILE as ld; lanes past n_tokens they
 * may compute and write, or leave.  Output-lane kernels write only tokens below n_tokens, may read
 * x up to ld, and take any ld >= n_tokens. */
struct lac_linear_args {
    const struct lac_weight *w;
    size_t out_begin, out_end;
    size_t n_tokens, ld;  /* ld: of x and of every other panel */
    const void *x;        /* u8 panel (lac_dtype_is_quantized) or f32 panel of w->n_in features */
    const float *x_scale; /* with a u8 panel: [ld] */
    enum lac_activation activation;
    const float *factor;      /* f32 panel or NULL: the other half of a gated layer */
    const float *residual;    /* f32 panel or NULL */
    float *y;                 /* f32 panel or NULL */
    float *abs_max;           /* [ld] or NULL */
    uint8_t *y_u8;            /* u8 panel or NULL */
    const float *y_inv_scale; /* [ld], with y_u8 */
};

/* Rows.  Quantising, norm and rotary positions also take one token whose features are side by side:
 * ld == 1 and n_lanes == 1, with a u8 panel then being uint8_t [4 * ceil(n_features / 4)].  Panels
 * and rows give the same bits. */

/* y_u8 = round_half_even(x * (127 / max|x|)) + 128, the outer product not rounded before, and a
 * scale for each token: max|x| / 127, 0 for a token of zeros (its bytes are then all 128). */
struct lac_quantize_args {
    const float *x;                 /* f32 panel or row */
    size_t n_features, ld, n_lanes; /* works on the first n_lanes lanes: a multiple of LAC_LANES */
    const float *abs_max;           /* [n_lanes] max|x|, or NULL: it is measured */
    uint8_t *y_u8;
    float *y_scale; /* [n_lanes] */
};

enum lac_norm_rule {
    LAC_RULE_LAYER_NORM, /* (x - mean) / sqrt(variance + eps) * gamma + beta   (Ba et al. 2016) */
    LAC_RULE_RMS_NORM, /* x / sqrt(mean of x^2 + eps) * gamma + beta    (Zhang and Sennrich 2019) */
};

/* Norm over the features of each token, the variance being that of the population, in two passes.
 * Sums are kept in 16 parts, feature f in part f mod 16, and then halves of the parts are folded
 * onto each other; the last product and sum are fused.  Writes y (may be x), and with y_u8 also its
 * quantised form; either may be NULL, not both. */
struct lac_norm_args {
    enum lac_norm_rule rule;
    const float *x; /* f32 panel or row */
    size_t n_features, ld, n_lanes;
    const float *gamma, *beta; /* [n_features]; beta NULL: zeros */
    float eps;
    float *y; /* as x */
    uint8_t *y_u8;
    float *y_scale; /* [n_lanes], with y_u8 */
};

/* Rotary positions (Su et al. 2021), in the order of GPT-NeoX and Hugging Face: in each head
 * features i and i + n_rotated / 2, i < n_rotated / 2, become
 *
 *   x[i] cos[i] - x[i + n_rotated / 2] sin[i]   and   x[i + n_rotated / 2] cos[i] + x[i] sin[i],
 *
 * the first product rounded, the second fused with the sum; features from n_rotated on stay. */
struct lac_rope_args {
    float *x; /* panel of n_heads * head_dim features, or row: changed in place */
    size_t n_heads, head_dim, n_rotated; /* n_rotated: even, at most head_dim */
    size_t ld, n_lanes;
    const float *cos, *sin; /* panels of n_rotated / 2 features with that ld, or rows */
};

/* y[i] = exp(x[i] - max) / sum; n >= 1; y may be x. */
struct lac_softmax_args {
    const float *x;
    size_t n;
    float *y;
};

/* panel[f][lane] = rows[lane][f] for n_rows <= LAC_LANES rows; lanes up to LAC_LANES become 0. */
struct lac_to_panel_args {
    const float *const *rows;
    size_t n_rows, n_features, ld;
    float *panel; /* at the first of the lanes */
};

/* rows[lane][f] = panel[f][lane]. */
struct lac_from_panel_args {
    const float *panel;
    size_t n_rows, n_features, ld;
    float *const *rows;
};

struct lac_kv_pages_args;
struct lac_attention_args;
struct lac_attention_s8_args;
struct lac_attention_row_args;
struct lac_neurons_args;
struct lac_scores_args;
struct lac_score_lines_args;
struct lac_page_scores_args;
struct lac_expand_args;

struct lac_kernel {
    const char *name; /* "linear_token_4x4_s8/avx512_vnni", "norm/avx2" */
    enum lac_op op;
    enum lac_pattern pattern; /* linear only */
    enum lac_dtype dtype;     /* linear only, and where an operation has several kernels */
    unsigned needs;           /* set of enum lac_cpu_feature */
    /* Linear only; NULL: always.  May refuse a weight. */
    int (*fits)(const struct lac_weight *weight);
    /* Linear only; NULL: nothing to do.  Makes the kernel's own copy of a weight, in the arena:
     * the caller puts it into weight->extra before the first run.  NULL without memory. */
    const void *(*pack)(const struct lac_weight *weight, struct lac_arena *arena);
    union {
        void (*linear)(const struct lac_linear_args *args);
        void (*quantize)(const struct lac_quantize_args *args);
        void (*norm)(const struct lac_norm_args *args);
        void (*rope)(const struct lac_rope_args *args);
        void (*kv_pages)(const struct lac_kv_pages_args *args);
        void (*attention)(const struct lac_attention_args *args);
        void (*attention_s8)(const struct lac_attention_s8_args *args);
        void (*attention_row)(const struct lac_attention_row_args *args);
        void (*scores)(const struct lac_scores_args *args);
        void (*score_lines)(const struct lac_score_lines_args *args);
        void (*page_scores)(const struct lac_page_scores_args *args);
        void (*expand)(const struct lac_expand_args *args);
        void (*softmax)(const struct lac_softmax_args *args);
        void (*to_panel)(const struct lac_to_panel_args *args);
        void (*from_panel)(const struct lac_from_panel_args *args);
        void (*neurons)(const struct lac_neurons_args *args);
    } run;
};

/* Every kernel built in, best first within an operation, ending with NULL. */
const struct lac_kernel *const *lac_kernels(void);

/* Has the processor what the kernel needs, and should it be used (LAC_CPU_PREFER_256)? */
int lac_kernel_allowed(const struct lac_kernel *kernel, unsigned features);

/* The first kernel of an operation that features allow; never NULL, as scalar needs nothing. */
const struct lac_kernel *lac_kernel_find(enum lac_op op, unsigned features);
/* The same for an operation that has a kernel for each of several dtypes. */
const struct lac_kernel *lac_kernel_find_dtype(enum lac_op op, enum lac_dtype dtype,
                                               unsigned features);
/* The same for a linear operation on this weight. */
const struct lac_kernel *lac_kernel_find_linear(enum lac_op op, const struct lac_weight *weight,
                                                unsigned features);

#endif
