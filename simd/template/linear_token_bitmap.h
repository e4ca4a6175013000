/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of bitmap weights: lines are expanded into L1, some at a time, and
 * multiplied as dense ones.  Include after linear_token.h and bitmap.h. */

/* 8 KiB: the rest of L1 is for the panel. */
enum { EXPANDED_LINES = 128 };

struct expanded {
    _Alignas(64) uint8_t lines[EXPANDED_LINES][64];
};

/* Adds lines [d, d + n) to the sums of 16 outputs: acc[16][vecs]. */
ALWAYS_INLINE void add_lines(ACC *acc, const struct lac_linear_args *a, const uint8_t *x, size_t d,
                             size_t n, const struct expanded *expanded, const size_t vecs)
{
    for (size_t first = 0; first < 16; first += TILE_ROWS) {
        ACC tile[TILE_ROWS * TILE_VECS];
        UNROLL
        for (size_t i = 0; i < TILE_ROWS * vecs; i++)
            tile[i] = acc[first * vecs + i];
        for (size_t k = 0; k < n; k++)
            step(tile, x + (d + k) * a->ld * 4, expanded->lines[k] + first * 4, TILE_ROWS, vecs);
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
    ACC acc[16 * TILE_VECS];
    for (size_t r = 0; r < 16; r++)
        for (size_t v = 0; v < vecs; v++)
            acc[r * vecs + v] = acc_begin(a->w, out + r);
    struct bitmap_place at = bitmap_row(a->w, out / 16);
    struct expanded expanded;
    for (size_t d = 0, n; d < a->w->n_dwords; d += n) {
        n = lac_min_size(EXPANDED_LINES, a->w->n_dwords - d);
        for (size_t k = 0; k < n; k++) {
            veci parts[LINE_PARTS];
            bitmap_line(&at, parts);
            for (size_t i = 0; i < LINE_PARTS; i++)
                veci_store(expanded.lines[k] + i * VEC_BYTES, parts[i]);
        }
        add_lines(acc, a, x, d, n, &expanded, vecs);
    }
    for (size_t r = 0; r < 16; r += 4)
        finish(a, out + r, lane, acc + r * vecs, vecs);
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
