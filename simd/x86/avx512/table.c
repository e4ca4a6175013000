/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/ops.h"
#include "simd/tables.h"

LAC_OPS_DECLARE(avx512)
LAC_ATTENTION_OPS_DECLARE(avx512)
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, token, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx512, token, s8, )
extern const struct lac_kernel lac_linear_token_4x1_s8_avx512;
extern const struct lac_kernel lac_linear_token_bitmap_s8_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, output, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx512, output, s8, )
extern const struct lac_kernel lac_linear_output_4x1_s8_avx512;
extern const struct lac_kernel lac_linear_output_bitmap_s8_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, token, 1, f32, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx512, token, f32, )
extern const struct lac_kernel lac_linear_token_bitmap_f32_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, output, 1, f32, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx512, output, f32, )
extern const struct lac_kernel lac_linear_output_bitmap_f32_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, token, 2, bf16, )
extern const struct lac_kernel lac_linear_token_bitmap_bf16_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, output, 2, bf16, )
extern const struct lac_kernel lac_linear_output_bitmap_bf16_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, token, 2, f16, )
extern const struct lac_kernel lac_linear_token_bitmap_f16_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, output, 2, f16, )
extern const struct lac_kernel lac_linear_output_bitmap_f16_avx512;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, token, 8, s4, )
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512, output, 8, s4, )
LAC_NEURON_OPS_DECLARE(avx512, s8)
LAC_NEURON_OPS_DECLARE(avx512, f32)

const struct lac_kernel *const lac_table_avx512[] = {
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, token, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx512, token, s8, )
    &lac_linear_token_4x1_s8_avx512,
    &lac_linear_token_bitmap_s8_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, output, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx512, output, s8, )
    &lac_linear_output_4x1_s8_avx512,
    &lac_linear_output_bitmap_s8_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, token, 1, f32, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx512, token, f32, )
    &lac_linear_token_bitmap_f32_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, output, 1, f32, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx512, output, f32, )
    &lac_linear_output_bitmap_f32_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, token, 2, bf16, )
    &lac_linear_token_bitmap_bf16_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, output, 2, bf16, )
    &lac_linear_output_bitmap_bf16_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, token, 2, f16, )
    &lac_linear_token_bitmap_f16_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, output, 2, f16, )
    &lac_linear_output_bitmap_f16_avx512,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, token, 8, s4, )
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512, output, 8, s4, )
    LAC_OPS_LIST(avx512)
    LAC_ATTENTION_OPS_LIST(avx512)
    LAC_NEURON_OPS_LIST(avx512, s8)
    LAC_NEURON_OPS_LIST(avx512, f32)
    NULL,
};
