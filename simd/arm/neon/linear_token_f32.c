/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane fp32 linear layers on NEON. */
#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"
#include "simd/arm/neon/tile.h"

#define ISA       neon
#define ISA_NEEDS LAC_CPU_NEON

#include "simd/template/linear_token_f32.h"
