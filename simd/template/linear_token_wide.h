/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of token-lane linear layers whose weights have half the width of the activations: a dword
 * of weights meets two dwords of the panel.
 *
 * Widened in registers, each weight dword would take two instructions more for its 2 * N
 * multiply-adds.  So 16 dwords at a time are widened, whichever rows and blocks they belong to,
 * and put into a buffer from which both halves are broadcast as if they had come from memory:
 *
 *   blocks   [ 16 dwords ][ 16 dwords ] ...        CHUNK_LINES at a time
 *   buffer   [ 16 low ][ 16 high ] [ 16 low ][ 16 high ] ...
 *
 * Part of linear_token.h, with struct wide and wide_line() from what includes that:
 *   struct wide           veci low, high: the panel's first and second dword of each lane
 *   wide_line(line, n, group, rows)  VEC_LANES dwords of weights; lanes from n on are 0 and are not
 *                         read.  int4: group is the factor of the first lane's row, rows those of
 *                         a block; else NULL */
enum { CHUNK_LINES = 8, LINE_DWORDS = 16, WIDE_LINE_BYTES = 2 * LINE_DWORDS * 4 };

/* Widens n dwords; p is the first one's place in its block row. */
ALWAYS_INLINE void widen(uint8_t *wide, const uint8_t *dwords, size_t n, const uint8_t *group,
                         size_t p, const size_t block_rows)
{
    for (size_t i = 0; i < n; i += VEC_LANES) {
        size_t at = p + i, of_group = at / (block_rows * LAC_INT4_BLOCKS) * block_rows;
        const uint8_t *factors = WIDE_GROUPS ? group + of_group + at % block_rows : NULL;
        struct wide both = wide_line(dwords + i * 4, n - i, factors, block_rows);
        uint8_t *to = wide + i / LINE_DWORDS * WIDE_LINE_BYTES + i % LINE_DWORDS * 4;
        veci_store(to, both.low);
        veci_store(to + LINE_DWORDS * 4, both.high);
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
    const size_t chunk = CHUNK_LINES * LINE_DWORDS / block_rows;
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
        _Alignas(64) uint8_t wide[CHUNK_LINES * WIDE_LINE_BYTES];
        const size_t here = lac_min_size(chunk, n_blocks - done);
        widen(wide, blocks + done * block_rows * 4, here * block_rows, group, done * block_rows,
              block_rows);
        for (size_t k = 0; k < here; k += at_once)
            UNROLL
        for (size_t s = 0; s < at_once; s++) {
            if (at_once > 1 && k + s >= here)
                break;
            size_t p = (k + s) * block_rows + first;
            const uint8_t *both = wide + p / LINE_DWORDS * WIDE_LINE_BYTES + p % LINE_DWORDS * 4;
            size_t d = indexed ? index[done + k + s] : done + k + s;
            const uint8_t *low = x + 2 * d * x_stride;
            const uint8_t *high = 2 * d + 1 < n_rows ? low + x_stride : low;
            step(acc + 2 * s % sets * n, low, both, rows, vecs);
            step(acc + (2 * s + 1) % sets * n, high, both + LINE_DWORDS * 4, rows, vecs);
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
