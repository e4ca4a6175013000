/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane linear layers of bf16 bitmaps on AVX-512 with VBMI2: vpexpandw. */
#include "simd/x86/avx512/wide.h"
#include "simd/x86/avx512_vbmi2/expand.h"

#define WIDE_GROUPS 0

#define wide_line(line, factors) ((void)(factors), wide_bf16(line))
#define expand(mask, values)     expand_words_at_once(mask, values)

#include "simd/template/linear_output_f32.h"

LINEAR_KERNEL(LAC_OP_LINEAR_OUTPUT, LAC_PATTERN_BITMAP, LAC_BF16, linear_output_bitmap_bf16,
              output_bitmap)
