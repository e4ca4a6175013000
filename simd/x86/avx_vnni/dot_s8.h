/* SPDX-License-Identifier: Apache-2.0 */
/* int8 products for linear layers on AVX-VNNI, in 256 bits: vpdpbusd, u8 activations by s8 weights.
 */
#ifndef LACUNA_SIMD_AVX_VNNI_DOT_S8_H
#define LACUNA_SIMD_AVX_VNNI_DOT_S8_H

#include "simd/x86/avx2/lanes.h"
#include "simd/x86/avx2/spread.h"

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
    return _mm256_dpbusd_avx_epi32(acc, x.dwords, w.dwords);
}

static inline veci dot_weight(veci acc, struct x_reg x, struct w_reg w, size_t i)
{
    (void)i;
    return dot(acc, x, w);
}

#define TILE_VECS 2
#define TILE_ROWS 4
/* vpdpbusd takes 5 cycles and two start in each: ten in flight, or nearly; 16 registers hold no
 * more. */
#define TOKEN_SETS(rows, vecs) ((rows) == 1 ? 4 : (rows) == 4 && (vecs) < 2 ? 2 : 1)
#define IN_FLIGHT              8
#define MOST_ACCS              8

#endif
