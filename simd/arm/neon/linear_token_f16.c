/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of fp16 weights on NEON. */
#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"
#include "simd/arm/neon/tile.h"
#include "simd/arm/neon/wide.h"

#define ISA         neon
#define ISA_NEEDS   LAC_CPU_NEON
#define WIDE_GROUPS 0

static inline struct wide wide_line(veci line, const struct factors *factors)
{
    (void)factors;
    return wide_f16(line);
}

#include "simd/template/linear_token_f32.h"

LAC_WIDE_KERNELS(WIDE_TOKEN_KERNEL, neon, token, 2, f16, LAC_F16)
