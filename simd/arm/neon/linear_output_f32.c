/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane fp32 linear layers on NEON. */
#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"

#define ISA       neon
#define ISA_NEEDS LAC_CPU_NEON

#include "simd/template/linear_output_f32.h"
