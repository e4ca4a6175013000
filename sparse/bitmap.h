/* SPDX-License-Identifier: Apache-2.0 */
/* The bitmap layout (see layout.h): finding, copying, expanding and checking its lines. */
#ifndef LACUNA_SPARSE_BITMAP_H
#define LACUNA_SPARSE_BITMAP_H

#include "sparse/layout.h"

/* A line: 16 outputs by one dword. */
enum { LAC_LINE_OUTPUTS = 16, LAC_LINE_BYTES = 64 };

/* Bytes of a line's mask: a bit for each element. */
static inline size_t lac_bitmap_mask_bytes(enum lac_dtype dtype)
{
    return LAC_LINE_OUTPUTS * lac_dword_inputs(dtype) / 8;
}

/* The bits of the mask of a line, counted from the first line of the matrix. */
static inline uint64_t lac_bitmap_mask(const struct lac_weight *weight, size_t line)
{
    size_t n = lac_bitmap_mask_bytes(weight->dtype);
    const uint8_t *bytes = weight->masks + line * n;
    uint64_t mask = 0;
    for (size_t i = 0; i < n; i++)
        mask |= (uint64_t)bytes[i] << 8 * i;
    return mask;
}

/* Counts the elements that are not zero; fills row_begin [n_block_rows + 1] (modulo 2^32)
 * and masks. */
size_t lac_bitmap_find(const void *elements, const struct lac_weight *weight, uint32_t *row_begin,
                       uint8_t *masks);

/* Copies the elements that the weight's masks keep, and zeros after them, into blocks. */
void lac_bitmap_copy(const void *elements, const struct lac_weight *weight, uint8_t *blocks);

/* One line from its mask and the values it keeps.  Returns where the next line's values begin. */
const uint8_t *lac_bitmap_expand(uint64_t mask, const uint8_t *values, enum lac_dtype dtype,
                                 uint8_t line[LAC_LINE_BYTES]);

/* Row-major elements [n_out, n_in], zeros before. */
void lac_bitmap_unpack(const struct lac_weight *weight, void *elements);

/* Masks and row_begin agree, and padding is not kept. */
enum lac_status lac_bitmap_check(const struct lac_weight *weight, struct lac_error *error);

#endif
