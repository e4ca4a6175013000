/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in fp32 on AVX2. */
#include "simd/x86/avx2/lanes.h"
#include "simd/x86/avx2/spread.h"

#define ISA       avx2
#define ISA_NEEDS LAC_CPU_AVX2

#include "simd/template/neurons_f32.h"
