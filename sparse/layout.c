/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of a weight matrix: packing, unpacking, measuring, checking. */
#include "sparse/layout.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "src/base/checked.h"

static const struct {
    size_t rows;
    const char *name_s8, *name_f32;
} patterns[LAC_N_PATTERNS] = {
    [LAC_PATTERN_DENSE] = {16, "dense", "dense"}, [LAC_PATTERN_1] = {1, "1x4", "1x1"},
    [LAC_PATTERN_4] = {4, "4x4", "4x1"},          [LAC_PATTERN_8] = {8, "8x4", "8x1"},
    [LAC_PATTERN_16] = {16, "16x4", "16x1"},
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

const char *lac_pattern_name(enum lac_pattern pattern, enum lac_dtype dtype)
{
    return dtype == LAC_S8 ? patterns[pattern].name_s8 : patterns[pattern].name_f32;
}

size_t lac_dword_inputs(enum lac_dtype dtype)
{
    return dtype == LAC_S8 ? 4 : 1;
}

const char *lac_dtype_name(enum lac_dtype dtype)
{
    return dtype == LAC_S8 ? "int8" : "fp32";
}

size_t lac_weight_bytes(const struct lac_weight *weight)
{
    size_t block = patterns[weight->pattern].rows * DWORD + (weight->index ? sizeof(uint16_t) : 0);
    return weight->n_blocks * block + (weight->n_block_rows + 1) * sizeof(uint32_t);
}

static float element_f32(const void *elements, size_t i)
{
    return ((const float *)elements)[i];
}

/* Copies dword d of one output into 4 bytes, with zeros past the matrix. */
static void copy_dword(const void *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                       size_t out, size_t d, uint8_t dword[DWORD])
{
    memset(dword, 0, DWORD);
    if (out >= n_out)
        return;
    if (dtype == LAC_F32) {
        memcpy(dword, (const float *)elements + out * n_in + d, DWORD);
        return;
    }
    size_t first = d * 4;
    memcpy(dword, (const int8_t *)elements + out * n_in + first, lac_min_size(4, n_in - first));
}

/* Bit d % 8 of bitmap[d / 8] is set when dword d of the output is not all zero. */
static void mark_dwords(const void *elements, size_t n_in, enum lac_dtype dtype, size_t out,
                        uint8_t *bitmap)
{
    if (dtype == LAC_F32) {
        for (size_t i = 0; i < n_in; i++)
            if (element_f32(elements, out * n_in + i) != 0)
                bitmap[i / 8] |= (uint8_t)(1u << i % 8);
        return;
    }
    const int8_t *row = (const int8_t *)elements + out * n_in;
    for (size_t i = 0; i < n_in; i++)
        if (row[i])
            bitmap[i / 32] |= (uint8_t)(1u << i / 4 % 8);
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
        stats->n_zeros +=
            dtype == LAC_F32 ? element_f32(elements, i) == 0 : ((const int8_t *)elements)[i] == 0;
    size_t n_dwords = lac_ceil_div(n_in, lac_dword_inputs(dtype));
    uint8_t bitmap[LAC_MAX_DWORDS / 8];
    for (int p = 0; p < LAC_N_PATTERNS; p++) {
        size_t rows = patterns[p].rows, n_block_rows = lac_ceil_div(n_out, rows);
        stats->n_blocks[p] = n_block_rows * n_dwords;
        if (p == LAC_PATTERN_DENSE || n_dwords > LAC_MAX_DWORDS) {
            stats->n_nonzero[p] = stats->n_blocks[p];
            continue;
        }
        for (size_t b = 0; b < n_block_rows; b++) {
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

static enum lac_status check_shape(const struct lac_weight *w, struct lac_error *error)
{
    if (!w->n_out || !w->n_in)
        return lac_fail(error, LAC_E_FORMAT, "a weight of %zu x %zu", w->n_out, w->n_in);
    if (w->dtype == LAC_S8 && w->n_in > MAX_INPUTS_S8)
        return lac_fail(error, LAC_E_LIMIT, "%zu inputs; int8 sums hold %d", w->n_in,
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
    if (!lac_round_up_size(n_out, LAC_OUT_UNIT, &padded))
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

static void copy_blocks(const void *elements, const struct lac_weight *w, uint8_t *blocks)
{
    size_t rows = patterns[w->pattern].rows;
    for (size_t b = 0; b < w->n_block_rows; b++)
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
            for (size_t r = 0; r < rows; r++)
                copy_dword(elements, w->n_out, w->n_in, w->dtype, b * rows + r,
                           w->index ? w->index[k] : k - w->row_begin[b],
                           blocks + (k * rows + r) * DWORD);
}

static void sum_rows(const int8_t *elements, const struct lac_weight *w, int32_t *offset)
{
    for (size_t out = 0; out < w->n_out; out++) {
        int32_t sum = 0;
        for (size_t i = 0; i < w->n_in; i++)
            sum += elements[out * w->n_in + i];
        /* At most 128 * 131,072 * 128 = 2^31: wraps, as the accumulators do. */
        offset[out] = (int32_t)(0u - 128u * (uint32_t)sum);
    }
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

    size_t rows = patterns[pattern].rows, n_padded = w.n_block_rows * rows;
    uint32_t *row_begin = lac_arena_alloc(arena, w.n_block_rows + 1, sizeof *row_begin);
    if (!row_begin)
        goto no_memory;
    w.n_blocks = find_blocks(elements, &w, row_begin, NULL);
    w.row_begin = row_begin;
    if (pattern != LAC_PATTERN_DENSE) {
        uint16_t *index = lac_arena_alloc(arena, w.n_blocks, sizeof *index);
        if (!index)
            goto no_memory;
        find_blocks(elements, &w, row_begin, index);
        w.index = index;
    }
    uint8_t *blocks = lac_arena_alloc(arena, w.n_blocks, rows * DWORD);
    float *padded_bias = lac_arena_alloc_zero(arena, n_padded, sizeof *padded_bias);
    if (!blocks || !padded_bias)
        goto no_memory;
    copy_blocks(elements, &w, blocks);
    if (bias)
        memcpy(padded_bias, bias, n_out * sizeof *bias);
    w.blocks = blocks;
    w.bias = padded_bias;
    if (dtype == LAC_S8) {
        float *padded_scale = lac_arena_alloc_zero(arena, n_padded, sizeof *padded_scale);
        int32_t *offset = lac_arena_alloc_zero(arena, n_padded, sizeof *offset);
        if (!padded_scale || !offset)
            goto no_memory;
        memcpy(padded_scale, scale, n_out * sizeof *scale);
        sum_rows(elements, &w, offset);
        w.scale = padded_scale;
        w.offset = offset;
    }
    *weight = w;
    return LAC_OK;

no_memory:
    return lac_fail(error, LAC_E_MEMORY, "no memory for a weight of %zu x %zu", n_out, n_in);
}

void lac_weight_unpack(const struct lac_weight *w, void *elements)
{
    size_t rows = patterns[w->pattern].rows, v = lac_dword_inputs(w->dtype), size = DWORD / v;
    memset(elements, 0, w->n_out * w->n_in * size);
    for (size_t out = 0; out < w->n_out; out++) {
        size_t b = out / rows, r = out % rows;
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++) {
            size_t first = (w->index ? w->index[k] : k - w->row_begin[b]) * v;
            memcpy((uint8_t *)elements + (out * w->n_in + first) * size,
                   (const uint8_t *)w->blocks + (k * rows + r) * DWORD,
                   lac_min_size(v, w->n_in - first) * size);
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

enum lac_status lac_weight_check(const struct lac_weight *w, struct lac_error *error)
{
    if ((w->dtype != LAC_S8 && w->dtype != LAC_F32) || w->pattern >= LAC_N_PATTERNS)
        return lac_fail(error, LAC_E_FORMAT, "unknown layout %d of kind %d", (int)w->pattern,
                        (int)w->dtype);
    struct lac_weight implied;
    if (!shape(&implied, w->n_out, w->n_in, w->dtype, w->pattern))
        return lac_fail(error, LAC_E_LIMIT, "a weight of %zu outputs", w->n_out);
    enum lac_status status = check_shape(&implied, error);
    if (status)
        return status;
    if (w->n_dwords != implied.n_dwords || w->n_block_rows != implied.n_block_rows ||
        !w->index != (w->pattern == LAC_PATTERN_DENSE))
        return lac_fail(error, LAC_E_FORMAT, "counts do not fit a weight of %zu x %zu", w->n_out,
                        w->n_in);
    if (w->row_begin[0] != 0 || w->row_begin[w->n_block_rows] != w->n_blocks)
        return lac_fail(error, LAC_E_FORMAT, "block rows hold blocks %u to %u instead of 0 to %zu",
                        w->row_begin[0], w->row_begin[w->n_block_rows], w->n_blocks);
    for (size_t b = 0; b < w->n_block_rows; b++) {
        status = check_row(w, b, error);
        if (status)
            return status;
    }
    for (size_t i = 0; i < w->n_out; i++) {
        if (w->dtype == LAC_S8 && !isfinite(w->scale[i]))
            return lac_fail(error, LAC_E_FORMAT, "scale of output %zu is not finite", i);
        if (!isfinite(w->bias[i]))
            return lac_fail(error, LAC_E_FORMAT, "bias of output %zu is not finite", i);
    }
    return LAC_OK;
}
