/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int8 linear layers on AVX-512 VNNI: vpdpbusd, u8 activations by s8 weights. */
#include "simd/x86/avx512/lanes.h"

#include <string.h>

#include "simd/kernel.h"
#include "simd/template/kernels.h"
#include "simd/template/linear_token_s8.h"
#include "simd/x86/avx512/spread.h"

/* simd/x86/avx512_vbmi2 includes this file for what it does better. */
#ifndef ISA
#define ISA       avx512_vnni
#define ISA_NEEDS (LAC_CPU_AVX512 | LAC_CPU_AVX512_VNNI)

static inline veci expand(uint64_t mask, const uint8_t *values)
{
    return expand_bytes(mask, values);
}
#endif

#define TILE_VECS 3
#define TILE_ROWS 8
/* vpdpbusd takes 5 cycles and two start in each: ten in flight, or at least nearly. */
#define SETS(rows, vecs) ((rows) == 1 ? 4 : (rows) == 4 && (vecs) < 3 ? 2 : 1)

struct x_reg {
    veci dwords;
};

struct w_reg {
    veci dwords;
};

static inline struct x_reg x_load(const uint8_t *x)
{
    return (struct x_reg){veci_load(x)};
}

static inline struct w_reg w_load(const uint8_t *w, size_t n)
{
    int32_t dword;
    (void)n;
    memcpy(&dword, w, sizeof dword);
    return (struct w_reg){veci_set1(dword)};
}

static inline veci acc_dot(veci acc, struct x_reg x, struct w_reg w, size_t i)
{
    (void)i;
    return _mm512_dpbusd_epi32(acc, x.dwords, w.dwords);
}

#define ELEMENT_BYTES 1

#include "simd/template/bitmap.h"
#include "simd/template/linear_token.h"
#include "simd/template/linear_token_bitmap.h"

LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_S8, linear_token_bitmap_s8, token_bitmap)
#ifndef ONLY_BITMAP
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_DENSE, LAC_S8, linear_token_dense_s8, token_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_32, LAC_S8, linear_token_32x4_s8, token_32)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_16, LAC_S8, linear_token_16x4_s8, token_16)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_8, LAC_S8, linear_token_8x4_s8, token_8)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_4, LAC_S8, linear_token_4x4_s8, token_4)
LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_1, LAC_S8, linear_token_1x4_s8, token_1)
#endif
