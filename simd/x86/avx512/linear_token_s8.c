/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on AVX-512 without VNNI, in exact 16-bit products. */
#include "simd/x86/avx512/lanes.h"

#include <string.h>

#include "simd/kernel.h"
#include "simd/template/kernels.h"
#include "simd/template/linear_token_s8.h"
#include "simd/x86/avx512/spread.h"

#define ISA       avx512
#define ISA_NEEDS LAC_CPU_AVX512
#define TILE_VECS 3
#define TILE_ROWS 4
/* One set: twelve or four chains, each of two additions. */
#define SETS(rows, vecs) ((rows) == 1 ? 4 : 1)

/* vpmaddubsw would saturate: 2 * 255 * 127 > 32,767.  So a dword of bytes b0 b1 b2 b3 is taken as
 * two pairs of 16-bit numbers, (b0, b2) and (b1, b3), for vpmaddwd: |255 * 127 * 2| fits easily. */
struct x_reg {
    veci even, odd;
};

struct w_reg {
    veci even, odd;
};

static inline struct x_reg x_load(const uint8_t *x)
{
    veci bytes = veci_load(x);
    return (struct x_reg){_mm512_and_si512(bytes, _mm512_set1_epi16(0xff)),
                          _mm512_srli_epi16(bytes, 8)};
}

static inline struct w_reg w_load(const uint8_t *w, size_t n)
{
    int32_t dword;
    (void)n;
    memcpy(&dword, w, sizeof dword);
    veci bytes = veci_set1(dword);
    return (struct w_reg){_mm512_srai_epi16(_mm512_slli_epi16(bytes, 8), 8),
                          _mm512_srai_epi16(bytes, 8)};
}

static inline veci acc_dot(veci acc, struct x_reg x, struct w_reg w, size_t i)
{
    (void)i;
    veci even = _mm512_madd_epi16(x.even, w.even), odd = _mm512_madd_epi16(x.odd, w.odd);
    return veci_add(acc, veci_add(even, odd));
}

#define ELEMENT_BYTES        1
#define expand(mask, values) expand_bytes(mask, values)

#include "simd/template/bitmap.h"
#include "simd/template/linear_token.h"
#include "simd/template/linear_token_bitmap.h"

LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_DENSE, LAC_S8, linear_token_dense_s8, token_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_S8, linear_token_bitmap_s8, token_bitmap)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_32, LAC_S8, linear_token_32x4_s8, token_32)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_16, LAC_S8, linear_token_16x4_s8, token_16)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_8, LAC_S8, linear_token_8x4_s8, token_8)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_4, LAC_S8, linear_token_4x4_s8, token_4)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_1, LAC_S8, linear_token_1x4_s8, token_1)
