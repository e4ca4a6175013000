/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8 on NEON with dot products. */
#include "simd/arm/neon_dotprod/dot_s8.h"
#include "simd/arm/neon/interleave.h"

#define ISA       neon_dotprod
#define ISA_NEEDS (LAC_CPU_NEON | LAC_CPU_DOTPROD)

#include "simd/template/neurons_s8.h"
