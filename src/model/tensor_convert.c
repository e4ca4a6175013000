/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of any storage as fp32. */
#include <string.h>

#include "src/model/tensor.h"

/* Widens binary16 (IEEE 754-2008) bit by bit, so that infinities, denormals and the payloads of
 * NaNs come through whatever the floating-point environment is. */
static uint32_t half_bits(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    if (exponent == 0x1f)
        return sign | 0x7f800000 | fraction << 13;
    if (exponent) /* biases: 15 and 127 */
        return sign | (exponent + 112) << 23 | fraction << 13;
    if (!fraction)
        return sign;
    /* fraction * 2^-24 with its highest bit at place p is 2^(p - 24) * 1.(the bits below). */
    uint32_t p = 31 - (uint32_t)__builtin_clz(fraction);
    return sign | (p + 103) << 23 | (fraction << (23 - p) & 0x7fffff);
}

static void convert_f16(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, in + 2 * i, sizeof half);
        uint32_t bits = half_bits(half);
        memcpy(out + i, &bits, sizeof bits);
    }
}

/* bfloat16 is the upper half of fp32. */
static void convert_bf16(const uint8_t *in, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, in + 2 * i, sizeof half);
        uint32_t bits = (uint32_t)half << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
}

static void convert_f32(const uint8_t *in, size_t n, float *out)
{
    memcpy(out, in, n * sizeof *out);
}

/* The machine's conversions round to nearest; doubles out of range become infinite. */
#define DEFINE_CONVERSION(name, type)                                                              \
    static void convert_##name(const uint8_t *in, size_t n, float *out)                            \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            type value;                                                                            \
            memcpy(&value, in + i * sizeof value, sizeof value);                                   \
            out[i] = (float)value;                                                                 \
        }                                                                                          \
    }
DEFINE_CONVERSION(f64, double)
DEFINE_CONVERSION(i64, int64_t)
DEFINE_CONVERSION(i32, int32_t)
DEFINE_CONVERSION(i16, int16_t)
DEFINE_CONVERSION(i8, int8_t)
DEFINE_CONVERSION(u8, uint8_t)

static const struct {
    void (*convert)(const uint8_t *in, size_t n, float *out);
    size_t element_bytes;
} conversions[] = {
    [LAC_STORE_F64] = {convert_f64, 8}, [LAC_STORE_F32] = {convert_f32, 4},
    [LAC_STORE_F16] = {convert_f16, 2}, [LAC_STORE_BF16] = {convert_bf16, 2},
    [LAC_STORE_I64] = {convert_i64, 8}, [LAC_STORE_I32] = {convert_i32, 4},
    [LAC_STORE_I16] = {convert_i16, 2}, [LAC_STORE_I8] = {convert_i8, 1},
    [LAC_STORE_U8] = {convert_u8, 1},   [LAC_STORE_BOOL] = {convert_u8, 1},
};

void lac_tensor_to_f32(const struct lac_tensor *tensor, size_t first, size_t n, float *out)
{
    const uint8_t *data = tensor->data;
    if (n)
        conversions[tensor->storage].convert(
            data + first * conversions[tensor->storage].element_bytes, n, out);
}
