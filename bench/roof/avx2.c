/* SPDX-License-Identifier: Apache-2.0 */
/* The peaks of AVX2, and reading with its registers. */
#include <immintrin.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

static double run_f32(size_t n)
{
#define DECLARE_F32(i) __m256 sum##i = _mm256_set1_ps(i);
#define STEP_F32(i)                                                                                \
    sum##i = _mm256_fmadd_ps(x, y, sum##i);                                                        \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE_F32)
    __m256 x = _mm256_set1_ps(3), y = _mm256_set1_ps(0.5f);
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP_F32)
    }
    return 2.0 * 8 * BENCH_N_SUMS * (double)n;
}

/* Pairs of products, pairs of pairs, the sum. */
static double run_s8(size_t n)
{
#define DECLARE_S8(i) __m256i sum##i = _mm256_set1_epi32(i);
#define STEP_S8(i)                                                                                 \
    pairs = _mm256_maddubs_epi16(x, y);                                                            \
    BENCH_UNKNOWN(pairs);                                                                          \
    sum##i = _mm256_add_epi32(sum##i, _mm256_madd_epi16(pairs, ones));                             \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE_S8)
    __m256i x = _mm256_set1_epi32(3), y = _mm256_set1_epi32(5), ones = _mm256_set1_epi16(1), pairs;
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP_S8)
    }
    return 2.0 * 32 * BENCH_N_SUMS * (double)n;
}

static void read_all(const void *memory, size_t size)
{
#define LOAD(i) __asm__ volatile("" : : "v"(_mm256_load_si256((const void *)(at + 32 * (i)))));
    const char *at = memory;
    for (const char *end = at + size; at < end; at += 256) {
        LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7)
    }
}

const struct bench_roof bench_roof_f32_avx2 = {
    .isa = "avx2",
    .instruction = "vfmadd ymm",
    .dtype = "fp32",
    .needs = LAC_CPU_AVX2,
    .run = run_f32,
};

const struct bench_roof bench_roof_s8_avx2 = {
    .isa = "avx2",
    .instruction = "vpmaddubsw+vpmaddwd+vpaddd ymm",
    .dtype = "int8",
    .needs = LAC_CPU_AVX2,
    .run = run_s8,
};

const struct bench_reader bench_reader_avx2 = {
    .isa = "avx2",
    .needs = LAC_CPU_AVX2,
    .read = read_all,
};
