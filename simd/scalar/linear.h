/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the scalar linear kernels: every pattern in every number format. */
#ifndef LACUNA_SIMD_SCALAR_LINEAR_H
#define LACUNA_SIMD_SCALAR_LINEAR_H

/* X(name, op, pattern, dtype, run) for each. */
#define LAC_LINEAR_KERNELS(X, op, lane, run)                                                       \
    X(linear_##lane##_dense_s8, op, LAC_PATTERN_DENSE, LAC_S8, run)                                \
    X(linear_##lane##_16x4_s8, op, LAC_PATTERN_16, LAC_S8, run)                                    \
    X(linear_##lane##_8x4_s8, op, LAC_PATTERN_8, LAC_S8, run)                                      \
    X(linear_##lane##_4x4_s8, op, LAC_PATTERN_4, LAC_S8, run)                                      \
    X(linear_##lane##_1x4_s8, op, LAC_PATTERN_1, LAC_S8, run)                                      \
    X(linear_##lane##_dense_f32, op, LAC_PATTERN_DENSE, LAC_F32, run)                              \
    X(linear_##lane##_16x1_f32, op, LAC_PATTERN_16, LAC_F32, run)                                  \
    X(linear_##lane##_8x1_f32, op, LAC_PATTERN_8, LAC_F32, run)                                    \
    X(linear_##lane##_4x1_f32, op, LAC_PATTERN_4, LAC_F32, run)                                    \
    X(linear_##lane##_1x1_f32, op, LAC_PATTERN_1, LAC_F32, run)

#define LAC_DECLARE_LINEAR(name, op, pattern, dtype, run)                                          \
    extern const struct lac_kernel lac_##name##_scalar;

#endif
