/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers on NEON with dot products: the scores.  Keys become s8 when they are
 * loaded; the offset that the template measures, queries by keys of 128, is then 0. */
#include "simd/arm/neon/attention_s8.h"

#include "simd/arm/neon_dotprod/dot.h"
#include "simd/ops.h"

#define QUERY_BYTES 1

struct query {
    int8x16_t bytes;
};

struct key {
    int8x16_t bytes;
};

/* The low bytes of x[0..3], x[0] lowest. */
static inline void store_query(uint8_t *to, const vec x[4], vec factor)
{
    veci bytes = vsliq_n_s32(quantized(x[2], factor), quantized(x[3], factor), 8);
    bytes = vsliq_n_s32(quantized(x[1], factor), bytes, 8);
    veci_store(to, vsliq_n_s32(quantized(x[0], factor), bytes, 8));
}

static inline struct query load_query(const uint8_t *from)
{
    return (struct query){vreinterpretq_s8_s32(veci_load(from))};
}

static inline struct key load_key(const uint8_t *from)
{
    return (struct key){dot_x(vld1q_dup_s32((const int32_t *)(const void *)from))};
}

static inline veci score_dot(veci acc, struct query query, struct key key)
{
    return dot_lanes(acc, query.bytes, key.bytes);
}

struct row_query {
    int8x16_t bytes;
};

struct row_keys {
    int8x16_t bytes;
};

static inline struct row_query broadcast_query(const int8_t *from)
{
    return (struct row_query){
        vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)from))};
}

static inline struct row_keys load_keys(const uint8_t *from)
{
    return (struct row_keys){dot_x(veci_load(from))};
}

static inline veci row_dot(veci acc, struct row_keys keys, struct row_query query)
{
    return dot_lanes(acc, keys.bytes, query.bytes);
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

LAC_ATTENTION_S8_OPS_DEFINE(neon_dotprod, LAC_CPU_NEON | LAC_CPU_DOTPROD)
