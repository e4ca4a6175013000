/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/scalar/linear.h"
#include "simd/ops.h"
#include "simd/tables.h"

LAC_OPS_DECLARE(scalar)
LAC_ATTENTION_OPS_DECLARE(scalar)
LAC_ATTENTION_S8_OPS_DECLARE(scalar)
LAC_LINEAR_KERNELS(LAC_DECLARE_LINEAR, , token, )
LAC_LINEAR_KERNELS(LAC_DECLARE_LINEAR, , output, )
LAC_NEURON_OPS_DECLARE(scalar, s8)
LAC_NEURON_OPS_DECLARE(scalar, f32)

#define LIST_LINEAR(name, op, pattern, dtype, run) &lac_##name##_scalar,

const struct lac_kernel *const lac_table_scalar[] = {
    LAC_LINEAR_KERNELS(LIST_LINEAR, , token, ) LAC_LINEAR_KERNELS(LIST_LINEAR, , output, )
        LAC_OPS_LIST(scalar) LAC_ATTENTION_OPS_LIST(scalar) LAC_ATTENTION_S8_OPS_LIST(scalar)
            LAC_NEURON_OPS_LIST(scalar, s8) LAC_NEURON_OPS_LIST(scalar, f32) NULL,
};
