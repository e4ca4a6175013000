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
extern const struct bench_reader bench_reader_avx512, bench_reader_avx2, bench_reader_portable;

/* A multiply-add has a latency of 4 to 5 cycles and there are two units: twelve independent sums
 * keep them busy.  The empty asm makes each step's result unknown, so that none can be dropped or
 * joined with another. */
#define BENCH_TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
enum { BENCH_N_SUMS = 12 };

#define BENCH_UNKNOWN(x) __asm__ volatile("" : "+v"(x))

#endif
