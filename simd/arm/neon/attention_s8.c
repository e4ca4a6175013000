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
    return (struct query){load_weights(from)};
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

#include "simd/template/attention_s8.h"
#include "simd/template/kv_pages_s8.h"

DEFINE_TILES(2)

static void attention_s8(const struct lac_attention_s8_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane += 2 * VEC_LANES)
        attend(a, lane, &tiles_2, 2);
}

LAC_ATTENTION_S8_OPS_DEFINE(neon, LAC_CPU_NEON)
