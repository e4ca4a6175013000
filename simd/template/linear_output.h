/* SPDX-License-Identifier: Apache-2.0 */
/* The output-lane linear layer, for any vector width and number format.
 *
 * Lanes are outputs, tokens are broadcast: the weights pass by once for a handful of tokens.  The
 * kept blocks of a block row are read as lines of 16 dwords, whatever the block:
 *
 *   16 rows   one block       lane l: output l        activation of one dword in all lanes
 *    8 rows   two blocks      lane l: output l % 8    two dwords, 8 lanes each
 *    4 rows   four blocks     lane l: output l % 4    four dwords, 4 lanes each
 *    1 row    sixteen blocks  every lane the same     sixteen dwords, gathered
 *
 * and at the end lanes of the same output are added up.  The finishing steps touch 16 values a
 * token, strided in the panel, and are plain C.
 *
 * Before inclusion, define
 *   the vector vocabulary (vector.h, math.h and lanes.h of the instruction set)
 *   ACC, struct x_reg, struct w_reg, acc_zero(), acc_add(a, b), acc_dot(acc, x, w)
 *   x_spread(x, stride, index, rows)  the activations for one vector of lanes: dword index[0] in
 *                         the first `rows` lanes, index[1] in the next, ...; all in the vector
 *   x_broadcast(x)        one dword in all lanes
 *   w_line(block, n)      one vector of weight dwords; lanes from n on are 0 and are not read
 *   acc_store(ACC_SCALAR *, acc)
 *   ACC_SCALAR            a lane of ACC: int32_t or float
 *   SETS(tokens)          partial sums per token
 *   finish_sums(args, out, t, sums, values)   16 sums to floats, scaled, with bias */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "simd/kernel.h"
#include "simd/template/activate.h"
#include "src/base/checked.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLL        _Pragma("GCC unroll 16")

enum { LINE = 16, LINE_VECS = LINE / VEC_LANES, MOST_TOKENS = 8 };

/* Where the 16 outputs of one token go. */
static void finish_token(const struct lac_linear_args *a, size_t out, size_t t,
                         const ACC_SCALAR *sums)
{
    vec values[LINE_VECS];
    float finished[LINE];
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++)
        values[v] = finish_sums(a, out + v * VEC_LANES, t, sums + v * VEC_LANES);
    if (a->activation != LAC_ACT_NONE)
        activate(a->activation, values, LINE_VECS);
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++)
        vec_store(finished + v * VEC_LANES, values[v]);

    size_t n = lac_min_size(LINE, a->w->n_out - out), at = out * a->ld + t;
    if (a->residual)
        for (size_t i = 0; i < n; i++)
            finished[i] += a->residual[at + i * a->ld];
    if (a->y)
        for (size_t i = 0; i < n; i++)
            a->y[at + i * a->ld] = finished[i];
    if (a->abs_max) {
        float most = a->abs_max[t];
        for (size_t i = 0; i < n; i++)
            most = fabsf(finished[i]) > most ? fabsf(finished[i]) : most;
        a->abs_max[t] = most;
    }
    if (a->y_u8)
        for (size_t i = 0; i < lac_round_up(n, 4); i++) {
            /* As in simd/scalar/linear.c. */
            float shifted = fmaf(i < n ? finished[i] : 0, a->y_inv_scale[t], 0x1.8p23f + 128);
            float q = shifted - 0x1.8p23f;
            a->y_u8[((out + i) / 4 * a->ld + t) * 4 + i % 4] = (uint8_t)(q < 0     ? 0
                                                                         : q > 255 ? 255
                                                                                   : q);
        }
}

/* acc[v * tokens + t] += line times activations; n_lanes of the line's 16 dwords exist. */
ALWAYS_INLINE void step(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t dense,
                        const uint16_t *index, const uint8_t *line, size_t n_lanes,
                        const size_t rows, const size_t tokens)
{
    const size_t stride = a->ld * 4;
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++) {
        size_t first = v * VEC_LANES;
        struct w_reg w = w_line(line + first * 4, n_lanes > first ? n_lanes - first : 0);
        UNROLL
        for (size_t t = 0; t < tokens; t++) {
            const uint8_t *xt = x + t * 4;
            struct x_reg xs = rows == LINE ? x_broadcast(xt + (index ? index[0] : dense) * stride)
                                           : x_spread(xt, stride, index + first / rows, rows);
            acc[v * tokens + t] = acc_dot(acc[v * tokens + t], xs, w);
        }
    }
}

/* Adds up the lanes of each of `rows` outputs. */
ALWAYS_INLINE void reduce(const ACC *acc, ACC_SCALAR *sums, const size_t rows, const size_t stride)
{
    ACC_SCALAR lanes[LINE];
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++)
        acc_store(lanes + v * VEC_LANES, acc[v * stride]);
    for (size_t r = 0; r < rows; r++) {
        ACC_SCALAR total = lanes[r];
        for (size_t l = r + rows; l < LINE; l += rows)
            total = ADD_SCALAR(total, lanes[l]);
        sums[r] = total;
    }
}

/* The last line of a block row, of which only some blocks exist. */
ALWAYS_INLINE void last_line(ACC *acc, const struct lac_linear_args *a, const uint8_t *x,
                             const uint16_t *index, size_t n_blocks, const uint8_t *line,
                             const size_t rows, const size_t tokens)
{
    uint16_t padded[LINE] = {0};
    memcpy(padded, index, n_blocks * sizeof *index);
    step(acc, a, x, 0, padded, line, n_blocks * rows, rows, tokens);
}

/* sums[t * LINE + r] of the `rows` outputs of block row b. */
ALWAYS_INLINE void block_row(const struct lac_linear_args *a, const uint8_t *x, size_t b,
                             ACC_SCALAR *sums, const size_t rows, const size_t tokens,
                             const bool indexed)
{
    const struct lac_weight *w = a->w;
    const size_t per_line = LINE / rows, n = LINE_VECS * tokens, sets = SETS(tokens);
    ACC acc[LINE_VECS * 8 * 2];
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        acc[i] = acc_zero();
    size_t begin = w->row_begin[b], end = w->row_begin[b + 1], k = begin;
    const uint8_t *line = (const uint8_t *)w->blocks + k * rows * 4;
    const uint16_t *index = indexed ? w->index : NULL;
    for (; k + sets * per_line <= end; k += sets * per_line, line += sets * LINE * 4)
        UNROLL
    for (size_t s = 0; s < sets; s++)
        step(acc + s * n, a, x, k + s - begin, indexed ? index + k + s * per_line : NULL,
             line + s * LINE * 4, LINE, rows, tokens);
    if (sets > 1)
        for (; k + per_line <= end; k += per_line, line += LINE * 4)
            step(acc, a, x, k - begin, indexed ? index + k : NULL, line, LINE, rows, tokens);
    if (rows < LINE && k < end)
        last_line(acc, a, x, index + k, end - k, line, rows, tokens);
    UNROLL
    for (size_t i = n; i < sets * n; i++)
        acc[i % n] = acc_add(acc[i % n], acc[i]);
    UNROLL
    for (size_t t = 0; t < tokens; t++)
        reduce(acc + t, sums + t * LINE, rows, tokens);
}

ALWAYS_INLINE void output_lanes(const struct lac_linear_args *a, size_t t, const size_t rows,
                                const size_t tokens, const bool indexed)
{
    const uint8_t *x = (const uint8_t *)a->x + t * 4;
    for (size_t out = a->out_begin; out < a->out_end; out += LINE) {
        ACC_SCALAR sums[MOST_TOKENS * LINE];
        for (size_t first = 0; first < LINE; first += rows)
            block_row(a, x, (out + first) / rows, sums + first, rows, tokens, indexed);
        for (size_t i = 0; i < tokens; i++)
            finish_token(a, out, t + i, sums + i * LINE);
    }
}

ALWAYS_INLINE void output_tokens(const struct lac_linear_args *a, const size_t rows,
                                 const bool indexed)
{
    size_t t = 0;
    for (; t + 8 <= a->n_tokens; t += 8)
        output_lanes(a, t, rows, 8, indexed);
    if (t + 4 <= a->n_tokens) {
        output_lanes(a, t, rows, 4, indexed);
        t += 4;
    }
    if (t + 2 <= a->n_tokens) {
        output_lanes(a, t, rows, 2, indexed);
        t += 2;
    }
    if (t < a->n_tokens)
        output_lanes(a, t, rows, 1, indexed);
}

static void output_dense(const struct lac_linear_args *a)
{
    output_tokens(a, 16, false);
}

static void output_16(const struct lac_linear_args *a)
{
    output_tokens(a, 16, true);
}

static void output_8(const struct lac_linear_args *a)
{
    output_tokens(a, 8, true);
}

static void output_4(const struct lac_linear_args *a)
{
    output_tokens(a, 4, true);
}

static void output_1(const struct lac_linear_args *a)
{
    output_tokens(a, 1, true);
}
