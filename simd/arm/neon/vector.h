/* SPDX-License-Identifier: Apache-2.0 */
/* The vector of the NEON kernels: 4 floats.  What each function means: simd/scalar/vector.h and
 * simd/x86/avx512/vector.h. */
#ifndef LACUNA_SIMD_NEON_VECTOR_H
#define LACUNA_SIMD_NEON_VECTOR_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

typedef float32x4_t vec;

static inline vec vec_set1(float a)
{
    return vdupq_n_f32(a);
}

static inline vec vec_add(vec a, vec b)
{
    return vaddq_f32(a, b);
}

static inline vec vec_sub(vec a, vec b)
{
    return vsubq_f32(a, b);
}

static inline vec vec_mul(vec a, vec b)
{
    return vmulq_f32(a, b);
}

static inline vec vec_div(vec a, vec b)
{
    return vdivq_f32(a, b);
}

static inline vec vec_fma(vec a, vec b, vec c)
{
    return vfmaq_f32(c, a, b);
}

static inline vec vec_fnma(vec a, vec b, vec c)
{
    return vfmsq_f32(c, a, b);
}

/* fmin and fmax have rules of their own for zeros and for what is not a number. */
static inline vec vec_min(vec a, vec b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

static inline vec vec_max(vec a, vec b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline vec vec_abs(vec a)
{
    return vabsq_f32(a);
}

static inline vec vec_copysign(vec a, vec b)
{
    return vbslq_f32(vdupq_n_u32(0x80000000u), b, a);
}

static inline vec vec_select_lt(vec a, vec b, vec c, vec d)
{
    return vbslq_f32(vcltq_f32(a, b), c, d);
}

/* 2^n for whole n in [-126, 127]. */
static inline vec vec_power(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* In two steps of at most 2^80, of which only the second can round. */
static inline vec vec_scale_exponent(vec a, vec n, vec shifted)
{
    (void)n;
    const int32x4_t shift = vdupq_n_s32(0x4b400000); /* 1.5 * 2^23 */
    int32x4_t whole = vsubq_s32(vreinterpretq_s32_f32(shifted), shift);
    int32x4_t half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(a, vec_power(half)), vec_power(vsubq_s32(whole, half)));
}

static inline vec vec_add_exponent(vec a, vec shifted)
{
    int32x4_t n = vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23);
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), n));
}

/* What follows is for whole kernels; these exist for real vectors only. */

enum { VEC_LANES = 4 };

static inline vec vec_sqrt(vec a)
{
    return vsqrtq_f32(a);
}

static inline vec vec_max_abs(vec a, vec b)
{
    return vmaxq_f32(a, vabsq_f32(b));
}

static inline float vec_largest(vec a)
{
    return vmaxvq_f32(a);
}

static inline vec vec_load(const float *from)
{
    return vld1q_f32(from);
}

static inline void vec_store(float *to, vec a)
{
    vst1q_f32(to, a);
}

static inline vec vec_load_lanes(const float *from, uint64_t lanes, vec fill)
{
    if ((lanes & 15) == 15)
        return vec_load(from);
    if (lanes & 1)
        fill = vld1q_lane_f32(from, fill, 0);
    if (lanes & 2)
        fill = vld1q_lane_f32(from + 1, fill, 1);
    if (lanes & 4)
        fill = vld1q_lane_f32(from + 2, fill, 2);
    if (lanes & 8)
        fill = vld1q_lane_f32(from + 3, fill, 3);
    return fill;
}

static inline void vec_store_lanes(float *to, uint64_t lanes, vec a)
{
    if ((lanes & 15) == 15) {
        vec_store(to, a);
        return;
    }
    if (lanes & 1)
        vst1q_lane_f32(to, a, 0);
    if (lanes & 2)
        vst1q_lane_f32(to + 1, a, 1);
    if (lanes & 4)
        vst1q_lane_f32(to + 2, a, 2);
    if (lanes & 8)
        vst1q_lane_f32(to + 3, a, 3);
}

static inline int16x8_t low_words(vec a, vec b)
{
    return vuzp1q_s16(vreinterpretq_s16_f32(a), vreinterpretq_s16_f32(b));
}

/* 1.5 * 2^23 + 128 puts the rounded number into the low word; narrowing saturates it to a byte. */
static inline void vec_store_bytes(uint8_t *to, const vec x[4], vec factor)
{
    static const uint8_t transpose[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const vec shift = vdupq_n_f32(0x1.8p23f + 128);
    int16x8_t low = low_words(vfmaq_f32(shift, x[0], factor), vfmaq_f32(shift, x[1], factor));
    int16x8_t high = low_words(vfmaq_f32(shift, x[2], factor), vfmaq_f32(shift, x[3], factor));
    uint8x16_t bytes = vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
    vst1q_u8(to, vqtbl1q_u8(bytes, vld1q_u8(transpose)));
}

static inline void vec_store_row_bytes(uint8_t *to, vec x, vec factor)
{
    const vec shift = vdupq_n_f32(0x1.8p23f + 128);
    uint16x4_t words = vmovn_u32(vreinterpretq_u32_f32(vfmaq_f32(shift, x, factor)));
    uint8x8_t bytes = vmovn_u16(vcombine_u16(words, words));
    vst1_lane_u32((uint32_t *)(void *)to, vreinterpret_u32_u8(bytes), 0);
}

static inline vec vec_load_bf16(const uint16_t *from)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16));
}

static inline void vec_store_bf16(uint16_t *to, vec a)
{
    uint32x4_t bits = vreinterpretq_u32_f32(a);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    bits = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    vst1_u16(to, vshrn_n_u32(bits, 16));
}

static inline vec vec_load_quads(const float *const *rows)
{
    return vld1q_f32(rows[0]);
}

static inline void vec_store_quads(float *const *rows, vec a)
{
    vst1q_f32(rows[0], a);
}

static inline void vec_transpose_quads(vec a[4])
{
    float64x2_t low01 = vreinterpretq_f64_f32(vzip1q_f32(a[0], a[1]));
    float64x2_t low23 = vreinterpretq_f64_f32(vzip1q_f32(a[2], a[3]));
    float64x2_t high01 = vreinterpretq_f64_f32(vzip2q_f32(a[0], a[1]));
    float64x2_t high23 = vreinterpretq_f64_f32(vzip2q_f32(a[2], a[3]));
    a[0] = vreinterpretq_f32_f64(vzip1q_f64(low01, low23));
    a[1] = vreinterpretq_f32_f64(vzip2q_f64(low01, low23));
    a[2] = vreinterpretq_f32_f64(vzip1q_f64(high01, high23));
    a[3] = vreinterpretq_f32_f64(vzip2q_f64(high01, high23));
}

#endif
