/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on AVX2. */
#include "simd/x86/avx2/dot_s8.h"

#define ISA       avx2
#define ISA_NEEDS LAC_CPU_AVX2

#include "simd/template/linear_output_s8.h"
