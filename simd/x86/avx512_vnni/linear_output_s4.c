/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int4 linear layers on AVX-512 VNNI: widened to int8. */
#include "simd/x86/avx512/wide.h"
#include "simd/x86/avx512_vnni/dot_s8.h"

#define ISA         avx512_vnni
#define ISA_NEEDS   (LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI)
#define WIDE_GROUPS 1
/* A widened line takes two registers. */
#undef MOST_ACCS
#define MOST_ACCS 24

#define wide_line(line, factors) wide_s4(line, factors)

#include "simd/template/linear_output_s8.h"
