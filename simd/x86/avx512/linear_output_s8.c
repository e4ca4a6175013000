/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on AVX-512 without VNNI. */
#include "simd/x86/avx512/dot_s8.h"

#define ISA       avx512
#define ISA_NEEDS LAC_CPU_AVX512

#include "simd/template/linear_output_s8.h"
