/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of each folder, ending with NULL: each is the table.c of its folder. */
#ifndef LACUNA_SIMD_TABLES_H
#define LACUNA_SIMD_TABLES_H

#include "simd/kernel.h"

extern const struct lac_kernel *const lac_table_scalar[];
extern const struct lac_kernel *const lac_table_avx2[];
extern const struct lac_kernel *const lac_table_avx_vnni[];
extern const struct lac_kernel *const lac_table_avx512[];
extern const struct lac_kernel *const lac_table_avx512_vnni[];
extern const struct lac_kernel *const lac_table_amx_int8[];

#endif
