/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of the AVX-512 kernels: 16 lanes.  Beside vector.h. */
#ifndef LACUNA_SIMD_AVX512_LANES_H
#define LACUNA_SIMD_AVX512_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd/x86/avx512/math.h"
#include "simd/x86/avx512/vector.h"

enum { VEC_BYTES = 64 };

typedef __m512i veci;

#define KEEP_IN_REGISTER(a) __asm__("" : "+v"(a))

static inline vec vec_from_int(veci a)
{
    return _mm512_cvtepi32_ps(a);
}

static inline veci veci_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

static inline void veci_store(void *p, veci a)
{
    _mm512_storeu_si512(p, a);
}

static inline veci veci_set1(int32_t a)
{
    return _mm512_set1_epi32(a);
}

static inline veci veci_add(veci a, veci b)
{
    return _mm512_add_epi32(a, b);
}

/* Rounds half to even. */
static inline veci veci_from_vec(vec a)
{
    return _mm512_cvtps_epi32(a);
}

/* u8 activations (s8 + 128) of four outputs, one byte of each in every lane's dword, a lowest.
 * Values past +-127 are clamped. */
static inline veci veci_quantized_bytes(veci a, veci b, veci c, veci d)
{
    /* Packing works within 128 bits: 4 lanes of a, then of b, c, d.  Byte 4j + i comes from byte
     * 4i + j. */
    __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    const __m512i transpose =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    bytes = _mm512_max_epi8(_mm512_shuffle_epi8(bytes, transpose), _mm512_set1_epi8(-127));
    return _mm512_xor_si512(bytes, _mm512_set1_epi8((char)0x80));
}

/* Weights to multiply with, n <= WEIGHTS of them in a register, and the multiplication with one:
 * here there is only the one that n and i speak of. */
enum { WEIGHTS = 1 };

static inline vec vec_weights(const uint8_t *w, size_t n)
{
    float weight;
    (void)n;
    memcpy(&weight, w, sizeof weight);
    return vec_set1(weight);
}

static inline vec vec_fma_weight(vec x, vec weights, size_t i, vec acc)
{
    (void)i;
    return vec_fma(x, weights, acc);
}

#endif
