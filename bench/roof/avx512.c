/* SPDX-License-Identifier: Apache-2.0 */
/* The peaks of AVX-512 without VNNI, and reading with its registers. */
#include <immintrin.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

static double run_f32(size_t n)
{
#define DECLARE_F32(i) __m512 sum##i = _mm512_set1_ps(i);
#define STEP_F32(i)                                                                                \
    sum##i = _mm512_fmadd_ps(x, y, sum##i);                                                        \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE_F32)
    __m512 x = _mm512_set1_ps(3), y = _mm512_set1_ps(0.5f);
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP_F32)
    }
    return 2.0 * 16 * BENCH_N_SUMS * (double)n;
}

/* Three instructions stand for VNNI's one: pairs of products, pairs of pairs, the sum. */
static double run_s8(size_t n)
{
#define DECLARE_S8(i) __m512i sum##i = _mm512_set1_epi32(i);
#define STEP_S8(i)                                                                                 \
    pairs = _mm512_maddubs_epi16(x, y);                                                            \
    BENCH_UNKNOWN(pairs);                                                                          \
    sum##i = _mm512_add_epi32(sum##i, _mm512_madd_epi16(pairs, ones));                             \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE_S8)
    __m512i x = _mm512_set1_epi32(3), y = _mm512_set1_epi32(5), ones = _mm512_set1_epi16(1), pairs;
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP_S8)
    }
    return 2.0 * 64 * BENCH_N_SUMS * (double)n;
}

static void read_all(const void *memory, size_t size)
{
#define LOAD(i) __asm__ volatile("" : : "v"(_mm512_load_si512(at + 64 * (i))));
    const char *at = memory;
    for (const char *end = at + size; at < end; at += 512) {
        LOAD(0) LOAD(1) LOAD(2) LOAD(3) LOAD(4) LOAD(5) LOAD(6) LOAD(7)
    }
}

const struct bench_roof bench_roof_f32_avx512 = {
    .isa = "avx512",
    .instruction = "vfmadd zmm",
    .dtype = "fp32",
    .needs = LAC_CPU_AVX512,
    .run = run_f32,
};

const struct bench_roof bench_roof_s8_avx512 = {
    .isa = "avx512",
    .instruction = "vpmaddubsw+vpmaddwd+vpaddd zmm",
    .dtype = "int8",
    .needs = LAC_CPU_AVX512,
    .run = run_s8,
};

const struct bench_reader bench_reader_avx512 = {
    .isa = "avx512",
    .needs = LAC_CPU_AVX512,
    .read = read_all,
};
