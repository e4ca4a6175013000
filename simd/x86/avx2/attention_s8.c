/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers on AVX2, in exact 16-bit products. */
#include "simd/x86/avx2/lanes.h"

#include <string.h>

#include "simd/ops.h"

/* 8 sums, 2 queries in two parts each and a key in two of 16 registers. */
#define ATTENTION_VECS     2
#define SCORE_ROWS(n_vecs) 4
#define VALUE_ROWS(n_vecs) 4
#define WEIGHT_PARTS       1
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

static inline struct weights load_weights(const uint8_t *from, int part)
{
    (void)part;
    return (struct weights){load_pairs(from)};
}

static inline struct value load_value(const int8_t *from)
{
    veci bytes = dword_set1(from);
    return (struct value){
        {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)}};
}

static inline veci value_dot(veci sum, struct weights w, struct value v)
{
    return pairs_dot(sum, w.pairs, v.pairs);
}

static inline veci next_part(veci sum)
{
    return sum;
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

/* Rows: the same with keys in lanes, or features. */
#define ROW_WEIGHT_BYTES 2
#define ROW_SUMS         4
#define ROW_SCORES       8

struct row_query {
    struct pairs pairs;
};

struct row_keys {
    struct pairs pairs;
};

struct row_weights {
    struct pairs pairs;
};

struct row_values {
    struct pairs pairs;
};

struct row_sum {
    veci sum;
};

#define KEEP_ROW_SUM(sum) KEEP_IN_REGISTER((sum).sum)

static inline struct pairs signed_pairs(veci bytes)
{
    return (struct pairs){_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8),
                          _mm256_srai_epi16(bytes, 8)};
}

static inline struct row_query broadcast_query(const int8_t *from)
{
    return (struct row_query){signed_pairs(dword_set1(from))};
}

static inline struct row_keys load_keys(const uint8_t *from)
{
    veci bytes = veci_load(from);
    return (struct row_keys){
        {_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(bytes, 8)}};
}

static inline veci row_dot(veci acc, struct row_keys keys, struct row_query query)
{
    return pairs_dot(acc, keys.pairs, query.pairs);
}

/* Of each 4 keys those of 0 and 2, then of 1 and 3. */
static inline void store_row_weights(uint8_t *to, size_t key, vec w)
{
    veci words = _mm256_and_si256(_mm256_castps_si256(w), veci_set1(0xffff));
    words = _mm256_shufflelo_epi16(_mm256_packus_epi32(words, words), 0xd8);
    _mm_storel_epi64((void *)(to + key * 2), _mm256_castsi256_si128(words));
    _mm_storel_epi64((void *)(to + key * 2 + 8), _mm256_extracti128_si256(words, 1));
}

static inline struct row_weights broadcast_weights(const uint8_t *from, size_t key)
{
    return (struct row_weights){{dword_set1(from + key * 2), dword_set1(from + key * 2 + 4)}};
}

static inline struct row_values load_values(const int8_t *from)
{
    return (struct row_values){signed_pairs(veci_load(from))};
}

static inline struct row_sum begin_row_sum(void)
{
    return (struct row_sum){veci_set1(0)};
}

static inline struct row_sum row_value_dot(struct row_sum sum, struct row_weights w,
                                           struct row_values v)
{
    return (struct row_sum){pairs_dot(sum.sum, w.pairs, v.pairs)};
}

static inline veci end_row_sum(struct row_sum sum)
{
    return sum.sum;
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

LAC_ATTENTION_S8_OPS_DEFINE(avx2, LAC_CPU_AVX2)
