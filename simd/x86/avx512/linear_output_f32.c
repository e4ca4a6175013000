/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane fp32 linear layers on AVX-512. */
#include "simd/x86/avx512/lanes.h"
#include "simd/x86/avx512/spread.h"

#define ISA       avx512
#define ISA_NEEDS LAC_CPU_AVX512

#include "simd/template/linear_output_f32.h"
