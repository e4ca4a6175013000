/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on AVX-512 VNNI. */
#include "simd/x86/avx512_vnni/dot_s8.h"

#define ISA       avx512_vnni
#define ISA_NEEDS (LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI)

#include "simd/template/linear_output_s8.h"
