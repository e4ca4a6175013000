/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/tables.h"

extern const struct lac_kernel lac_linear_token_dense_s8_amx_int8;
extern const struct lac_kernel lac_linear_token_16x4_s8_amx_int8;

const struct lac_kernel *const lac_table_amx_int8[] = {
    &lac_linear_token_dense_s8_amx_int8,
    &lac_linear_token_16x4_s8_amx_int8,
    NULL,
};
