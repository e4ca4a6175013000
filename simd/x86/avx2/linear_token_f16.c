/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of fp16 weights on AVX2. */
#include "simd/x86/avx2/lanes.h"
#include "simd/x86/avx2/wide.h"

#define ISA         avx2
#define ISA_NEEDS   LAC_CPU_AVX2
#define TILE_VECS   2
#define TILE_ROWS   4
#define WIDE_GROUPS 0

static inline struct wide wide_line(veci line, const struct factors *factors)
{
    (void)factors;
    return wide_f16(line);
}

#include "simd/template/linear_token_f32.h"

LAC_WIDE_KERNELS(WIDE_TOKEN_KERNEL, avx2, token, 2, f16, LAC_F16)
