/* SPDX-License-Identifier: Apache-2.0 */
/* The token-lane linear layer, for any vector width and number format.
 *
 * Lanes are tokens.  A register tile is R outputs x N vectors of tokens: for each kept block of a
 * block row it loads N vectors of activations once and multiplies them with R weights, each a
 * broadcast dword:
 *
 *                     tokens
 *              x[d]   [ v0 ][ v1 ][ v2 ]      N loads
 *     w[0] (one dword, broadcast)   * -> acc[0][0..N-1]
 *     ...                                     R broadcasts, R * N multiply-adds
 *     w[R-1]                        * -> acc[R-1][0..N-1]
 *
 * For R = 8, N = 3 that is 11 loads for 24 multiply-adds.  Blocks of 16 and 32 outputs and dense
 * weights are two and four such tiles of 8 over the same list.  Finished rows are the rows of the
 * next panel.
 *
 * Before inclusion, define
 *   the vector vocabulary (vector.h, math.h and lanes.h of the instruction set)
 *   TILE_VECS             N at most
 *   TILE_ROWS             rows of the tile for blocks of 8 and more: 8 or 4
 *   VECS(rows)            N for tiles of so many rows, where it is not always TILE_VECS: the sums
 *                         should fill the registers
 *   ACC                   accumulator
 *   struct x_reg          a vector of activation dwords;  x_load(const uint8_t *)
 *   WEIGHTS               how many rows' weight dwords one struct w_reg holds: 1, broadcast, or as
 *                         many as instructions can pick one of
 *   struct w_reg          n <= WEIGHTS of them;            w_load(const uint8_t *, n)
 *   acc_zero(), acc_add(a, b)
 *   acc_dot(acc, x_reg, w_reg, i)  acc + x times weight i of w, i known when compiled
 *   acc_begin(weight, out)         what the accumulators of an output start from
 *   load_x_scale(args, lane)       per-token scales of a vector of lanes
 *   acc_to_float(weight, acc)      the sum as float, in some form ...
 *   acc_finish(weight, out, sum, x_scale)  ... that this scales, and adds the bias to
 *   KEEP_IN_REGISTER(acc)  an empty asm statement that changes acc
 *   SETS(rows, vecs)      partial sums per output, so that enough accumulators are in flight to
 *                         hide the latency of acc_dot
 *   PREFETCH_RESULTS      1 where results are more than L2 keeps between two uses, or not defined
 * where there are quads of single inputs (HAS_LOOSE: int8)
 *   x_of(veci), and what loose.h wants
 *   ONE_VEC_ROWS          rows of the tile where N is 1, if not TILE_ROWS
 *   MOST_REST             12, with what linear_token_rest.h wants, or not at all
 * and where weights have half the width of activations (linear_token_wide.h)
 *   WIDE_GROUPS           1 for int4, else 0; struct wide, wide_line() */
#include <stdbool.h>

#include "simd/template/linear_finish.h"
#include "simd/template/linear_token_rest.h"

#ifndef VECS
#define VECS(rows) TILE_VECS
#endif
#ifndef PREFETCH_RESULTS
#define PREFETCH_RESULTS 0
#endif
#ifndef ONE_VEC_ROWS
#define ONE_VEC_ROWS TILE_ROWS
#endif

/* Blocks that one turn of the loop over a block row takes: what counts and jumps takes places of
 * products. */
enum { BLOCKS_AT_ONCE = 4 };

/* acc[rows][vecs] += the product with one dword of `rows` outputs. */
ALWAYS_INLINE void multiply(ACC *acc, const struct x_reg *xs, const uint8_t *block,
                            const size_t rows, const size_t vecs)
{
    UNROLL
    for (size_t first = 0; first < rows; first += WEIGHTS) {
        const size_t n = lac_min_size(rows - first, WEIGHTS);
        struct w_reg w = w_load(block + first * 4, n);
        UNROLL
        for (size_t i = 0; i < n; i++)
            UNROLL
        for (size_t v = 0; v < vecs; v++) {
            ACC *sum = &acc[(first + i) * vecs + v];
            *sum = acc_dot(*sum, xs[v], w, i);
        }
    }
}

/* acc[rows][vecs] += the product with one block's rows. */
ALWAYS_INLINE void step(ACC *acc, const uint8_t *x, const uint8_t *block, const size_t rows,
                        const size_t vecs)
{
    struct x_reg xs[TILE_VECS];
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        xs[v] = x_load(x + v * VEC_BYTES);
    multiply(acc, xs, block, rows, vecs);
}

#ifdef WIDE_GROUPS
#include "simd/template/linear_token_wide.h"
#else
ALWAYS_INLINE void add_blocks(ACC *acc, ACC *rest_acc, const struct lac_weight *w, const uint8_t *x,
                              size_t b, size_t first, size_t x_stride, const size_t block_rows,
                              const size_t rows, const size_t vecs, const size_t span,
                              const size_t rest)
{
    const size_t sets = SETS(rows, vecs), n = rows * vecs;
    const size_t line_rows = block_rows < LAC_LANES ? block_rows : LAC_LANES;
    size_t k = w->row_begin[b], begin = k, end = w->row_begin[b + 1];
    const uint8_t *block = (const uint8_t *)w->blocks + (k * block_rows + first) * 4;
    for (; k + BLOCKS_AT_ONCE <= end; k += BLOCKS_AT_ONCE) {
        UNROLL
        for (size_t i = 0; i < BLOCKS_AT_ONCE; i++) {
            size_t d = span == INDEXED ? w->index[k + i] : k + i - begin;
            const uint8_t *xd = x + d * x_stride, *rows_at = block + i * block_rows * 4;
            step(acc + i % sets * n, xd, rows_at, rows, vecs);
            rest_step(rest_acc + i % rest_sets(rest) * rest, xd + vecs * VEC_BYTES, rows_at,
                      line_rows, rest);
        }
        block += BLOCKS_AT_ONCE * block_rows * 4;
    }
    for (; k < end; k++) {
        size_t d = span == INDEXED ? w->index[k] : k - begin;
        step(acc, x + d * x_stride, block, rows, vecs);
        rest_step(rest_acc, x + d * x_stride + vecs * VEC_BYTES, block, line_rows, rest);
        block += block_rows * 4;
    }
}

/* A tile's dwords are one after another, and of the last tile some may not be there. */
ALWAYS_INLINE void add_tiles(ACC *acc, const struct lac_weight *w, const uint8_t *x, size_t b,
                             size_t first, size_t x_stride, const size_t block_rows,
                             const size_t rows, const size_t vecs, const size_t span)
{
    const uint8_t *block =
        (const uint8_t *)w->blocks + (w->row_begin[b] * span * block_rows + first) * 4;
    for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++) {
        const uint8_t *xs = x + w->index[k] * x_stride;
        size_t i = 0, n = lac_min_size(span, w->n_dwords - w->index[k]);
        for (; i + BLOCKS_AT_ONCE <= n; i += BLOCKS_AT_ONCE)
            UNROLL
        for (size_t j = i; j < i + BLOCKS_AT_ONCE; j++)
            step(acc, xs + j * x_stride, block + j * block_rows * 4, rows, vecs);
        for (; i < n; i++)
            step(acc, xs + i * x_stride, block + i * block_rows * 4, rows, vecs);
        block += span * block_rows * 4;
    }
}

#if defined(HAS_LOOSE) && !defined(ONLY_BITMAP)
/* Quads of 4 outputs by any 4 inputs. */
ALWAYS_INLINE void add_loose(ACC *acc, const struct lac_weight *w, const uint8_t *x, size_t b,
                             size_t x_stride, const size_t vecs)
{
    const struct loose_places *places = w->extra;
    const uint32_t *at = places->at[x_stride / (LAC_LANES * 4) - 1];
    const uint32_t *end = at + w->row_begin[b + 1] * LAC_LOOSE_INPUTS;
    const uint8_t *block = (const uint8_t *)w->blocks + w->row_begin[b] * LOOSE_BYTES;
    at += w->row_begin[b] * LAC_LOOSE_INPUTS;
    for (; at < end; at += LAC_LOOSE_INPUTS, block += LOOSE_BYTES) {
        struct x_reg xs[TILE_VECS];
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            xs[v] = x_of(dword_of_four(x + v * VEC_BYTES, at));
        multiply(acc, xs, block, 4, vecs);
    }
}
#else
#define add_loose(acc, w, x, b, x_stride, vecs) (void)0
#endif

/* Sums of `rows` outputs beginning with row `first` of block row b, whose blocks have `block_rows`
 * rows; left in acc[0 .. rows * vecs).  x is the panel at the tile's first lane. */
ALWAYS_INLINE void sum(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t b,
                       size_t first, const size_t block_rows, const size_t rows, const size_t vecs,
                       const size_t span, const size_t rest, struct rest *rest_sums)
{
    const struct lac_weight *w = a->w;
    const size_t sets = SETS(rows, vecs), n = rows * vecs, x_stride = a->ld * 4;
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        ACC begin = acc_begin(w, b * block_rows + first + r);
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            acc[r * vecs + v] = begin;
    }
    UNROLL
    for (size_t i = n; i < sets * n; i++)
        acc[i] = acc_zero();
    ACC rest_acc[MOST_REST_SUMS + 1];
    UNROLL
    for (size_t i = 0; i < rest_sets(rest) * rest; i++)
        rest_acc[i] = acc_zero();

    if (span == LOOSE)
        add_loose(acc, w, x, b, x_stride, vecs);
    else if (span > 1)
        add_tiles(acc, w, x, b, first, x_stride, block_rows, rows, vecs, span);
    else
        add_blocks(acc, rest_acc, w, x, b, first, x_stride, block_rows, rows, vecs, span, rest);
    /* The compiler would else mix the registers of the loop with those of what follows, and
     * spill in the loop. */
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        KEEP_IN_REGISTER(acc[i]);
    UNROLL
    for (size_t i = n; i < sets * n; i++)
        acc[i % n] = acc_add(acc[i % n], acc[i]);
    rest_keep(rest_sums, rest_acc, b * block_rows + first,
              block_rows < LAC_LANES ? block_rows : LAC_LANES, rest);
}

#endif

/* 16, 8 or 4 outputs (four block rows of one output) by `vecs` vectors of tokens. */
ALWAYS_INLINE void block_row(const struct lac_linear_args *a, size_t out, size_t lane,
                             const size_t block_rows, const size_t vecs, const size_t span,
                             const size_t rest, struct rest *rest_sums)
{
    const size_t most_rows = vecs == 1 ? ONE_VEC_ROWS : TILE_ROWS;
    const size_t rows = block_rows < most_rows ? block_rows : most_rows;
    const uint8_t *x = (const uint8_t *)a->x + lane * 4;
    ACC acc[TILE_ROWS * TILE_VECS * 2];
    if (block_rows == 1) {
        ACC four[4 * TILE_VECS];
        for (size_t r = 0; r < 4; r++) {
            sum(acc, a, x, out + r, 0, 1, 1, vecs, span, 0, rest_sums);
            UNROLL
            for (size_t v = 0; v < vecs; v++)
                four[r * vecs + v] = acc[v];
        }
        finish(a, out, lane, four, vecs);
        return;
    }
    for (size_t first = 0; first < block_rows; first += rows) {
        /* A line of 16 rows is met once, beside its first 8. */
        if (rest && rows < LAC_LANES && first % LAC_LANES)
            sum(acc, a, x, out / block_rows, first, block_rows, rows, vecs, span, 0, rest_sums);
        else
            sum(acc, a, x, out / block_rows, first, block_rows, rows, vecs, span, rest, rest_sums);
        UNROLL
        for (size_t r = 0; r < rows; r += 4)
            finish(a, out + first + r, lane, acc + r * vecs, vecs);
    }
}

/* Where finished rows will be stored, into L2. */
ALWAYS_INLINE void prefetch_rows(const struct lac_linear_args *a, size_t out, size_t lane,
                                 const size_t n_rows, const size_t vecs)
{
    for (size_t r = 0; r < n_rows; r++)
        for (size_t v = 0; v < vecs; v++)
            __builtin_prefetch(a->y + (out + r) * a->ld + lane + v * VEC_LANES, 0, 2);
}

ALWAYS_INLINE void token_lanes(const struct lac_linear_args *a, size_t lane,
                               const size_t block_rows, const size_t vecs, const size_t span,
                               const size_t rest)
{
    const size_t out_step = block_rows == 1 ? 4 : block_rows;
    struct rest sums;
    rest_begin(&sums, rest);
    for (size_t out = a->out_begin; out < a->out_end; out += out_step) {
        if (PREFETCH_RESULTS && a->y && out + 2 * out_step <= a->out_end)
            prefetch_rows(a, out + out_step, lane, out_step, vecs);
        block_row(a, out, lane, block_rows, vecs, span, rest, &sums);
        rest_finish(a, out + out_step, lane + vecs * VEC_LANES, &sums, block_rows, rest);
    }
    rest_end(a, lane + vecs * VEC_LANES, &sums, rest);
}

/* Does the epilogue nothing but scale and store, of whole units on a whole tile?  VECS divides
 * that. */
ALWAYS_INLINE bool is_plain(const struct lac_linear_args *a, const size_t block_rows)
{
    const size_t unit = block_rows < 4 ? 4 : block_rows;
    return a->ld == LAC_TILE && a->activation == LAC_ACT_NONE && !a->factor && !a->residual &&
           !a->abs_max && !a->w->outliers.n && a->out_end % unit == 0;
}

/* One or two vectors of tokens and a few more, rounded up to 1, 2, 4, 6, 8, 10 or 12.  False: it is
 * none.  Beyond what is tried here another vector takes less: the fewer rows a block has, the more
 * of these products there are. */
ALWAYS_INLINE bool rest_tile(const struct lac_linear_args *a, const size_t block_rows,
                             const size_t span)
{
    const size_t few = block_rows < 8 ? 2 : block_rows < 16 ? 4 : 8;
    const size_t most = !MOST_REST ? 0 : span == DENSE ? MOST_REST : few;
    const size_t rest = a->n_tokens % LAC_LANES, even = rest > 1 ? lac_round_up(rest, 2) : rest;
    switch (even <= most ? a->n_tokens - rest + even : 0) {
#define REST_CASE(vecs, rest)                                                                      \
    case (vecs)*LAC_LANES + (rest):                                                                \
        if ((rest) > most)                                                                         \
            return false;                                                                          \
        token_lanes(a, 0, block_rows, vecs, span, rest);                                           \
        return true;
        REST_CASE(1, 1)
        REST_CASE(1, 2)
        REST_CASE(1, 4)
        REST_CASE(1, 6)
        REST_CASE(1, 8)
        REST_CASE(1, 10)
        REST_CASE(1, 12)
        REST_CASE(2, 1)
        REST_CASE(2, 2)
        REST_CASE(2, 4)
        REST_CASE(2, 6)
        REST_CASE(2, 8)
    default:
        return false;
    }
}

ALWAYS_INLINE void token_tile(const struct lac_linear_args *args, const size_t block_rows,
                              const size_t span)
{
    /* Copies, of which the compiler sees that no store to a result changes them: from the originals
     * it loads every pointer again after every store. */
    struct lac_weight w = *args->w;
    struct lac_linear_args a = *args;
    a.w = &w;
    const size_t most = VECS(block_rows < TILE_ROWS ? block_rows : TILE_ROWS);
    size_t lane = 0, left = a.ld / VEC_LANES;
    if (span <= INDEXED && block_rows > 1 && rest_tile(&a, block_rows, span))
        return;
    if (is_plain(&a, block_rows)) {
        /* Said once more as constants, so that nothing of it is asked for each row. */
        a.ld = LAC_TILE;
        a.activation = LAC_ACT_NONE;
        a.factor = NULL;
        a.residual = NULL;
        a.abs_max = NULL;
        w.n_out = SIZE_MAX;
        w.outliers.n = 0;
        for (; lane < LAC_TILE; lane += most * VEC_LANES)
            token_lanes(&a, lane, block_rows, most, span, 0);
        return;
    }
    /* Rather 2 and 2 than 3 and 1. */
    for (; left >= most && left != most + 1; left -= most, lane += most * VEC_LANES)
        token_lanes(&a, lane, block_rows, most, span, 0);
    for (; most > 2 && left >= 2; left -= 2, lane += 2 * VEC_LANES)
        token_lanes(&a, lane, block_rows, 2, span, 0);
    /* A tile has a multiple of LAC_LANES. */
    if ((size_t)VEC_LANES == LAC_LANES && left)
        token_lanes(&a, lane, block_rows, 1, span, 0);
}

#ifndef ONLY_BITMAP
static void token_dense(const struct lac_linear_args *a)
{
    token_tile(a, 16, DENSE);
}

static void token_32(const struct lac_linear_args *a)
{
    token_tile(a, 32, INDEXED);
}

static void token_16(const struct lac_linear_args *a)
{
    token_tile(a, 16, INDEXED);
}

static void token_8(const struct lac_linear_args *a)
{
    token_tile(a, 8, INDEXED);
}

static void token_4(const struct lac_linear_args *a)
{
    token_tile(a, 4, INDEXED);
}

static void token_1(const struct lac_linear_args *a)
{
    token_tile(a, 1, INDEXED);
}
#endif
