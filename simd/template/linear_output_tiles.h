/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane sums of blocks that are not one dword of each row: tiles, and 4 rows by any 4 inputs.
 *
 * Part of linear_output.h.  What includes that has, where there are quads of single inputs
 * (HAS_LOOSE: int8), of spread.h
 *   bytes_transpose(to, from)    byte 4 i + t of 16 from byte 4 t + i
 *   bytes_spread_quad(spread, x, stride, index)   what index[l] points to, x + stride * index[l],
 * has a byte for each of four tokens; in spread[t] all lanes of rows 4 q to 4 q + 3 are the bytes
 * of token t that index[4 q + i] points to */

#include "sparse/loose.h"

/* A tile's dwords are one after another, and of the last tile some may not be there. */
ALWAYS_INLINE void sum_tiles(ACC *acc, const struct lac_weight *w, struct columns c, size_t b,
                             const size_t rows, const size_t tokens, const size_t span)
{
    const size_t vecs = rows / VEC_LANES, n = vecs * tokens;
    const size_t sets = SETS(n) < span ? SETS(n) : span;
    const struct factors none[MOST_LINE_VECS] = {0};
    size_t k = w->row_begin[b], end = w->row_begin[b + 1];
    const uint8_t *tile = (const uint8_t *)w->blocks + k * span * rows * 4;
    for (; k < end; k++, tile += span * rows * 4) {
        const uint8_t *line = tile;
        size_t d = w->index[k], there = lac_min_size(span, w->n_dwords - d);
        for (size_t i = 0; i < there; i += sets)
            UNROLL
        for (size_t s = 0; s < sets; s++) {
            if (s && i + s >= there)
                break;
            add_line(acc + s * n, c, d + i + s, line, none, rows, tokens);
            line += rows * 4;
        }
    }
}

#ifdef HAS_LOOSE
/* One line of quads; n_lanes of its 16 dwords exist. */
ALWAYS_INLINE void add_loose(ACC *acc, struct columns c, const uint16_t *index, const uint8_t *line,
                             size_t n_lanes, const size_t tokens)
{
    UNROLL
    for (size_t v = 0; v < LINE_VECS; v++) {
        const size_t first = v * VEC_LANES;
        if (first >= n_lanes)
            break;
        struct w_reg w = w_of(dword_line(line + first * 4, n_lanes - first));
        veci xs[QUAD];
        bytes_spread_quad(xs, c.x, c.stride, index + first);
        UNROLL
        for (size_t t = 0; t < tokens && t < QUAD; t++)
            acc[v * tokens + t] = dot(acc[v * tokens + t], x_of(xs[t]), w);
    }
}

ALWAYS_INLINE void sum_loose(ACC *acc, const struct lac_weight *w, struct columns c, size_t b,
                             const size_t tokens)
{
    const size_t per_line = LINE / LAC_LOOSE_INPUTS, n = LINE_VECS * tokens, sets = SETS(n);
    size_t k = w->row_begin[b], end = w->row_begin[b + 1];
    const uint8_t *line = (const uint8_t *)w->blocks + k * 4 * LAC_LOOSE_INPUTS;
    for (; k + per_line <= end; k += sets * per_line)
        UNROLL
    for (size_t s = 0; s < sets; s++) {
        const size_t at = k + s * per_line;
        if (s && at + per_line > end)
            break;
        if (!s)
            prefetch_index(w->index + at * LAC_LOOSE_INPUTS, 1, tokens);
        prefetch_line(line, 4, tokens);
        add_loose(acc + s * n, c, w->index + at * LAC_LOOSE_INPUTS, line, LINE, tokens);
        line += LINE * 4;
    }
    size_t left = (end - w->row_begin[b]) % per_line * LAC_LOOSE_INPUTS;
    if (left) { /* the last line, of which only some quads exist */
        uint16_t padded[LINE] = {0};
        memcpy(padded, w->index + end * LAC_LOOSE_INPUTS - left, left * sizeof *padded);
        add_loose(acc, c, padded, line, left, tokens);
    }
}
#else
#define sum_loose(acc, w, c, b, tokens) (void)0
#endif
