/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on NEON with matrix multiplication: usmmla.
 *
 * One instruction multiplies 2 tokens by 2 outputs over 8 inputs, u8 by s8: twice what a dot
 * product does.  The 8 inputs are two dwords of a block row, any two: its blocks are taken in
 * pairs.  Pairs of weights lie side by side in the kernel's own copy (an odd one has zeros beside
 * it), pairs of activations are interleaved when they are loaded:
 *
 *      panel row d0   t0 t1 t2 t3         zip1   t0d0 t0d1 t1d0 t1d1   2 tokens x 8
 *      panel row d1   t0 t1 t2 t3         zip2   t2d0 t2d1 t3d0 t3d1   2 tokens x 8
 *
 * 8 outputs x 12 tokens are 4 x 6 sums of 2 x 2: 4 loads of weights, 6 of activations and 6
 * interleavings stand against 24 multiplications.  Blocks of one output stay with the dot product,
 * as no two of them share their inputs. */
#include "simd/arm/neon/lanes.h"

#include <string.h>

#include "simd/kernel.h"
#include "simd/template/int_sums.h"

#define TILE_VECS   4
#define X_IS_SIGNED 0

#include "simd/template/scale_s8.h"

#include "simd/template/linear_finish.h"

enum { TILE_ROWS = 8 };

/* The kernel's own copy. */
struct paired_weight {
    const uint32_t *pair_begin; /* [n_block_rows + 1] */
    const uint16_t *index;      /* [n_pairs][2]; the odd one's twice */
    const int8_t *pairs;        /* [n_pairs][rows][2 dwords]; there, zeros */
};

static uint32_t count_pairs(const struct lac_weight *w, uint32_t *pair_begin)
{
    uint32_t n = 0;
    for (size_t b = 0; b < w->n_block_rows; b++) {
        pair_begin[b] = n;
        n += (uint32_t)lac_ceil_div(w->row_begin[b + 1] - w->row_begin[b], 2);
    }
    pair_begin[w->n_block_rows] = n;
    return n;
}

/* Blocks k and, if it is in block row b too, k + 1. */
static void pack_pair(const struct lac_weight *w, size_t b, size_t k, uint16_t *index, int8_t *pair)
{
    const size_t rows = lac_pattern_rows(w->pattern), end = w->row_begin[b + 1];
    for (size_t i = 0; i < 2; i++) {
        size_t at = lac_min_size(k + i, end - 1);
        index[i] = w->index ? w->index[at] : (uint16_t)(at - w->row_begin[b]);
        for (size_t r = 0; r < rows; r++) {
            int8_t *dword = pair + (r * 2 + i) * 4;
            if (k + i < end)
                memcpy(dword, (const int8_t *)w->blocks + (at * rows + r) * 4, 4);
            else
                memset(dword, 0, 4);
        }
    }
}

static const void *pack(const struct lac_weight *w, struct lac_arena *arena)
{
    const size_t pair_bytes = lac_pattern_rows(w->pattern) * 8;
    struct paired_weight *pw = lac_arena_alloc(arena, 1, sizeof *pw);
    uint32_t *pair_begin = lac_arena_alloc(arena, w->n_block_rows + 1, sizeof *pair_begin);
    if (!pw || !pair_begin)
        return NULL;
    uint32_t n_pairs = count_pairs(w, pair_begin);
    uint16_t *index = lac_arena_alloc(arena, n_pairs, 2 * sizeof *index);
    int8_t *pairs = lac_arena_alloc(arena, n_pairs, pair_bytes);
    if (!index || !pairs)
        return NULL;
    for (size_t b = 0; b < w->n_block_rows; b++)
        for (uint32_t i = pair_begin[b]; i < pair_begin[b + 1]; i++)
            pack_pair(w, b, w->row_begin[b] + (i - pair_begin[b]) * 2, index + (size_t)i * 2,
                      pairs + i * pair_bytes);
    *pw = (struct paired_weight){pair_begin, index, pairs};
    return pw;
}

/* acc[2 outputs][2 tokens] += the product with one pair of blocks; x0 and x1 are the panel rows of
 * its dwords. */
ALWAYS_INLINE void step(veci *acc, const uint8_t *x0, const uint8_t *x1, const int8_t *pair,
                        const size_t rows, const size_t vecs)
{
    int8x16_t w[TILE_ROWS / 2];
    UNROLL
    for (size_t r = 0; r < rows / 2; r++)
        w[r] = vld1q_s8(pair + r * 16);
    UNROLL
    for (size_t v = 0; v < vecs; v++) {
        veci d0 = veci_load(x0 + v * VEC_BYTES), d1 = veci_load(x1 + v * VEC_BYTES);
        uint8x16_t low = vreinterpretq_u8_s32(vzip1q_s32(d0, d1));
        uint8x16_t high = vreinterpretq_u8_s32(vzip2q_s32(d0, d1));
        UNROLL
        for (size_t r = 0; r < rows / 2; r++) {
            veci *sum = &acc[(r * vecs + v) * 2];
            sum[0] = vusmmlaq_s32(sum[0], low, w[r]);
            sum[1] = vusmmlaq_s32(sum[1], high, w[r]);
        }
    }
}

/* `rows` outputs from row `first` of block row b on; out is the first of them. */
ALWAYS_INLINE void row_tile(const struct lac_linear_args *a, size_t b, size_t first, size_t out,
                            size_t lane, const size_t block_rows, const size_t rows,
                            const size_t vecs)
{
    const struct paired_weight *pw = a->w->extra;
    const size_t stride = a->ld * 4;
    const uint8_t *x = (const uint8_t *)a->x + lane * 4;
    const int8_t *pair = pw->pairs + (pw->pair_begin[b] * block_rows + first) * 8;
    const uint16_t *index = pw->index + (size_t)pw->pair_begin[b] * 2,
                   *end = pw->index + (size_t)pw->pair_begin[b + 1] * 2;
    veci acc[TILE_ROWS * TILE_VECS];
    UNROLL
    for (size_t r = 0; r < rows / 2; r++) {
        int32x2_t starts = vld1_s32(a->w->start + out + r * 2);
        veci begin = vcombine_s32(starts, starts);
        UNROLL
        for (size_t v = 0; v < vecs * 2; v++)
            acc[r * vecs * 2 + v] = begin;
    }
    for (; index < end; index += 2, pair += block_rows * 8)
        step(acc, x + index[0] * stride, x + index[1] * stride, pair, rows, vecs);
    UNROLL
    for (size_t i = 0; i < rows * vecs; i++)
        KEEP_IN_REGISTER(acc[i]);
    UNROLL
    for (size_t r = 0; r < rows; r += 4) {
        veci sums[4 * TILE_VECS];
        UNROLL
        for (size_t i = 0; i < 2; i++)
            UNROLL
        for (size_t v = 0; v < vecs; v++) {
            const veci *sum = &acc[((r / 2 + i) * vecs + v) * 2];
            sums[i * 2 * vecs + v] = vuzp1q_s32(sum[0], sum[1]);
            sums[(i * 2 + 1) * vecs + v] = vuzp2q_s32(sum[0], sum[1]);
        }
        finish(a, out + r, lane, sums, vecs);
    }
}

ALWAYS_INLINE void token_lanes(const struct lac_linear_args *a, size_t lane,
                               const size_t block_rows, const size_t vecs)
{
    const size_t rows = block_rows < TILE_ROWS ? block_rows : TILE_ROWS;
    for (size_t out = a->out_begin; out < a->out_end; out += block_rows)
        for (size_t first = 0; first < block_rows; first += rows)
            row_tile(a, out / block_rows, first, out + first, lane, block_rows, rows, vecs);
}

ALWAYS_INLINE void token_tile(const struct lac_linear_args *a, const size_t block_rows)
{
    size_t lane = 0, left = a->ld / VEC_LANES;
    for (; left >= 3 && left != 4; left -= 3, lane += 3 * VEC_LANES)
        token_lanes(a, lane, block_rows, 3);
    for (; left; left -= 2, lane += 2 * VEC_LANES)
        token_lanes(a, lane, block_rows, 2);
}

static void token_32(const struct lac_linear_args *a)
{
    token_tile(a, 32);
}

static void token_16(const struct lac_linear_args *a)
{
    token_tile(a, 16);
}

static void token_8(const struct lac_linear_args *a)
{
    token_tile(a, 8);
}

static void token_4(const struct lac_linear_args *a)
{
    for (size_t lane = 0; lane < a->ld; lane += 4 * VEC_LANES)
        token_lanes(a, lane, 4, 4);
}

#define KERNEL(name_, pattern_, run_)                                                              \
    const struct lac_kernel lac_##name_##_neon_i8mm = {                                            \
        .name = #name_ "/neon_i8mm",                                                               \
        .op = LAC_OP_LINEAR_TOKEN,                                                                 \
        .pattern = pattern_,                                                                       \
        .dtype = LAC_S8,                                                                           \
        .needs = LAC_CPU_NEON | LAC_CPU_DOTPROD | LAC_CPU_I8MM,                                    \
        .pack = pack,                                                                              \
        .run.linear = run_,                                                                        \
    };

KERNEL(linear_token_dense_s8, LAC_PATTERN_DENSE, token_16)
KERNEL(linear_token_32x4_s8, LAC_PATTERN_32, token_32)
KERNEL(linear_token_16x4_s8, LAC_PATTERN_16, token_16)
KERNEL(linear_token_8x4_s8, LAC_PATTERN_8, token_8)
KERNEL(linear_token_4x4_s8, LAC_PATTERN_4, token_4)
