/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8 on AVX2. */
#include "simd/x86/avx2/dot_s8.h"
#include "simd/x86/avx2/interleave.h"

#define ISA       avx2
#define ISA_NEEDS LAC_CPU_AVX2

#include "simd/template/neurons_s8.h"
