/* SPDX-License-Identifier: Apache-2.0 */
/* The peaks of AMX tiles: 16 x 16 x 64 products of int8 an instruction, or x 32 of bf16. */
#include <cpuid.h>
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

static void configure(void)
{
    struct tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i] = 16;
    }
    /* gcc 12 believes that the instruction reads 8 bytes, and drops the stores to the others. */
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
}

/* One instruction every 16 cycles, with a latency of 52 (Intel optimization manual, AMX): six sums
 * and the two factors fill the eight tiles.  Freshly configured tiles hold zeros, which multiply as
 * fast as anything. */
#define SIX(multiply)                                                                              \
    do {                                                                                           \
        multiply(0, 6, 7);                                                                         \
        multiply(1, 6, 7);                                                                         \
        multiply(2, 6, 7);                                                                         \
        multiply(3, 6, 7);                                                                         \
        multiply(4, 6, 7);                                                                         \
        multiply(5, 6, 7);                                                                         \
    } while (0)

static double run_s8(size_t n)
{
    configure();
    for (size_t i = 0; i < n; i++)
        SIX(_tile_dpbusd);
    _tile_release();
    return 2.0 * 16 * 16 * 64 * 6 * (double)n;
}

__attribute__((target("amx-tile,amx-bf16"))) static double run_bf16(size_t n)
{
    configure();
    for (size_t i = 0; i < n; i++)
        SIX(_tile_dpbf16ps);
    _tile_release();
    return 2.0 * 16 * 16 * 32 * 6 * (double)n;
}

/* CPUID leaf 7, EDX bit 22 (Intel SDM vol. 2A); that the tiles may be used, AMX_INT8 says. */
static int has_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d >> 22 & 1;
}

const struct bench_roof bench_roof_s8_amx = {
    .isa = "amx_int8",
    .instruction = "tdpbusd",
    .dtype = "int8",
    .needs = LAC_CPU_AMX_INT8,
    .run = run_s8,
};

const struct bench_roof bench_roof_bf16_amx = {
    .isa = "amx_bf16",
    .instruction = "tdpbf16ps",
    .dtype = "bf16",
    .needs = LAC_CPU_AMX_INT8,
    .is_there = has_bf16,
    .run = run_bf16,
};
