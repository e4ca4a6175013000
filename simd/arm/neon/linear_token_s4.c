/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane int4 linear layers on plain NEON: widened to int8. */
#include "simd/arm/neon/wide.h"
#include "simd/arm/neon/dot_s8.h"

#define ISA         neon
#define ISA_NEEDS   LAC_CPU_NEON
#define WIDE_GROUPS 1

#define wide_line(line, factors) wide_s4(line, factors)

#include "simd/template/linear_token_s8.h"
