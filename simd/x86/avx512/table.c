/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of this folder. */
#include "simd/tables.h"

const struct lac_kernel *const lac_table_avx512[] = {
    NULL,
};
