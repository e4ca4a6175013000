/* SPDX-License-Identifier: Apache-2.0 */
/* Is a weight that came from a file what it says? */
#include <math.h>
#include <stdbool.h>

#include "sparse/bitmap.h"
#include "sparse/layout.h"
#include "sparse/loose.h"
#include "src/base/checked.h"

/* |s8 * s8| <= 127 * 128 and accumulators are 32 bits: 131,072 terms are the most whose sum
 * cannot pass 2^31.  (With u8 activations sums may wrap on the way; the offset wraps them back.) */
enum { MAX_INPUTS_S8 = 131072 };

/* Sizes that counts and sums can hold. */
static enum lac_status check_shape(const struct lac_weight *w, struct lac_error *error)
{
    if (!lac_pattern_holds(w->pattern, w->dtype))
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s does not hold %s",
                        lac_pattern_name(w->pattern, w->dtype), lac_dtype_name(w->dtype));
    if (!w->n_out || !w->n_in)
        return lac_fail(error, LAC_E_FORMAT, "a weight of %zu x %zu", w->n_out, w->n_in);
    if (lac_dtype_is_quantized(w->dtype) && w->n_in > MAX_INPUTS_S8)
        return lac_fail(error, LAC_E_LIMIT, "%zu inputs; sums of integers hold %d", w->n_in,
                        MAX_INPUTS_S8);
    if (w->n_dwords > LAC_MAX_DWORDS)
        return lac_fail(error, LAC_E_LIMIT, "%zu inputs; an index reaches %zu", w->n_in,
                        LAC_MAX_DWORDS * lac_dword_inputs(w->dtype));
    if (w->pattern == LAC_PATTERN_4X1 && w->n_in > LAC_MAX_DWORDS)
        return lac_fail(error, LAC_E_LIMIT, "%zu inputs; an index of 4x1 reaches %d", w->n_in,
                        LAC_MAX_DWORDS);
    size_t most;
    if (w->n_out > UINT32_MAX || !lac_mul_size(w->n_block_rows, w->n_dwords, &most) ||
        most > UINT32_MAX)
        return lac_fail(error, LAC_E_LIMIT, "%zu x %zu weights are more than 2^32 - 1 blocks",
                        w->n_out, w->n_in);
    return LAC_OK;
}

enum lac_status lac_weight_shape(size_t n_out, size_t n_in, enum lac_dtype dtype,
                                 enum lac_pattern pattern, struct lac_weight *w,
                                 struct lac_error *error)
{
    size_t padded;
    if (!lac_round_up_size(n_out, lac_pattern_unit(pattern), &padded))
        return lac_fail(error, LAC_E_LIMIT, "a weight of %zu outputs", n_out);
    *w = (struct lac_weight){
        .dtype = dtype,
        .pattern = pattern,
        .n_out = n_out,
        .n_in = n_in,
        .n_dwords = lac_ceil_div(n_in, lac_dword_inputs(dtype)),
        .n_block_rows = padded / lac_pattern_rows(pattern),
    };
    return check_shape(w, error);
}

static enum lac_status check_row(const struct lac_weight *w, size_t b, struct lac_error *error)
{
    uint32_t begin = w->row_begin[b], end = w->row_begin[b + 1];
    if (end < begin || end > w->n_blocks)
        return lac_fail(error, LAC_E_FORMAT, "block row %zu has blocks %u to %u of %zu", b, begin,
                        end, w->n_blocks);
    if (!w->index) {
        if (end - begin == w->n_dwords)
            return LAC_OK;
        return lac_fail(error, LAC_E_FORMAT, "dense block row %zu has %u of %zu dwords", b,
                        end - begin, w->n_dwords);
    }
    size_t lowest = 0, dwords = lac_block_dwords(w->pattern, w->dtype);
    for (uint32_t k = begin; k < end && w->pattern != LAC_PATTERN_4X1; k++) {
        if (w->index[k] < lowest || w->index[k] >= w->n_dwords || w->index[k] % dwords)
            return lac_fail(error, LAC_E_FORMAT,
                            "block %u of block row %zu: index %u is not between %zu and %zu, or "
                            "between tiles",
                            k, b, w->index[k], lowest, w->n_dwords - 1);
        lowest = w->index[k] + 1u;
    }
    return LAC_OK;
}

/* 4x1: in any order; an input that is there twice is multiplied twice. */
static enum lac_status check_inputs(const struct lac_weight *w, struct lac_error *error)
{
    for (size_t i = 0; i < w->n_blocks * LAC_LOOSE_INPUTS; i++) {
        bool is_first = i % LAC_LOOSE_INPUTS == 0;
        if (w->index[i] >= w->n_in || (is_first && w->index[i] % LAC_LOOSE_INPUTS))
            return lac_fail(error, LAC_E_FORMAT, "input %u of block %zu is not below %zu%s",
                            w->index[i], i / LAC_LOOSE_INPUTS, w->n_in,
                            is_first ? " and a multiple of 4" : "");
    }
    return LAC_OK;
}

/* Nibbles are not looked at: any is a number, if perhaps one that no weight was rounded to. */
static enum lac_status check_groups(const struct lac_weight *w, struct lac_error *error)
{
    size_t n = lac_weight_groups(w) * lac_pattern_rows(w->pattern);
    for (size_t i = 0; i < n; i++)
        if (!w->group[i] || w->group[i] > LAC_INT4_MOST_G)
            return lac_fail(error, LAC_E_FORMAT, "factor %zu of a group is %u", i, w->group[i]);
    return LAC_OK;
}

static enum lac_status check_rows(const struct lac_weight *w, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    for (size_t b = 0; b < w->n_block_rows && !status; b++)
        status = check_row(w, b, error);
    if (!status && w->dtype == LAC_S4)
        status = check_groups(w, error);
    if (!status && w->pattern == LAC_PATTERN_4X1)
        status = check_inputs(w, error);
    return status;
}

enum lac_status lac_weight_check(const struct lac_weight *w, struct lac_error *error)
{
    if (w->dtype <= 0 || w->dtype >= LAC_N_DTYPES || w->pattern >= LAC_N_PATTERNS)
        return lac_fail(error, LAC_E_FORMAT, "unknown layout %d of kind %d", (int)w->pattern,
                        (int)w->dtype);
    struct lac_weight implied;
    enum lac_status status =
        lac_weight_shape(w->n_out, w->n_in, w->dtype, w->pattern, &implied, error);
    if (status)
        return status;
    if (w->n_dwords != implied.n_dwords || w->n_block_rows != implied.n_block_rows ||
        !w->index != !lac_block_indices(w->pattern) ||
        !w->masks != (w->pattern != LAC_PATTERN_BITMAP))
        return lac_fail(error, LAC_E_FORMAT, "counts do not fit a weight of %zu x %zu", w->n_out,
                        w->n_in);
    if (w->row_begin[0] != 0 || w->row_begin[w->n_block_rows] != w->n_blocks)
        return lac_fail(error, LAC_E_FORMAT, "block rows hold blocks %u to %u instead of 0 to %zu",
                        w->row_begin[0], w->row_begin[w->n_block_rows], w->n_blocks);
    status = w->pattern == LAC_PATTERN_BITMAP ? lac_bitmap_check(w, error) : check_rows(w, error);
    if (status)
        return status;
    for (size_t i = 0; i < w->n_out; i++) {
        if (lac_dtype_is_quantized(w->dtype) && !isfinite(w->scale[i]))
            return lac_fail(error, LAC_E_FORMAT, "scale of output %zu is not finite", i);
        if (!isfinite(w->bias[i]))
            return lac_fail(error, LAC_E_FORMAT, "bias of output %zu is not finite", i);
    }
    if (w->outliers.n && !lac_dtype_is_quantized(w->dtype))
        return lac_fail(error, LAC_E_FORMAT, "%zu outliers beside %s", w->outliers.n,
                        lac_dtype_name(w->dtype));
    return lac_outliers_check(&w->outliers, w->n_out, w->n_in, error);
}
