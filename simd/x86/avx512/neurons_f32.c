/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in fp32 on AVX-512. */
#include "simd/x86/avx512/lanes.h"
#include "simd/x86/avx512/spread.h"

#define ISA       avx512
#define ISA_NEEDS LAC_CPU_AVX512

#include "simd/template/neurons_f32.h"
