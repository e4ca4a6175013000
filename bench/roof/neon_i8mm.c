/* SPDX-License-Identifier: Apache-2.0 */
/* The peak of int8 with NEON's matrix multiplication: 32 products an instruction. */
#include <arm_neon.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

static double run(size_t n)
{
#define DECLARE(i) int32x4_t sum##i = vdupq_n_s32(i);
#define STEP(i)                                                                                    \
    sum##i = vusmmlaq_s32(sum##i, x, y);                                                           \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWENTY(DECLARE)
    uint8x16_t x = vdupq_n_u8(3);
    int8x16_t y = vdupq_n_s8(5);
    for (size_t i = 0; i < n; i++) {
        BENCH_TWENTY(STEP)
    }
    return 2.0 * 32 * BENCH_N_LONG * (double)n;
}

const struct bench_roof bench_roof_s8_neon_i8mm = {
    .isa = "neon_i8mm",
    .instruction = "usmmla",
    .dtype = "int8",
    .needs = LAC_CPU_NEON | LAC_CPU_I8MM,
    .run = run,
};
