/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but linear layers and attention in NEON. */
#include "simd/arm/neon/math.h"

#include "simd/ops.h"
#include "simd/template/norm.h"
#include "simd/template/panel.h"
#include "simd/template/quantize.h"
#include "simd/template/rope.h"
#include "simd/template/softmax.h"

LAC_OPS_DEFINE(neon, LAC_CPU_NEON)
