/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of the AVX2 kernels: 8 lanes.  Beside vector.h. */
#ifndef LACUNA_SIMD_AVX2_LANES_H
#define LACUNA_SIMD_AVX2_LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd/x86/avx2/math.h"
#include "simd/x86/avx2/vector.h"

enum { VEC_BYTES = 32 };

typedef __m256i veci;

#define KEEP_IN_REGISTER(a) __asm__("" : "+x"(a))

static inline vec vec_from_int(veci a)
{
    return _mm256_cvtepi32_ps(a);
}

static inline vec vec_from_bits(veci a)
{
    return _mm256_castsi256_ps(a);
}

static inline veci veci_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

static inline void veci_store(void *p, veci a)
{
    _mm256_storeu_si256(p, a);
}

static inline veci veci_set1(int32_t a)
{
    return _mm256_set1_epi32(a);
}

static inline veci veci_add(veci a, veci b)
{
    return _mm256_add_epi32(a, b);
}

/* What byte i of each lane's dword of a u8 panel stands for: x - 128. */
static inline vec vec_from_byte(veci dwords, size_t i)
{
    veci bytes = _mm256_srl_epi32(dwords, _mm_cvtsi32_si128((int)(8 * i)));
    return _mm256_sub_ps(_mm256_cvtepi32_ps(_mm256_and_si256(bytes, _mm256_set1_epi32(255))),
                         _mm256_set1_ps(128));
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
