/* SPDX-License-Identifier: Apache-2.0 */
/* libxsmm's products of small dense blocks as kernels of ours, for fp32 tiles of 16 x 16 and 32
 * x 32.
 *
 * libxsmm is column-major: a panel of ours, [in][tokens], is its left operand as it lies, tiles
 * (plain rows) are its right one, and what comes out is [outputs][tokens]: y^T = x^T W^T, nothing
 * is transposed.  One call adds up all tiles of a block row; the epilogue is ours (simd/outside.h).
 *
 * It makes machine code when it is asked for some, which is when one of its kernels is first asked
 * whether it fits: only the measured plan and benches do that.  The code stays for good.
 *
 * Version 1.17 has int8 products too, whose left operand is a u8 panel as it lies, but what it
 * makes for 16 and 32 tokens is broken, and says so on stderr.  Its bf16 products want bf16
 * activations, which panels are not. */
#include <libxsmm.h>
#include <pthread.h>
#include <string.h>

#include "simd/outside.h"
#include "simd/tables.h"
#include "src/base/checked.h"

enum { N_WIDTHS = LAC_TILE / LAC_LANES, N_SIDES = 2, MOST_SIDE = 32, MOST_INPUTS = 65536 };

/* By side and number of tokens. */
static libxsmm_smmfunction_reducebatch_offs products[N_SIDES][N_WIDTHS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static size_t side_of(const struct lac_weight *w)
{
    return lac_pattern_rows(w->pattern);
}

static size_t side_number(const struct lac_weight *w)
{
    return w->pattern == LAC_PATTERN_TILE_32;
}

static void generate(void)
{
    const float one = 1, zero = 0;
    for (size_t s = 0; s < N_SIDES; s++)
        for (size_t i = 0; i < N_WIDTHS; i++) {
            const libxsmm_blasint side = s ? 32 : 16, ld = (libxsmm_blasint)((i + 1) * LAC_LANES);
            products[s][i] = libxsmm_smmdispatch_reducebatch_offs(ld, side, side, &ld, &side, &ld,
                                                                  &one, &zero, NULL, NULL);
        }
}

/* A tile must not reach past the panel. */
static int fits(const struct lac_weight *w)
{
    if (w->n_in > MOST_INPUTS || w->n_in % side_of(w))
        return 0;
    pthread_once(&once, generate);
    int all = 1;
    for (size_t i = 0; i < N_WIDTHS; i++)
        all &= products[side_number(w)][i] != NULL;
    return all;
}

/* Its own copy of a weight. */
struct tiles {
    uint8_t *rows;                      /* [n_blocks][side outputs][side inputs] */
    unsigned long long *at;             /* [n_blocks] where each begins */
    unsigned long long *x_at[N_WIDTHS]; /* the same of its inputs in a panel of that width */
};

static void copy_tile(const struct lac_weight *w, size_t k, uint8_t *to)
{
    size_t side = side_of(w), n_dwords = lac_block_dwords(w->pattern, w->dtype);
    for (size_t r = 0; r < side; r++)
        for (size_t j = 0; j < n_dwords; j++, to += 4)
            memcpy(to, lac_weight_dword(w, k, j, r), 4);
}

static const void *pack(const struct lac_weight *w, struct lac_arena *arena)
{
    size_t n = w->n_blocks, bytes = lac_block_bytes(w->pattern, w->dtype);
    struct tiles *tiles = lac_arena_alloc(arena, 1, sizeof *tiles);
    if (!tiles)
        return NULL;
    tiles->rows = lac_arena_alloc(arena, n, bytes);
    tiles->at = lac_arena_alloc(arena, n, sizeof *tiles->at);
    if (!tiles->rows || !tiles->at)
        return NULL;
    for (size_t k = 0; k < n; k++) {
        tiles->at[k] = k * bytes;
        copy_tile(w, k, tiles->rows + k * bytes);
    }
    for (size_t i = 0; i < N_WIDTHS; i++) {
        unsigned long long *x_at = lac_arena_alloc(arena, n, sizeof *x_at);
        if (!x_at)
            return NULL;
        for (size_t k = 0; k < n; k++)
            x_at[k] = w->index[k] * (i + 1) * LAC_LANES * 4;
        tiles->x_at[i] = x_at;
    }
    return tiles;
}

static void run(const struct lac_linear_args *a)
{
    _Alignas(LAC_ALIGNMENT) float sums[MOST_SIDE * LAC_TILE];
    const struct lac_weight *w = a->w;
    const struct tiles *tiles = w->extra;
    size_t side = side_of(w), width = a->ld / LAC_LANES - 1;
    struct lac_linear_args part = *a;
    for (size_t out = a->out_begin; out < a->out_end; out += side) {
        size_t begin = w->row_begin[out / side];
        unsigned long long n = w->row_begin[out / side + 1] - begin;
        if (n)
            products[side_number(w)][width](a->x, (const float *)(const void *)tiles->rows, sums,
                                            &n, tiles->x_at[width] + begin, tiles->at + begin);
        else
            memset(sums, 0, side * a->ld * sizeof *sums);
        part.out_begin = out;
        part.out_end = lac_min_size(out + side, a->out_end);
        lac_outside_finish_f32_avx512(&part, sums);
    }
}

#define KERNEL(name_, pattern_)                                                                    \
    static const struct lac_kernel name_ = {                                                       \
        .name = #name_ "/libxsmm",                                                                 \
        .op = LAC_OP_LINEAR_TOKEN,                                                                 \
        .pattern = pattern_,                                                                       \
        .dtype = LAC_F32,                                                                          \
        .needs = LAC_CPU_AVX512,                                                                   \
        .fits = fits,                                                                              \
        .pack = pack,                                                                              \
        .run.linear = run,                                                                         \
    };

KERNEL(linear_token_16x16_f32, LAC_PATTERN_TILE_16)
KERNEL(linear_token_32x32_f32, LAC_PATTERN_TILE_32)

const struct lac_kernel *const lac_table_libxsmm[] = {
    &linear_token_16x16_f32,
    &linear_token_32x32_f32,
    NULL,
};
