/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/ops.h"
#include "simd/tables.h"

LAC_OPS_DECLARE(neon)
LAC_ATTENTION_OPS_DECLARE(neon)
LAC_ATTENTION_S8_OPS_DECLARE(neon)
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, token, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, neon, token, s8, )
extern const struct lac_kernel lac_linear_token_4x1_s8_neon;
extern const struct lac_kernel lac_linear_token_bitmap_s8_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, output, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, neon, output, s8, )
extern const struct lac_kernel lac_linear_output_4x1_s8_neon;
extern const struct lac_kernel lac_linear_output_bitmap_s8_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, token, 1, f32, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, neon, token, f32, )
extern const struct lac_kernel lac_linear_token_bitmap_f32_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, output, 1, f32, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, neon, output, f32, )
extern const struct lac_kernel lac_linear_output_bitmap_f32_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, token, 2, bf16, )
extern const struct lac_kernel lac_linear_token_bitmap_bf16_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, output, 2, bf16, )
extern const struct lac_kernel lac_linear_output_bitmap_bf16_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, token, 2, f16, )
extern const struct lac_kernel lac_linear_token_bitmap_f16_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, output, 2, f16, )
extern const struct lac_kernel lac_linear_output_bitmap_f16_neon;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, token, 8, s4, )
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon, output, 8, s4, )
LAC_NEURON_OPS_DECLARE(neon, s8)
LAC_NEURON_OPS_DECLARE(neon, f32)

const struct lac_kernel *const lac_table_neon[] = {
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, token, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, neon, token, s8, )
    &lac_linear_token_4x1_s8_neon,
    &lac_linear_token_bitmap_s8_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, output, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, neon, output, s8, )
    &lac_linear_output_4x1_s8_neon,
    &lac_linear_output_bitmap_s8_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, token, 1, f32, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, neon, token, f32, )
    &lac_linear_token_bitmap_f32_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, output, 1, f32, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, neon, output, f32, )
    &lac_linear_output_bitmap_f32_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, token, 2, bf16, )
    &lac_linear_token_bitmap_bf16_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, output, 2, bf16, )
    &lac_linear_output_bitmap_bf16_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, token, 2, f16, )
    &lac_linear_token_bitmap_f16_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, output, 2, f16, )
    &lac_linear_output_bitmap_f16_neon,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, token, 8, s4, )
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon, output, 8, s4, )
    LAC_OPS_LIST(neon)
    LAC_ATTENTION_OPS_LIST(neon)
    LAC_ATTENTION_S8_OPS_LIST(neon)
    LAC_NEURON_OPS_LIST(neon, s8)
    LAC_NEURON_OPS_LIST(neon, f32)
    NULL,
};
