/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of one instruction set's math.h on arrays: built once for each, with
 *   PROBE_NAME  name of the exported function
 *   PROBE_MATH  the header */
#include PROBE_MATH

#include "tests/math_probe.h"

static void each(vec (*function)(vec), const float *x, float *y, size_t n)
{
    for (size_t i = 0; i + sizeof(vec) / 4 <= n; i += sizeof(vec) / 4) {
        vec v;
        memcpy(&v, x + i, sizeof v);
        v = function(v);
        memcpy(y + i, &v, sizeof v);
    }
}

void PROBE_NAME(enum math_function function, const float *x, float *y, size_t n)
{
    static vec (*const functions[])(vec) = {
        [MATH_EXP] = vec_exp,
        [MATH_EXP_WEIGHT] = vec_exp_weight,
        [MATH_EXP2_WEIGHT] = vec_exp2_weight,
        [MATH_GELU] = vec_gelu,
        [MATH_GELU_TANH] = vec_gelu_tanh,
        [MATH_TANH] = vec_tanh,
        [MATH_SILU] = vec_silu,
    };
    each(functions[function], x, y, n);
}
