/* SPDX-License-Identifier: Apache-2.0 */
/* The output-lane linear layer, for any vector width and number format.
 *
 * Lanes are outputs, tokens are broadcast: the weights pass by once for up to MOST_TOKENS tokens.
 * The kept blocks of a block row are read as lines of 16 dwords, whatever the block:
 *
 *   32 rows   two lines      as 16 rows, but one broadcast serves both
 *   16 rows   one block       lane l: output l        activation of one dword in all lanes
 *    8 rows   two blocks      lane l: output l % 8    two dwords, 8 lanes each
 *    4 rows   four blocks     lane l: output l % 4    four dwords, 4 lanes each
 *    1 row    sixteen blocks  every lane the same     sixteen dwords, gathered
 *
 * and at the end lanes of the same output are added up (acc_fold).  Lines of a bitmap are expanded
 * in registers, once for all tokens.
 *
 * Before inclusion, define
 *   the vector vocabulary (vector.h, math.h and lanes.h of the instruction set)
 *   ACC, struct x_reg, struct w_reg, acc_zero(), acc_add(a, b), acc_dot(acc, x, w)
 *   x_spread(dwords, offset, rows)  the activations for one vector of lanes: what dwords[0] +
 *                         offset points to in the first `rows` lanes, 8 or 4, and so on
 *   x_gather(x, stride, index)  a dword x + index[l] * stride for each lane l
 *   x_broadcast(x)        one dword in all lanes
 *   w_of(dwords)          one vector of weight dwords
 *   acc_fold(sums, acc, rows)  adds up the lanes of each of `rows` outputs: 8, 4 or 1, and no
 *                         more than there are lanes
 *   ACC_SCALAR            a lane of ACC: int32_t or float; ACC_LOAD(from), ACC_STORE(to, acc)
 *   MOST_ACCS             accumulators that leave registers for the rest: 8 at least
 *   SETS(n)               partial sums for n accumulators, so that enough are in flight
 *   finish_sums(args, out, t, sum)    a vector of sums to floats, scaled, with bias
 * and what bitmap.h wants; ONLY_BITMAP leaves all but output_bitmap away. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "simd/kernel.h"
#include "simd/template/bitmap.h"
#include "simd/template/linear_output_finish.h"

enum { BITMAP = 0 }; /* in the place of rows */

/* Ahead of the line in use, in bytes: the hardware stops at the end of every page. */
enum { PREFETCH_AHEAD = 8192, MOST_TOKENS_PREFETCHED = 4 };

/* From here on a pointer of its own.  gcc would else keep the address of each token, and more of
 * them than there are registers, instead of adding constants to one. */
#define KEEP_POINTER(p) __asm__("" : "+r"(p))

/* Not to L1, whose few places for lines on their way are the loads'. */
#define TO_L2 2

ALWAYS_INLINE void prefetch_line(const uint8_t *line, const size_t tokens)
{
    if (tokens <= MOST_TOKENS_PREFETCHED)
        __builtin_prefetch(line + PREFETCH_AHEAD, 0, TO_L2);
}

/* acc[v * tokens + t] += w[v] times one dword of each token. */
ALWAYS_INLINE void add_whole(ACC *acc, const uint8_t *x, const struct w_reg *w, const size_t vecs,
                             const size_t tokens)
{
    KEEP_POINTER(x);
    UNROLL
    for (size_t t = 0; t < tokens; t++) {
        struct x_reg xs = x_broadcast(x + t * 4);
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            acc[v * tokens + t] = acc_dot(acc[v * tokens + t], xs, w[v]);
    }
}

/* Blocks of 16 and 32 rows; index NULL: dense. */
ALWAYS_INLINE void sum_whole(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t b,
                             const size_t rows, const size_t tokens, const bool indexed)
{
    const struct lac_weight *w = a->w;
    const size_t vecs = rows / VEC_LANES, n = vecs * tokens, sets = SETS(n), stride = a->ld * 4;
    size_t k = w->row_begin[b], begin = k, end = w->row_begin[b + 1];
    const uint8_t *block = (const uint8_t *)w->blocks + k * rows * 4;
    const uint16_t *index = indexed ? w->index : NULL;
    for (; k < end; k += sets)
        UNROLL
    for (size_t s = 0; s < sets; s++) {
        if (s && k + s >= end)
            break;
        struct w_reg ws[MOST_LINE_VECS];
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            ws[v] = w_of(veci_load(block + v * VEC_BYTES));
        UNROLL
        for (size_t l = 0; l < rows; l += LINE)
            prefetch_line(block + l * 4, tokens);
        size_t d = indexed ? index[k + s] : k + s - begin;
        add_whole(acc + s * n, x + d * stride, ws, vecs, tokens);
        block += rows * 4;
    }
}

/* The lines of a bitmap. */
ALWAYS_INLINE void sum_bitmap(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t b,
                              const size_t tokens)
{
    const size_t n = LINE_VECS * tokens, sets = SETS(n), stride = a->ld * 4;
    struct bitmap_place at = bitmap_row(a->w, b);
    size_t n_dwords = a->w->n_dwords;
    for (size_t d = 0; d < n_dwords; d += sets)
        UNROLL
    for (size_t s = 0; s < sets; s++) {
        if (s && d + s >= n_dwords)
            break;
        veci parts[LINE_PARTS];
        struct w_reg ws[LINE_VECS];
        /* Some lines of sparse values are one of the cache, and so are masks of 8 lines of int8. */
        if (s % 4 == 0)
            prefetch_line(at.values, tokens);
        if (!s)
            prefetch_line(at.mask, tokens);
        bitmap_line(&at, parts);
        UNROLL
        for (size_t v = 0; v < LINE_VECS; v++)
            ws[v] = w_of(parts[v]);
        add_whole(acc + s * n, x, ws, LINE_VECS, tokens);
        x += stride;
    }
}

/* One line of blocks of less than 16 rows; n_lanes of its 16 dwords exist. */
ALWAYS_INLINE void add_narrow(ACC *acc, const struct lac_linear_args *a, const uint8_t *x,
                              const uint16_t *index, const uint8_t *line, size_t n_lanes,
                              const size_t rows, const size_t tokens)
{
    const uint8_t *dwords[4]; /* of blocks of 4 rows or more */
    UNROLL
    for (size_t i = 0; i < 4; i++)
        if (rows > 1 && i < LINE / rows) {
            dwords[i] = x + index[i] * a->ld * 4;
            KEEP_POINTER(dwords[i]);
        }
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++) {
        size_t first = v * VEC_LANES;
        struct w_reg w = w_of(dword_line(line + first * 4, n_lanes > first ? n_lanes - first : 0));
        UNROLL
        for (size_t t = 0; t < tokens; t++) {
            struct x_reg xs = rows == 1 ? x_gather(x + t * 4, a->ld * 4, index + first)
                                        : x_spread(dwords + first / rows, t * 4, rows);
            acc[v * tokens + t] = acc_dot(acc[v * tokens + t], xs, w);
        }
    }
}

/* Blocks of 8 rows and less. */
ALWAYS_INLINE void sum_narrow(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t b,
                              const size_t rows, const size_t tokens)
{
    const struct lac_weight *w = a->w;
    const size_t per_line = LINE / rows, n = LINE_VECS * tokens, sets = SETS(n);
    size_t k = w->row_begin[b], end = w->row_begin[b + 1];
    const uint8_t *line = (const uint8_t *)w->blocks + k * rows * 4;
    for (; k + per_line <= end; k += sets * per_line)
        UNROLL
    for (size_t s = 0; s < sets; s++) {
        const size_t at = k + s * per_line;
        if (s && at + per_line > end)
            break;
        prefetch_line(line, tokens);
        add_narrow(acc + s * n, a, x, w->index + at, line, LINE, rows, tokens);
        line += LINE * 4;
    }
    size_t left = (end - w->row_begin[b]) % per_line;
    if (left) { /* the last line, of which only some blocks exist */
        uint16_t padded[LINE] = {0};
        memcpy(padded, w->index + end - left, left * sizeof *padded);
        add_narrow(acc, a, x, padded, line, left * rows, rows, tokens);
    }
}

/* Sums of the outputs of block row b: results[v * tokens + t] are vectors of outputs; of blocks of
 * less than 16 rows it fills the `rows` lanes from `lane` on, as if of one vector of 16. */
ALWAYS_INLINE void block_row(const struct lac_linear_args *a, const uint8_t *x, size_t b,
                             struct sums *sums, size_t lane, const size_t rows, const size_t tokens,
                             const bool indexed)
{
    const size_t vecs = rows == 32 ? 2 * LINE_VECS : LINE_VECS, n = vecs * tokens, sets = SETS(n);
    ACC acc[MOST_ACCS];
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        acc[i] = acc_zero();
    if (rows == BITMAP)
        sum_bitmap(acc, a, x, b, tokens);
    else if (rows >= LINE)
        sum_whole(acc, a, x, b, rows, tokens, indexed);
    else
        sum_narrow(acc, a, x, b, rows, tokens);
    /* As in linear_token.h: or the compiler spills in the loop. */
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        KEEP_IN_REGISTER(acc[i]);
    UNROLL
    for (size_t i = n; i < sets * n; i++)
        acc[i % n] = acc_add(acc[i % n], acc[i]);
    UNROLL
    for (size_t t = 0; t < tokens; t++)
        if (rows == BITMAP || rows >= LINE) {
            UNROLL
            for (size_t v = 0; v < vecs; v++)
                ACC_STORE(sums->lanes[t] + v * VEC_LANES, acc[v * tokens + t]);
        } else {
            const size_t parts = rows > VEC_LANES ? rows / VEC_LANES : 1;
            UNROLL
            for (size_t p = 0; p < parts; p++) {
                ACC all = acc[p * tokens + t];
                UNROLL
                for (size_t v = p + parts; v < vecs; v += parts)
                    all = acc_add(all, acc[v * tokens + t]);
                acc_fold(sums->lanes[t] + lane + p * VEC_LANES, all, rows / parts);
            }
        }
}

/* Tokens t to t + tokens - 1, of which the first `done` are finished already. */
ALWAYS_INLINE void output_lanes(const struct lac_linear_args *a, size_t t, size_t done,
                                const size_t rows, const size_t tokens, const bool indexed)
{
    const uint8_t *x = (const uint8_t *)a->x + t * 4;
    const size_t block = rows == BITMAP ? LINE : rows, unit = block > LINE ? block : LINE;
    struct most most;
    most_begin(&most, tokens);
    for (size_t out = a->out_begin; out < a->out_end; out += unit) {
        struct sums sums;
        for (size_t first = 0; first < unit; first += block)
            block_row(a, x, (out + first) / block, &sums, first, rows, tokens, indexed);
        for (size_t first = 0; first < unit && out + first < a->w->n_out; first += LINE)
            finish_line(a, out + first, t, done, tokens, &sums, first, &most);
    }
    if (a->abs_max)
        most_end(a, t, done, tokens, &most);
}

/* The tile of n tokens; of a single one where registers are too few, and it is not called. */
#define TILE(n) ((n)*vecs <= MOST_ACCS ? (n) : 1)

/* As many tokens as there is room for; the last three of more are taken as four, one of them again.
 * Narrow blocks gather the activations of each token, so more tokens are no gain. */
ALWAYS_INLINE void output_tokens(const struct lac_linear_args *a, const size_t rows,
                                 const bool indexed)
{
    const size_t vecs = rows == 32 ? 2 * LINE_VECS : LINE_VECS;
    const size_t fit = MOST_ACCS / vecs;
    const size_t most = rows != BITMAP && rows < LINE && fit > 8 ? 8 : fit;
    const size_t n = a->n_tokens;
    for (size_t t = 0, left; t < n;) {
        left = n - t;
        if (most >= 16 && left >= 16) {
            output_lanes(a, t, 0, rows, TILE(16), indexed);
            t += 16;
        } else if (most == 12 && left >= 12) {
            output_lanes(a, t, 0, rows, TILE(12), indexed);
            t += 12;
        } else if (most >= 8 && left >= 8) {
            output_lanes(a, t, 0, rows, TILE(8), indexed);
            t += 8;
        } else if (most >= 4 && (left >= 4 || (left == 3 && t))) {
            size_t done = left < 4 ? 4 - left : 0;
            output_lanes(a, t - done, done, rows, TILE(4), indexed);
            t += 4 - done;
        } else if (most >= 2 && left >= 2) {
            output_lanes(a, t, 0, rows, TILE(2), indexed);
            t += 2;
        } else {
            output_lanes(a, t, 0, rows, 1, indexed);
            t += 1;
        }
    }
}

static void output_bitmap(const struct lac_linear_args *a)
{
    output_tokens(a, BITMAP, false);
}

#ifndef ONLY_BITMAP
static void output_dense(const struct lac_linear_args *a)
{
    output_tokens(a, 16, false);
}

static void output_32(const struct lac_linear_args *a)
{
    output_tokens(a, 32, true);
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
#endif
