/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8 on AVX-VNNI. */
#include "simd/x86/avx_vnni/dot_s8.h"
#include "simd/x86/avx2/interleave.h"

#define ISA       avx_vnni
#define ISA_NEEDS (LAC_CPU_AVX2 | LAC_CPU_AVX_VNNI)

#include "simd/template/neurons_s8.h"
