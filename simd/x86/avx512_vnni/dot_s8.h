/* SPDX-License-Identifier: Apache-2.0 */
/* int8 products for linear layers on AVX-512 VNNI: vpdpbusd, u8 activations by s8 weights. */
#ifndef LACUNA_SIMD_AVX512_VNNI_DOT_S8_H
#define LACUNA_SIMD_AVX512_VNNI_DOT_S8_H

#include "simd/x86/avx512/lanes.h"
#include "simd/x86/avx512/spread.h"

#include "simd/template/int_sums.h"

#define X_IS_SIGNED 0

struct x_reg {
    veci dwords;
};

struct w_reg {
    veci dwords;
};

static inline struct x_reg x_of(veci u8)
{
    return (struct x_reg){u8};
}

static inline struct w_reg w_of(veci s8)
{
    return (struct w_reg){s8};
}

static inline struct w_reg w_load(const uint8_t *w, size_t n)
{
    (void)n;
    return w_of(dword_broadcast(w));
}

static inline veci dot(veci acc, struct x_reg x, struct w_reg w)
{
    return _mm512_dpbusd_epi32(acc, x.dwords, w.dwords);
}

static inline veci dot_weight(veci acc, struct x_reg x, struct w_reg w, size_t i)
{
    (void)i;
    return dot(acc, x, w);
}

/* As linear_token_rest.h says. */
static inline veci rest_dot(veci acc, const uint8_t *x, const uint8_t *w, const size_t rows)
{
    if (rows == 4)
        return _mm512_castsi128_si512(_mm_dpbusd_epi32(_mm512_castsi512_si128(acc),
                                                       _mm_set1_epi32(dword_at(x)),
                                                       _mm_loadu_si128((const void *)w)));
    if (rows == 8)
        return _mm512_castsi256_si512(_mm256_dpbusd_epi32(_mm512_castsi512_si256(acc),
                                                          _mm256_set1_epi32(dword_at(x)),
                                                          _mm256_loadu_si256((const void *)w)));
    return _mm512_dpbusd_epi32(acc, dword_broadcast(x), veci_load(w));
}

static inline void rest_store(int32_t *sums, veci acc, const size_t rows)
{
    if (rows == 4)
        _mm_storeu_si128((void *)sums, _mm512_castsi512_si128(acc));
    else if (rows == 8)
        _mm256_storeu_si256((void *)sums, _mm512_castsi512_si256(acc));
    else
        veci_store(sums, acc);
}

#define MOST_REST    12
#define ONE_VEC_ROWS 16
#define TILE_VECS    3
#define TILE_ROWS    8
/* vpdpbusd takes 5 cycles and two start in each: ten in flight, or at least nearly. */
#define TOKEN_SETS(rows, vecs) ((rows) == 1 ? 4 : (rows) == 4 && (vecs) < 3 ? 2 : 1)
#define IN_FLIGHT              12
#define MOST_ACCS              28

#endif
