/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane fp32 linear layers on AVX2. */
#include "simd/x86/avx2/lanes.h"
#include "simd/x86/avx2/spread.h"

#define ISA       avx2
#define ISA_NEEDS LAC_CPU_AVX2
#define TILE_VECS 2
#define TILE_ROWS 4

#include "simd/template/linear_token_f32.h"
