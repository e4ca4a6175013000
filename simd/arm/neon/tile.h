/* SPDX-License-Identifier: Apache-2.0 */
/* The register tiles of the token-lane kernels that multiply by element. */
#ifndef LACUNA_SIMD_NEON_TILE_H
#define LACUNA_SIMD_NEON_TILE_H

/* 8 rows x 12 tokens are 24 sums; with 3 registers of activations and 2 of weights 29 of 32 are in
 * use.  4 rows take 16 tokens, which divides every tile: a fourth row of activations instead of a
 * second of weights. */
#define TILE_VECS  4
#define TILE_ROWS  8
#define VECS(rows) ((rows) == 8 ? 3 : 4)

#endif
