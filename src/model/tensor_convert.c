/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of any storage as fp32. */
#include <string.h>

#include "src/base/half.h"
#include "src/model/tensor.h"

/* The 16-bit formats. */
#define DEFINE_WIDENING(name)                                                                      \
    static void convert_##name(const uint8_t *in, size_t n, float *out)                            \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            uint16_t half;                                                                         \
            memcpy(&half, in + 2 * i, sizeof half);                                                \
            out[i] = lac_##name##_to_f32(half);                                                    \
        }                                                                                          \
    }
DEFINE_WIDENING(f16)
DEFINE_WIDENING(bf16)

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

/* An fp16 scale times an int8 is exact in fp32. */
static void convert_q8_0(const uint8_t *data, size_t first, size_t n, float *out)
{
    while (n) {
        size_t skip = first % LAC_Q8_0_BLOCK, rest = LAC_Q8_0_BLOCK - skip;
        const uint8_t *block = data + first / LAC_Q8_0_BLOCK * LAC_Q8_0_BYTES;
        uint16_t half;
        memcpy(&half, block, sizeof half);
        float scale = lac_f16_to_f32(half);
        size_t m = n < rest ? n : rest;
        for (size_t i = 0; i < m; i++)
            out[i] = scale * (float)(int8_t)block[sizeof half + skip + i];
        first += m;
        out += m;
        n -= m;
    }
}

void lac_tensor_to_f32(const struct lac_tensor *tensor, size_t first, size_t n, float *out)
{
    const uint8_t *data = tensor->data;
    if (tensor->storage == LAC_STORE_Q8_0)
        convert_q8_0(data, first, n, out);
    else if (n)
        conversions[tensor->storage].convert(
            data + first * conversions[tensor->storage].element_bytes, n, out);
}
