/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of a weight matrix: packing, unpacking, measuring, checking. */
#include "sparse/layout.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "sparse/bitmap.h"
#include "sparse/sums.h"
#include "src/base/checked.h"
#include "src/base/half.h"

enum { N_WIDTHS = 4 };

static const struct {
    size_t rows;
    const char *names[N_WIDTHS]; /* for dwords of 1, 2, 4 and 8 inputs */
} patterns[LAC_N_PATTERNS] = {
    [LAC_PATTERN_DENSE] = {16, {"dense", "dense", "dense", "dense"}},
    [LAC_PATTERN_1] = {1, {"1x1", "1x2", "1x4", "1x8"}},
    [LAC_PATTERN_4] = {4, {"4x1", "4x2", "4x4", "4x8"}},
    [LAC_PATTERN_8] = {8, {"8x1", "8x2", "8x4", "8x8"}},
    [LAC_PATTERN_16] = {16, {"16x1", "16x2", "16x4", "16x8"}},
    [LAC_PATTERN_32] = {32, {"32x1", "32x2", "32x4", "32x8"}},
    [LAC_PATTERN_BITMAP] = {16, {"bitmap", "bitmap", "bitmap", "bitmap"}},
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

/* |s8 * s8| <= 127 * 128 and accumulators are 32 bits: 131,072 terms are the most whose sum
 * cannot pass 2^31.  (With u8 activations sums may wrap on the way; the offset wraps them back.) */
enum { MAX_INPUTS_S8 = 131072 };

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
    return lac_ceil_div(n_out, patterns[pattern].rows) *
           lac_ceil_div(n_in, lac_dword_inputs(dtype));
}

bool lac_pattern_holds(enum lac_pattern pattern, enum lac_dtype dtype)
{
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
    return pattern == LAC_PATTERN_BITMAP ? dtypes[dtype].element_bytes
                                         : patterns[pattern].rows * DWORD;
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
    size_t block = lac_block_bytes(w->pattern, w->dtype) + (w->index ? sizeof *w->index : 0);
    size_t groups = w->group ? lac_weight_groups(w) * patterns[w->pattern].rows : 0;
    return w->n_blocks * block + lac_blocks_tail_bytes(w->pattern) + lac_masks_bytes(w) + groups +
           (w->n_block_rows + 1) * sizeof *w->row_begin;
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

/* Copies the elements of dword d of one output, with zeros past the matrix. */
static void copy_elements(const void *elements, const struct lac_weight *w, size_t out, size_t d,
                          void *to)
{
    size_t inputs = lac_dword_inputs(w->dtype), size = dtypes[w->dtype].element_bytes;
    memset(to, 0, inputs * size);
    if (out >= w->n_out)
        return;
    size_t first = d * inputs;
    memcpy(to, (const uint8_t *)elements + (out * w->n_in + first) * size,
           lac_min_size(inputs, w->n_in - first) * size);
}

/* Bit d % 8 of bitmap[d / 8] is set when dword d of the output is not all zero. */
static void mark_dwords(const void *elements, size_t n_in, enum lac_dtype dtype, size_t out,
                        uint8_t *bitmap)
{
    size_t log_inputs = dtypes[dtype].log_inputs;
    for (size_t i = 0; i < n_in; i++)
        if (!lac_element_is_zero(elements, out * n_in + i, dtype))
            bitmap[i >> log_inputs >> 3] |= (uint8_t)(1u << ((i >> log_inputs) & 7));
}

/* Marks of all outputs of block row b (of R outputs) together. */
static void mark_block_row(const void *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                           size_t rows, size_t b, uint8_t *bitmap)
{
    memset(bitmap, 0, LAC_MAX_DWORDS / 8);
    size_t end = lac_min_size((b + 1) * rows, n_out);
    for (size_t out = b * rows; out < end; out++)
        mark_dwords(elements, n_in, dtype, out, bitmap);
}

static size_t count_bits(const uint8_t *bitmap, size_t n_dwords)
{
    size_t n = 0;
    for (size_t i = 0; i < lac_ceil_div(n_dwords, 8); i++)
        n += (size_t)__builtin_popcount(bitmap[i]);
    return n;
}

static bool marked(const uint8_t *bitmap, size_t d)
{
    return bitmap[d / 8] >> d % 8 & 1;
}

void lac_weight_measure(const void *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                        struct lac_weight_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    for (size_t i = 0; i < n_out * n_in; i++)
        stats->n_zeros += lac_element_is_zero(elements, i, dtype);
    size_t n_dwords = lac_ceil_div(n_in, lac_dword_inputs(dtype));
    uint8_t bitmap[LAC_MAX_DWORDS / 8];
    for (int p = 0; p < LAC_N_PATTERNS; p++) {
        size_t rows = patterns[p].rows;
        stats->n_blocks[p] = lac_pattern_blocks((enum lac_pattern)p, dtype, n_out, n_in);
        if (p == LAC_PATTERN_BITMAP)
            stats->n_nonzero[p] = stats->n_blocks[p] - stats->n_zeros;
        else if (p == LAC_PATTERN_DENSE || n_dwords > LAC_MAX_DWORDS)
            stats->n_nonzero[p] = stats->n_blocks[p];
        else
            for (size_t b = 0; b < lac_ceil_div(n_out, rows); b++) {
                mark_block_row(elements, n_out, n_in, dtype, rows, b, bitmap);
                stats->n_nonzero[p] += count_bits(bitmap, n_dwords);
            }
    }
}

enum lac_status lac_weight_quantize(const float *w, size_t n_out, size_t n_in, int8_t *elements,
                                    float *scale, struct lac_error *error)
{
    for (size_t out = 0; out < n_out; out++) {
        const float *row = w + out * n_in;
        float most = 0;
        for (size_t i = 0; i < n_in; i++) {
            float magnitude = fabsf(row[i]);
            if (!isfinite(magnitude))
                return lac_fail(error, LAC_E_FORMAT, "weight [%zu, %zu] is %g", out, i,
                                (double)row[i]);
            most = magnitude > most ? magnitude : most;
        }
        /* Below this the scale would be subnormal and its inverse infinite. */
        bool tiny = most < 0x1p-100f;
        scale[out] = tiny ? 1.0f : most / 127.0f;
        for (size_t i = 0; i < n_in; i++)
            elements[out * n_in + i] = tiny ? 0 : (int8_t)lrintf(row[i] / scale[out]);
    }
    return LAC_OK;
}

enum lac_status lac_weight_halve(const float *w, size_t n_out, size_t n_in, enum lac_dtype dtype,
                                 uint16_t *elements, struct lac_error *error)
{
    const uint16_t infinite = dtype == LAC_BF16 ? 0x7f80 : 0x7c00;
    for (size_t i = 0; i < n_out * n_in; i++) {
        elements[i] = dtype == LAC_BF16 ? lac_bf16_from_f32(w[i]) : lac_f16_from_f32(w[i]);
        if ((elements[i] & infinite) == infinite)
            return lac_fail(error, LAC_E_FORMAT, "weight [%zu, %zu] is %g, not a number in %s",
                            i / n_in, i % n_in, (double)w[i], dtypes[dtype].name);
    }
    return LAC_OK;
}

static enum lac_status check_shape(const struct lac_weight *w, struct lac_error *error)
{
    if (!lac_pattern_holds(w->pattern, w->dtype))
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s does not hold %s",
                        lac_pattern_name(w->pattern, w->dtype), lac_dtype_name(w->dtype));
    if (!w->n_out || !w->n_in)
        return lac_fail(error, LAC_E_FORMAT, "a weight of %zu x %zu", w->n_out, w->n_in);
    if (dtypes[w->dtype].is_quantized && w->n_in > MAX_INPUTS_S8)
        return lac_fail(error, LAC_E_LIMIT, "%zu inputs; sums of integers hold %d", w->n_in,
                        MAX_INPUTS_S8);
    if (w->n_dwords > LAC_MAX_DWORDS)
        return lac_fail(error, LAC_E_LIMIT, "%zu inputs; an index reaches %zu", w->n_in,
                        LAC_MAX_DWORDS * lac_dword_inputs(w->dtype));
    size_t most;
    if (w->n_out > UINT32_MAX || !lac_mul_size(w->n_block_rows, w->n_dwords, &most) ||
        most > UINT32_MAX)
        return lac_fail(error, LAC_E_LIMIT, "%zu x %zu weights are more than 2^32 - 1 blocks",
                        w->n_out, w->n_in);
    return LAC_OK;
}

/* Shape of the layout; false when n_out is absurd. */
static bool shape(struct lac_weight *w, size_t n_out, size_t n_in, enum lac_dtype dtype,
                  enum lac_pattern pattern)
{
    size_t padded;
    if (!lac_round_up_size(n_out, lac_pattern_unit(pattern), &padded))
        return false;
    *w = (struct lac_weight){
        .dtype = dtype,
        .pattern = pattern,
        .n_out = n_out,
        .n_in = n_in,
        .n_dwords = lac_ceil_div(n_in, lac_dword_inputs(dtype)),
        .n_block_rows = padded / patterns[pattern].rows,
    };
    return true;
}

/* Fills row_begin; index too when it is not NULL. */
static size_t find_blocks(const void *elements, const struct lac_weight *w, uint32_t *row_begin,
                          uint16_t *index)
{
    size_t n = 0;
    uint8_t bitmap[LAC_MAX_DWORDS / 8];
    for (size_t b = 0; b < w->n_block_rows; b++) {
        row_begin[b] = (uint32_t)n;
        if (w->pattern == LAC_PATTERN_DENSE) {
            n += w->n_dwords;
            continue;
        }
        mark_block_row(elements, w->n_out, w->n_in, w->dtype, patterns[w->pattern].rows, b, bitmap);
        if (index)
            for (size_t d = 0, k = n; d < w->n_dwords; d++)
                if (marked(bitmap, d))
                    index[k++] = (uint16_t)d;
        n += count_bits(bitmap, w->n_dwords);
    }
    row_begin[w->n_block_rows] = (uint32_t)n;
    return n;
}

static size_t dword_index(const struct lac_weight *w, size_t b, size_t k)
{
    return w->index ? w->index[k] : k - w->row_begin[b];
}

static void copy_blocks(const void *elements, const struct lac_weight *w, uint8_t *blocks)
{
    size_t rows = patterns[w->pattern].rows;
    for (size_t b = 0; b < w->n_block_rows; b++)
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
            for (size_t r = 0; r < rows; r++)
                copy_elements(elements, w, b * rows + r, dword_index(w, b, k),
                              blocks + (k * rows + r) * DWORD);
}

/* Row r of the n blocks from k on, which are a group. */
static uint8_t encode_group(const int8_t *elements, const struct lac_weight *w,
                            const struct lac_int4_tables *tables, size_t b, size_t k, size_t n,
                            size_t r, uint8_t *blocks)
{
    size_t rows = patterns[w->pattern].rows;
    int8_t weights[LAC_INT4_BLOCKS][LAC_INT4_INPUTS];
    for (size_t i = 0; i < n; i++)
        copy_elements(elements, w, b * rows + r, dword_index(w, b, k + i), weights[i]);
    uint8_t g = lac_int4_choose(tables, weights[0], n * LAC_INT4_INPUTS);
    for (size_t i = 0; i < n; i++)
        lac_int4_encode(tables, weights[i], g, blocks + ((k + i) * rows + r) * DWORD);
    return g;
}

static void encode_blocks(const int8_t *elements, const struct lac_weight *w, uint8_t *blocks,
                          uint8_t *group)
{
    size_t rows = patterns[w->pattern].rows;
    struct lac_int4_tables tables;
    lac_int4_prepare(&tables);
    memset(group, 1, lac_weight_groups(w) * rows);
    for (size_t b = 0; b < w->n_block_rows; b++) {
        size_t k = w->row_begin[b], end = w->row_begin[b + 1];
        uint8_t *g = group + lac_weight_first_group(w, b) * rows;
        for (; k < end; k += LAC_INT4_BLOCKS, g += rows)
            for (size_t r = 0; r < rows; r++)
                g[r] = encode_group(elements, w, &tables, b, k,
                                    lac_min_size(LAC_INT4_BLOCKS, end - k), r, blocks);
    }
}

/* What row r of block k of block row b holds, as elements. */
static void decode_dword(const struct lac_weight *w, size_t b, size_t k, size_t r, void *elements)
{
    size_t rows = patterns[w->pattern].rows;
    const uint8_t *dword = (const uint8_t *)w->blocks + (k * rows + r) * DWORD;
    if (w->dtype != LAC_S4) {
        memcpy(elements, dword, DWORD);
        return;
    }
    size_t group = lac_weight_first_group(w, b) + (k - w->row_begin[b]) / LAC_INT4_BLOCKS;
    lac_int4_decode(dword, w->group[group * rows + r], elements);
}

static int32_t sum_row(const struct lac_weight *w, size_t out)
{
    size_t rows = patterns[w->pattern].rows, b = out / rows;
    int32_t sum = 0;
    for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++) {
        int8_t weights[LAC_INT4_INPUTS] = {0};
        decode_dword(w, b, k, out % rows, weights);
        for (size_t i = 0; i < LAC_INT4_INPUTS; i++)
            sum += weights[i];
    }
    return sum;
}

/* offset: zeros before. */
static void find_offsets(const struct lac_weight *w, int32_t *offset)
{
    if (w->pattern == LAC_PATTERN_BITMAP)
        lac_bitmap_sum(w, offset);
    for (size_t out = 0; out < w->n_out; out++) {
        int32_t sum = w->pattern == LAC_PATTERN_BITMAP ? offset[out] : sum_row(w, out);
        /* At most 128 * 131,072 * 128 = 2^31: wraps, as the accumulators do. */
        offset[out] = (int32_t)(0u - 128u * (uint32_t)sum);
    }
}

static enum lac_status no_memory(const struct lac_weight *w, struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for a weight of %zu x %zu", w->n_out, w->n_in);
}

static enum lac_status pack_blocks(const void *elements, struct lac_weight *w,
                                   struct lac_arena *arena, struct lac_error *error)
{
    uint32_t *row_begin = lac_arena_alloc(arena, w->n_block_rows + 1, sizeof *row_begin);
    if (!row_begin)
        return no_memory(w, error);
    w->n_blocks = find_blocks(elements, w, row_begin, NULL);
    w->row_begin = row_begin;
    if (w->pattern != LAC_PATTERN_DENSE) {
        uint16_t *index = lac_arena_alloc(arena, w->n_blocks, sizeof *index);
        if (!index)
            return no_memory(w, error);
        find_blocks(elements, w, row_begin, index);
        w->index = index;
    }
    uint8_t *blocks = lac_arena_alloc(arena, w->n_blocks, lac_block_bytes(w->pattern, w->dtype));
    if (!blocks)
        return no_memory(w, error);
    if (w->dtype == LAC_S4) {
        uint8_t *group = lac_arena_alloc(arena, lac_weight_groups(w), patterns[w->pattern].rows);
        if (!group)
            return no_memory(w, error);
        encode_blocks(elements, w, blocks, group);
        w->group = group;
    } else {
        copy_blocks(elements, w, blocks);
    }
    w->blocks = blocks;
    return LAC_OK;
}

static enum lac_status pack_bitmap(const void *elements, struct lac_weight *w,
                                   struct lac_arena *arena, struct lac_error *error)
{
    uint32_t *row_begin = lac_arena_alloc(arena, w->n_block_rows + 1, sizeof *row_begin);
    uint8_t *masks = lac_arena_alloc(arena, lac_masks_bytes(w), 1);
    if (!row_begin || !masks)
        return no_memory(w, error);
    w->n_blocks = lac_bitmap_find(elements, w, row_begin, masks);
    w->row_begin = row_begin;
    w->masks = masks;
    if (w->n_blocks > UINT32_MAX)
        return lac_fail(error, LAC_E_LIMIT, "%zu elements are more than 2^32 - 1", w->n_blocks);
    /* The matrix is in memory, so its size cannot overflow. */
    uint8_t *blocks = lac_arena_alloc(
        arena, w->n_blocks * lac_block_bytes(w->pattern, w->dtype) + LAC_BITMAP_TAIL, 1);
    if (!blocks)
        return no_memory(w, error);
    lac_bitmap_copy(elements, w, blocks);
    w->blocks = blocks;
    return LAC_OK;
}

enum lac_status lac_weight_pack(const void *elements, const float *scale, const float *bias,
                                size_t n_out, size_t n_in, enum lac_dtype dtype,
                                enum lac_pattern pattern, struct lac_arena *arena,
                                struct lac_weight *weight, struct lac_error *error)
{
    struct lac_weight w;
    if (!shape(&w, n_out, n_in, dtype, pattern))
        return lac_fail(error, LAC_E_LIMIT, "a weight of %zu outputs", n_out);
    enum lac_status status = check_shape(&w, error);
    if (status)
        return status;

    size_t n_padded = w.n_block_rows * patterns[pattern].rows;
    float *padded_bias = lac_arena_alloc_zero(arena, n_padded, sizeof *padded_bias);
    if (!padded_bias)
        goto no_memory;
    status = pattern == LAC_PATTERN_BITMAP ? pack_bitmap(elements, &w, arena, error)
                                           : pack_blocks(elements, &w, arena, error);
    if (status)
        return status;
    if (bias)
        memcpy(padded_bias, bias, n_out * sizeof *bias);
    w.bias = padded_bias;
    if (dtypes[dtype].is_quantized) {
        float *padded_scale = lac_arena_alloc_zero(arena, n_padded, sizeof *padded_scale);
        int32_t *offset = lac_arena_alloc_zero(arena, n_padded, sizeof *offset);
        if (!padded_scale || !offset)
            goto no_memory;
        for (size_t out = 0; out < n_out; out++)
            padded_scale[out] = lac_scale_shorten(scale[out]);
        find_offsets(&w, offset);
        w.scale = padded_scale;
        w.offset = offset;
    }
    *weight = w;
    return lac_weight_derive(weight, arena, error);

no_memory:
    return no_memory(&w, error);
}

void lac_weight_unpack(const struct lac_weight *w, void *elements)
{
    size_t rows = patterns[w->pattern].rows, inputs = lac_dword_inputs(w->dtype);
    size_t size = dtypes[w->dtype].element_bytes;
    memset(elements, 0, w->n_out * w->n_in * size);
    if (w->pattern == LAC_PATTERN_BITMAP) {
        lac_bitmap_unpack(w, elements);
        return;
    }
    for (size_t out = 0; out < w->n_out; out++) {
        size_t b = out / rows;
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++) {
            uint8_t decoded[LAC_INT4_INPUTS];
            size_t first = dword_index(w, b, k) * inputs;
            decode_dword(w, b, k, out % rows, decoded);
            memcpy((uint8_t *)elements + (out * w->n_in + first) * size, decoded,
                   lac_min_size(inputs, w->n_in - first) * size);
        }
    }
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
    size_t lowest = 0;
    for (uint32_t k = begin; k < end; k++) {
        if (w->index[k] < lowest || w->index[k] >= w->n_dwords)
            return lac_fail(error, LAC_E_FORMAT,
                            "block %u of block row %zu: index %u is not between %zu and %zu", k, b,
                            w->index[k], lowest, w->n_dwords - 1);
        lowest = w->index[k] + 1u;
    }
    return LAC_OK;
}

/* Nibbles are not looked at: any is a number, if perhaps one that no weight was rounded to. */
static enum lac_status check_groups(const struct lac_weight *w, struct lac_error *error)
{
    size_t n = lac_weight_groups(w) * patterns[w->pattern].rows;
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
    return status;
}

enum lac_status lac_weight_check(const struct lac_weight *w, struct lac_error *error)
{
    if (w->dtype <= 0 || w->dtype >= LAC_N_DTYPES || w->pattern >= LAC_N_PATTERNS)
        return lac_fail(error, LAC_E_FORMAT, "unknown layout %d of kind %d", (int)w->pattern,
                        (int)w->dtype);
    struct lac_weight implied;
    if (!shape(&implied, w->n_out, w->n_in, w->dtype, w->pattern))
        return lac_fail(error, LAC_E_LIMIT, "a weight of %zu outputs", w->n_out);
    enum lac_status status = check_shape(&implied, error);
    if (status)
        return status;
    if (w->n_dwords != implied.n_dwords || w->n_block_rows != implied.n_block_rows ||
        !w->index != (w->pattern == LAC_PATTERN_DENSE || w->pattern == LAC_PATTERN_BITMAP) ||
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
        if (dtypes[w->dtype].is_quantized && !isfinite(w->scale[i]))
            return lac_fail(error, LAC_E_FORMAT, "scale of output %zu is not finite", i);
        if (!isfinite(w->bias[i]))
            return lac_fail(error, LAC_E_FORMAT, "bias of output %zu is not finite", i);
    }
    return LAC_OK;
}
