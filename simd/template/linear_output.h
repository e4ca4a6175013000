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
 *   the vector vocabulary (vector.h, math.h, lanes.h and spread.h of the instruction set)
 *   ACC, acc_zero(), acc_add(a, b)
 *   struct x_reg, x_of(dwords)    a vector of activations
 *   struct w_reg, w_of(dwords)    a vector of weights
 *   acc_dot(acc, x, w)            acc + x times w, lane by lane
 *   acc_fold(sums, acc, rows)  adds up the lanes of each of `rows` outputs: 8, 4 or 1, and no
 *                         more than there are lanes
 *   ACC_SCALAR            a lane of ACC: int32_t or float; ACC_LOAD(from), ACC_STORE(to, acc)
 *   MOST_ACCS             accumulators that leave registers for the rest: 8 at least
 *   SETS(n)               partial sums for n accumulators, so that enough are in flight
 *   finish_sums(args, out, t, sum)    a vector of sums to floats, scaled, with bias
 * and what bitmap.h wants, but for ELEMENT_BYTES where there are no bitmaps; ONLY_BITMAP leaves all
 * but output_bitmap away.  Where weights have half the width of activations, also what
 * linear_output_wide.h wants. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "simd/kernel.h"
#ifdef ELEMENT_BYTES
#include "simd/template/bitmap.h"
#endif
#include "simd/template/linear_output_finish.h"
#include "simd/template/linear_output_wide.h"

enum { BITMAP = 0 }; /* in the place of rows */

/* From so many tokens on, of four side by side, dword_spread_quad takes less than dword_spread for
 * each: its shuffles do in AVX-512. */
enum { LEAST_QUAD = VEC_LANES == 16 ? 2 : QUAD };

/* Ahead of the line in use, in bytes: the hardware stops at the end of every page.  Not 4096, where
 * the lines would want the places of those in use. */
enum { PREFETCH_AHEAD = 3072, PREFETCH_FAR = 3584, PREFETCH_NEAR = 1024 };

/* From here on a pointer of its own.  gcc would else keep the address of each token, and more of
 * them than there are registers, instead of adding constants to one. */
#define KEEP_POINTER(p) __asm__("" : "+r"(p))

/* Where products take about as long as the memory, what waits for it in L1 keeps the activations
 * waiting: lines come into L2 first. */
ALWAYS_INLINE bool in_two_steps(const size_t rows, const size_t tokens)
{
    return rows >= LINE && tokens > 4 && tokens <= 8;
}

ALWAYS_INLINE void prefetch_line(const uint8_t *line, const size_t rows, const size_t tokens)
{
    if (in_two_steps(rows, tokens)) {
        __builtin_prefetch(line + PREFETCH_FAR, 0, 2);
        __builtin_prefetch(line + PREFETCH_NEAR);
    } else {
        __builtin_prefetch(line + PREFETCH_AHEAD);
    }
}

/* The indices of the blocks that prefetch_line fetches. */
ALWAYS_INLINE void prefetch_index(const uint16_t *index, const size_t rows, const size_t tokens)
{
    if (in_two_steps(rows, tokens))
        __builtin_prefetch(index + PREFETCH_FAR / (rows * 4), 0, 2);
    else
        __builtin_prefetch(index + PREFETCH_AHEAD / (rows * 4));
}

/* The activations of a tile: part p of dword d of token t lies at x + d * stride + p * half + t
 * * 4. Dword `last` has no second part in the panel: its first does for it, as the weights are 0
 * there; SIZE_MAX: all have. */
struct columns {
    const uint8_t *x;
    size_t stride, half, last;
};

ALWAYS_INLINE const uint8_t *column_at(struct columns c, size_t d, const size_t part)
{
    return c.x + d * c.stride + (part && d != c.last ? c.half : 0);
}

/* Part `part` of dword index[l] in lane l. */
ALWAYS_INLINE veci columns_gather(struct columns c, size_t t, const uint16_t *index,
                                  const size_t part)
{
    if (!part || c.last == SIZE_MAX)
        return dword_gather(c.x + part * c.half + t * 4, c.stride, index);
    uint8_t dwords[VEC_BYTES];
    for (size_t l = 0; l < VEC_LANES; l++)
        memcpy(dwords + l * 4, column_at(c, index[l], part) + t * 4, 4);
    return veci_load(dwords);
}

/* acc[v * tokens + t] += w[v] times one dword of each token; sums of the second part of dwords are
 * `apart` further on, or the same. */
ALWAYS_INLINE void add_whole(ACC *acc, struct columns c, size_t d, const struct w_line *w,
                             const size_t vecs, const size_t tokens, const size_t apart)
{
    UNROLL
    for (size_t part = 0; part < PARTS; part++) {
        const uint8_t *x = column_at(c, d, part);
        if (tokens > 1)
            KEEP_POINTER(x);
        UNROLL
        for (size_t t = 0; t < tokens; t++) {
            struct x_reg xs = x_of(dword_broadcast(x + t * 4));
            UNROLL
            for (size_t v = 0; v < vecs; v++) {
                ACC *sum = &acc[part * apart + v * tokens + t];
                *sum = acc_dot(*sum, xs, w[v].parts[part]);
            }
        }
    }
}

/* A dword of 16 or 32 rows, the d-th of the inputs; factors of each vector. */
ALWAYS_INLINE void add_line(ACC *acc, struct columns c, size_t d, const uint8_t *line,
                            const struct factors *factors, const size_t rows, const size_t tokens)
{
    const size_t vecs = rows / VEC_LANES;
    struct w_line ws[MOST_LINE_VECS];
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        ws[v] = line_of(veci_load(line + v * VEC_BYTES), &factors[v]);
    UNROLL
    for (size_t l = 0; l < rows; l += LINE)
        prefetch_line(line + l * 4, rows, tokens);
    add_whole(acc, c, d, ws, vecs, tokens, 0);
}

/* Blocks of 16 and 32 rows, or dense. */
ALWAYS_INLINE void sum_whole(ACC *acc, const struct lac_weight *w, struct columns c, size_t b,
                             const size_t rows, const size_t tokens, const size_t span)
{
    const size_t vecs = rows / VEC_LANES, n = vecs * tokens, sets = SETS(n);
    const size_t turn = lac_max_size(sets, GROUP_BLOCKS);
    size_t k = w->row_begin[b], begin = k, end = w->row_begin[b + 1];
    const uint8_t *block = (const uint8_t *)w->blocks + k * rows * 4;
    const uint16_t *index = w->index;
    struct factors factors[MOST_LINE_VECS];
    for (; k < end; k += turn)
        UNROLL
    for (size_t s = 0; s < turn; s++) {
        if (s && k + s >= end)
            break;
        if (!s && span == INDEXED)
            prefetch_index(index + k, rows, tokens);
        if (s % GROUP_BLOCKS == 0)
            factors_at(factors, w, b, k + s - begin, rows, rows);
        size_t d = span == INDEXED ? index[k + s] : k + s - begin;
        add_line(acc + s % sets * n, c, d, block, factors, rows, tokens);
        block += rows * 4;
    }
}

#ifdef ELEMENT_BYTES
/* The lines of a bitmap. */
ALWAYS_INLINE void sum_bitmap(ACC *acc, const struct lac_weight *w, struct columns c, size_t b,
                              const size_t tokens)
{
    const size_t n = LINE_VECS * tokens, sets = BITMAP_PARTS > 1 ? 1 : SETS(n);
    /* One token: what counts and jumps takes longer than a product. */
    const size_t turn = tokens == 1 ? lac_max_size(sets, 4) : sets;
    struct bitmap_place at = bitmap_row(w, b);
    size_t n_dwords = w->n_dwords;
    for (size_t d = 0; d < n_dwords; d += turn)
        UNROLL
    for (size_t s = 0; s < turn; s++) {
        if (s && d + s >= n_dwords)
            break;
        veci parts[LINE_PARTS];
        struct w_line ws[LINE_VECS];
        /* Some lines of sparse values are one of the cache, and so are masks of 8 lines of int8. */
        if (s % 4 == 0)
            prefetch_line(at.values, BITMAP, tokens);
        if (!s)
            prefetch_line(at.mask, BITMAP, tokens);
        bitmap_line(&at, parts);
        UNROLL
        for (size_t v = 0; v < LINE_VECS; v++)
            ws[v] = line_of(parts[v], NULL);
        add_whole(acc + s % sets * n, c, d + s, ws, LINE_VECS, tokens, BITMAP_PARTS > 1 ? n : 0);
    }
}
#endif

/* One line of blocks of less than 16 rows; n_lanes of its 16 dwords exist. */
ALWAYS_INLINE void add_narrow(ACC *acc, struct columns c, const uint16_t *index,
                              const uint8_t *line, const struct factors *factors, size_t n_lanes,
                              const size_t rows, const size_t tokens)
{
    const uint8_t *dwords[PARTS][4]; /* of blocks of 4 rows or more */
    UNROLL
    for (size_t part = 0; part < PARTS; part++)
        UNROLL
    for (size_t i = 0; i < 4; i++)
        if (rows > 1 && i < LINE / rows) {
            dwords[part][i] = column_at(c, index[i], part);
            if (tokens > 1)
                KEEP_POINTER(dwords[part][i]);
        }
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++) {
        const size_t first = v * VEC_LANES;
        if (first >= n_lanes)
            break;
        struct w_line w = line_of(dword_line(line + first * 4, n_lanes - first), &factors[v]);
        UNROLL
        for (size_t part = 0; part < PARTS; part++)
            UNROLL
        for (size_t t = 0; t < tokens; t += QUAD) {
            const size_t some = tokens - t < QUAD ? tokens - t : QUAD;
            veci xs[QUAD];
            if (rows > 1 && some >= LEAST_QUAD)
                dword_spread_quad(xs, dwords[part] + first / rows, t * 4, rows);
            else
                UNROLL
            for (size_t i = 0; i < some; i++)
                xs[i] = rows > 1 ? dword_spread(dwords[part] + first / rows, (t + i) * 4, rows)
                                 : columns_gather(c, t + i, index + first, part);
            UNROLL
            for (size_t i = 0; i < some; i++) {
                ACC *sum = &acc[v * tokens + t + i];
                *sum = acc_dot(*sum, x_of(xs[i]), w.parts[part]);
            }
        }
    }
}

/* Blocks of 8 rows and less. */
ALWAYS_INLINE void sum_narrow(ACC *acc, const struct lac_weight *w, struct columns c, size_t b,
                              const size_t rows, const size_t tokens)
{
    const size_t per_line = LINE / rows, n = LINE_VECS * tokens, sets = SETS(n);
    const size_t turn = lac_max_size(sets, GROUP_BLOCKS / per_line);
    size_t k = w->row_begin[b], begin = k, end = w->row_begin[b + 1];
    const uint8_t *line = (const uint8_t *)w->blocks + k * rows * 4;
    struct factors factors[LINE_VECS] = {0};
    for (; k + per_line <= end; k += turn * per_line)
        UNROLL
    for (size_t s = 0; s < turn; s++) {
        const size_t at = k + s * per_line;
        if (s && at + per_line > end)
            break;
        if (!s)
            prefetch_index(w->index + at, rows, tokens);
        prefetch_line(line, rows, tokens);
        if (s * per_line % GROUP_BLOCKS == 0)
            factors_at(factors, w, b, at - begin, LINE, rows);
        add_narrow(acc + s % sets * n, c, w->index + at, line, factors, LINE, rows, tokens);
        line += LINE * 4;
    }
    size_t left = (end - begin) % per_line;
    if (left) { /* the last line, of which only some blocks exist */
        uint16_t padded[LINE] = {0};
        memcpy(padded, w->index + end - left, left * sizeof *padded);
        factors_at(factors, w, b, end - left - begin, left * rows, rows);
        add_narrow(acc, c, padded, line, factors, left * rows, rows, tokens);
    }
}

#include "simd/template/linear_output_tiles.h"

/* Sums of the outputs of block row b: results[v * tokens + t] are vectors of outputs; of blocks of
 * less than 16 rows it fills the `rows` lanes from `lane` on, as if of one vector of 16. */
ALWAYS_INLINE void block_row(const struct lac_weight *w, struct columns c, size_t b,
                             struct sums *sums, size_t lane, const size_t rows, const size_t tokens,
                             const size_t span)
{
    const size_t vecs = rows == 32 ? 2 * LINE_VECS : LINE_VECS, n = vecs * tokens;
    const size_t sets = rows == BITMAP && BITMAP_PARTS > 1 ? BITMAP_PARTS : SETS(n);
    ACC acc[MOST_ACCS];
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        acc[i] = acc_zero();
#ifdef ELEMENT_BYTES
    if (rows == BITMAP)
        sum_bitmap(acc, w, c, b, tokens);
    else
#endif
        if (span == LOOSE)
        sum_loose(acc, w, c, b, tokens);
    else if (span > INDEXED)
        sum_tiles(acc, w, c, b, rows, tokens, span);
    else if (rows >= LINE)
        sum_whole(acc, w, c, b, rows, tokens, span);
    else
        sum_narrow(acc, w, c, b, rows, tokens);
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

/* Outputs of tokens t to t + n - 1 by the tile for `tokens`, whose activations are c. */
ALWAYS_INLINE void output_lanes(const struct lac_linear_args *a, struct columns c, size_t t,
                                size_t n, const size_t rows, const size_t tokens, const size_t span)
{
    const size_t block = rows == BITMAP ? LINE : rows, unit = block > LINE ? block : LINE;
    struct most most;
    most_begin(&most, n);
    for (size_t out = a->out_begin; out < a->out_end; out += unit) {
        struct sums sums;
        for (size_t first = 0; first < unit; first += block)
            block_row(a->w, c, (out + first) / block, &sums, first, rows, tokens, span);
        for (size_t first = 0; first < unit && out + first < a->w->n_out; first += LINE)
            if (tokens == 1 && is_row(a, out + first))
                finish_row(a, out + first, &sums, first, most.lanes);
            else
                finish_line(a, out + first, t, n, &sums, first, &most);
    }
    if (a->abs_max)
        most_end(a, t, n, &most);
}

/* The panel as it is, of which all `tokens` tokens exist. */
static struct columns panel_columns(const struct lac_linear_args *a, size_t t)
{
    size_t row = a->ld * 4,
           n_rows = lac_ceil_div(a->w->n_in * PARTS, lac_dword_inputs(a->w->dtype));
    return (struct columns){
        .x = (const uint8_t *)a->x + t * 4,
        .stride = row * PARTS,
        .half = row,
        .last = n_rows % PARTS ? n_rows / PARTS : SIZE_MAX,
    };
}

/* Tokens are copied side by side first, from lines of the cache of which the panel's other tokens
 * take most: more than L1 has when inputs are many.  Of few tokens the distance is then known when
 * compiled; more are copied where the panel would be more than a third of L1. */
enum { COPY_BYTES = 1 << 16, MOST_FIXED = 8, SMALL_PANEL = 1 << 14 };

/* Tokens that a tile reads: blocks of 4 and 8 rows may load four at once. */
ALWAYS_INLINE size_t tokens_read(const size_t rows, const size_t tokens)
{
    return rows > 1 && rows < LINE && tokens % QUAD >= LEAST_QUAD ? lac_round_up(tokens, QUAD)
                                                                  : tokens;
}

static bool can_copy(const struct lac_weight *w, size_t width)
{
    return w->n_dwords * PARTS * width * 4 <= COPY_BYTES;
}

/* `width` tokens from the t-th on, of which n are wanted: the others are what the panel has behind
 * them, or copies of the first. */
ALWAYS_INLINE void copy_columns(const struct lac_linear_args *a, struct columns panel, size_t t,
                                size_t n, const size_t width, uint8_t *copy)
{
    for (size_t d = 0; d < a->w->n_dwords; d++)
        UNROLL
    for (size_t part = 0; part < PARTS; part++, copy += width * 4) {
        const uint8_t *from = column_at(panel, d, part);
        if (t + width <= a->ld)
            memcpy(copy, from, width * 4);
        else
            for (size_t i = 0; i < width; i++)
                memcpy(copy + i * 4, from + (i < n ? i : 0) * 4, 4);
    }
}

ALWAYS_INLINE void output_tile(const struct lac_linear_args *a, size_t t, size_t n, uint8_t *copy,
                               const size_t rows, const size_t tokens, const size_t span)
{
    const size_t width = tokens_read(rows, tokens), row = width * 4;
    struct columns c = panel_columns(a, t);
    const struct columns aside = {.x = copy, .stride = row * PARTS, .half = row, .last = SIZE_MAX};
    if (tokens <= MOST_FIXED && can_copy(a->w, width)) {
        struct columns fixed = aside;
        if (a->ld == width && c.last == SIZE_MAX)
            fixed.x = c.x; /* they are side by side */
        else
            copy_columns(a, c, t, n, width, copy);
        output_lanes(a, fixed, t, n, rows, tokens, span);
        return;
    }
    const bool is_large = a->ld > width && a->w->n_dwords * c.stride > SMALL_PANEL;
    if (tokens > MOST_FIXED && (t + width > a->ld || (is_large && can_copy(a->w, width)))) {
        copy_columns(a, c, t, n, width, copy);
        c = aside;
    }
    output_lanes(a, c, t, n, rows, tokens, span);
}

/* The tile for `left` tokens, `fit` at most, with `room` lanes of the panel from the first on: the
 * smallest that takes all, else the largest that they fill.  It reads what the panel has, or can be
 * copied. */
static size_t choose_tile(const struct lac_weight *w, const size_t rows, size_t left, size_t room,
                          size_t fit)
{
    static const uint8_t tiles[] = {16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 2, 1};
    size_t all = 0;
    for (size_t i = 0; i < sizeof tiles; i++) {
        size_t tile = tiles[i], width = tokens_read(rows, tile);
        if (tile > fit || (width > room && !can_copy(w, width)))
            continue;
        if (tile <= left)
            return all && left > tile ? all : tile;
        all = tile;
    }
    return 1;
}

/* The tile of n tokens; where registers are too few it is not called. */
#define TILE(n) ((n) <= fit ? (n) : 1)

/* Narrow blocks gather the activations of each token, so that more than 8 at once are no gain. */
ALWAYS_INLINE void output_tokens(const struct lac_linear_args *a, const size_t rows,
                                 const size_t span)
{
    const size_t vecs = rows == 32 ? 2 * LINE_VECS : LINE_VECS;
    const size_t lanes = rows == BITMAP || rows >= LINE ? MOST_TOKENS : rows > 1 ? 8 : 4;
    const size_t room = MOST_ACCS / vecs / (rows == BITMAP ? BITMAP_PARTS : 1);
    const size_t fit = room < lanes ? room : lanes;
    _Alignas(64) uint8_t copy[COPY_BYTES];
    for (size_t t = 0, n; t < a->n_tokens; t += n) {
        size_t tile = choose_tile(a->w, rows, a->n_tokens - t, a->ld - t, fit);
        n = lac_min_size(tile, a->n_tokens - t);
        switch (tile) {
#define TILE_CASE(tokens)                                                                          \
    case tokens:                                                                                   \
        if ((tokens) <= fit)                                                                       \
            output_tile(a, t, n, copy, rows, TILE(tokens), span);                                  \
        break;
            TILE_CASE(1)
            TILE_CASE(2)
            TILE_CASE(4)
            TILE_CASE(5)
            TILE_CASE(6)
            TILE_CASE(7)
            TILE_CASE(8)
            TILE_CASE(9)
            TILE_CASE(10)
            TILE_CASE(12)
            TILE_CASE(14)
            TILE_CASE(16)
        }
    }
}

#ifdef HAS_LOOSE
/* Inputs of four tokens (two where registers are few), or of more inputs than there is room for of
 * one, one after another. */
ALWAYS_INLINE void output_loose(const struct lac_linear_args *a)
{
    enum { SLACK = 3 }; /* of the last input a dword is read */
    _Alignas(64) uint8_t copy[COPY_BYTES + SLACK];
    const size_t fit = MOST_ACCS / LINE_VECS < QUAD ? 2 : QUAD;
    const bool fits = a->w->n_in * QUAD <= COPY_BYTES;
    for (size_t t = 0, n; t < a->n_tokens; t += n) {
        n = lac_min_size(a->n_tokens - t, fits ? fit : 1);
        const uint8_t *x = (const uint8_t *)a->x + t * 4;
        for (size_t d = 0; d < a->w->n_dwords; d++, x += a->ld * 4) {
            uint8_t dwords[4 * QUAD] = {0};
            if (!fits) {
                memcpy(copy + d * 4, x, 4);
                continue;
            }
            copy_tokens(dwords, x, n);
            bytes_transpose(copy + d * 4 * QUAD, dwords);
        }
        if (!fits)
            output_lanes(a, (struct columns){.x = copy, .stride = 1}, t, n, 4, 1, LOOSE);
        else if (n == 1)
            output_lanes(a, (struct columns){.x = copy, .stride = QUAD}, t, n, 4, 1, LOOSE);
        else if (n == 2)
            output_lanes(a, (struct columns){.x = copy, .stride = QUAD}, t, n, 4, 2, LOOSE);
        else
            output_lanes(a, (struct columns){.x = copy, .stride = QUAD}, t, n, 4, fit, LOOSE);
    }
}
#endif

#ifdef ELEMENT_BYTES
static void output_bitmap(const struct lac_linear_args *a)
{
    output_tokens(a, BITMAP, DENSE);
}
#endif

#ifndef ONLY_BITMAP
static void output_dense(const struct lac_linear_args *a)
{
    output_tokens(a, 16, DENSE);
}

static void output_32(const struct lac_linear_args *a)
{
    output_tokens(a, 32, INDEXED);
}

static void output_16(const struct lac_linear_args *a)
{
    output_tokens(a, 16, INDEXED);
}

static void output_8(const struct lac_linear_args *a)
{
    output_tokens(a, 8, INDEXED);
}

static void output_4(const struct lac_linear_args *a)
{
    output_tokens(a, 4, INDEXED);
}

static void output_1(const struct lac_linear_args *a)
{
    output_tokens(a, 1, INDEXED);
}
#endif
