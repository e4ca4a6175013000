/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on AVX2, in exact 16-bit products (see linear_token_s8.c). */
#include "simd/x86/avx2/lanes.h"

#include "simd/kernel.h"
#include "simd/template/kernels.h"
#include "simd/x86/avx2/spread.h"

#define ISA        avx2
#define ISA_NEEDS  LAC_CPU_AVX2
#define ACC        veci
#define ACC_SCALAR int32_t
/* Sums of a token may be split as we like: integers add up exactly.  Two vectors a line, so 4 or
 * more in flight. */
#define SETS(tokens) ((tokens) < 4 ? 2 : 1)
/* Wraps, as the vectors do. */
#define ADD_SCALAR(a, b) ((int32_t)((uint32_t)(a) + (uint32_t)(b)))

struct x_reg {
    veci even, odd;
};

struct w_reg {
    veci even, odd;
};

static inline struct x_reg split_u8(veci bytes)
{
    return (struct x_reg){_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)),
                          _mm256_srli_epi16(bytes, 8)};
}

static inline struct x_reg x_broadcast(const uint8_t *x)
{
    return split_u8(dword_broadcast(x));
}

static inline struct x_reg x_spread(const uint8_t *x, size_t stride, const uint16_t *index,
                                    const size_t rows)
{
    return split_u8(dword_spread(x, stride, index, rows));
}

static inline struct w_reg w_line(const uint8_t *line, size_t n)
{
    veci bytes = dword_line(line, n);
    return (struct w_reg){_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8),
                          _mm256_srai_epi16(bytes, 8)};
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
    veci even = _mm256_madd_epi16(x.even, w.even), odd = _mm256_madd_epi16(x.odd, w.odd);
    return veci_add(acc, veci_add(even, odd));
}

static inline void acc_store(int32_t *lanes, veci acc)
{
    veci_store(lanes, acc);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t,
                              const int32_t *sums)
{
    const struct lac_weight *w = a->w;
    veci acc = veci_add(veci_load(sums), veci_load(w->offset + out));
    vec scaled = vec_mul(vec_from_int(acc), vec_load(w->scale + out));
    return vec_fma(scaled, vec_set1(a->x_scale[t]), vec_load(w->bias + out));
}

#include "simd/template/linear_output.h"

LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_DENSE, LAC_S8, linear_output_dense_s8, output_dense)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_16, LAC_S8, linear_output_16x4_s8, output_16)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_8, LAC_S8, linear_output_8x4_s8, output_8)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_4, LAC_S8, linear_output_4x4_s8, output_4)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_1, LAC_S8, linear_output_1x4_s8, output_1)
