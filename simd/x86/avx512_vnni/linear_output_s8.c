/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on AVX-512 VNNI: vpdpbusd, u8 activations by s8 weights. */
#include "simd/x86/avx512/lanes.h"

#include "simd/kernel.h"
#include "simd/template/kernels.h"
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

#define ACC        veci
#define ACC_SCALAR int32_t
#define ACC_LOAD   veci_load
#define ACC_STORE  veci_store
#define MOST_ACCS  24
/* Sums of a token may be split as we like: integers add up exactly.  8 in flight or nearly. */
#define SETS(n) ((n) < 8 ? 8 / (n) : 1)

struct x_reg {
    veci dwords;
};

struct w_reg {
    veci dwords;
};

static inline struct x_reg x_broadcast(const uint8_t *x)
{
    return (struct x_reg){dword_broadcast(x)};
}

static inline struct x_reg x_spread(const uint8_t *const *dwords, size_t offset, const size_t rows)
{
    return (struct x_reg){dword_spread(dwords, offset, rows)};
}

static inline struct x_reg x_gather(const uint8_t *x, size_t stride, const uint16_t *index)
{
    return (struct x_reg){dword_gather(x, stride, index)};
}

static inline struct w_reg w_of(veci bytes)
{
    return (struct w_reg){bytes};
}

static inline veci acc_zero(void)
{
    return veci_set1(0);
}

static inline veci acc_add(veci a, veci b)
{
    return veci_add(a, b);
}

static inline veci acc_dot(veci acc, struct x_reg x, struct w_reg w)
{
    return _mm512_dpbusd_epi32(acc, x.dwords, w.dwords);
}

static inline void acc_fold(int32_t *sums, veci acc, const size_t rows)
{
    fold_ints(sums, acc, rows);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t, veci sum)
{
    const struct lac_weight *w = a->w;
    veci acc = veci_add(sum, veci_load(w->offset + out));
    vec scaled = vec_mul(vec_from_int(acc), vec_load(w->scale + out));
    return vec_fma(scaled, vec_set1(a->x_scale[t]), vec_load(w->bias + out));
}

#define ELEMENT_BYTES 1

#include "simd/template/linear_output.h"

#ifndef ONLY_BITMAP
LAC_WIDE_KERNELS(WIDE_OUTPUT_KERNEL, avx512_vnni, output, 4, s8, LAC_S8)
#endif
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_BITMAP, LAC_S8, linear_output_bitmap_s8,
              output_bitmap)
