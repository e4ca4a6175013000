/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of half the activations' width, widened in NEON registers.  What each function means:
 * simd/x86/avx512/wide.h. */
#ifndef LACUNA_SIMD_NEON_WIDE_H
#define LACUNA_SIMD_NEON_WIDE_H

#include "simd/arm/neon/lanes.h"

struct wide {
    veci low, high;
};

static inline struct wide wide_bf16(veci line)
{
    return (struct wide){vshlq_n_s32(line, 16), vandq_s32(line, vdupq_n_s32((int32_t)0xffff0000u))};
}

static inline struct wide wide_f16(veci line)
{
    float16x4_t low = vreinterpret_f16_s16(vmovn_s32(line));
    float16x4_t high = vreinterpret_f16_s16(vshrn_n_s32(line, 16));
    return (struct wide){vreinterpretq_s32_f32(vcvt_f32_f16(low)),
                         vreinterpretq_s32_f32(vcvt_f32_f16(high))};
}

#endif
