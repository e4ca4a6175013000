/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/ops.h"
#include "simd/tables.h"

LAC_ATTENTION_S8_OPS_DECLARE(neon_dotprod)
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon_dotprod, token, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, neon_dotprod, token, s8, )
extern const struct lac_kernel lac_linear_token_4x1_s8_neon_dotprod;
extern const struct lac_kernel lac_linear_token_bitmap_s8_neon_dotprod;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon_dotprod, output, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, neon_dotprod, output, s8, )
extern const struct lac_kernel lac_linear_output_4x1_s8_neon_dotprod;
extern const struct lac_kernel lac_linear_output_bitmap_s8_neon_dotprod;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon_dotprod, token, 8, s4, )
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, neon_dotprod, output, 8, s4, )
LAC_NEURON_OPS_DECLARE(neon_dotprod, s8)

const struct lac_kernel *const lac_table_neon_dotprod[] = {
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon_dotprod, token, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, neon_dotprod, token, s8, )
    &lac_linear_token_4x1_s8_neon_dotprod,
    &lac_linear_token_bitmap_s8_neon_dotprod,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon_dotprod, output, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, neon_dotprod, output, s8, )
    &lac_linear_output_4x1_s8_neon_dotprod,
    &lac_linear_output_bitmap_s8_neon_dotprod,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon_dotprod, token, 8, s4, )
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, neon_dotprod, output, 8, s4, )
    LAC_ATTENTION_S8_OPS_LIST(neon_dotprod)
    LAC_NEURON_OPS_LIST(neon_dotprod, s8)
    NULL,
};
