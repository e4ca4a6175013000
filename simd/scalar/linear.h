/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the scalar linear kernels: every pattern in every number format it can hold. */
#ifndef LACUNA_SIMD_SCALAR_LINEAR_H
#define LACUNA_SIMD_SCALAR_LINEAR_H

/* X(name, op, pattern, dtype, run) for each pattern; v inputs a dword. */
#define LAC_LINEAR_PATTERNS(X, op, lane, run, v, suffix, dtype)                                    \
    X(linear_##lane##_dense_##suffix, op, LAC_PATTERN_DENSE, dtype, run)                           \
    X(linear_##lane##_32x##v##_##suffix, op, LAC_PATTERN_32, dtype, run)                           \
    X(linear_##lane##_16x##v##_##suffix, op, LAC_PATTERN_16, dtype, run)                           \
    X(linear_##lane##_8x##v##_##suffix, op, LAC_PATTERN_8, dtype, run)                             \
    X(linear_##lane##_4x##v##_##suffix, op, LAC_PATTERN_4, dtype, run)                             \
    X(linear_##lane##_1x##v##_##suffix, op, LAC_PATTERN_1, dtype, run)

#define LAC_LINEAR_TILES(X, op, lane, run, suffix, dtype)                                          \
    X(linear_##lane##_16x16_##suffix, op, LAC_PATTERN_TILE_16, dtype, run)                         \
    X(linear_##lane##_32x32_##suffix, op, LAC_PATTERN_TILE_32, dtype, run)

#define LAC_LINEAR_KERNELS(X, op, lane, run)                                                       \
    LAC_LINEAR_PATTERNS(X, op, lane, run, 4, s8, LAC_S8)                                           \
    LAC_LINEAR_PATTERNS(X, op, lane, run, 1, f32, LAC_F32)                                         \
    LAC_LINEAR_PATTERNS(X, op, lane, run, 2, bf16, LAC_BF16)                                       \
    LAC_LINEAR_PATTERNS(X, op, lane, run, 2, f16, LAC_F16)                                         \
    LAC_LINEAR_PATTERNS(X, op, lane, run, 8, s4, LAC_S4)                                           \
    LAC_LINEAR_TILES(X, op, lane, run, s8, LAC_S8)                                                 \
    LAC_LINEAR_TILES(X, op, lane, run, f32, LAC_F32)                                               \
    X(linear_##lane##_4x1_s8, op, LAC_PATTERN_4X1, LAC_S8, run)                                    \
    X(linear_##lane##_bitmap_s8, op, LAC_PATTERN_BITMAP, LAC_S8, run)                              \
    X(linear_##lane##_bitmap_f32, op, LAC_PATTERN_BITMAP, LAC_F32, run)                            \
    X(linear_##lane##_bitmap_bf16, op, LAC_PATTERN_BITMAP, LAC_BF16, run)                          \
    X(linear_##lane##_bitmap_f16, op, LAC_PATTERN_BITMAP, LAC_F16, run)

#define LAC_DECLARE_LINEAR(name, op, pattern, dtype, run)                                          \
    extern const struct lac_kernel lac_##name##_scalar;

#endif
