/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers on plain NEON: scores too in 16-bit numbers. */
#include "simd/arm/neon/attention_s8.h"

#include "simd/ops.h"

#define QUERY_BYTES 2

struct query {
    struct weights numbers;
};

struct key {
    int16x4_t numbers;
};

static inline void store_query(uint8_t *to, const vec x[4], vec factor)
{
    store_numbers(to, quantized(x[0], factor), quantized(x[1], factor), quantized(x[2], factor),
                  quantized(x[3], factor));
}

static inline struct query load_query(const uint8_t *from)
{
    return (struct query){load_weights(from, 0)};
}

static inline struct key load_key(const uint8_t *from)
{
    uint8x8_t bytes = vreinterpret_u8_s32(vld1_dup_s32((const int32_t *)(const void *)from));
    return (struct key){vget_low_s16(vreinterpretq_s16_u16(vmovl_u8(bytes)))};
}

static inline veci score_dot(veci acc, struct query query, struct key key)
{
    return numbers_dot(acc, query.numbers, key.numbers);
}

/* 4 features, twice. */
struct row_query {
    int16x8_t numbers;
};

struct row_keys {
    uint8x16_t bytes;
};

static inline struct row_query broadcast_query(const int8_t *from)
{
    int32x2_t dword = vld1_dup_s32((const int32_t *)(const void *)from);
    return (struct row_query){vmovl_s8(vreinterpret_s8_s32(dword))};
}

static inline struct row_keys load_keys(const uint8_t *from)
{
    return (struct row_keys){vld1q_u8(from)};
}

/* Two keys' products at a time, added up by neighbours. */
static inline veci row_dot(veci acc, struct row_keys keys, struct row_query query)
{
    int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(keys.bytes)));
    int16x8_t high = vreinterpretq_s16_u16(vmovl_high_u8(keys.bytes));
    int16x4_t q = vget_low_s16(query.numbers);
    veci a = vpaddq_s32(vmull_s16(vget_low_s16(low), q), vmull_high_s16(low, query.numbers));
    veci b = vpaddq_s32(vmull_s16(vget_low_s16(high), q), vmull_high_s16(high, query.numbers));
    return veci_add(acc, vpaddq_s32(a, b));
}

#include "simd/template/attention_row_s8.h"
#include "simd/template/page_scores.h"
#include "simd/template/attention_s8.h"
#include "simd/template/kv_pages_s8.h"
#include "simd/template/expand_s8.h"

DEFINE_TILES(2)

static void attention_s8(const struct lac_attention_s8_args *a)
{
    attend_by(a, &tiles_2, 2);
}

static void scores_s8(const struct lac_scores_args *a)
{
    score_by(a, &tiles_2, 2);
}

LAC_ATTENTION_S8_OPS_DEFINE(neon, LAC_CPU_NEON)
