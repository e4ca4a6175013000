/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/tables.h"

extern const struct lac_kernel lac_linear_token_dense_s8_neon_i8mm;
extern const struct lac_kernel lac_linear_token_32x4_s8_neon_i8mm;
extern const struct lac_kernel lac_linear_token_16x4_s8_neon_i8mm;
extern const struct lac_kernel lac_linear_token_8x4_s8_neon_i8mm;
extern const struct lac_kernel lac_linear_token_4x4_s8_neon_i8mm;

const struct lac_kernel *const lac_table_neon_i8mm[] = {
    &lac_linear_token_dense_s8_neon_i8mm,
    &lac_linear_token_32x4_s8_neon_i8mm,
    &lac_linear_token_16x4_s8_neon_i8mm,
    &lac_linear_token_8x4_s8_neon_i8mm,
    &lac_linear_token_4x4_s8_neon_i8mm,
    NULL,
};
