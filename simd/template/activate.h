/* SPDX-License-Identifier: Apache-2.0 */
/* The activation functions of the linear layer's epilogue, on the vectors of the instruction set
 * whose math.h was included before. */
#ifndef LACUNA_SIMD_TEMPLATE_ACTIVATE_H
#define LACUNA_SIMD_TEMPLATE_ACTIVATE_H

#include "simd/kernel.h"

/* In place.  Not inlined: one call serves a whole register tile. */
static __attribute__((noinline)) void activate(enum lac_activation activation, vec *values,
                                               size_t n)
{
    switch (activation) {
    case LAC_ACT_RELU:
        for (size_t i = 0; i < n; i++)
            values[i] = vec_max(values[i], vec_set1(0));
        break;
    case LAC_ACT_GELU:
        for (size_t i = 0; i < n; i++)
            values[i] = vec_gelu(values[i]);
        break;
    case LAC_ACT_GELU_TANH:
        for (size_t i = 0; i < n; i++)
            values[i] = vec_gelu_tanh(values[i]);
        break;
    case LAC_ACT_TANH:
        for (size_t i = 0; i < n; i++)
            values[i] = vec_tanh(values[i]);
        break;
    case LAC_ACT_SILU:
        for (size_t i = 0; i < n; i++)
            values[i] = vec_silu(values[i]);
        break;
    case LAC_ACT_NONE:
    case LAC_N_ACTIVATIONS:
        break;
    }
}

#endif
