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
extern const struct lac_kernel *const lac_table_avx512_vbmi2[];
extern const struct lac_kernel *const lac_table_amx_int8[];
extern const struct lac_kernel *const lac_table_neon[];
extern const struct lac_kernel *const lac_table_neon_dotprod[];
extern const struct lac_kernel *const lac_table_neon_i8mm[];
/* src/ext/: one of each library that was found. */
extern const struct lac_kernel *const lac_table_onednn[];
extern const struct lac_kernel *const lac_table_libxsmm[];

/* X(isa, name, pattern, dtype, run) for each pattern but bitmap of weights of which v make a
 * dword: their token-lane or output-lane kernels. */
#define LAC_WIDE_KERNELS(X, isa, lane, v, suffix, dtype)                                           \
    X(isa, linear_##lane##_dense_##suffix, LAC_PATTERN_DENSE, dtype, lane##_dense)                 \
    X(isa, linear_##lane##_32x##v##_##suffix, LAC_PATTERN_32, dtype, lane##_32)                    \
    X(isa, linear_##lane##_16x##v##_##suffix, LAC_PATTERN_16, dtype, lane##_16)                    \
    X(isa, linear_##lane##_8x##v##_##suffix, LAC_PATTERN_8, dtype, lane##_8)                       \
    X(isa, linear_##lane##_4x##v##_##suffix, LAC_PATTERN_4, dtype, lane##_4)                       \
    X(isa, linear_##lane##_1x##v##_##suffix, LAC_PATTERN_1, dtype, lane##_1)

/* The same for tiles. */
#define LAC_TILE_KERNELS(X, isa, lane, suffix, dtype)                                              \
    X(isa, linear_##lane##_16x16_##suffix, LAC_PATTERN_TILE_16, dtype, lane##_16x16)               \
    X(isa, linear_##lane##_32x32_##suffix, LAC_PATTERN_TILE_32, dtype, lane##_32x32)

#define LAC_DECLARE_WIDE(isa, name, pattern, dtype, run)                                           \
    extern const struct lac_kernel lac_##name##_##isa;
#define LAC_LIST_WIDE(isa, name, pattern, dtype, run) &lac_##name##_##isa,

#endif
