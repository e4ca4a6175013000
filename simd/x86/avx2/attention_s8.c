/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers on AVX2, in exact 16-bit products. */
#include "simd/x86/avx2/lanes.h"

#include <string.h>

#include "simd/ops.h"

/* 8 sums, 2 queries in two parts each and a key in two of 16 registers. */
#define ATTENTION_VECS     2
#define SCORE_ROWS(n_vecs) 4
#define QUERY_BYTES        2

/* Bytes b0 b1 b2 b3 are taken as pairs of 16-bit numbers, (b0, b2) and (b1, b3), for vpmaddwd. */
struct pairs {
    veci even, odd;
};

struct query {
    struct pairs pairs;
};

struct key {
    struct pairs pairs;
};

struct weights {
    struct pairs pairs;
};

struct value {
    struct pairs pairs;
};

struct value_sum {
    veci sum;
};

#define KEEP_SUM(value_sum) KEEP_IN_REGISTER((value_sum).sum)

static inline veci veci_sub(veci a, veci b)
{
    return _mm256_sub_epi32(a, b);
}

static inline veci dword_set1(const void *from)
{
    int32_t dword;
    memcpy(&dword, from, sizeof dword);
    return veci_set1(dword);
}

static inline struct pairs load_pairs(const uint8_t *from)
{
    return (struct pairs){veci_load(from), veci_load(from + VEC_BYTES)};
}

/* The low words of x[0] and x[2], and of x[1] and x[3], side by side. */
static inline void store_pairs(uint8_t *to, veci x0, veci x1, veci x2, veci x3)
{
    veci_store(to, _mm256_blend_epi16(x0, _mm256_slli_epi32(x2, 16), 0xaa));
    veci_store(to + VEC_BYTES, _mm256_blend_epi16(x1, _mm256_slli_epi32(x3, 16), 0xaa));
}

static inline veci pairs_dot(veci acc, struct pairs a, struct pairs b)
{
    veci even = _mm256_madd_epi16(a.even, b.even), odd = _mm256_madd_epi16(a.odd, b.odd);
    return veci_add(acc, veci_add(even, odd));
}

/* round_half_even(x * factor), the product not rounded before: 1.5 * 2^23 puts it into the low
 * bits. */
static inline veci quantized(vec x, vec factor)
{
    const vec shift = vec_set1(0x1.8p23f);
    return veci_sub(_mm256_castps_si256(vec_fma(x, factor, shift)), _mm256_castps_si256(shift));
}

static inline void store_query(uint8_t *to, const vec x[4], vec factor)
{
    store_pairs(to, quantized(x[0], factor), quantized(x[1], factor), quantized(x[2], factor),
                quantized(x[3], factor));
}

static inline struct query load_query(const uint8_t *from)
{
    return (struct query){load_pairs(from)};
}

static inline struct key load_key(const uint8_t *from)
{
    veci bytes = dword_set1(from);
    return (struct key){
        {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)}};
}

static inline veci score_dot(veci acc, struct query query, struct key key)
{
    return pairs_dot(acc, query.pairs, key.pairs);
}

static inline void store_weights(uint8_t *to, const vec w[4])
{
    store_pairs(to, _mm256_castps_si256(w[0]), _mm256_castps_si256(w[1]), _mm256_castps_si256(w[2]),
                _mm256_castps_si256(w[3]));
}

static inline struct weights load_weights(const uint8_t *from)
{
    return (struct weights){load_pairs(from)};
}

static inline struct value load_value(const int8_t *from)
{
    veci bytes = dword_set1(from);
    return (struct value){
        {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)}};
}

static inline struct value_sum begin_values(void)
{
    return (struct value_sum){veci_set1(0)};
}

static inline struct value_sum value_dot(struct value_sum sum, struct weights w, struct value v)
{
    return (struct value_sum){pairs_dot(sum.sum, w.pairs, v.pairs)};
}

static inline veci end_values(struct value_sum sum)
{
    return sum.sum;
}

static inline void store_values(int8_t *to, size_t stride, const vec x[4], vec factor)
{
    /* Packing works within 128 bits: 4 tokens of x[0], then of x[1], x[2], x[3]. */
    veci bytes =
        _mm256_packs_epi16(_mm256_packs_epi32(quantized(x[0], factor), quantized(x[1], factor)),
                           _mm256_packs_epi32(quantized(x[2], factor), quantized(x[3], factor)));
    _mm_storeu_si128((void *)to, _mm256_castsi256_si128(bytes));
    _mm_storeu_si128((void *)(to + stride), _mm256_extracti128_si256(bytes, 1));
}

#include "simd/template/attention_s8.h"
#include "simd/template/kv_pages_s8.h"

DEFINE_TILES(2)

static void attention_s8(const struct lac_attention_s8_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane += LAC_LANES)
        attend(a, lane, &tiles_2, 2);
}

LAC_ATTENTION_S8_OPS_DEFINE(avx2, LAC_CPU_AVX2)
