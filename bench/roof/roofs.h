/* SPDX-License-Identifier: Apache-2.0 */
/* The roofs and readers of all instruction sets; each file in this folder is built for one. */
#ifndef LACUNA_BENCH_ROOF_ROOFS_H
#define LACUNA_BENCH_ROOF_ROOFS_H

#include "bench/roof.h"

extern const struct bench_roof bench_roof_s8_amx, bench_roof_bf16_amx;
extern const struct bench_roof bench_roof_s8_avx512_vnni;
extern const struct bench_roof bench_roof_s8_avx512, bench_roof_f32_avx512;
extern const struct bench_roof bench_roof_bf16_avx512, bench_roof_f16_avx512;
extern const struct bench_roof bench_roof_s8_avx2, bench_roof_f32_avx2;
extern const struct bench_roof bench_roof_s8_neon_i8mm, bench_roof_s8_neon_dotprod;
extern const struct bench_roof bench_roof_s8_neon, bench_roof_f32_neon;
extern const struct bench_reader bench_reader_avx512, bench_reader_avx2, bench_reader_neon;
extern const struct bench_reader bench_reader_portable;

/* A multiply-add has a latency of 4 to 5 cycles and there are two units: twelve independent sums
 * keep them busy; cores with NEON have up to four units, and latencies of 3 to 4 cycles.  The empty
 * asm makes each step's result unknown, so that none can be dropped or joined with another. */
#define BENCH_TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define BENCH_TWENTY(X) BENCH_TWELVE(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19)
enum { BENCH_N_SUMS = 12, BENCH_N_LONG = 20 };

#ifdef __aarch64__
#define BENCH_UNKNOWN(x) __asm__ volatile("" : "+w"(x))
#else
#define BENCH_UNKNOWN(x) __asm__ volatile("" : "+v"(x))
#endif

#endif
