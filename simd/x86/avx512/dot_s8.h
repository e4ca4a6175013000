/* SPDX-License-Identifier: Apache-2.0 */
/* int8 products for linear layers on AVX-512 without VNNI, exact, in 16 bits.
 *
 * vpmaddubsw would saturate: 2 * 255 * 127 > 32,767.  So a dword of bytes b0 b1 b2 b3 is taken as
 * two pairs of 16-bit numbers, (b0, b2) and (b1, b3), for vpmaddwd: |255 * 127 * 2| fits easily. */
#ifndef LACUNA_SIMD_AVX512_DOT_S8_H
#define LACUNA_SIMD_AVX512_DOT_S8_H

#include "simd/x86/avx512/lanes.h"
#include "simd/x86/avx512/spread.h"

#include "simd/template/int_sums.h"

#define X_IS_SIGNED 0

struct x_reg {
    veci even, odd;
};

struct w_reg {
    veci even, odd;
};

static inline struct x_reg x_of(veci u8)
{
    return (struct x_reg){_mm512_and_si512(u8, _mm512_set1_epi16(0xff)), _mm512_srli_epi16(u8, 8)};
}

static inline struct w_reg w_of(veci s8)
{
    return (struct w_reg){_mm512_srai_epi16(_mm512_slli_epi16(s8, 8), 8), _mm512_srai_epi16(s8, 8)};
}

static inline struct w_reg w_load(const uint8_t *w, size_t n)
{
    (void)n;
    return w_of(dword_broadcast(w));
}

static inline veci dot(veci acc, struct x_reg x, struct w_reg w)
{
    veci even = _mm512_madd_epi16(x.even, w.even), odd = _mm512_madd_epi16(x.odd, w.odd);
    return veci_add(acc, veci_add(even, odd));
}

static inline veci dot_weight(veci acc, struct x_reg x, struct w_reg w, size_t i)
{
    (void)i;
    return dot(acc, x, w);
}

#define TILE_VECS 3
#define TILE_ROWS 4
/* One set: twelve or four chains, each of two additions. */
#define TOKEN_SETS(rows, vecs) ((rows) == 1 ? 4 : 1)
#define IN_FLIGHT              8
#define MOST_ACCS              16

#endif
