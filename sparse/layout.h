/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of a weight matrix W[n_out, n_in], made of dwords.
 *
 * A dword is 4 bytes of consecutive inputs of one output: 4 int8 or 1 fp32.  A block is R outputs
 * (R = 1, 4, 8 or 16) by one dword.  A block row is R consecutive outputs: its kept blocks, in
 * ascending order of their dword index, one after another:
 *
 *   row_begin  [n_block_rows + 1]      first block of each block row, u32
 *   index      [n_blocks]              dword index of each block (input / V), u16
 *   blocks     [n_blocks][R][4 bytes]  output r of the block row, dword `index`
 *
 * Dense is R = 16 with every block kept and no index.  n_out is padded to whole block rows, and
 * the rows to a multiple of 16 outputs, n_in to whole dwords; padding weighs nothing (zero).
 * The same bytes serve every instruction set, and are stored in files as they are. */
#ifndef LACUNA_SPARSE_LAYOUT_H
#define LACUNA_SPARSE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/model.h>

#include "src/base/arena.h"
#include "src/base/error.h"

/* Outputs are worked on and split between workers in units of this many. */
enum { LAC_OUT_UNIT = 16 };

/* index is u16. */
enum { LAC_MAX_DWORDS = 65536 };

struct lac_weight {
    enum lac_dtype dtype;
    enum lac_pattern pattern;
    size_t n_out, n_in;
    size_t n_dwords;     /* ceil(n_in / V) */
    size_t n_block_rows; /* lac_round_up(n_out, 16) / R */
    size_t n_blocks;
    const uint32_t *row_begin; /* [n_block_rows + 1]; dense too: row r begins at r * n_dwords */
    const uint16_t *index;     /* [n_blocks]; NULL for dense */
    const void *blocks;
    /* Per output, padded to a multiple of 16 with zeros. */
    const float *scale;     /* int8: W = scale * int8; NULL for fp32 */
    const int32_t *offset;  /* int8: -128 * sum of the row's int8: what u8 activations (s8 + 128)
                               add too much; accumulators start from it.  NULL for fp32 */
    const float *bias;      /* never NULL: zeros where the layer has none */
    const void *extra;      /* what a kernel's pack made for itself, or NULL */
};

/* R: 1, 4, 8, 16; dense: 16. */
size_t lac_pattern_rows(enum lac_pattern pattern);
/* "dense", "4x4" (int8), "4x1" (fp32). */
const char *lac_pattern_name(enum lac_pattern pattern, enum lac_dtype dtype);
/* Inputs in a dword: 4 or 1. */
size_t lac_dword_inputs(enum lac_dtype dtype);
const char *lac_dtype_name(enum lac_dtype dtype);

/* Bytes of blocks, index and row_begin. */
size_t lac_weight_bytes(const struct lac_weight *weight);

struct lac_weight_stats {
    size_t n_zeros;                     /* of n_out * n_in elements */
    size_t n_blocks[LAC_N_PATTERNS];    /* blocks in all, by pattern, without padding rows */
    size_t n_nonzero[LAC_N_PATTERNS];   /* blocks that are not all zero */
};

/* Elements are row-major, W[n_out, n_in], of int8 (LAC_S8) or float (LAC_F32). */
void lac_weight_measure(const void *elements, size_t n_out, size_t n_in, enum lac_dtype dtype,
                        struct lac_weight_stats *stats);

/* Quantises each row symmetrically: elements = round(w / scale), scale = max|w| / 127 (1 for a row of zeros);
 * w and elements row-major [n_out, n_in], scale [n_out].  LAC_E_FORMAT for a weight that is not
 * finite. */
enum lac_status lac_weight_quantize(const float *w, size_t n_out, size_t n_in, int8_t *elements,
                                    float *scale, struct lac_error *error);

/* Packs row-major elements (int8 or float) into a layout in the arena.  scale [n_out] for int8,
 * else NULL; bias [n_out] or NULL.  Errors: LAC_E_LIMIT (more than LAC_MAX_DWORDS dwords or 2^32 - 1 blocks),
 * LAC_E_MEMORY. */
enum lac_status lac_weight_pack(const void *elements, const float *scale, const float *bias,
                                size_t n_out, size_t n_in, enum lac_dtype dtype,
                                enum lac_pattern pattern, struct lac_arena *arena,
                                struct lac_weight *weight, struct lac_error *error);

/* The inverse, for tests and tools: row-major elements [n_out, n_in]. */
void lac_weight_unpack(const struct lac_weight *weight, void *elements);

/* Believes nothing of a weight whose parts came from a file: counts, order and range of indices,
 * finite scales.  The arrays must have the sizes that n_out, n_in, pattern and n_blocks imply. */
enum lac_status lac_weight_check(const struct lac_weight *weight, struct lac_error *error);

#endif
