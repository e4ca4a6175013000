/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but linear layers in AVX2. */
#include "simd/x86/avx2/math.h"

/* 12 sums, 2 queries and a broadcast key of 16 registers. */
#define ATTENTION_VECS         2
#define ATTENTION_ROWS(n_vecs) 6

#include "simd/template/attention.h"
#include "simd/template/norm.h"
#include "simd/ops.h"
#include "simd/template/panel.h"
#include "simd/template/quantize.h"
#include "simd/template/softmax.h"

static void attention(const struct lac_attention_args *a)
{
    for (size_t lane = 0; lane < a->n_lanes; lane += LAC_LANES)
        attend(a, lane, 2);
}

LAC_OPS_DEFINE(avx2, LAC_CPU_AVX2)
