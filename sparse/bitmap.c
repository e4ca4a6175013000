/* SPDX-License-Identifier: Apache-2.0 */
/* The bitmap layout: finding, copying, expanding and checking its lines. */
#include "sparse/bitmap.h"

#include <stdbool.h>
#include <string.h>

#include "src/base/checked.h"

/* Where bit `bit` of line d of block row b lies in a row-major matrix. */
struct place {
    size_t out, in;
};

static struct place place_of(const struct lac_weight *w, size_t b, size_t d, size_t bit)
{
    size_t v = lac_dword_inputs(w->dtype);
    return (struct place){b * LAC_LINE_OUTPUTS + bit / v, d * v + bit % v};
}

static bool is_padding(const struct lac_weight *w, struct place p)
{
    return p.out >= w->n_out || p.in >= w->n_in;
}

/* Bits of the elements of a line that are not zero. */
static uint64_t find_line(const void *elements, const struct lac_weight *w, size_t b, size_t d)
{
    size_t v = lac_dword_inputs(w->dtype);
    size_t first = b * LAC_LINE_OUTPUTS, end = lac_min_size(first + LAC_LINE_OUTPUTS, w->n_out);
    size_t n = lac_min_size(v, w->n_in - d * v);
    uint64_t mask = 0;
    for (size_t out = first; out < end; out++)
        for (size_t i = 0; i < n; i++)
            if (!lac_element_is_zero(elements, out * w->n_in + d * v + i, w->dtype))
                mask |= (uint64_t)1 << ((out - first) * v + i);
    return mask;
}

size_t lac_bitmap_find(const void *elements, const struct lac_weight *w, uint32_t *row_begin,
                       uint8_t *masks)
{
    size_t n = 0, n_mask_bytes = lac_bitmap_mask_bytes(w->dtype);
    for (size_t b = 0; b < w->n_block_rows; b++) {
        row_begin[b] = (uint32_t)n;
        for (size_t d = 0; d < w->n_dwords; d++) {
            uint64_t mask = find_line(elements, w, b, d);
            n += (size_t)__builtin_popcountll(mask);
            for (size_t i = 0; i < n_mask_bytes; i++)
                *masks++ = (uint8_t)(mask >> 8 * i);
        }
    }
    row_begin[w->n_block_rows] = (uint32_t)n;
    return n;
}

void lac_bitmap_copy(const void *elements, const struct lac_weight *w, uint8_t *blocks)
{
    size_t size = lac_element_bytes(w->dtype);
    for (size_t line = 0; line < w->n_block_rows * w->n_dwords; line++)
        for (uint64_t left = lac_bitmap_mask(w, line); left; left &= left - 1) {
            struct place p =
                place_of(w, line / w->n_dwords, line % w->n_dwords, (size_t)__builtin_ctzll(left));
            memcpy(blocks, (const uint8_t *)elements + (p.out * w->n_in + p.in) * size, size);
            blocks += size;
        }
    memset(blocks, 0, LAC_BITMAP_TAIL);
}

const uint8_t *lac_bitmap_expand(uint64_t mask, const uint8_t *values, enum lac_dtype dtype,
                                 uint8_t line[LAC_LINE_BYTES])
{
    size_t size = lac_element_bytes(dtype);
    memset(line, 0, LAC_LINE_BYTES);
    for (; mask; mask &= mask - 1, values += size)
        memcpy(line + (size_t)__builtin_ctzll(mask) * size, values, size);
    return values;
}

void lac_bitmap_unpack(const struct lac_weight *w, void *elements)
{
    size_t size = lac_element_bytes(w->dtype);
    const uint8_t *value = w->blocks;
    for (size_t line = 0; line < w->n_block_rows * w->n_dwords; line++)
        for (uint64_t left = lac_bitmap_mask(w, line); left; left &= left - 1, value += size) {
            struct place p =
                place_of(w, line / w->n_dwords, line % w->n_dwords, (size_t)__builtin_ctzll(left));
            memcpy((uint8_t *)elements + (p.out * w->n_in + p.in) * size, value, size);
        }
}

/* The line's bits that stand for an element of the matrix. */
static uint64_t real_bits(const struct lac_weight *w, size_t b, size_t d)
{
    size_t n_bits = 8 * lac_bitmap_mask_bytes(w->dtype);
    uint64_t mask = 0;
    for (size_t bit = 0; bit < n_bits; bit++)
        if (!is_padding(w, place_of(w, b, d, bit)))
            mask |= (uint64_t)1 << bit;
    return mask;
}

enum lac_status lac_bitmap_check(const struct lac_weight *w, struct lac_error *error)
{
    for (size_t b = 0; b < w->n_block_rows; b++) {
        size_t n = 0;
        uint64_t whole = real_bits(w, b, 0), last = real_bits(w, b, w->n_dwords - 1);
        for (size_t d = 0; d < w->n_dwords; d++) {
            uint64_t mask = lac_bitmap_mask(w, b * w->n_dwords + d);
            if (mask & ~(d + 1 == w->n_dwords ? last : whole))
                return lac_fail(error, LAC_E_FORMAT,
                                "line %zu of block row %zu keeps elements past %zu x %zu", d, b,
                                w->n_out, w->n_in);
            n += (size_t)__builtin_popcountll(mask);
        }
        if (w->row_begin[b] + n != w->row_begin[b + 1])
            return lac_fail(error, LAC_E_FORMAT,
                            "block row %zu has elements %u to %u, but %zu bits are set", b,
                            w->row_begin[b], w->row_begin[b + 1], n);
    }
    return LAC_OK;
}
