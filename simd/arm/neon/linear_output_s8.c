/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers on plain NEON. */
#include "simd/arm/neon/dot_s8.h"

#define ISA       neon
#define ISA_NEEDS LAC_CPU_NEON

#include "simd/template/linear_output_s8.h"
