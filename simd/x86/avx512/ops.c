/* SPDX-License-Identifier: Apache-2.0 */
/* Everything but linear layers in AVX-512. */
#include "simd/x86/avx512/math.h"

/* 24 sums, 3 queries and a broadcast key leave 4 of 32 registers; with fewer queries at least
 * the 8 sums that keep two multiply-adds of latency 4 busy, and room to spare. */
#define ATTENTION_VECS         3
#define ATTENTION_ROWS(n_vecs) ((n_vecs) == 3 ? 8 : (n_vecs) == 2 ? 12 : 16)

#include "simd/template/attention.h"
#include "simd/template/norm.h"
#include "simd/ops.h"
#include "simd/template/panel.h"
#include "simd/template/quantize.h"
#include "simd/template/softmax.h"

static void attend_16(const struct lac_attention_args *a)
{
    attend(a, 0, 1);
}

static void attend_32(const struct lac_attention_args *a)
{
    attend(a, 0, 2);
}

static void attend_48(const struct lac_attention_args *a)
{
    attend(a, 0, 3);
}

static void attention(const struct lac_attention_args *a)
{
    (a->n_lanes == 48 ? attend_48 : a->n_lanes == 32 ? attend_32 : attend_16)(a);
}

LAC_OPS_DEFINE(avx512, LAC_CPU_AVX512)
