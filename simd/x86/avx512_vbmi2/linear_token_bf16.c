/* SPDX-License-Identifier: Apache-2.0 */
/* Token-lane linear layers of bf16 bitmaps on AVX-512 with VBMI2: vpexpandw. */
#include "simd/x86/avx512/wide.h"
#include "simd/x86/avx512_vbmi2/expand.h"

#define TILE_VECS   3
#define TILE_ROWS   8
#define WIDE_GROUPS 0

#define wide_line(line, factors) ((void)(factors), wide_bf16(line))
#define expand(mask, values)     expand_words_at_once(mask, values)

#include "simd/template/linear_token_f32.h"

LINEAR_KERNEL(LAC_OP_LINEAR_TOKEN, LAC_PATTERN_BITMAP, LAC_BF16, linear_token_bitmap_bf16,
              token_bitmap)
