/* SPDX-License-Identifier: Apache-2.0 */
/* The peak of int8 with AMX tiles: 16 x 16 x 64 products an instruction. */
#include <immintrin.h>
#include <stdint.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

/* What LDTILECFG reads (Intel SDM vol. 2A, LDTILECFG): palette 1 has 8 tiles of up to 16 rows of
 * 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* One instruction every 16 cycles, with a latency of 52 (Intel optimization manual, AMX): six sums
 * and the two factors fill the eight tiles. */
static double run(size_t n)
{
    struct tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    /* gcc 12 believes that the instruction reads 8 bytes, and drops the stores to the others. */
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
    /* Freshly configured tiles hold zeros, which multiply as fast as anything. */
    for (size_t i = 0; i < n; i++) {
        _tile_dpbusd(0, 6, 7);
        _tile_dpbusd(1, 6, 7);
        _tile_dpbusd(2, 6, 7);
        _tile_dpbusd(3, 6, 7);
        _tile_dpbusd(4, 6, 7);
        _tile_dpbusd(5, 6, 7);
    }
    _tile_release();
    return 2.0 * 16 * 16 * 64 * 6 * (double)n;
}

const struct bench_roof bench_roof_s8_amx = {
    .isa = "amx_int8",
    .instruction = "tdpbusd",
    .dtype = "int8",
    .needs = LAC_CPU_AMX_INT8,
    .run = run,
};
