/* SPDX-License-Identifier: Apache-2.0 */
/* Which weights have sums that can be read as floats. */
#include "sparse/sums.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

float lac_scale_shorten(float scale)
{
    uint32_t bits, dropped = (1u << (24 - LAC_SCALE_BITS)) - 1;
    memcpy(&bits, &scale, sizeof bits);
    bits &= ~dropped;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

/* Sum of |w| over output r of block row b. */
static uint32_t sum_sizes(const struct lac_weight *w, size_t b, size_t r)
{
    uint32_t sum = 0;
    for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
        for (size_t j = 0; j < lac_block_dwords(w->pattern, w->dtype); j++) {
            const int8_t *dword = (const int8_t *)lac_weight_dword(w, k, j, r);
            for (size_t i = 0; i < 4; i++)
                sum += (uint32_t)abs(dword[i]);
        }
    return sum;
}

/* Whether sums over block row b are at most 2^22.  Up to 64 dwords they are, whatever the weights;
 * past 256 a conversion for each sum is lost in the time the sum takes, and nothing is read. */
static bool has_small_sums(const struct lac_weight *w, size_t b)
{
    enum { MOST = (1 << 22) / 128, SURELY = MOST / 128 / 4, MATTERS = 256 };
    size_t n = (w->row_begin[b + 1] - w->row_begin[b]) * lac_block_dwords(w->pattern, w->dtype);
    for (size_t r = 0; n > SURELY && n <= MATTERS && r < lac_pattern_rows(w->pattern); r++)
        if (sum_sizes(w, b, r) > MOST)
            return false;
    return n <= MATTERS;
}

/* Whether -LAC_SUM_ONES * scale is exact. */
static bool has_exact_shift(float scale)
{
    return lac_scale_shorten(scale) == scale && fabsf(scale) < 0x1p100f;
}

/* int4 and bitmaps spend more on each weight than a conversion would save. */
static bool can_have_float_sums(const struct lac_weight *w)
{
    if (w->dtype != LAC_S8 || w->pattern == LAC_PATTERN_BITMAP)
        return false;
    for (size_t b = 0; b < w->n_block_rows; b++)
        if (!has_small_sums(w, b))
            return false;
    for (size_t out = 0; out < w->n_out; out++)
        if (!has_exact_shift(w->scale[out]))
            return false;
    return true;
}

enum lac_status lac_weight_derive(struct lac_weight *w, struct lac_arena *arena,
                                  struct lac_error *error)
{
    if (!lac_dtype_is_quantized(w->dtype))
        return LAC_OK;
    size_t n_padded = w->n_block_rows * lac_pattern_rows(w->pattern);
    int32_t *start = lac_arena_alloc(arena, n_padded, sizeof *start);
    float *shift = lac_arena_alloc(arena, n_padded, sizeof *shift);
    if (!start || !shift)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a weight of %zu x %zu", w->n_out,
                        w->n_in);
    w->has_float_sums = can_have_float_sums(w);
    for (size_t out = 0; out < n_padded; out++) {
        /* Unsigned: an offset that comes from a file may be anything. */
        uint32_t offset = (uint32_t)w->offset[out];
        start[out] = (int32_t)(w->has_float_sums ? offset + LAC_SUM_BITS : offset);
        shift[out] = w->has_float_sums ? -LAC_SUM_ONES * w->scale[out] : 0;
    }
    w->start = start;
    w->shift = shift;
    return LAC_OK;
}
