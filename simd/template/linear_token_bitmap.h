/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of bitmap weights: lines are expanded into L1, some at a time, and
 * multiplied as dense ones.  Include after linear_token.h and bitmap.h.
 *
 * Where weights have half the width of the activations (WIDE_GROUPS), lines are widened as well,
 * and either half has sums of its own, as in output-lane kernels. */

#ifdef WIDE_GROUPS
enum { LINE_HALVES = 2 };
#else
enum { LINE_HALVES = 1 };
#endif

/* 8 KiB: the rest of L1 is for the panel. */
enum { EXPANDED_LINES = 128 / LINE_HALVES };

struct expanded {
    _Alignas(64) uint8_t lines[LINE_HALVES][EXPANDED_LINES][64];
};

/* Vector i of line k. */
ALWAYS_INLINE void put_part(struct expanded *expanded, size_t k, size_t i, veci part)
{
#ifdef WIDE_GROUPS
    struct wide both = wide_line(part, NULL);
    veci_store(expanded->lines[0][k] + i * VEC_BYTES, both.low);
    veci_store(expanded->lines[1][k] + i * VEC_BYTES, both.high);
#else
    veci_store(expanded->lines[0][k] + i * VEC_BYTES, part);
#endif
}

/* Adds n lines to the sums of 16 outputs, acc[16][vecs]; x at the first line's row. */
ALWAYS_INLINE void add_lines(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t n,
                             const uint8_t lines[][64], const size_t vecs)
{
    for (size_t first = 0; first < 16; first += TILE_ROWS) {
        ACC tile[TILE_ROWS * TILE_VECS];
        UNROLL
        for (size_t i = 0; i < TILE_ROWS * vecs; i++)
            tile[i] = acc[first * vecs + i];
        for (size_t k = 0; k < n; k++)
            step(tile, x + k * LINE_HALVES * a->ld * 4, lines[k] + first * 4, TILE_ROWS, vecs);
        UNROLL
        for (size_t i = 0; i < TILE_ROWS * vecs; i++)
            acc[first * vecs + i] = tile[i];
    }
}

/* 16 outputs by `vecs` vectors of tokens. */
ALWAYS_INLINE void bitmap_block_row(const struct lac_linear_args *a, size_t out, size_t lane,
                                    const size_t vecs)
{
    const uint8_t *x = (const uint8_t *)a->x + lane * 4;
    const size_t n_rows = lac_ceil_div(a->w->n_in * LINE_HALVES, lac_dword_inputs(a->w->dtype));
    ACC acc[LINE_HALVES][16 * TILE_VECS];
    for (size_t r = 0; r < 16; r++)
        for (size_t v = 0; v < vecs; v++)
            acc[0][r * vecs + v] = acc_begin(a->w, out + r);
    for (size_t i = 0; LINE_HALVES > 1 && i < 16 * vecs; i++)
        acc[LINE_HALVES - 1][i] = acc_zero();
    struct bitmap_place at = bitmap_row(a->w, out / 16);
    struct expanded expanded;
    for (size_t d = 0, n; d < a->w->n_dwords; d += n) {
        n = lac_min_size(EXPANDED_LINES, a->w->n_dwords - d);
        for (size_t k = 0; k < n; k++) {
            veci parts[LINE_PARTS];
            bitmap_line(&at, parts);
            for (size_t i = 0; i < LINE_PARTS; i++)
                put_part(&expanded, k, i, parts[i]);
        }
        for (size_t half = 0; half < LINE_HALVES; half++) {
            /* The last line's second half may lie past the inputs: then the panel has none. */
            size_t row = d * LINE_HALVES + half, end = lac_ceil_div(n_rows - half, LINE_HALVES);
            add_lines(acc[half], a, x + row * a->ld * 4, lac_min_size(n, end - d),
                      expanded.lines[half], vecs);
        }
    }
    for (size_t i = 0; LINE_HALVES > 1 && i < 16 * vecs; i++)
        acc[0][i] = acc_add(acc[0][i], acc[LINE_HALVES - 1][i]);
    for (size_t r = 0; r < 16; r += 4)
        finish(a, out + r, lane, acc[0] + r * vecs, vecs);
}

static void token_bitmap(const struct lac_linear_args *a)
{
    const size_t most = VECS(TILE_ROWS);
    for (size_t lane = 0, vecs; lane < a->ld; lane += vecs * VEC_LANES) {
        size_t left = (a->ld - lane) / VEC_LANES;
        vecs = left >= most && left != most + 1 ? most : lac_min_size(left, 2);
        for (size_t out = a->out_begin; out < a->out_end; out += 16)
            switch (vecs) {
            case 1:
                bitmap_block_row(a, out, lane, 1);
                break;
            case 2:
                bitmap_block_row(a, out, lane, 2);
                break;
            default:
                bitmap_block_row(a, out, lane, most);
            }
    }
}
