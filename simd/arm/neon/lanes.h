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

/* Rounds half to even. */
static inline veci veci_from_vec(vec a)
{
    return vcvtnq_s32_f32(a);
}

/* u8 activations (s8 + 128) of four outputs, one byte of each in every lane's dword, a lowest.
 * Values past +-127 are clamped. */
static inline veci veci_quantized_bytes(veci a, veci b, veci c, veci d)
{
    static const uint8_t transpose[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    int16x8_t low = vcombine_s16(vqmovn_s32(a), vqmovn_s32(b));
    int16x8_t high = vcombine_s16(vqmovn_s32(c), vqmovn_s32(d));
    int8x16_t bytes = vcombine_s8(vqmovn_s16(low), vqmovn_s16(high));
    bytes = vmaxq_s8(vqtbl1q_s8(bytes, vld1q_u8(transpose)), vdupq_n_s8(-127));
    return vreinterpretq_s32_s8(veorq_s8(bytes, vdupq_n_s8(-128)));
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
