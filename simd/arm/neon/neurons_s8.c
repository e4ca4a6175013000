/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons in int8 on NEON. */
#include "simd/arm/neon/dot_s8.h"
#include "simd/arm/neon/interleave.h"

#define ISA       neon
#define ISA_NEEDS LAC_CPU_NEON

#include "simd/template/neurons_s8.h"
