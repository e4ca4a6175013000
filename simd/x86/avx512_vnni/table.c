/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/ops.h"
#include "simd/tables.h"

LAC_ATTENTION_S8_OPS_DECLARE(avx512_vnni)
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512_vnni, token, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx512_vnni, token, s8, )
extern const struct lac_kernel lac_linear_token_4x1_s8_avx512_vnni;
extern const struct lac_kernel lac_linear_token_bitmap_s8_avx512_vnni;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512_vnni, output, 4, s8, )
LAC_TILE_KERNELS(LAC_DECLARE_WIDE, avx512_vnni, output, s8, )
extern const struct lac_kernel lac_linear_output_4x1_s8_avx512_vnni;
extern const struct lac_kernel lac_linear_output_bitmap_s8_avx512_vnni;
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512_vnni, token, 8, s4, )
LAC_WIDE_KERNELS(LAC_DECLARE_WIDE, avx512_vnni, output, 8, s4, )
LAC_NEURON_OPS_DECLARE(avx512_vnni, s8)

const struct lac_kernel *const lac_table_avx512_vnni[] = {
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512_vnni, token, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx512_vnni, token, s8, )
    &lac_linear_token_4x1_s8_avx512_vnni,
    &lac_linear_token_bitmap_s8_avx512_vnni,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512_vnni, output, 4, s8, )
    LAC_TILE_KERNELS(LAC_LIST_WIDE, avx512_vnni, output, s8, )
    &lac_linear_output_4x1_s8_avx512_vnni,
    &lac_linear_output_bitmap_s8_avx512_vnni,
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512_vnni, token, 8, s4, )
    LAC_WIDE_KERNELS(LAC_LIST_WIDE, avx512_vnni, output, 8, s4, )
    LAC_ATTENTION_S8_OPS_LIST(avx512_vnni)
    LAC_NEURON_OPS_LIST(avx512_vnni, s8)
    NULL,
};
