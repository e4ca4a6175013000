/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int4 linear layers on AVX2: widened to int8. */
#include "simd/x86/avx2/wide.h"
#include "simd/x86/avx2/dot_s8.h"

#define ISA         avx2
#define ISA_NEEDS   LAC_CPU_AVX2
#define WIDE_GROUPS 1

#define wide_line(line, factors) wide_s4(line, factors)

#include "simd/template/linear_token_s8.h"
