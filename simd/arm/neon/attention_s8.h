/* SPDX-License-Identifier: Apache-2.0 */
/* What attention in integers needs of NEON beside the dot products of its scores: weights of 14
 * bits by values of 8, as 16-bit numbers with multiplication by element. */
#ifndef LACUNA_SIMD_NEON_ATTENTION_S8_H
#define LACUNA_SIMD_NEON_ATTENTION_S8_H

#include "simd/arm/neon/lanes.h"

/* 16 sums, 2 queries and the keys in turn, of 32 registers. */
#define ATTENTION_VECS     2
#define SCORE_ROWS(n_vecs) 8
#define VALUE_ROWS(n_vecs) 4
#define WEIGHT_PARTS       1

/* Four numbers to a lane: number 0 of all lanes, number 1, ... */
struct weights {
    int16x8_t low, high;
};

struct value {
    int16x4_t numbers;
};

static inline veci veci_sub(veci a, veci b)
{
    return vsubq_s32(a, b);
}

/* round_half_even(x * factor), the product not rounded before: 1.5 * 2^23 puts it into the low
 * bits. */
static inline veci quantized(vec x, vec factor)
{
    const vec shift = vec_set1(0x1.8p23f);
    return vreinterpretq_s32_f32(vec_fma(x, factor, shift));
}

static inline void store_numbers(uint8_t *to, veci x0, veci x1, veci x2, veci x3)
{
    vst1q_u8(to, vreinterpretq_u8_s16(vcombine_s16(vmovn_s32(x0), vmovn_s32(x1))));
    vst1q_u8(to + VEC_BYTES, vreinterpretq_u8_s16(vcombine_s16(vmovn_s32(x2), vmovn_s32(x3))));
}

static inline struct weights load_weights(const uint8_t *from, int part)
{
    (void)part;
    return (struct weights){vreinterpretq_s16_u8(vld1q_u8(from)),
                            vreinterpretq_s16_u8(vld1q_u8(from + VEC_BYTES))};
}

static inline veci numbers_dot(veci acc, struct weights a, int16x4_t b)
{
    acc = vmlal_lane_s16(acc, vget_low_s16(a.low), b, 0);
    acc = vmlal_high_lane_s16(acc, a.low, b, 1);
    acc = vmlal_lane_s16(acc, vget_low_s16(a.high), b, 2);
    return vmlal_high_lane_s16(acc, a.high, b, 3);
}

static inline void store_weights(uint8_t *to, const vec w[4])
{
    store_numbers(to, vreinterpretq_s32_f32(w[0]), vreinterpretq_s32_f32(w[1]),
                  vreinterpretq_s32_f32(w[2]), vreinterpretq_s32_f32(w[3]));
}

static inline struct value load_value(const int8_t *from)
{
    int8x8_t bytes = vreinterpret_s8_s32(vld1_dup_s32((const int32_t *)(const void *)from));
    return (struct value){vget_low_s16(vmovl_s8(bytes))};
}

static inline veci value_dot(veci sum, struct weights w, struct value v)
{
    return numbers_dot(sum, w, v.numbers);
}

static inline veci next_part(veci sum)
{
    return sum;
}

static inline void store_values(int8_t *to, size_t stride, const vec x[4], vec factor)
{
    (void)stride; /* there is one group of 4 tokens */
    int16x8_t low =
        vcombine_s16(vmovn_s32(quantized(x[0], factor)), vmovn_s32(quantized(x[1], factor)));
    int16x8_t high =
        vcombine_s16(vmovn_s32(quantized(x[2], factor)), vmovn_s32(quantized(x[3], factor)));
    vst1q_s8(to, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

/* Rows: values of 4 features by weights of 4 keys, one sum a feature. */
#define ROW_WEIGHT_BYTES 2
#define ROW_SUMS         4
#define ROW_SCORES       16

struct row_weights {
    int16x8_t numbers; /* of 4 keys, twice */
};

struct row_values {
    int8x16_t bytes;
};

struct row_sum {
    veci feature[4];
};

#define KEEP_ROW_SUM(sum)                                                                          \
    do {                                                                                           \
        for (int feature = 0; feature < 4; feature++)                                              \
            KEEP_IN_REGISTER((sum).feature[feature]);                                              \
    } while (0)

static inline void store_row_weights(uint8_t *to, size_t key, vec w)
{
    vst1_u16((uint16_t *)(void *)(to + key * 2), vmovn_u32(vreinterpretq_u32_f32(w)));
}

static inline struct row_weights broadcast_weights(const uint8_t *from, size_t key)
{
    return (struct row_weights){
        vreinterpretq_s16_s64(vld1q_dup_s64((const int64_t *)(const void *)(from + key * 2)))};
}

static inline struct row_values load_values(const int8_t *from)
{
    return (struct row_values){vld1q_s8(from)};
}

static inline struct row_sum begin_row_sum(void)
{
    const veci zero = veci_set1(0);
    return (struct row_sum){{zero, zero, zero, zero}};
}

static inline struct row_sum row_value_dot(struct row_sum sum, struct row_weights w,
                                           struct row_values v)
{
    int16x8_t low = vmovl_s8(vget_low_s8(v.bytes)), high = vmovl_high_s8(v.bytes);
    int16x4_t x = vget_low_s16(w.numbers);
    sum.feature[0] = vmlal_s16(sum.feature[0], vget_low_s16(low), x);
    sum.feature[1] = vmlal_high_s16(sum.feature[1], low, w.numbers);
    sum.feature[2] = vmlal_s16(sum.feature[2], vget_low_s16(high), x);
    sum.feature[3] = vmlal_high_s16(sum.feature[3], high, w.numbers);
    return sum;
}

static inline veci end_row_sum(struct row_sum sum)
{
    return vpaddq_s32(vpaddq_s32(sum.feature[0], sum.feature[1]),
                      vpaddq_s32(sum.feature[2], sum.feature[3]));
}

#endif
