/* SPDX-License-Identifier: Apache-2.0 */
/* The two 16-bit floating-point formats, to and from fp32. */
#ifndef LACUNA_BASE_HALF_H
#define LACUNA_BASE_HALF_H

#include <stdint.h>

/* binary16 (IEEE 754-2008).  Widening is exact, infinities, denormals and the payloads of NaNs
 * included; narrowing rounds to nearest even, and to infinity from 65,520 on. */
float lac_f16_to_f32(uint16_t half);
uint16_t lac_f16_from_f32(float value);

/* bfloat16, the upper half of fp32.  Narrowing rounds to nearest even; a NaN stays one. */
float lac_bf16_to_f32(uint16_t half);
uint16_t lac_bf16_from_f32(float value);

#endif
