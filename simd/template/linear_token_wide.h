/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of token-lane linear layers whose weights have half the width of the activations: a dword
 * of weights meets two dwords of the panel.
 *
 * Widened in registers, each weight dword would take two instructions more for its 2 * N
 * multiply-adds.  So a run of dwords is widened at a time, whichever rows and blocks they belong
 * to, and put into a buffer from which both halves are broadcast as if they had come from memory:
 *
 *   blocks   [ run ][ run ] ...                CHUNK_RUNS at a time
 *   buffer   [ low ][ high ] [ low ][ high ] ...
 *
 * A run is a vector, or several where a tile has more rows.  Of blocks with more rows than a tile
 * only the tile's are taken, so that nothing is widened twice.
 *
 * Part of linear_token.h; needs wide.h of the instruction set, dword_parts() of its spread.h, and
 *   wide_line(line, factors)  both panel dwords of each lane of a vector of weights; factors are
 *                         those of its lanes, or NULL but for int4 */

enum {
    CHUNK_RUNS = 16,
    RUN_LANES = (size_t)VEC_LANES > TILE_ROWS ? VEC_LANES : TILE_ROWS,
    RUN_BYTES = 2 * RUN_LANES * 4,
    PANEL_INPUTS = WIDE_GROUPS ? 4 : 1, /* of a dword */
};

/* Widens the tile's rows of blocks k to k + n_blocks - 1 of a block row; first is the first of
 * them.  k is a multiple of LAC_INT4_BLOCKS, and group the block row's first; for int4. */
ALWAYS_INLINE void widen(uint8_t *wide, const uint8_t *blocks, const uint8_t *group, size_t k,
                         size_t n_blocks, size_t first, const size_t block_rows, const size_t rows)
{
    const size_t per_run = RUN_LANES / rows;
    const size_t at_once = WIDE_GROUPS && per_run < LAC_INT4_BLOCKS ? LAC_INT4_BLOCKS / per_run : 1;
    const uint8_t *tile = blocks + (k * block_rows + first) * 4;
    for (size_t i = 0; i < n_blocks; i += at_once * per_run) {
        struct factors factors[RUN_LANES / VEC_LANES];
        UNROLL
        for (size_t run = 0; run < at_once; run++)
            UNROLL
        for (size_t lane = 0; lane < RUN_LANES; lane += VEC_LANES) {
            const size_t v = lane / VEC_LANES, at = i + run * per_run + lane / rows;
            if (at >= n_blocks)
                break;
            const size_t n = (n_blocks - at) * rows - lane % rows;
            const uint8_t *part = tile + (at * block_rows + lane % rows) * 4;
            if (WIDE_GROUPS && !run)
                factors[v] = factors_of(
                    group + (k + at) / LAC_INT4_BLOCKS * block_rows + first + lane % rows, n, rows);
            veci line = block_rows == rows ? dword_line(part, n)
                                           : dword_parts(part, block_rows * 4, rows, n);
            struct wide both = wide_line(line, WIDE_GROUPS ? &factors[v] : NULL);
            veci_store(wide + lane * 4, both.low);
            veci_store(wide + RUN_LANES * 4 + lane * 4, both.high);
            if (lane + VEC_LANES == RUN_LANES)
                wide += RUN_BYTES;
        }
    }
}

/* One block against the panel's dwords 2 d and, if both are there, 2 d + 1. */
ALWAYS_INLINE void step_wide(ACC *low_acc, ACC *high_acc, const uint8_t *x, size_t x_stride,
                             size_t d, const uint8_t *wide, size_t k, const size_t rows,
                             const size_t vecs, const bool both)
{
    const uint8_t *low = x + 2 * d * x_stride;
    const uint8_t *run = wide + k * rows / RUN_LANES * RUN_BYTES + k * rows % RUN_LANES * 4;
    step(low_acc, low, run, rows, vecs);
    if (both)
        step(high_acc, low + x_stride, run + RUN_LANES * 4, rows, vecs);
}

/* As sum() of linear_token.h says. */
ALWAYS_INLINE void sum(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t b,
                       size_t first, const size_t block_rows, const size_t rows, const size_t vecs,
                       const size_t span, const size_t rest, struct rest *rest_sums)
{
    (void)rest, (void)rest_sums; /* there are none */
    const bool indexed = span == INDEXED;
    const struct lac_weight *w = a->w;
    const size_t sets = SETS(rows, vecs), n = rows * vecs, x_stride = a->ld * 4;
    const size_t at_once = sets > 2 ? sets / 2 : 1;
    const size_t chunk = CHUNK_RUNS * RUN_LANES / rows;
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

    size_t begin = w->row_begin[b], n_blocks = w->row_begin[b + 1] - begin;
    const uint8_t *blocks = (const uint8_t *)w->blocks + begin * block_rows * 4;
    const uint16_t *index = indexed ? w->index + begin : NULL;
    const uint8_t *group =
        WIDE_GROUPS ? w->group + lac_weight_first_group(w, b) * block_rows : NULL;
    for (size_t done = 0; done < n_blocks; done += chunk) {
        _Alignas(64) uint8_t wide[CHUNK_RUNS * RUN_BYTES];
        const size_t here = lac_min_size(chunk, n_blocks - done);
        widen(wide, blocks, group, done, here, first, block_rows, rows);
        /* The last dword's second half may lie past the inputs: then the panel has none. */
        const size_t last = indexed ? index[done + here - 1] : done + here - 1;
        const bool is_cut = (2 * last + 1) * PANEL_INPUTS >= w->n_in;
        const size_t n_whole = here - is_cut;
        size_t k = 0;
        for (; k + at_once <= n_whole; k += at_once)
            UNROLL
        for (size_t i = 0; i < at_once; i++) {
            size_t d = indexed ? index[done + k + i] : done + k + i;
            step_wide(acc + 2 * i % sets * n, acc + (2 * i + 1) % sets * n, x, x_stride, d, wide,
                      k + i, rows, vecs, true);
        }
        for (; at_once > 1 && k < n_whole; k++) {
            size_t d = indexed ? index[done + k] : done + k;
            step_wide(acc, acc + 1 % sets * n, x, x_stride, d, wide, k, rows, vecs, true);
        }
        if (is_cut)
            step_wide(acc, NULL, x, x_stride, last, wide, n_whole, rows, vecs, false);
    }
    /* As in linear_token.h. */
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        KEEP_IN_REGISTER(acc[i]);
    UNROLL
    for (size_t i = n; i < sets * n; i++)
        acc[i % n] = acc_add(acc[i % n], acc[i]);
}
