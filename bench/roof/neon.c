/* SPDX-License-Identifier: Apache-2.0 */
/* The peaks of NEON, and reading with its registers. */
#include <arm_neon.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

static double run_f32(size_t n)
{
#define DECLARE_F32(i) float32x4_t sum##i = vdupq_n_f32(i);
#define STEP_F32(i)                                                                                \
    sum##i = vfmaq_f32(sum##i, x, y);                                                              \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWENTY(DECLARE_F32)
    float32x4_t x = vdupq_n_f32(3), y = vdupq_n_f32(0.5f);
    for (size_t i = 0; i < n; i++) {
        BENCH_TWENTY(STEP_F32)
    }
    return 2.0 * 4 * BENCH_N_LONG * (double)n;
}

/* Products of 16 bits, added to their sums in pairs. */
static double run_s8(size_t n)
{
#define DECLARE_S8(i) int32x4_t sum##i = vdupq_n_s32(i);
#define STEP_S8(i)                                                                                 \
    products = vmull_s8(x, y);                                                                     \
    BENCH_UNKNOWN(products);                                                                       \
    sum##i = vpadalq_s16(sum##i, products);                                                        \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWENTY(DECLARE_S8)
    int8x8_t x = vdup_n_s8(3), y = vdup_n_s8(5);
    int16x8_t products;
    for (size_t i = 0; i < n; i++) {
        BENCH_TWENTY(STEP_S8)
    }
    return 2.0 * 8 * BENCH_N_LONG * (double)n;
}

static void read_all(const void *memory, size_t size)
{
#define LOAD(i)                                                                                    \
    int32x4_t part##i = vld1q_s32(at + 4 * (i));                                                   \
    BENCH_UNKNOWN(part##i);
    const int32_t *at = memory;
    for (const int32_t *end = at + size / sizeof *at; at < end; at += 32) {
        LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7)
    }
}

const struct bench_roof bench_roof_f32_neon = {
    .isa = "neon",
    .instruction = "fmla",
    .dtype = "fp32",
    .needs = LAC_CPU_NEON,
    .run = run_f32,
};

const struct bench_roof bench_roof_s8_neon = {
    .isa = "neon",
    .instruction = "smull+sadalp",
    .dtype = "int8",
    .needs = LAC_CPU_NEON,
    .run = run_s8,
};

const struct bench_reader bench_reader_neon = {
    .isa = "neon",
    .needs = LAC_CPU_NEON,
    .read = read_all,
};
