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
 * A run is a vector, or several where a tile has more rows.  Of blocks with more rows than a run
 * only the run that has the tile's rows is widened.
 *
 * Part of linear_token.h, with struct wide and wide_line() from what includes that:
 *   struct wide           veci low, high: the panel's first and second dword of each lane
 *   wide_line(line, n, group, rows)  VEC_LANES dwords of weights; lanes from n on are 0 and are not
 *                         read.  int4: group is the factor of the first lane's row, rows those of
 *                         a block; else NULL */

enum {
    CHUNK_RUNS = 8,
    RUN_LANES = (size_t)VEC_LANES > TILE_ROWS ? VEC_LANES : TILE_ROWS,
    RUN_BYTES = 2 * RUN_LANES * 4,
};

/* Widens run i of those from block k of a block row on; n dwords are left.  first: the tile's first
 * row. */
ALWAYS_INLINE void widen(uint8_t *wide, const uint8_t *blocks, const uint8_t *group, size_t k,
                         size_t i, size_t n, size_t first, const size_t block_rows)
{
    const bool tall = block_rows > RUN_LANES;
    UNROLL
    for (size_t lane = 0; lane < RUN_LANES; lane += VEC_LANES) {
        if (lane && lane >= n)
            break;
        size_t at = tall ? first / RUN_LANES * RUN_LANES + lane : i * RUN_LANES + lane;
        size_t block = k + (tall ? i : at / block_rows), row = at % block_rows;
        struct wide both = wide_line(
            blocks + (block * block_rows + row) * 4, n - lane,
            WIDE_GROUPS ? group + block / LAC_INT4_BLOCKS * block_rows + row : NULL, block_rows);
        veci_store(wide + lane * 4, both.low);
        veci_store(wide + RUN_LANES * 4 + lane * 4, both.high);
    }
}

/* As sum() of linear_token.h says.  A dword that ends past the inputs has zeros there: any row of
 * the panel does for them. */
ALWAYS_INLINE void sum(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t b,
                       size_t first, const size_t block_rows, const size_t rows, const size_t vecs,
                       const bool indexed)
{
    const struct lac_weight *w = a->w;
    const size_t sets = SETS(rows, vecs), n = rows * vecs, x_stride = a->ld * 4;
    const size_t at_once = sets > 2 ? sets / 2 : 1;
    const size_t wide_rows = block_rows > RUN_LANES ? RUN_LANES : block_rows;
    const size_t chunk = CHUNK_RUNS * RUN_LANES / wide_rows;
    const size_t n_rows = lac_ceil_div(w->n_in, lac_dword_inputs(w->dtype) / 2);
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
        const size_t here = lac_min_size(chunk, n_blocks - done), left = here * wide_rows;
        for (size_t i = 0; i * RUN_LANES < left; i++)
            widen(wide + i * RUN_BYTES, blocks, group, done, i, left - i * RUN_LANES, first,
                  block_rows);
        for (size_t k = 0; k < here; k += at_once)
            UNROLL
        for (size_t s = 0; s < at_once; s++) {
            if (at_once > 1 && k + s >= here)
                break;
            size_t p = (k + s) * wide_rows + first % wide_rows;
            const uint8_t *both = wide + p / RUN_LANES * RUN_BYTES + p % RUN_LANES * 4;
            size_t d = indexed ? index[done + k + s] : done + k + s;
            const uint8_t *low = x + 2 * d * x_stride;
            const uint8_t *high = 2 * d + 1 < n_rows ? low + x_stride : low;
            step(acc + 2 * s % sets * n, low, both, rows, vecs);
            step(acc + (2 * s + 1) % sets * n, high, both + RUN_LANES * 4, rows, vecs);
        }
    }
    /* As in linear_token.h. */
    UNROLL
    for (size_t i = 0; i < sets * n; i++)
        KEEP_IN_REGISTER(acc[i]);
    UNROLL
    for (size_t i = n; i < sets * n; i++)
        acc[i % n] = acc_add(acc[i % n], acc[i]);
}
