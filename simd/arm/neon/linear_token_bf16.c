/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of bf16 weights on NEON. */
#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"
#include "simd/arm/neon/tile.h"
#include "simd/arm/neon/wide.h"

#define ISA         neon
#define ISA_NEEDS   LAC_CPU_NEON
#define WIDE_GROUPS 0

#define wide_line(line, factors) ((void)(factors), wide_bf16(line))

#include "simd/template/linear_token_f32.h"

LAC_WIDE_KERNELS(WIDE_TOKEN_KERNEL, neon, token, 2, bf16, LAC_BF16)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_BF16, linear_token_bitmap_bf16,
              token_bitmap)
