/* SPDX-License-Identifier: Apache-2.0 */
/* The peaks of AVX-512 in 16-bit numbers: pairs of bf16, and fp16. */
#include <immintrin.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

static double run_bf16(size_t n)
{
#define DECLARE_BF16(i) __m512 sum##i = _mm512_set1_ps(i);
#define STEP_BF16(i)                                                                               \
    sum##i = _mm512_dpbf16_ps(sum##i, x, y);                                                       \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE_BF16)
    __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(3), _mm512_set1_ps(3));
    __m512bh y = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f));
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP_BF16)
    }
    return 2.0 * 32 * BENCH_N_SUMS * (double)n;
}

static double run_f16(size_t n)
{
#define DECLARE_F16(i) __m512h sum##i = _mm512_set1_ph(i);
#define STEP_F16(i)                                                                                \
    sum##i = _mm512_fmadd_ph(x, y, sum##i);                                                        \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE_F16)
    /* Small enough that the sums stay finite: they settle where a step is less than half a unit. */
    __m512h x = _mm512_set1_ph(0.5f16), y = _mm512_set1_ph(0.5f16);
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP_F16)
    }
    return 2.0 * 32 * BENCH_N_SUMS * (double)n;
}

const struct bench_roof bench_roof_bf16_avx512 = {
    .isa = "avx512_bf16",
    .instruction = "vdpbf16ps zmm",
    .dtype = "bf16",
    .needs = LAC_CPU_AVX512 | LAC_CPU_AVX512_BF16,
    .run = run_bf16,
};

const struct bench_roof bench_roof_f16_avx512 = {
    .isa = "avx512_fp16",
    .instruction = "vfmadd zmm (fp16)",
    .dtype = "fp16",
    .needs = LAC_CPU_AVX512 | LAC_CPU_AVX512_FP16,
    .run = run_f16,
};
