/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/tables.h"

extern const struct lac_kernel lac_linear_token_bitmap_s8_avx512_vbmi2;
extern const struct lac_kernel lac_linear_output_bitmap_s8_avx512_vbmi2;
extern const struct lac_kernel lac_linear_token_bitmap_bf16_avx512_vbmi2;
extern const struct lac_kernel lac_linear_output_bitmap_bf16_avx512_vbmi2;
extern const struct lac_kernel lac_linear_token_bitmap_f16_avx512_vbmi2;
extern const struct lac_kernel lac_linear_output_bitmap_f16_avx512_vbmi2;

const struct lac_kernel *const lac_table_avx512_vbmi2[] = {
    &lac_linear_token_bitmap_s8_avx512_vbmi2,
    &lac_linear_output_bitmap_s8_avx512_vbmi2,
    &lac_linear_token_bitmap_bf16_avx512_vbmi2,
    &lac_linear_output_bitmap_bf16_avx512_vbmi2,
    &lac_linear_token_bitmap_f16_avx512_vbmi2,
    &lac_linear_output_bitmap_f16_avx512_vbmi2,
    NULL,
};
