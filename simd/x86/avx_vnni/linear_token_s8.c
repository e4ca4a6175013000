/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on AVX-VNNI. */
#include "simd/x86/avx_vnni/dot_s8.h"

#define ISA       avx_vnni
#define ISA_NEEDS (LAC_CPU_AVX2 | LAC_CPU_AVX_VNNI)

#include "simd/template/linear_token_s8.h"
