/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int4 linear layers on NEON with dot products: widened to int8. */
#include "simd/arm/neon/wide.h"
#include "simd/arm/neon_dotprod/dot_s8.h"

#define ISA         neon_dotprod
#define ISA_NEEDS   (LAC_CPU_NEON | LAC_CPU_DOTPROD)
#define WIDE_GROUPS 1

#define wide_line(line, factors) wide_s4(line, factors)

#include "simd/template/linear_token_s8.h"
