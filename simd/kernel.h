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
 * All operations but the linear ones give the same bits with every kernel, as long as values are
 * finite: sums have a fixed order, and every multiply-add is fused. */
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
    LAC_OP_ATTENTION,
    LAC_OP_KV_PAGES,
    LAC_OP_ATTENTION_S8,
    LAC_OP_SOFTMAX,
    LAC_OP_TO_PANEL,
    LAC_OP_FROM_PANEL,
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
 * Token-lane kernels take any ld and compute all its lanes.  Output-lane kernels compute and
 * write only tokens below n_tokens, and take any ld >= n_tokens, not only multiples of
 * LAC_LANES. */
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

/* Keys and values of consecutive tokens inside one tile: rows of one head. */
struct lac_kv_segment {
    const float *k, *v; /* [head_dim][ld], at the segment's first token: any alignment */
    size_t ld;
    size_t n_keys;
};

/* For queries in lanes and one head: y = sum_j softmax_j(scale * q.k_j) v_j over the keys of all
 * segments, in their order.  Keys are taken in blocks of LAC_KEY_BLOCK counted from the first key
 * of the first segment (so a result depends on its own sequence alone, never on where in a batch
 * that lies), by online softmax in fp32.  Only lanes whose bit is set in lane_mask are written.
 * Takes up to 68 KB of stack. */
enum { LAC_KEY_BLOCK = 64, LAC_MAX_HEAD_DIM = 256 };

struct lac_attention_args {
    const float *q; /* [head_dim][q_ld], 64-byte aligned */
    size_t q_ld;
    size_t n_lanes; /* 16, 32 or 48 */
    uint64_t lane_mask;
    size_t head_dim; /* 1 to LAC_MAX_HEAD_DIM */
    float scale;
    const struct lac_kv_segment *segments;
    size_t n_segments; /* at least one key in all */
    float *y; /* [head_dim][y_ld] */
    size_t y_ld;
};

/* Quantised keys and values of LAC_LANES consecutive tokens of one head; 64-byte aligned.  Behind
 * the scales, with the head's features padded to whole dwords:
 *
 *   keys    uint8_t [dwords][LAC_LANES][4]      u8 = s8 + 128: the form of a u8 panel
 *   values  int8_t  [LAC_LANES / 4][4 * dwords][4]   4 consecutive tokens of a feature are a dword
 *
 * Each token's key and value have scales of their own, max|x| / 127, so that tokens can be added
 * to a page without touching those before.  Features that pad are 0 (keys: 128); so are tokens
 * that are not there, with scales of 0. */
struct lac_kv_page {
    float k_scale[LAC_LANES], v_scale[LAC_LANES];
    uint8_t rows[];
};

static inline size_t lac_kv_page_keys_bytes(size_t head_dim)
{
    return (head_dim + 3) / 4 * 4 * LAC_LANES;
}

static inline size_t lac_kv_page_bytes(size_t head_dim)
{
    return sizeof(struct lac_kv_page) + 2 * lac_kv_page_keys_bytes(head_dim);
}

/* Pages of all keys of the segments, in their order: page i has keys [16 i, 16 i + 16) and begins
 * at pages + i * lac_kv_page_bytes(head_dim).  Bytes are those of struct lac_quantize_args, less
 * 128 in values.  Takes up to 16 KB of stack. */
struct lac_kv_pages_args {
    const struct lac_kv_segment *segments;
    size_t n_segments;
    size_t head_dim; /* 1 to LAC_MAX_HEAD_DIM */
    void *pages;
};

/* Attention as in struct lac_attention_args, but in integers, on pages: for blocks of
 * LAC_KEY_BLOCK keys, with the query quantised as keys are, and the powers of 2 that
 * simd/template/math.h calls vec_exp2_weight,
 *
 *   s[j] = (q . k[j]) * (k_scale[j] * (q_scale * (scale * log2 e)))
 *   m' = max(m, max s);  p[j] = 2^(s[j] - m');  c = 2^(m - m');  l = c l + sum p[j]
 *   w[j] = round_half_even(p[j] * (v_scale[j] * (16383 / v_max)))     14 bits, in 7 + 7 if need be
 *   o = c o + (w . v) * (v_max / 16383)          v_max = max(2^-100, max v_scale[j]) of the block
 *
 * and y = o / l.  Scores and weighted sums are exact; all else is in fp32.  Weights of 8 bits would
 * lose the many small ones beside a large one.
 * Takes up to 100 KB of stack. */
struct lac_attention_s8_args {
    const float *q; /* [head_dim][q_ld], 64-byte aligned */
    size_t q_ld;
    size_t n_lanes; /* 16, 32 or 48 */
    uint64_t lane_mask;
    size_t head_dim; /* 1 to LAC_MAX_HEAD_DIM */
    float scale;
    const struct lac_kv_page *const *pages; /* [ceil(n_keys / LAC_LANES)] */
    size_t n_keys;                          /* at least 1 */
    float *y;                               /* [head_dim][y_ld] */
    size_t y_ld;
    float *abs_max; /* [n_lanes], raised for lanes in the mask, or NULL */
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

struct lac_kernel {
    const char *name; /* "linear_token_4x4_s8/avx512_vnni", "norm/avx2" */
    enum lac_op op;
    enum lac_pattern pattern; /* linear only */
    enum lac_dtype dtype;     /* linear only */
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
        void (*attention)(const struct lac_attention_args *args);
        void (*kv_pages)(const struct lac_kv_pages_args *args);
        void (*attention_s8)(const struct lac_attention_s8_args *args);
        void (*softmax)(const struct lac_softmax_args *args);
        void (*to_panel)(const struct lac_to_panel_args *args);
        void (*from_panel)(const struct lac_from_panel_args *args);
    } run;
};

/* Every kernel built in, best first within an operation, ending with NULL. */
const struct lac_kernel *const *lac_kernels(void);

/* Has the processor what the kernel needs, and should it be used (LAC_CPU_PREFER_256)? */
int lac_kernel_allowed(const struct lac_kernel *kernel, unsigned features);

/* The first kernel of an operation that features allow; never NULL, as scalar needs nothing. */
const struct lac_kernel *lac_kernel_find(enum lac_op op, unsigned features);
/* The same for a linear operation on this weight. */
const struct lac_kernel *lac_kernel_find_linear(enum lac_op op, const struct lac_weight *weight,
                                                unsigned features);

#endif
