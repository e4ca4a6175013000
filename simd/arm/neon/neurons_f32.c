/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in fp32 on NEON. */
#include "simd/arm/neon/lanes.h"
#include "simd/arm/neon/spread.h"

#define ISA       neon
#define ISA_NEEDS LAC_CPU_NEON

#include "simd/template/neurons_f32.h"
