/* SPDX-License-Identifier: Apache-2.0 */
/* The peak of int8 with AVX-512 VNNI: 64 products an instruction. */
#include <immintrin.h>

#include "bench/roof/roofs.h"
#include "simd/cpu.h"

static double run(size_t n)
{
#define DECLARE(i) __m512i sum##i = _mm512_set1_epi32(i);
#define STEP(i)                                                                                    \
    sum##i = _mm512_dpbusd_epi32(sum##i, x, y);                                                    \
    BENCH_UNKNOWN(sum##i);
    BENCH_TWELVE(DECLARE)
    __m512i x = _mm512_set1_epi32(3), y = _mm512_set1_epi32(5);
    for (size_t i = 0; i < n; i++) {
        BENCH_TWELVE(STEP)
    }
    return 2.0 * 64 * BENCH_N_SUMS * (double)n;
}

const struct bench_roof bench_roof_s8_avx512_vnni = {
    .isa = "avx512_vnni",
    .instruction = "vpdpbusd zmm",
    .dtype = "int8",
    .needs = LAC_CPU_AVX512_VNNI,
    .run = run,
};
