/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of a weight matrix: packing, unpacking, measuring. */
#include "sparse/layout.h"

#include <stdbool.h>
#include <string.h>

#include "sparse/bitmap.h"
#include "sparse/loose.h"
#include "sparse/sums.h"
#include "src/base/checked.h"

/* Bytes of a dword, whatever it holds. */
enum { DWORD = 4 };

/* Copies the elements of dword d of one output, with zeros past the matrix. */
static void copy_elements(const void *elements, const struct lac_weight *w, size_t out, size_t d,
                          void *to)
{
    size_t inputs = lac_dword_inputs(w->dtype), size = lac_element_bytes(w->dtype);
    memset(to, 0, inputs * size);
    if (out >= w->n_out || d >= w->n_dwords)
        return;
    size_t first = d * inputs;
    memcpy(to, (const uint8_t *)elements + (out * w->n_in + first) * size,
           lac_min_size(inputs, w->n_in - first) * size);
}

/* Bits of 4 bytes of elements that are set in any but a zero of either sign. */
static uint32_t value_bits(enum lac_dtype dtype)
{
    static const uint32_t bits[] = {[1] = 0xffffffff, [2] = 0x7fff7fff, [4] = 0x7fffffff};
    return bits[lac_element_bytes(dtype)];
}

/* Bit g % 8 of bitmap[g / 8] is set when group g of so many inputs of the output is not all zero.
 * Every matrix that is opened comes through here once for each pattern, so whole words are looked
 * at: only single inputs (4x1, int8) are less. */
static void mark_inputs(const void *elements, size_t n_in, enum lac_dtype dtype, size_t inputs,
                        size_t out, uint8_t *bitmap)
{
    size_t size = lac_element_bytes(dtype), n_words = inputs * size / DWORD;
    size_t n_whole = n_in / inputs;
    const uint8_t *row = (const uint8_t *)elements + out * n_in * size;
    const uint32_t bits = value_bits(dtype);
    for (size_t g = 0; g < n_whole && !n_words; g++)
        bitmap[g / 8] |= (uint8_t)((row[g] != 0) << g % 8);
    for (size_t g = 0; g < n_whole && n_words; g++) {
        uint32_t any = 0;
        for (size_t i = 0; i < n_words; i++, row += DWORD) {
            uint32_t word;
            memcpy(&word, row, DWORD);
            any |= word & bits;
        }
        bitmap[g / 8] |= (uint8_t)((any != 0) << g % 8);
    }
    for (size_t i = n_whole * inputs; i < n_in; i++)
        if (!lac_element_is_zero(elements, out * n_in + i, dtype))
            bitmap[n_whole / 8] |= (uint8_t)(1u << n_whole % 8);
}

static size_t count_zeros(const void *elements, size_t n, enum lac_dtype dtype)
{
    size_t zeros = 0;
    if (lac_element_bytes(dtype) == 1)
        for (const int8_t *x = elements, *end = x + n; x < end; x++)
            zeros += *x == 0;
    else
        for (size_t i = 0; i < n; i++)
            zeros += lac_element_is_zero(elements, i, dtype);
    return zeros;
}

/* Marks of all outputs of block row b together, a bit for what the pattern keeps together. */
static void mark_block_row(const void *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                           enum lac_pattern pattern, size_t b, uint8_t *bitmap)
{
    memset(bitmap, 0, LAC_MAX_DWORDS / 8);
    size_t rows = lac_pattern_rows(pattern), end = lac_min_size((b + 1) * rows, n_out);
    for (size_t out = b * rows; out < end; out++)
        mark_inputs(elements, n_in, dtype, lac_block_inputs(pattern, dtype), out, bitmap);
}

/* Blocks of a block row. */
static size_t count_blocks(const uint8_t *bitmap, size_t n_in, enum lac_dtype dtype,
                           enum lac_pattern pattern)
{
    if (pattern == LAC_PATTERN_4X1)
        return lac_loose_quads(bitmap, n_in);
    size_t n = 0, n_bits = lac_ceil_div(n_in, lac_block_inputs(pattern, dtype));
    for (size_t i = 0; i < lac_ceil_div(n_bits, 8); i++)
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
    stats->n_zeros = count_zeros(elements, n_out * n_in, dtype);
    uint8_t bitmap[LAC_MAX_DWORDS / 8];
    for (int p = 0; p < LAC_N_PATTERNS; p++) {
        enum lac_pattern pattern = (enum lac_pattern)p;
        stats->n_blocks[p] = lac_pattern_blocks(pattern, dtype, n_out, n_in);
        if (p == LAC_PATTERN_BITMAP)
            stats->n_nonzero[p] = stats->n_blocks[p] - stats->n_zeros;
        else if (p == LAC_PATTERN_DENSE || !lac_pattern_holds(pattern, dtype) ||
                 lac_ceil_div(n_in, lac_block_inputs(pattern, dtype)) > LAC_MAX_DWORDS)
            stats->n_nonzero[p] = stats->n_blocks[p];
        else
            for (size_t b = 0; b < lac_ceil_div(n_out, lac_pattern_rows(pattern)); b++) {
                mark_block_row(elements, n_out, n_in, dtype, pattern, b, bitmap);
                stats->n_nonzero[p] += count_blocks(bitmap, n_in, dtype, pattern);
            }
    }
}

/* Index of the blocks that are marked, by their first dword. */
static void list_blocks(const uint8_t *bitmap, const struct lac_weight *w, uint16_t *index)
{
    size_t dwords = lac_block_dwords(w->pattern, w->dtype);
    for (size_t i = 0; i * dwords < w->n_dwords; i++)
        if (marked(bitmap, i))
            *index++ = (uint16_t)(i * dwords);
}

/* Fills row_begin; index too when it is not NULL, and for 4x1 `used` (lac_loose_place). */
static size_t find_blocks(const void *elements, const struct lac_weight *w, uint32_t *row_begin,
                          uint16_t *index, uint8_t *used)
{
    size_t n = 0;
    uint8_t bitmap[LAC_MAX_DWORDS / 8];
    for (size_t b = 0; b < w->n_block_rows; b++) {
        row_begin[b] = (uint32_t)n;
        if (w->pattern == LAC_PATTERN_DENSE) {
            n += w->n_dwords;
            continue;
        }
        mark_block_row(elements, w->n_out, w->n_in, w->dtype, w->pattern, b, bitmap);
        if (index && w->pattern == LAC_PATTERN_4X1)
            lac_loose_place(bitmap, w->n_in, index + n * LAC_LOOSE_INPUTS, used + n);
        else if (index)
            list_blocks(bitmap, w, index + n);
        n += count_blocks(bitmap, w->n_in, w->dtype, w->pattern);
    }
    row_begin[w->n_block_rows] = (uint32_t)n;
    return n;
}

static size_t dword_index(const struct lac_weight *w, size_t b, size_t k)
{
    return w->index ? w->index[k] : k - w->row_begin[b];
}

/* The same for dense weights of whole dwords. */
static void copy_lines(const uint8_t *elements, const struct lac_weight *w, uint8_t *blocks)
{
    size_t rows = lac_pattern_rows(w->pattern), row_bytes = w->n_dwords * DWORD;
    for (size_t b = 0; b < w->n_block_rows; b++) {
        size_t n = lac_min_size(rows, w->n_out - lac_min_size(w->n_out, b * rows));
        for (size_t k = 0; k < w->n_dwords; k++, blocks += rows * DWORD) {
            for (size_t r = 0; r < n; r++)
                memcpy(blocks + r * DWORD, elements + (b * rows + r) * row_bytes + k * DWORD,
                       DWORD);
            memset(blocks + n * DWORD, 0, (rows - n) * DWORD);
        }
    }
}

static void copy_blocks(const void *elements, const struct lac_weight *w, uint8_t *blocks)
{
    size_t rows = lac_pattern_rows(w->pattern), dwords = lac_block_dwords(w->pattern, w->dtype);
    if (w->pattern == LAC_PATTERN_DENSE && w->n_in % lac_dword_inputs(w->dtype) == 0) {
        copy_lines(elements, w, blocks);
        return;
    }
    for (size_t b = 0; b < w->n_block_rows; b++)
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
            for (size_t j = 0; j < dwords; j++)
                for (size_t r = 0; r < rows; r++)
                    copy_elements(elements, w, b * rows + r, dword_index(w, b, k) + j,
                                  blocks + ((k * dwords + j) * rows + r) * DWORD);
}

/* 4x1: places that are not used are zero. */
static void copy_loose(const int8_t *elements, const struct lac_weight *w, const uint8_t *used,
                       uint8_t *blocks)
{
    size_t rows = lac_pattern_rows(w->pattern);
    for (size_t b = 0; b < w->n_block_rows; b++)
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
            for (size_t i = 0; i < rows * LAC_LOOSE_INPUTS; i++) {
                size_t out = b * rows + i / LAC_LOOSE_INPUTS, place = i % LAC_LOOSE_INPUTS;
                size_t input = w->index[k * LAC_LOOSE_INPUTS + place];
                bool counts = used[k] >> place & 1 && out < w->n_out;
                blocks[k * rows * DWORD + i] =
                    counts ? (uint8_t)elements[out * w->n_in + input] : 0;
            }
}

/* Row r of the n blocks from k on, which are a group. */
static uint8_t encode_group(const int8_t *elements, const struct lac_weight *w,
                            const struct lac_int4_tables *tables, size_t b, size_t k, size_t n,
                            size_t r, uint8_t *blocks)
{
    size_t rows = lac_pattern_rows(w->pattern);
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
    size_t rows = lac_pattern_rows(w->pattern);
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

/* What row r of dword j of block k of block row b holds, as elements. */
static void decode_dword(const struct lac_weight *w, size_t b, size_t k, size_t j, size_t r,
                         void *elements)
{
    size_t rows = lac_pattern_rows(w->pattern);
    const uint8_t *dword = lac_weight_dword(w, k, j, r);
    if (w->dtype != LAC_S4) {
        memcpy(elements, dword, DWORD);
        return;
    }
    size_t group = lac_weight_first_group(w, b) + (k - w->row_begin[b]) / LAC_INT4_BLOCKS;
    lac_int4_decode(dword, w->group[group * rows + r], elements);
}

static int32_t sum_row(const struct lac_weight *w, size_t out)
{
    size_t rows = lac_pattern_rows(w->pattern), b = out / rows;
    int32_t sum = 0;
    for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
        for (size_t j = 0; j < lac_block_dwords(w->pattern, w->dtype); j++) {
            int8_t weights[LAC_INT4_INPUTS] = {0};
            decode_dword(w, b, k, j, out % rows, weights);
            for (size_t i = 0; i < LAC_INT4_INPUTS; i++)
                sum += weights[i];
        }
    return sum;
}

/* int4 weights were rounded; any layout of int8 has all that is not zero. */
static void find_offsets(const struct lac_weight *w, const int8_t *elements, int32_t *offset)
{
    for (size_t out = 0; out < w->n_out; out++) {
        int32_t sum = w->dtype == LAC_S4 ? sum_row(w, out) : 0;
        for (size_t i = 0; w->dtype == LAC_S8 && i < w->n_in; i++)
            sum += elements[out * w->n_in + i];
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
    w->n_blocks = find_blocks(elements, w, row_begin, NULL, NULL);
    w->row_begin = row_begin;
    if (w->pattern != LAC_PATTERN_DENSE) {
        uint16_t *index = lac_arena_alloc(arena, w->n_blocks, sizeof *index);
        if (!index)
            return no_memory(w, error);
        find_blocks(elements, w, row_begin, index, NULL);
        w->index = index;
    }
    uint8_t *blocks = lac_arena_alloc(arena, w->n_blocks, lac_block_bytes(w->pattern, w->dtype));
    if (!blocks)
        return no_memory(w, error);
    if (w->dtype == LAC_S4) {
        uint8_t *group = lac_arena_alloc(arena, lac_weight_groups(w), lac_pattern_rows(w->pattern));
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

static enum lac_status pack_loose(const void *elements, struct lac_weight *w,
                                  struct lac_arena *arena, struct lac_error *error)
{
    uint32_t *row_begin = lac_arena_alloc(arena, w->n_block_rows + 1, sizeof *row_begin);
    if (!row_begin)
        return no_memory(w, error);
    w->n_blocks = find_blocks(elements, w, row_begin, NULL, NULL);
    w->row_begin = row_begin;
    size_t n_indices = w->n_blocks * lac_block_indices(w->pattern);
    uint16_t *index = lac_arena_alloc(arena, n_indices, sizeof *index);
    uint8_t *blocks = lac_arena_alloc(arena, w->n_blocks, lac_block_bytes(w->pattern, w->dtype));
    uint8_t *used = lac_alloc(arena->host, w->n_blocks + 1, 1);
    if (index && blocks && used) {
        find_blocks(elements, w, row_begin, index, used);
        w->index = index;
        copy_loose(elements, w, used, blocks);
        w->blocks = blocks;
    }
    lac_free(arena->host, used);
    return w->blocks ? LAC_OK : no_memory(w, error);
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
    enum lac_status status = lac_weight_shape(n_out, n_in, dtype, pattern, &w, error);
    if (status)
        return status;

    size_t n_padded = w.n_block_rows * lac_pattern_rows(pattern);
    float *padded_bias = lac_arena_alloc_zero(arena, n_padded, sizeof *padded_bias);
    if (!padded_bias)
        goto no_memory;
    status = pattern == LAC_PATTERN_BITMAP ? pack_bitmap(elements, &w, arena, error)
             : pattern == LAC_PATTERN_4X1  ? pack_loose(elements, &w, arena, error)
                                           : pack_blocks(elements, &w, arena, error);
    if (status)
        return status;
    if (bias)
        memcpy(padded_bias, bias, n_out * sizeof *bias);
    w.bias = padded_bias;
    if (lac_dtype_is_quantized(dtype)) {
        float *padded_scale = lac_arena_alloc_zero(arena, n_padded, sizeof *padded_scale);
        int32_t *offset = lac_arena_alloc_zero(arena, n_padded, sizeof *offset);
        if (!padded_scale || !offset)
            goto no_memory;
        for (size_t out = 0; out < n_out; out++)
            padded_scale[out] = lac_scale_shorten(scale[out]);
        find_offsets(&w, elements, offset);
        w.scale = padded_scale;
        w.offset = offset;
    }
    *weight = w;
    return lac_weight_derive(weight, arena, error);

no_memory:
    return no_memory(&w, error);
}

static void unpack_loose(const struct lac_weight *w, int8_t *elements)
{
    size_t rows = lac_pattern_rows(w->pattern);
    for (size_t out = 0; out < w->n_out; out++)
        for (size_t k = w->row_begin[out / rows]; k < w->row_begin[out / rows + 1]; k++)
            for (size_t i = 0; i < LAC_LOOSE_INPUTS; i++)
                elements[out * w->n_in + w->index[k * LAC_LOOSE_INPUTS + i]] +=
                    (int8_t)lac_weight_dword(w, k, 0, out % rows)[i];
}

/* Dword j of block k of block row b, in one output. */
static void unpack_dword(const struct lac_weight *w, size_t b, size_t k, size_t j, size_t out,
                         uint8_t *elements)
{
    size_t inputs = lac_dword_inputs(w->dtype), size = lac_element_bytes(w->dtype);
    size_t first = (dword_index(w, b, k) + j) * inputs;
    uint8_t decoded[LAC_INT4_INPUTS];
    if (first >= w->n_in) /* of a tile */
        return;
    decode_dword(w, b, k, j, out % lac_pattern_rows(w->pattern), decoded);
    memcpy(elements + (out * w->n_in + first) * size, decoded,
           lac_min_size(inputs, w->n_in - first) * size);
}

void lac_weight_unpack(const struct lac_weight *w, void *elements)
{
    size_t rows = lac_pattern_rows(w->pattern), dwords = lac_block_dwords(w->pattern, w->dtype);
    memset(elements, 0, w->n_out * w->n_in * lac_element_bytes(w->dtype));
    if (w->pattern == LAC_PATTERN_BITMAP) {
        lac_bitmap_unpack(w, elements);
        return;
    }
    if (w->pattern == LAC_PATTERN_4X1) {
        unpack_loose(w, elements);
        return;
    }
    for (size_t out = 0; out < w->n_out; out++) {
        size_t b = out / rows;
        for (size_t k = w->row_begin[b]; k < w->row_begin[b + 1]; k++)
            for (size_t j = 0; j < dwords; j++)
                unpack_dword(w, b, k, j, out, elements);
    }
}
