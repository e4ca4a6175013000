/* SPDX-License-Identifier: Apache-2.0 */
/* From fp32 weights to elements of fewer bits. */
#include <math.h>
#include <stdbool.h>

#include "sparse/layout.h"
#include "src/base/half.h"

enum lac_status lac_weight_quantize(const float *w, size_t n_out, size_t n_in, int8_t *elements,
                                    float *scale, struct lac_error *error)
{
    for (size_t out = 0; out < n_out; out++) {
        const float *row = w + out * n_in;
        float most = 0;
        for (size_t i = 0; i < n_in; i++) {
            float magnitude = fabsf(row[i]);
            if (!isfinite(magnitude))
                return lac_fail(error, LAC_E_FORMAT, "weight [%zu, %zu] is %g", out, i,
                                (double)row[i]);
            most = magnitude > most ? magnitude : most;
        }
        /* Below this the scale would be subnormal and its inverse infinite. */
        bool tiny = most < 0x1p-100f;
        scale[out] = tiny ? 1.0f : most / 127.0f;
        for (size_t i = 0; i < n_in; i++)
            elements[out * n_in + i] = tiny ? 0 : (int8_t)lrintf(row[i] / scale[out]);
    }
    return LAC_OK;
}

enum lac_status lac_weight_halve(const float *w, size_t n_out, size_t n_in, enum lac_dtype dtype,
                                 uint16_t *elements, struct lac_error *error)
{
    const uint16_t infinite = dtype == LAC_BF16 ? 0x7f80 : 0x7c00;
    for (size_t i = 0; i < n_out * n_in; i++) {
        elements[i] = dtype == LAC_BF16 ? lac_bf16_from_f32(w[i]) : lac_f16_from_f32(w[i]);
        if ((elements[i] & infinite) == infinite)
            return lac_fail(error, LAC_E_FORMAT, "weight [%zu, %zu] is %g, not a number in %s",
                            i / n_in, i % n_in, (double)w[i], lac_dtype_name(dtype));
    }
    return LAC_OK;
}
