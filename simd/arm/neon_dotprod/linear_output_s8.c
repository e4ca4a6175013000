/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on NEON with dot products. */
#include "simd/arm/neon_dotprod/dot_s8.h"

#define ISA       neon_dotprod
#define ISA_NEEDS (LAC_CPU_NEON | LAC_CPU_DOTPROD)

#include "simd/template/linear_output_s8.h"
