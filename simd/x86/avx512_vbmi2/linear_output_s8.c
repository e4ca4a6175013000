/* SPDX-License-Identifier: Apache-2.0 */
/* Output-lane int8 linear layers of bitmap weights on AVX-512 VNNI with VBMI2: vpexpandb. */
#include "simd/x86/avx512_vbmi2/expand.h"
#include "simd/x86/avx512_vnni/dot_s8.h"

#define expand(mask, values) expand_bytes_at_once(mask, values)

#include "simd/template/linear_output_s8.h"
