/* SPDX-License-Identifier: Apache-2.0 */
/* int4: a lossy way to keep int8 weights in half the bytes.
 *
 * LAC_INT4_BLOCKS consecutive kept blocks of a block row are a group: of each output it holds 32
 * int8, which become g * (u - 7) with a nibble u of 0 to 14 for each and one g of 1 to 18 for all.
 * g is an integer so that sums stay integers, with the row's fp32 scale at the very end.  Groups
 * follow what is kept, so that few of their g are for nothing however sparse the weight is.
 *
 * Why these ranges: both bytes of a 16-bit word can be multiplied by g at once, as 14 * 18 = 252
 * does not carry into the upper one; subtracting 7 * g from each byte leaves +-126, an int8. */
#ifndef LACUNA_SPARSE_INT4_H
#define LACUNA_SPARSE_INT4_H

#include <stddef.h>
#include <stdint.h>

enum {
    LAC_INT4_BLOCKS = 4,
    LAC_INT4_INPUTS = 8, /* of a dword */
    LAC_INT4_ZERO = 7,   /* the nibble of a zero */
    LAC_INT4_MOST_G = 18,
};

/* Levels nearest to each magnitude of an int8, and the squares of what is left, for each g. */
struct lac_int4_tables {
    uint8_t level[LAC_INT4_MOST_G + 1][129];
    uint16_t error[LAC_INT4_MOST_G + 1][129];
};
void lac_int4_prepare(struct lac_int4_tables *tables);

/* The g of least squared error for n weights, the lowest of equals.  n <= 32: errors fit. */
uint8_t lac_int4_choose(const struct lac_int4_tables *tables, const int8_t *weights, size_t n);

/* A dword: byte j holds input j in its lower and input j + 4 in its upper nibble, so that a mask
 * and a shift leave the bytes of two int8 dwords. */
void lac_int4_encode(const struct lac_int4_tables *tables, const int8_t weights[LAC_INT4_INPUTS],
                     uint8_t g, uint8_t dword[4]);
void lac_int4_decode(const uint8_t dword[4], uint8_t g, int8_t weights[LAC_INT4_INPUTS]);

#endif
