/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on AMX: tdpbsud, s8 weights by u8 activations.
 *
 * A tile product is 16 outputs x 16 dwords of inputs x 16 tokens.  The dwords need not be
 * neighbours: any 16 that the same 16 outputs keep will do, so a line of 16 outputs (pattern 16x4)
 * is as good as dense.  The weights of 16 lines, transposed, are one tile, made when the model is
 * loaded; the activations of the 16 dwords are 16 rows of the panel, copied side by side, because
 * a tile's rows must lie at one stride:
 *
 *      panel [d][48 tokens][4]                rows           3 tiles of 16 tokens
 *        d = index[0]  ------------------->  [  0 ]
 *        d = index[1]  ------------------->  [  1 ]   ->    [16 dwords][16 tokens][4]   x 3
 *        ...                                   ...
 *        d = index[15] ------------------->  [ 15 ]
 *
 * 48 lines copied (48 stores, one a cycle) stand against three products of 16 cycles: balanced.
 * Dense weights load the tiles from the panel as it is, and share them between 32 outputs. */
#include "simd/x86/avx512/lanes.h"

#include <stdbool.h>
#include <string.h>

#include "simd/kernel.h"
#include "simd/template/int_sums.h"
#include "simd/x86/amx_int8/tile.h"

#define TILE_VECS   3
#define X_IS_SIGNED 0

#include "simd/template/scale_s8.h"

#include "simd/template/linear_finish.h"

enum { MOST_LANES = TILE_VECS * TILE_DIM };

/* The kernel's own copy: chunks of 16 lines. */
struct tile_weight {
    const uint32_t *chunk_begin; /* [n_block_rows + 1] */
    const uint16_t *index;       /* [n_chunks][16]; past the last line of a row, that line's */
    const int8_t *tiles;         /* [n_chunks][16 outputs][16 dwords][4]; there, zeros */
};

static uint32_t count_chunks(const struct lac_weight *w, uint32_t *chunk_begin)
{
    uint32_t n = 0;
    for (size_t b = 0; b < w->n_block_rows; b++) {
        chunk_begin[b] = n;
        n += (uint32_t)lac_ceil_div(w->row_begin[b + 1] - w->row_begin[b], TILE_DIM);
    }
    chunk_begin[w->n_block_rows] = n;
    return n;
}

static void pack_chunk(const struct lac_weight *w, size_t b, size_t k, uint16_t *index,
                       int8_t *tile)
{
    size_t end = w->row_begin[b + 1];
    for (size_t i = 0; i < TILE_DIM; i++) {
        size_t at = lac_min_size(k + i, end - 1);
        index[i] = w->index ? w->index[at] : (uint16_t)(at - w->row_begin[b]);
        for (size_t r = 0; r < TILE_DIM; r++) {
            int8_t *dword = tile + (r * TILE_DIM + i) * 4;
            if (k + i < end)
                memcpy(dword, (const int8_t *)w->blocks + (at * TILE_DIM + r) * 4, 4);
            else
                memset(dword, 0, 4);
        }
    }
}

static const void *pack(const struct lac_weight *w, struct lac_arena *arena)
{
    struct tile_weight *tw = lac_arena_alloc(arena, 1, sizeof *tw);
    uint32_t *chunk_begin = lac_arena_alloc(arena, w->n_block_rows + 1, sizeof *chunk_begin);
    if (!tw || !chunk_begin)
        return NULL;
    uint32_t n_chunks = count_chunks(w, chunk_begin);
    uint16_t *index = lac_arena_alloc(arena, n_chunks, TILE_DIM * sizeof *index);
    int8_t *tiles = lac_arena_alloc(arena, n_chunks, TILE_BYTES);
    if (!index || !tiles)
        return NULL;
    for (size_t b = 0; b < w->n_block_rows; b++)
        for (uint32_t c = chunk_begin[b]; c < chunk_begin[b + 1]; c++)
            pack_chunk(w, b, w->row_begin[b] + (c - chunk_begin[b]) * TILE_DIM,
                       index + c * TILE_DIM, tiles + (size_t)c * TILE_BYTES);
    *tw = (struct tile_weight){chunk_begin, index, tiles};
    return tw;
}

/* The activations of 16 dwords side by side. */
ALWAYS_INLINE void copy_lines(uint8_t *lines, const uint8_t *x, size_t stride,
                              const uint16_t *index, const size_t vecs)
{
    UNROLL
    for (size_t i = 0; i < TILE_DIM; i++) {
        const uint8_t *line = x + index[i] * stride;
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            veci_store(lines + (i * vecs + v) * VEC_BYTES, veci_load(line + v * VEC_BYTES));
    }
}

/* Sums of 16 outputs by 48 tokens at most. */
struct sums {
    _Alignas(64) int32_t lanes[TILE_DIM * MOST_LANES];
};

ALWAYS_INLINE void finish_tiles(const struct lac_linear_args *a, size_t out, size_t lane,
                                const struct sums *sums, const size_t vecs)
{
    for (size_t r = 0; r < TILE_DIM && out + r < a->w->n_out; r += 4) {
        veci acc[4 * TILE_VECS];
        UNROLL
        for (size_t i = 0; i < 4 * vecs; i++)
            acc[i] = acc_add(acc_begin(a->w, out + r + i / vecs),
                             veci_load(sums->lanes + (r * vecs + i) * VEC_LANES));
        finish(a, out + r, lane, acc, vecs);
    }
}

/* Copied activations: those of the chunk at work, and of the next, copied ahead because a tile
 * cannot be loaded from stores that are still on their way. */
struct copies {
    _Alignas(64) uint8_t lines[2][TILE_DIM * MOST_LANES * 4];
};

ALWAYS_INLINE void copy_chunk(const struct lac_linear_args *a, size_t lane, size_t c,
                              struct copies *copies, const size_t vecs)
{
    const struct tile_weight *tw = a->w->extra;
    copy_lines(copies->lines[c & 1], (const uint8_t *)a->x + lane * 4, a->ld * 4,
               tw->index + c * TILE_DIM, vecs);
}

/* One block row of 16 outputs by `vecs` vectors of tokens; its first chunk is copied, and so is,
 * at the end, that of the next block row below chunk_end. */
ALWAYS_INLINE void sparse_row(const struct lac_linear_args *a, size_t out, size_t lane,
                              struct copies *copies, struct sums *sums, const size_t vecs)
{
    const struct tile_weight *tw = a->w->extra;
    const size_t b = out / TILE_DIM, stride = vecs * VEC_BYTES;
    const size_t chunk_end = tw->chunk_begin[lac_ceil_div(a->out_end, TILE_DIM)];
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    for (size_t c = tw->chunk_begin[b]; c < tw->chunk_begin[b + 1]; c++) {
        const uint8_t *copy = copies->lines[c & 1];
        if (c + 1 < chunk_end)
            copy_chunk(a, lane, c + 1, copies, vecs);
        TILE_LOAD(6, tw->tiles + c * TILE_BYTES, TILE_ROW_BYTES);
        TILE_LOAD(3, copy, stride);
        TILE_DOT_S8U8(0, 6, 3);
        if (vecs > 1) {
            TILE_LOAD(4, copy + VEC_BYTES, stride);
            TILE_DOT_S8U8(1, 6, 4);
        }
        if (vecs > 2) {
            TILE_LOAD(5, copy + 2 * VEC_BYTES, stride);
            TILE_DOT_S8U8(2, 6, 5);
        }
    }
    TILE_STORE(0, sums->lanes, stride);
    if (vecs > 1)
        TILE_STORE(1, sums->lanes + VEC_LANES, stride);
    if (vecs > 2)
        TILE_STORE(2, sums->lanes + 2 * VEC_LANES, stride);
}

/* Two block rows of 16 outputs (the last one may be alone) by `vecs` vectors of tokens. */
ALWAYS_INLINE void dense_rows(const struct lac_linear_args *a, size_t out, size_t lane,
                              struct sums sums[2], const size_t vecs)
{
    const struct tile_weight *tw = a->w->extra;
    const size_t b = out / TILE_DIM, panel_stride = a->ld * 4, stride = vecs * VEC_BYTES;
    const bool two = out + TILE_DIM < a->out_end;
    const uint8_t *x = (const uint8_t *)a->x + lane * 4;
    const int8_t *first = tw->tiles + (size_t)tw->chunk_begin[b] * TILE_BYTES;
    const int8_t *second = two ? tw->tiles + (size_t)tw->chunk_begin[b + 1] * TILE_BYTES : first;
    const size_t n_chunks = tw->chunk_begin[b + 1] - tw->chunk_begin[b];
    _Alignas(64) uint8_t copy[TILE_DIM * MOST_LANES * 4];
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_ZERO(4);
    TILE_ZERO(5);
    for (size_t c = 0; c < n_chunks; c++) {
        const uint8_t *rows = x + c * TILE_DIM * panel_stride;
        size_t rows_stride = panel_stride;
        if ((c + 1) * TILE_DIM > a->w->n_dwords) { /* a tile would read past the panel */
            copy_lines(copy, x, panel_stride, tw->index + (tw->chunk_begin[b] + c) * TILE_DIM,
                       vecs);
            rows = copy;
            rows_stride = stride;
        }
        TILE_LOAD(6, first + c * TILE_BYTES, TILE_ROW_BYTES);
        TILE_LOAD(7, rows, rows_stride);
        TILE_DOT_S8U8(0, 6, 7);
        if (vecs > 1) {
            TILE_LOAD(7, rows + VEC_BYTES, rows_stride);
            TILE_DOT_S8U8(1, 6, 7);
        }
        if (vecs > 2) {
            TILE_LOAD(7, rows + 2 * VEC_BYTES, rows_stride);
            TILE_DOT_S8U8(2, 6, 7);
        }
        TILE_LOAD(6, second + c * TILE_BYTES, TILE_ROW_BYTES);
        if (vecs > 2) {
            TILE_DOT_S8U8(5, 6, 7);
            TILE_LOAD(7, rows + VEC_BYTES, rows_stride);
        }
        if (vecs > 1) {
            TILE_DOT_S8U8(4, 6, 7);
            TILE_LOAD(7, rows, rows_stride);
        }
        TILE_DOT_S8U8(3, 6, 7);
    }
    TILE_STORE(0, sums[0].lanes, stride);
    TILE_STORE(3, sums[1].lanes, stride);
    if (vecs > 1) {
        TILE_STORE(1, sums[0].lanes + VEC_LANES, stride);
        TILE_STORE(4, sums[1].lanes + VEC_LANES, stride);
    }
    if (vecs > 2) {
        TILE_STORE(2, sums[0].lanes + 2 * VEC_LANES, stride);
        TILE_STORE(5, sums[1].lanes + 2 * VEC_LANES, stride);
    }
}

/* The sums of one step are finished while the tiles of the next are on their way: a product takes
 * 52 cycles, and a tile written is not a vector to read at once. */
ALWAYS_INLINE void lanes(const struct lac_linear_args *a, size_t lane, const size_t vecs,
                         const bool dense)
{
    const size_t n_rows = dense ? 2 : 1, out_step = n_rows * TILE_DIM;
    const struct tile_weight *tw = a->w->extra;
    struct copies copies;
    struct sums sums[2][2];
    size_t turn = 0, first = tw->chunk_begin[a->out_begin / TILE_DIM];
    if (!dense && first < tw->chunk_begin[a->w->n_block_rows])
        copy_chunk(a, lane, first, &copies, vecs);
    for (size_t out = a->out_begin; out < a->out_end + out_step; out += out_step, turn ^= 1) {
        if (out < a->out_end) {
            if (dense)
                dense_rows(a, out, lane, sums[turn], vecs);
            else
                sparse_row(a, out, lane, &copies, sums[turn], vecs);
        }
        for (size_t i = 0; i < n_rows && out > a->out_begin; i++) {
            size_t done = out - out_step + i * TILE_DIM;
            if (done < a->out_end)
                finish_tiles(a, done, lane, &sums[turn ^ 1][i], vecs);
        }
    }
}

ALWAYS_INLINE void tile(const struct lac_linear_args *a, const bool dense)
{
    tiles_begin();
    size_t lane = 0;
    for (; lane + MOST_LANES <= a->ld; lane += MOST_LANES)
        lanes(a, lane, 3, dense);
    if (lane + 2 * VEC_LANES == a->ld)
        lanes(a, lane, 2, dense);
    else if (lane < a->ld)
        lanes(a, lane, 1, dense);
    tiles_end();
}

static void token_dense(const struct lac_linear_args *a)
{
    tile(a, true);
}

static void token_16(const struct lac_linear_args *a)
{
    tile(a, false);
}

#define KERNEL(pattern_, name_, run_)                                                              \
    const struct lac_kernel lac_linear_token_##name_##_s8_amx_int8 = {                             \
        .name = "linear_token_" #name_ "_s8/amx_int8",                                             \
        .op = LAC_OP_LINEAR_TOKEN,                                                                 \
        .pattern = pattern_,                                                                       \
        .dtype = LAC_S8,                                                                           \
        .needs = LAC_CPU_AVX512 | LAC_CPU_AMX_INT8,                                                \
        .pack = pack,                                                                              \
        .run.linear = run_,                                                                        \
    };

KERNEL(LAC_PATTERN_DENSE, dense, token_dense)
KERNEL(LAC_PATTERN_16, 16x4, token_16)
