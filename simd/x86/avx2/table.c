/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/ops.h"
#include "simd/tables.h"

LAC_OPS_DECLARE(avx2)
LAC_ATTENTION_OPS_DECLARE(avx2)
LAC_ATTENTION_S8_OPS_DECLARE(avx2)
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, token, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx2, token, s8, )
extern const struct lac_kernel lac_linear_token_4x1_s8_avx2;
extern const struct lac_kernel lac_linear_token_bitmap_s8_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, token, 1, f32, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx2, token, f32, )
extern const struct lac_kernel lac_linear_token_bitmap_f32_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, output, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx2, output, s8, )
extern const struct lac_kernel lac_linear_output_4x1_s8_avx2;
extern const struct lac_kernel lac_linear_output_bitmap_s8_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, output, 1, f32, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx2, output, f32, )
extern const struct lac_kernel lac_linear_output_bitmap_f32_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, token, 2, bf16, )
extern const struct lac_kernel lac_linear_token_bitmap_bf16_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, output, 2, bf16, )
extern const struct lac_kernel lac_linear_output_bitmap_bf16_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, token, 2, f16, )
extern const struct lac_kernel lac_linear_token_bitmap_f16_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, output, 2, f16, )
extern const struct lac_kernel lac_linear_output_bitmap_f16_avx2;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, token, 8, s4, )
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx2, output, 8, s4, )
LAC_NEURON_OPS_DECLARE(avx2, s8)
LAC_NEURON_OPS_DECLARE(avx2, f32)

const struct lac_kernel *const lac_table_avx2[] = {
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, token, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx2, token, s8, )
    &lac_linear_token_4x1_s8_avx2,
    &lac_linear_token_bitmap_s8_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, token, 1, f32, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx2, token, f32, )
    &lac_linear_token_bitmap_f32_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, output, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx2, output, s8, )
    &lac_linear_output_4x1_s8_avx2,
    &lac_linear_output_bitmap_s8_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, output, 1, f32, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx2, output, f32, )
    &lac_linear_output_bitmap_f32_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, token, 2, bf16, )
    &lac_linear_token_bitmap_bf16_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, output, 2, bf16, )
    &lac_linear_output_bitmap_bf16_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, token, 2, f16, )
    &lac_linear_token_bitmap_f16_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, output, 2, f16, )
    &lac_linear_output_bitmap_f16_avx2,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, token, 8, s4, )
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx2, output, 8, s4, )
    LAC_OPS_LIST(avx2)
    LAC_ATTENTION_OPS_LIST(avx2)
    LAC_ATTENTION_S8_OPS_LIST(avx2)
    LAC_NEURON_OPS_LIST(avx2, s8)
    LAC_NEURON_OPS_LIST(avx2, f32)
    NULL,
};
