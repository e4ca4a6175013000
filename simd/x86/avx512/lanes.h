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

static inline vec vec_from_bits(veci a)
{
    return _mm512_castsi512_ps(a);
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

/* What byte i of each lane's dword of a u8 panel stands for: x - 128. */
static inline vec vec_from_byte(veci dwords, size_t i)
{
    veci bytes = _mm512_srl_epi32(dwords, _mm_cvtsi32_si128((int)(8 * i)));
    return _mm512_sub_ps(_mm512_cvtepi32_ps(_mm512_and_si512(bytes, _mm512_set1_epi32(255))),
                         _mm512_set1_ps(128));
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
