/* SPDX-License-Identifier: Apache-2.0 */
/* Attention in integers on AVX-512 VNNI. */
#include "simd/x86/avx512/lanes.h"

#include <string.h>

#include "simd/attention.h"
#include "simd/ops.h"

/* 24 sums, 4 queries and a broadcast key of 32 registers, or 3 queries; vpdpbusd takes 5 cycles and
 * two start in each, so there must be more than 10 sums.  Weights come in two bytes. */
#define ATTENTION_VECS     4
#define SCORE_ROWS(n_vecs) ((n_vecs) == 4 ? 6 : (n_vecs) == 1 ? 16 : 8)
#define VALUE_ROWS(n_vecs) ((n_vecs) == 4 ? 6 : (n_vecs) == 3 ? 8 : (n_vecs) == 2 ? 12 : 16)
#define WEIGHT_PARTS       2
#define QUERY_BYTES        1

struct query {
    veci dwords;
};

struct key {
    veci dwords;
};

struct weights {
    veci dwords;
};

struct value {
    veci dwords;
};

static inline veci veci_sub(veci a, veci b)
{
    return _mm512_sub_epi32(a, b);
}

static inline veci dword_set1(const void *from)
{
    int32_t dword;
    memcpy(&dword, from, sizeof dword);
    return veci_set1(dword);
}

static inline void store_query(uint8_t *to, const vec x[4], vec factor)
{
    vec_store_bytes(to, x, factor);
    veci_store(to, _mm512_xor_si512(veci_load(to), _mm512_set1_epi8((char)0x80)));
}

static inline struct query load_query(const uint8_t *from)
{
    return (struct query){veci_load(from)};
}

static inline struct key load_key(const uint8_t *from)
{
    return (struct key){dword_set1(from)};
}

static inline veci score_dot(veci acc, struct query query, struct key key)
{
    return _mm512_dpbusd_epi32(acc, key.dwords, query.dwords);
}

/* High and low bytes, in planes: of words of keys 0 and 2, and of 1 and 3, each gives every second
 * byte from where it is. */
static inline void store_weights(uint8_t *to, const vec w[4])
{
    const __m512i to_high =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 1, 0, 0, 4, 5, 0, 0, 8, 9, 0, 0, 12, 13));
    const __m512i to_odd =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 0, 0, 2, 0, 4, 0, 6, 0, 8, 0, 10, 0, 12, 0, 14));
    const __m512i to_even =
        _mm512_broadcast_i32x4(_mm_setr_epi8(1, 0, 3, 0, 5, 0, 7, 0, 9, 0, 11, 0, 13, 0, 15, 0));
    const __mmask64 high_words = 0xcccccccccccccccc, odd_bytes = 0xaaaaaaaaaaaaaaaa;
    __m512i a = _mm512_mask_shuffle_epi8(_mm512_castps_si512(w[0]), high_words,
                                         _mm512_castps_si512(w[2]), to_high);
    __m512i b = _mm512_mask_shuffle_epi8(_mm512_castps_si512(w[1]), high_words,
                                         _mm512_castps_si512(w[3]), to_high);
    veci_store(to, _mm512_mask_shuffle_epi8(b, ~odd_bytes, a, to_even));
    veci_store(to + VEC_BYTES, _mm512_mask_shuffle_epi8(a, odd_bytes, b, to_odd));
}

static inline struct weights load_weights(const uint8_t *from, int part)
{
    return (struct weights){veci_load(from + part * VEC_BYTES)};
}

static inline veci next_part(veci sum)
{
    return _mm512_slli_epi32(sum, 8);
}

static inline struct value load_value(const int8_t *from)
{
    return (struct value){dword_set1(from)};
}

static inline veci value_dot(veci sum, struct weights w, struct value v)
{
    return _mm512_dpbusd_epi32(sum, w.dwords, v.dwords);
}

static inline void store_values(int8_t *to, size_t stride, const vec x[4], vec factor)
{
    /* 1.5 * 2^23 puts an integer into the low bits.  Packing works within 128 bits: 4 tokens of
     * x[0], then of x[1], x[2], x[3]. */
    const vec shift = vec_set1(0x1.8p23f);
    const veci bits = _mm512_castps_si512(shift);
    veci q[4];
    for (int i = 0; i < 4; i++)
        q[i] = veci_sub(_mm512_castps_si512(vec_fma(x[i], factor, shift)), bits);
    veci bytes = _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
    _mm_storeu_si128((void *)to, _mm512_castsi512_si128(bytes));
    _mm_storeu_si128((void *)(to + stride), _mm512_extracti32x4_epi32(bytes, 1));
    _mm_storeu_si128((void *)(to + 2 * stride), _mm512_extracti32x4_epi32(bytes, 2));
    _mm_storeu_si128((void *)(to + 3 * stride), _mm512_extracti32x4_epi32(bytes, 3));
}

/* Rows: the same instructions, with keys in lanes, or features. */
#define ROW_WEIGHT_BYTES 2
#define ROW_SUMS         8
#define ROW_SCORES       16

struct row_query {
    veci dwords;
};

struct row_keys {
    veci dwords;
};

struct row_weights {
    veci high, low;
};

struct row_values {
    veci dwords;
};

struct row_sum {
    veci high, low;
};

#define KEEP_ROW_SUM(sum)                                                                          \
    do {                                                                                           \
        KEEP_IN_REGISTER((sum).high);                                                              \
        KEEP_IN_REGISTER((sum).low);                                                               \
    } while (0)

static inline struct row_query broadcast_query(const int8_t *from)
{
    return (struct row_query){dword_set1(from)};
}

static inline struct row_keys load_keys(const uint8_t *from)
{
    return (struct row_keys){veci_load(from)};
}

static inline veci row_dot(veci acc, struct row_keys keys, struct row_query query)
{
    return _mm512_dpbusd_epi32(acc, keys.dwords, query.dwords);
}

/* All high parts, then all low ones. */
static inline void store_row_weights(uint8_t *to, size_t key, vec w)
{
    const veci bits = veci_set1(127);
    veci low = _mm512_castps_si512(w), high = _mm512_srli_epi32(low, 7);
    _mm_storeu_si128((void *)(to + key), _mm512_cvtepi32_epi8(_mm512_and_si512(high, bits)));
    _mm_storeu_si128((void *)(to + LAC_KEY_BLOCK + key),
                     _mm512_cvtepi32_epi8(_mm512_and_si512(low, bits)));
}

static inline struct row_weights broadcast_weights(const uint8_t *from, size_t key)
{
    return (struct row_weights){dword_set1(from + key), dword_set1(from + LAC_KEY_BLOCK + key)};
}

static inline struct row_values load_values(const int8_t *from)
{
    return (struct row_values){veci_load(from)};
}

static inline struct row_sum begin_row_sum(void)
{
    return (struct row_sum){veci_set1(0), veci_set1(0)};
}

static inline struct row_sum row_value_dot(struct row_sum sum, struct row_weights w,
                                           struct row_values v)
{
    sum.high = _mm512_dpbusd_epi32(sum.high, w.high, v.dwords);
    sum.low = _mm512_dpbusd_epi32(sum.low, w.low, v.dwords);
    return sum;
}

static inline veci end_row_sum(struct row_sum sum)
{
    return veci_add(_mm512_slli_epi32(sum.high, 7), sum.low);
}

#include "simd/template/attention_row_s8.h"
#include "simd/template/page_scores.h"
#include "simd/template/attention_s8.h"
#include "simd/template/kv_pages_s8.h"
#include "simd/template/expand_s8.h"

DEFINE_TILES(1)
DEFINE_TILES(2)
DEFINE_TILES(3)
DEFINE_TILES(4)

static void attention_s8(const struct lac_attention_s8_args *a)
{
    struct query_block queries;
    gather_queries(a->queries, a->n_query_segments, a->head_dim, &queries);
    if (queries.n_lanes == 64)
        attend(a, &queries, 0, &tiles_4, &tiles_1, 4);
    else if (queries.n_lanes == 48)
        attend(a, &queries, 0, &tiles_3, &tiles_1, 3);
    else if (queries.n_lanes == 32)
        attend(a, &queries, 0, &tiles_2, &tiles_1, 2);
    else
        attend(a, &queries, 0, &tiles_1, &tiles_1, 1);
    scatter_results(&queries, a->head_dim, a->queries, a->n_query_segments);
    raise_abs_max(&queries, a->queries, a->n_query_segments);
}

static void scores_s8(const struct lac_scores_args *a)
{
    score_by(a, &tiles_1, 1);
}

LAC_ATTENTION_S8_OPS_DEFINE(avx512_vnni, LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI)
