/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on NEON with dot products. */
#include "simd/arm/neon/lanes.h"

#include "simd/arm/neon/spread.h"
#include "simd/arm/neon_dotprod/dot.h"
#include "simd/kernel.h"
#include "simd/template/kernels.h"

#define ISA        neon_dotprod
#define ISA_NEEDS  (LAC_CPU_NEON | LAC_CPU_DOTPROD)
#define ACC        veci
#define ACC_SCALAR int32_t
#define ACC_LOAD   veci_load
#define ACC_STORE  veci_store
#define MOST_ACCS  24
/* Sums of a token may be split as we like: integers add up exactly.  8 in flight. */
#define SETS(n) ((n) < 8 ? 8 / (n) : 1)

struct x_reg {
    int8x16_t bytes;
};

struct w_reg {
    int8x16_t bytes;
};

static inline struct x_reg x_broadcast(const uint8_t *x)
{
    return (struct x_reg){dot_x(dword_broadcast(x))};
}

static inline struct x_reg x_spread(const uint8_t *const *dwords, size_t offset, const size_t rows)
{
    return (struct x_reg){dot_x(dword_spread(dwords, offset, rows))};
}

static inline struct x_reg x_gather(const uint8_t *x, size_t stride, const uint16_t *index)
{
    return (struct x_reg){dot_x(dword_gather(x, stride, index))};
}

static inline struct w_reg w_of(veci dwords)
{
    return (struct w_reg){vreinterpretq_s8_s32(dwords)};
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
    return dot_lanes(acc, x.bytes, w.bytes);
}

static inline void acc_fold(int32_t *sums, veci acc, const size_t rows)
{
    fold_ints(sums, acc, rows);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t, veci sum)
{
    const struct lac_weight *w = a->w;
    vec scaled = vec_mul(vec_from_int(sum), vec_load(w->scale + out));
    return vec_fma(scaled, vec_set1(a->x_scale[t]), vec_load(w->bias + out));
}

#define ELEMENT_BYTES        1
#define expand(mask, values) expand_bytes(mask, values)

#include "simd/template/linear_output.h"

LAC_WIDE_KERNELS(WIDE_OUTPUT_KERNEL, neon_dotprod, output, 4, s8, LAC_S8)
LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_BITMAP, LAC_S8, linear_output_bitmap_s8,
              output_bitmap)
