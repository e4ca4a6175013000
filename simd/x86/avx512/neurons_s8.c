/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8 on AVX-512. */
#include "simd/x86/avx512/dot_s8.h"
#include "simd/x86/avx512/interleave.h"

#define ISA       avx512
#define ISA_NEEDS LAC_CPU_AVX512

#include "simd/template/neurons_s8.h"
