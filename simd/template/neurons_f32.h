/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in fp32, for any vector width.
 *
 * Before inclusion: lanes.h and spread.h of the instruction set, and
 *   ISA, ISA_NEEDS        the end of the kernels' names, and the features they need */
#include "simd/kernel.h"
#include "simd/ops.h"

#define ACC            vec
#define NEURON_ROWS    neuron_rows_f32
#define NEURON_COLUMNS neuron_columns_f32
#define ACC_SCALAR     float
#define ACC_LOAD       vec_load
#define COLUMN_BYTES   4
#define COLUMN_OUTPUTS 16

struct x_reg {
    vec floats;
};

struct w_reg {
    vec floats;
};

static inline struct x_reg x_of(veci dwords)
{
    return (struct x_reg){vec_from_bits(dwords)};
}

static inline struct w_reg w_of(veci dwords)
{
    return (struct w_reg){vec_from_bits(dwords)};
}

static inline vec acc_zero(void)
{
    return vec_set1(0);
}

static inline vec acc_dot(vec acc, struct x_reg x, struct w_reg w)
{
    return vec_fma(x.floats, w.floats, acc);
}

static inline vec finish_sums(const struct lac_linear_args *a, size_t out, size_t t, vec sum)
{
    (void)t;
    return vec_add(sum, vec_load(a->w->bias + out));
}

static inline void store_rows(const struct lac_linear_args *a, size_t out, vec acc, float *to)
{
    (void)a, (void)out;
    vec_store(to, acc);
}

static inline void store_columns(const struct lac_linear_args *a, size_t t, const vec *acc,
                                 size_t n, float *to)
{
    (void)a, (void)t;
    for (size_t o = 0; o < n; o += VEC_LANES)
        vec_store(to + o, acc[o / VEC_LANES]);
}

/* `some` columns, one after another. */
static inline __attribute__((always_inline)) void
add_some_columns(const struct lac_linear_args *a, const uint8_t *const *columns,
                 const uint8_t *const *ahead, size_t at, size_t t, vec *acc, size_t n,
                 const size_t step, const size_t tokens, const size_t some)
{
    const float *x = (const float *)a->x + at * a->ld + t;
    for (size_t o = 0; o < n; o += VEC_LANES) {
        vec w[4];
#pragma GCC unroll 4
        for (size_t k = 0; k < some; k++) {
            w[k] = vec_load((const float *)(const void *)columns[k] + o);
            __builtin_prefetch(ahead[k] + o * 4);
        }
#pragma GCC unroll 4
        for (size_t i = 0; i < tokens; i++) {
            vec *sum = &acc[i * step + o / VEC_LANES], all = *sum;
#pragma GCC unroll 4
            for (size_t k = 0; k < some; k++)
                all = vec_fma(w[k], vec_set1(x[k * a->ld + i]), all);
            *sum = all;
        }
    }
}

static inline __attribute__((always_inline)) void
add_columns(const struct lac_linear_args *a, const uint8_t *const *columns, size_t at, size_t t,
            vec *acc, size_t n, const size_t step, const size_t tokens)
{
    if (at + 4 <= a->w->n_in) {
        add_some_columns(a, columns, columns + 4, at, t, acc, n, step, tokens, 4);
        return;
    }
    for (size_t k = 0; at + k < a->w->n_in; k++)
        add_some_columns(a, columns + k, columns + k, at + k, t, acc, n, step, tokens, 1);
}

#include "simd/template/neurons.h"

LAC_NEURON_OPS_DEFINE(f32, LAC_F32)
