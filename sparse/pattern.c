/* SPDX-License-Identifier: Apache-2.0 */
/* What patterns and number formats are: names, shapes of blocks, bytes. */
#include <string.h>

#include "sparse/bitmap.h"
#include "sparse/layout.h"
#include "sparse/loose.h"
#include "src/base/checked.h"

enum { N_WIDTHS = 4 };

static const struct {
    size_t rows;
    size_t tile;                 /* inputs of a block; 0: a dword's, or single ones */
    const char *names[N_WIDTHS]; /* for dwords of 1, 2, 4 and 8 inputs */
} patterns[LAC_N_PATTERNS] = {
    [LAC_PATTERN_DENSE] = {16, 0, {"dense", "dense", "dense", "dense"}},
    [LAC_PATTERN_1] = {1, 0, {"1x1", "1x2", "1x4", "1x8"}},
    [LAC_PATTERN_4] = {4, 0, {"4x1", "4x2", "4x4", "4x8"}},
    [LAC_PATTERN_8] = {8, 0, {"8x1", "8x2", "8x4", "8x8"}},
    [LAC_PATTERN_16] = {16, 0, {"16x1", "16x2", "16x4", "16x8"}},
    [LAC_PATTERN_32] = {32, 0, {"32x1", "32x2", "32x4", "32x8"}},
    [LAC_PATTERN_BITMAP] = {16, 0, {"bitmap", "bitmap", "bitmap", "bitmap"}},
    [LAC_PATTERN_4X1] = {4, 0, {"4x1", "4x1", "4x1", "4x1"}},
    [LAC_PATTERN_TILE_16] = {16, 16, {"16x16", "16x16", "16x16", "16x16"}},
    [LAC_PATTERN_TILE_32] = {32, 32, {"32x32", "32x32", "32x32", "32x32"}},
};

static const struct {
    const char *name;
    size_t log_inputs, element_bytes, rows;
    bool is_quantized;
} dtypes[LAC_N_DTYPES] = {
    [LAC_S8] = {"int8", 2, 1, 1, true},    [LAC_F32] = {"fp32", 0, 4, 1, false},
    [LAC_BF16] = {"bf16", 1, 2, 2, false}, [LAC_F16] = {"fp16", 1, 2, 2, false},
    [LAC_S4] = {"int4", 3, 1, 2, true},
};

/* Bytes of a dword, whatever it holds. */
enum { DWORD = 4 };

size_t lac_pattern_rows(enum lac_pattern pattern)
{
    return patterns[pattern].rows;
}

size_t lac_pattern_unit(enum lac_pattern pattern)
{
    return lac_max_size(patterns[pattern].rows, LAC_OUT_UNIT);
}

size_t lac_pattern_blocks(enum lac_pattern pattern, enum lac_dtype dtype, size_t n_out, size_t n_in)
{
    if (pattern == LAC_PATTERN_BITMAP)
        return n_out * n_in;
    size_t inputs =
        pattern == LAC_PATTERN_4X1 ? LAC_LOOSE_INPUTS : lac_block_inputs(pattern, dtype);
    return lac_ceil_div(n_out, patterns[pattern].rows) * lac_ceil_div(n_in, inputs);
}

size_t lac_block_inputs(enum lac_pattern pattern, enum lac_dtype dtype)
{
    if (pattern == LAC_PATTERN_BITMAP || pattern == LAC_PATTERN_4X1)
        return 1;
    return patterns[pattern].tile ? patterns[pattern].tile : lac_dword_inputs(dtype);
}

size_t lac_block_dwords(enum lac_pattern pattern, enum lac_dtype dtype)
{
    return patterns[pattern].tile ? patterns[pattern].tile / lac_dword_inputs(dtype) : 1;
}

size_t lac_block_indices(enum lac_pattern pattern)
{
    if (pattern == LAC_PATTERN_DENSE || pattern == LAC_PATTERN_BITMAP)
        return 0;
    return pattern == LAC_PATTERN_4X1 ? LAC_LOOSE_INPUTS : 1;
}

bool lac_pattern_holds(enum lac_pattern pattern, enum lac_dtype dtype)
{
    if (pattern == LAC_PATTERN_4X1)
        return dtype == LAC_S8;
    if (patterns[pattern].tile)
        return dtype == LAC_S8 || dtype == LAC_F32;
    return pattern != LAC_PATTERN_BITMAP || dtype != LAC_S4;
}

const char *lac_pattern_name(enum lac_pattern pattern, enum lac_dtype dtype)
{
    return patterns[pattern].names[dtypes[dtype].log_inputs];
}

const char *lac_dtype_name(enum lac_dtype dtype)
{
    return dtypes[dtype].name;
}

size_t lac_dword_inputs(enum lac_dtype dtype)
{
    return (size_t)1 << dtypes[dtype].log_inputs;
}

bool lac_dtype_is_quantized(enum lac_dtype dtype)
{
    return dtypes[dtype].is_quantized;
}

size_t lac_dword_rows(enum lac_dtype dtype)
{
    return dtypes[dtype].rows;
}

size_t lac_element_bytes(enum lac_dtype dtype)
{
    return dtypes[dtype].element_bytes;
}

size_t lac_weight_groups(const struct lac_weight *weight)
{
    return weight->n_blocks / LAC_INT4_BLOCKS + weight->n_block_rows;
}

size_t lac_block_bytes(enum lac_pattern pattern, enum lac_dtype dtype)
{
    return pattern == LAC_PATTERN_BITMAP
               ? dtypes[dtype].element_bytes
               : patterns[pattern].rows * DWORD * lac_block_dwords(pattern, dtype);
}

size_t lac_blocks_tail_bytes(enum lac_pattern pattern)
{
    return pattern == LAC_PATTERN_BITMAP ? LAC_BITMAP_TAIL : 0;
}

size_t lac_masks_bytes(const struct lac_weight *w)
{
    return w->pattern == LAC_PATTERN_BITMAP
               ? w->n_block_rows * w->n_dwords * lac_bitmap_mask_bytes(w->dtype)
               : 0;
}

size_t lac_weight_bytes(const struct lac_weight *w)
{
    size_t block =
        lac_block_bytes(w->pattern, w->dtype) + lac_block_indices(w->pattern) * sizeof *w->index;
    size_t groups = w->group ? lac_weight_groups(w) * patterns[w->pattern].rows : 0;
    return w->n_blocks * block + lac_blocks_tail_bytes(w->pattern) + lac_masks_bytes(w) + groups +
           (w->n_block_rows + 1) * sizeof *w->row_begin +
           lac_outliers_bytes(&w->outliers, w->n_out);
}

bool lac_element_is_zero(const void *elements, size_t i, enum lac_dtype dtype)
{
    switch (dtypes[dtype].element_bytes) {
    case 1:
        return ((const int8_t *)elements)[i] == 0;
    case 2:
        return !(((const uint16_t *)elements)[i] & 0x7fff);
    default:
        return ((const float *)elements)[i] == 0;
    }
}
