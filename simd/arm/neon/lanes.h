/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of the NEON kernels: 4 lanes.  Beside vector.h. */
#ifndef LACUNA_SIMD_NEON_LANES_H
#define LACUNA_SIMD_NEON_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "simd/arm/neon/math.h"
#include "simd/arm/neon/vector.h"

enum { VEC_BYTES = 16 };

typedef int32x4_t veci;

#define KEEP_IN_REGISTER(a) __asm__("" : "+w"(a))

static inline vec vec_from_int(veci a)
{
    return vcvtq_f32_s32(a);
}

static inline veci veci_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

static inline void veci_store(void *p, veci a)
{
    vst1q_u8(p, vreinterpretq_u8_s32(a));
}

static inline veci veci_set1(int32_t a)
{
    return vdupq_n_s32(a);
}

static inline veci veci_add(veci a, veci b)
{
    return vaddq_s32(a, b);
}

/* What byte i of each lane's dword of a u8 panel stands for: x - 128. */
static inline vec vec_from_byte(veci dwords, size_t i)
{
    uint32x4_t bytes = vshlq_u32(vreinterpretq_u32_s32(dwords), vdupq_n_s32(-8 * (int)i));
    return vsubq_f32(vcvtq_f32_u32(vandq_u32(bytes, vdupq_n_u32(255))), vdupq_n_f32(128));
}

/* n <= 4 dwords from memory; lanes from n on are 0, and their memory is not touched. */
static inline veci dword_line(const uint8_t *line, size_t n)
{
    const int32_t *at = (const int32_t *)(const void *)line;
    if (n >= 4)
        return veci_load(line);
    veci dwords = vdupq_n_s32(0);
    if (n > 0)
        dwords = vld1q_lane_s32(at, dwords, 0);
    if (n > 1)
        dwords = vld1q_lane_s32(at + 1, dwords, 1);
    if (n > 2)
        dwords = vld1q_lane_s32(at + 2, dwords, 2);
    return dwords;
}

static inline vec vec_from_bits(veci a)
{
    return vreinterpretq_f32_s32(a);
}

/* Multiplications by element: four weights in one register.  The lane is a constant once the loop
 * round it is unrolled; the switch is for compilers that do not see it. */
enum { WEIGHTS = 4 };

static inline vec vec_weights(const uint8_t *w, const size_t n)
{
    return n == 1 ? vld1q_dup_f32((const float *)(const void *)w) : vec_from_bits(dword_line(w, n));
}

static inline vec vec_fma_weight(vec x, vec weights, const size_t i, vec acc)
{
    switch (i) {
    case 0:
        return vfmaq_laneq_f32(acc, x, weights, 0);
    case 1:
        return vfmaq_laneq_f32(acc, x, weights, 1);
    case 2:
        return vfmaq_laneq_f32(acc, x, weights, 2);
    default:
        return vfmaq_laneq_f32(acc, x, weights, 3);
    }
}

#endif
