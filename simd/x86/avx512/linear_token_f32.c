/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane fp32 linear layers on AVX-512. */
#include "simd/x86/avx512/lanes.h"
#include "simd/x86/avx512/spread.h"

#define ISA       avx512
#define ISA_NEEDS LAC_CPU_AVX512
#define TILE_VECS 3
#define TILE_ROWS 8

#include "simd/template/linear_token_f32.h"
