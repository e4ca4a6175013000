/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but linear layers and attention in AVX2. */
#include "simd/x86/avx2/math.h"

#include "simd/ops.h"
#include "simd/template/norm.h"
#include "simd/template/panel.h"
#include "simd/template/quantize.h"
#include "simd/template/rope.h"
#include "simd/template/softmax.h"

LAC_OPS_DEFINE(avx2, LAC_CPU_AVX2)
