/* SPDX-License-Identifier: Apache-2.0 */
/* Weights of half the activations' width, widened in NEON registers.  What each function means:
 * simd/x86/avx512/wide.h. */
#ifndef LACUNA_SIMD_NEON_WIDE_H
#define LACUNA_SIMD_NEON_WIDE_H

#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"

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

/* g in each byte of a lane's dword, and -7 g. */
struct factors {
    int8x16_t g, minus_sevens;
};

static inline struct factors factors_of(const uint8_t *group, size_t n, const size_t rows)
{
    static const uint8_t four_times[16] = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    int8x16_t g;
    if (rows >= 4) {
        uint8x16_t four = vreinterpretq_u8_s32(dword_broadcast(group));
        g = vreinterpretq_s8_u8(vqtbl1q_u8(four, vld1q_u8(four_times)));
    } else {
        static const uint32_t lanes[4] = {0, 1, 2, 3};
        uint32x4_t exist = vcltq_u32(vld1q_u32(lanes), vdupq_n_u32((uint32_t)n));
        g = vreinterpretq_s8_u8(vandq_u8(vld1q_dup_u8(group), vreinterpretq_u8_u32(exist)));
    }
    return (struct factors){g, vmulq_s8(g, vdupq_n_s8(-7))};
}

static inline struct wide wide_s4(veci line, const struct factors *factors)
{
    uint8x16_t bytes = vreinterpretq_u8_s32(line);
    int8x16_t low = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
    int8x16_t high = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
    return (struct wide){
        vreinterpretq_s32_s8(vmlaq_s8(factors->minus_sevens, low, factors->g)),
        vreinterpretq_s32_s8(vmlaq_s8(factors->minus_sevens, high, factors->g)),
    };
}

#endif
