/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8, for any vector width.
 *
 * Columns are kept as u8 = w + 128, so that they take the place of the activations in the products,
 * and the activations, made s8 again, that of the weights: where products are of u8 by s8, a sum is
 * then too large by 128 times the sum of a token's activations, whatever neurons are listed.  The
 * bytes of four columns are interleaved on the way.
 *
 * Before inclusion: lanes.h, spread.h and interleave.h of the instruction set, its dot_s8.h, and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need */
#include <string.h>

#include "simd/kernel.h"
#include "simd/ops.h"

#define NEURON_ROWS    neuron_rows_s8
#define NEURON_COLUMNS neuron_columns_s8
#define ACC_SCALAR     int32_t
#define ACC_LOAD       veci_load
#define COLUMN_BYTES   1
#define COLUMN_OUTPUTS VEC_BYTES

static inline ACC acc_dot(ACC acc, struct x_reg x, struct w_reg w)
{
    return dot(acc, x, w);
}

/* The sum is whole. */
static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t, veci sum)
{
    vec scaled = vec_mul(vec_from_int(sum), vec_load(a->w->scale + out));
    return vec_fma(scaled, vec_set1(a->x_scale[t]), vec_load(a->w->bias + out));
}

static inline void store_rows(const struct lac_linear_args *a, size_t out, ACC acc, int32_t *to)
{
    veci sums = acc_sums(acc);
    veci_store(to, X_IS_SIGNED ? sums : veci_add(sums, veci_load(a->w->offset + out)));
}

/* Four activations of a token, s8. */
static inline uint32_t signed_dword(const struct lac_linear_args *a, size_t at, size_t t)
{
    uint32_t dword;
    memcpy(&dword, (const uint8_t *)a->x + (at / 4 * a->ld + t) * 4, sizeof dword);
    return dword ^ 0x80808080u;
}

/* Vector k of the four that come of a vector of bytes has outputs 16 g + 4 k to 16 g + 4 k + 3 in
 * its group g of four lanes. */
static inline void store_columns(const struct lac_linear_args *a, size_t t, const ACC *acc,
                                 size_t n, int32_t *to)
{
    uint32_t sum = 0;
    for (size_t at = 0; at < a->w->n_in && !X_IS_SIGNED; at += 4)
        for (uint32_t four = signed_dword(a, at, t), k = 0; k < 4; k++)
            sum += (uint32_t)(int32_t)(int8_t)(four >> 8 * k);
    const veci too_much = veci_set1((int32_t)(0u - 128 * sum));
    for (size_t o = 0; o < n; o += VEC_BYTES)
        for (size_t k = 0; k < 4; k++) {
            int32_t lanes[VEC_LANES];
            veci_store(lanes, veci_add(acc_sums(acc[o / VEC_LANES + k]), too_much));
            for (size_t g = 0; g < VEC_LANES / 4; g++)
                memcpy(to + o + 16 * g + 4 * k, lanes + 4 * g, 4 * sizeof *lanes);
        }
}

static inline __attribute__((always_inline)) void
add_columns(const struct lac_linear_args *a, const uint8_t *const *columns, size_t at, size_t t,
            ACC *acc, size_t n, const size_t step, const size_t tokens)
{
    struct w_reg w[4];
#pragma GCC unroll 4
    for (size_t i = 0; i < tokens; i++)
        w[i] = w_of(veci_set1((int32_t)signed_dword(a, at, t + i)));
    for (size_t o = 0; o < n; o += VEC_BYTES) {
        veci four[4];
        interleave_bytes(columns, o, four);
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++)
            __builtin_prefetch(columns[4 + k] + o);
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) {
            struct x_reg x = x_of(four[k]);
#pragma GCC unroll 4
            for (size_t i = 0; i < tokens; i++) {
                ACC *sum = &acc[i * step + o / VEC_LANES + k];
                *sum = acc_dot(*sum, x, w[i]);
            }
        }
    }
}

#include "simd/template/neurons.h"

LAC_NEURON_OPS_DEFINE(s8, LAC_S8)
