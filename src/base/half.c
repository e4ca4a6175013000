/* SPDX-License-Identifier: Apache-2.0 */
/* The two 16-bit floating-point formats, bit by bit: whatever the floating-point environment is. */
#include "src/base/half.h"

#include <string.h>

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* bits / 2^shift, half to even. */
static uint32_t shift_to_even(uint32_t bits, uint32_t shift)
{
    uint32_t half = (1u << shift) >> 1, odd = bits >> shift & 1;
    return (bits + half - 1 + odd) >> shift;
}

float lac_f16_to_f32(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0x1f)
        return from_bits(sign | 0x7f800000 | fraction << 13);
    if (exponent) /* biases: 15 and 127 */
        return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    if (!fraction)
        return from_bits(sign);
    /* fraction * 2^-24 with its highest bit at place p is 2^(p - 24) * 1.(the bits below). */
    uint32_t p = 31 - (uint32_t)__builtin_clz(fraction);
    return from_bits(sign | (p + 103) << 23 | (fraction << (23 - p) & 0x7fffff));
}

uint16_t lac_f16_from_f32(float value)
{
    uint32_t bits = to_bits(value), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
    if (size > 0x7f800000)
        return (uint16_t)(sign | 0x7e00);
    if (size >= 0x47800000) /* 2^16 */
        return (uint16_t)(sign | 0x7c00);
    if (size >= 0x38800000) /* 2^-14: rounding up carries into the exponent, as it should */
        return (uint16_t)(sign | shift_to_even(size - (112u << 23), 13));
    uint32_t exponent = size >> 23;
    if (exponent < 102) /* less than half of the least denormal, 2^-24 */
        return (uint16_t)sign;
    return (uint16_t)(sign | shift_to_even((size & 0x7fffff) | 0x800000, 126 - exponent));
}

float lac_bf16_to_f32(uint16_t half)
{
    return from_bits((uint32_t)half << 16);
}

uint16_t lac_bf16_from_f32(float value)
{
    uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)shift_to_even(bits, 16);
}
