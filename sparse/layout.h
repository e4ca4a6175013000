/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of a weight matrix W[n_out, n_in], made of dwords.
 *
 * A dword is 4 bytes of consecutive inputs of one output: V = 4 int8, 1 fp32, 2 bf16 or fp16, or 8
 * int4 (sparse/int4.h).  A block is R outputs (R = 1, 4, 8, 16 or 32) by one dword.  A block row is
 * R consecutive outputs: its kept blocks, in ascending order of their dword index, one after
 * another:
 *
 *   row_begin  [n_block_rows + 1]      first block of each block row, u32
 *   index      [n_blocks]              dword index of each block (input / V), u16
 *   blocks     [n_blocks][R][4 bytes]  output r of the block row, dword `index`
 *   group      [lac_weight_groups][R]  int4: the factor g of output r in a group of 4 blocks of
 *                                      a block row; lac_weight_first_group
 *
 * Tiles are blocks of 16 x 16 or 32 x 32 elements, dword after dword, so [n_blocks][dwords][R][4
 * bytes]; index is the first dword's, a multiple of their number.  Of the last tile of a row,
 * dwords that end past n_dwords are zero and not multiplied.
 *
 * 4x1 (int8) are blocks of 4 outputs by one input, four of a block row to a quad: a block is 4
 * outputs by any 4 inputs, and index [n_blocks][4] has those (sparse/loose.h).  The first of them
 * is a multiple of 4.
 *
 * Dense is R = 16 with every block kept and no index.  n_out is padded to whole block rows, and
 * the rows to a multiple of 16 outputs, n_in to whole dwords; padding weighs nothing (zero).
 *
 * Bitmap keeps any element that is not zero.  R = 16; a block row has a line of 16 outputs by one
 * dword for each dword of inputs:
 *
 *   row_begin  [n_block_rows + 1]               first element of each block row, u32
 *   masks      [n_block_rows][n_dwords][2 V]    a bit for each element of a line, the lowest bit of
 *                                               the first byte first: bit r V + i is input i of the
 *                                               dword of output r
 *   blocks     [n_blocks] elements, then LAC_BITMAP_TAIL bytes of zero: what the bits keep, in
 *                                               their order; a line can be read as 64 bytes
 *
 * Weights with 2 of 4 zero are bitmaps of which every line keeps half: two 2-bit places for each
 * dword would take the same 4 bits as its part of the mask.
 *
 * The same bytes serve every instruction set, and are stored in files as they are. */
#ifndef LACUNA_SPARSE_LAYOUT_H
#define LACUNA_SPARSE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lacuna/model.h>

#include "sparse/int4.h"
#include "sparse/outliers.h"
#include "src/base/arena.h"
#include "src/base/error.h"

/* Outputs are padded to, worked on and split between workers in units of this many, or of a block
 * row where that is more: lac_pattern_unit. */
enum { LAC_OUT_UNIT = 16 };

/* Bytes after the elements of a bitmap. */
enum { LAC_BITMAP_TAIL = 64 };

/* index is u16. */
enum { LAC_MAX_DWORDS = 65536 };

struct lac_weight {
    enum lac_dtype dtype;
    enum lac_pattern pattern;
    size_t n_out, n_in;
    size_t n_dwords;           /* ceil(n_in / V) */
    size_t n_block_rows;       /* lac_round_up(n_out, lac_pattern_unit) / R */
    size_t n_blocks;           /* bitmap: elements */
    const uint32_t *row_begin; /* [n_block_rows + 1]; dense too: row r begins at r * n_dwords */
    const uint16_t *index;     /* [n_blocks][lac_block_indices]; NULL for dense and bitmap */
    const uint8_t *masks;      /* bitmap; else NULL */
    const void *blocks;
    const uint8_t *group; /* int4; else NULL */
    /* Per output, padded to lac_pattern_unit with zeros. */
    const float *scale;           /* int8, int4: W = scale * int8; else NULL */
    const int32_t *offset;        /* int8, int4: -128 * sum of the row's int8: what u8 activations
                                     (s8 + 128) add too much; accumulators start from it.  Else NULL */
    const float *bias;            /* never NULL: zeros where the layer has none */
    struct lac_outliers outliers; /* int8, int4: what is not in blocks.  Set by the caller */
    /* Derived from these by lac_weight_derive (sparse/sums.h), as long as they are. */
    bool has_float_sums;  /* accumulators that begin at start can be read as floats */
    const int32_t *start; /* offset, plus LAC_SUM_BITS if they can */
    const float *shift;   /* what takes that away again from the scaled sum, or 0 */
    const void *extra;    /* what a kernel's pack made for itself, or NULL */
};

/* R: 1, 4, 8, 16, 32; dense and bitmap: 16; 4x1: 4. */
size_t lac_pattern_rows(enum lac_pattern pattern);
/* R, or LAC_OUT_UNIT where that is more. */
size_t lac_pattern_unit(enum lac_pattern pattern);
/* Blocks (bitmap: elements) of a matrix, zero or not, without padding rows. */
size_t lac_pattern_blocks(enum lac_pattern pattern, enum lac_dtype dtype, size_t n_out,
                          size_t n_in);
/* Consecutive inputs that are kept or not together: a dword's, 16, 32; bitmap and 4x1: 1. */
size_t lac_block_inputs(enum lac_pattern pattern, enum lac_dtype dtype);
/* Dwords of an output in a block: 1, tiles more. */
size_t lac_block_dwords(enum lac_pattern pattern, enum lac_dtype dtype);
/* Indices of a block: 0, 1 or 4. */
size_t lac_block_indices(enum lac_pattern pattern);
/* Can it hold the dtype?  int4 has no bitmaps, as its groups count blocks; tiles are for int8 and
 * fp32, 4x1 for int8 alone. */
bool lac_pattern_holds(enum lac_pattern pattern, enum lac_dtype dtype);
/* "dense", "4x4" (int8), "4x1" (fp32), "4x2" (bf16, fp16), "4x8" (int4). */
const char *lac_pattern_name(enum lac_pattern pattern, enum lac_dtype dtype);

/* "int8", "fp32", "bf16", "fp16", "int4". */
const char *lac_dtype_name(enum lac_dtype dtype);
/* Inputs in a dword: 1, 2, 4 or 8. */
size_t lac_dword_inputs(enum lac_dtype dtype);
/* Does it multiply u8 panels?  Else f32 panels. */
bool lac_dtype_is_quantized(enum lac_dtype dtype);
/* Dwords of a panel that meet a dword of weights: 1, or 2 where a panel's numbers are twice as
 * wide.  Dword d meets the panel's 2d and 2d + 1; the last of them may not be there. */
size_t lac_dword_rows(enum lac_dtype dtype);
/* Bytes of an element of a matrix that is not packed: int8 for int8 and int4, float, and 16 bits.
 */
size_t lac_element_bytes(enum lac_dtype dtype);
/* Is element i of such a matrix zero, of either sign? */
bool lac_element_is_zero(const void *elements, size_t i, enum lac_dtype dtype);

/* Groups of an int4 weight, the last of each block row not always used. */
size_t lac_weight_groups(const struct lac_weight *weight);
/* The first group of a block row.  A row of n blocks has ceil(n / 4) <= floor(n / 4) + 1 groups,
 * and from one row's first to the next one's there are floor((begin + n) / 4) - floor(begin / 4) +
 * 1, which is not less. */
static inline size_t lac_weight_first_group(const struct lac_weight *weight, size_t block_row)
{
    return weight->row_begin[block_row] / LAC_INT4_BLOCKS + block_row;
}
/* Row r of dword j of block k; not of bitmaps. */
static inline const uint8_t *lac_weight_dword(const struct lac_weight *weight, size_t k, size_t j,
                                              size_t r)
{
    size_t dwords = lac_block_dwords(weight->pattern, weight->dtype);
    size_t rows = lac_pattern_rows(weight->pattern);
    return (const uint8_t *)weight->blocks + ((k * dwords + j) * rows + r) * 4;
}
/* Bytes of blocks, group, index, masks, row_begin and outliers. */
size_t lac_weight_bytes(const struct lac_weight *weight);
/* Bytes of a block (bitmap: of an element), and of what follows the last. */
size_t lac_block_bytes(enum lac_pattern pattern, enum lac_dtype dtype);
size_t lac_blocks_tail_bytes(enum lac_pattern pattern);
/* Bytes of masks; 0 for patterns other than bitmap. */
size_t lac_masks_bytes(const struct lac_weight *weight);

struct lac_weight_stats {
    size_t n_zeros;                   /* of n_out * n_in elements */
    size_t n_blocks[LAC_N_PATTERNS];  /* lac_pattern_blocks */
    size_t n_nonzero[LAC_N_PATTERNS]; /* blocks that are not all zero */
};

/* Elements are row-major, W[n_out, n_in], of int8 (LAC_S8, LAC_S4), float (LAC_F32) or 16 bits
 * (LAC_BF16, LAC_F16). */
void lac_weight_measure(const void *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                        struct lac_weight_stats *stats);

/* Quantises each row symmetrically: elements = round(w / scale), scale = max|w| / 127 (1 for a row
 * of zeros); w and elements row-major [n_out, n_in], scale [n_out].  LAC_E_FORMAT for a weight that
 * is not finite. */
enum lac_status lac_weight_quantize(const float *w, size_t n_out, size_t n_in, int8_t *elements,
                                    float *scale, struct lac_error *error);

/* Rounds to bf16 or fp16.  LAC_E_FORMAT for a weight that is not finite, or not in fp16. */
enum lac_status lac_weight_halve(const float *w, size_t n_out, size_t n_in, enum lac_dtype dtype,
                                 uint16_t *elements, struct lac_error *error);

/* Counts of a layout, which follow from its shape; all else of the weight is zero.  LAC_E_LIMIT,
 * LAC_E_FORMAT (no outputs or inputs) or LAC_E_UNSUPPORTED (lac_pattern_holds). */
enum lac_status lac_weight_shape(size_t n_out, size_t n_in, enum lac_dtype dtype,
                                 enum lac_pattern pattern, struct lac_weight *weight,
                                 struct lac_error *error);

/* Packs row-major elements into a layout in the arena; for int4 they are rounded on the way.
 * scale [n_out] for int8 and int4, else NULL: it is kept in LAC_SCALE_BITS bits (sparse/sums.h);
 * bias [n_out] or NULL.  Errors: LAC_E_LIMIT (more than LAC_MAX_DWORDS dwords or 2^32 - 1 blocks),
 * LAC_E_UNSUPPORTED (lac_pattern_holds), LAC_E_MEMORY. */
enum lac_status lac_weight_pack(const void *elements, const float *scale, const float *bias,
                                size_t n_out, size_t n_in, enum lac_dtype dtype,
                                enum lac_pattern pattern, struct lac_arena *arena,
                                struct lac_weight *weight, struct lac_error *error);

/* The inverse, for tests and tools: row-major elements [n_out, n_in]; of int4 what it stands for.
 * Outliers are zeros. */
void lac_weight_unpack(const struct lac_weight *weight, void *elements);

/* Believes nothing of a weight whose parts came from a file: counts, order and range of indices,
 * finite scales.  The arrays must have the sizes that n_out, n_in, pattern and n_blocks imply. */
enum lac_status lac_weight_check(const struct lac_weight *weight, struct lac_error *error);

#endif
