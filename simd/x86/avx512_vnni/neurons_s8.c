/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8 on AVX-512 VNNI. */
#include "simd/x86/avx512_vnni/dot_s8.h"
#include "simd/x86/avx512/interleave.h"

#define ISA       avx512_vnni
#define ISA_NEEDS (LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI)

#include "simd/template/neurons_s8.h"
