/* SPDX-License-Identifier: Apache-2.0 */
/* Tile registers: 8 of 16 rows x 64 bytes.  Our own statements, because the compiler's do not say
 * that they touch memory. */
#ifndef LACUNA_SIMD_AMX_INT8_TILE_H
#define LACUNA_SIMD_AMX_INT8_TILE_H

#include <stdint.h>

enum { TILE_DIM = 16, TILE_ROW_BYTES = 64, TILE_BYTES = TILE_DIM * TILE_ROW_BYTES };

/* Palette 1 with every tile at its full size (Intel SDM vol. 1, 18.3). */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static inline void tiles_begin(void)
{
    struct tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = TILE_ROW_BYTES;
        config.rows[i] = TILE_DIM;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

/* Back to the initial state, which the system need not save. */
static inline void tiles_end(void)
{
    __asm__ volatile("tilerelease");
}

#define TILE_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile : : : "memory")

/* 16 rows of 64 bytes, row_stride bytes apart. */
#define TILE_LOAD(tile, base, row_stride)                                                          \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile                                            \
                     :                                                                             \
                     : "r"((const void *)(base)), "r"((long)(row_stride))                          \
                     : "memory")

#define TILE_STORE(tile, base, row_stride)                                                         \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)"                                        \
                     :                                                                             \
                     : "r"((void *)(base)), "r"((long)(row_stride))                                \
                     : "memory")

/* sum[m][n] += the dot products of s8 a[m][4 * k ..] and u8 b[k][4 * n ..]. */
#define TILE_DOT_S8U8(sum, a, b)                                                                   \
    __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #sum : : : "memory")

#endif
