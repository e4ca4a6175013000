/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of fewer bits: int8, int4, fp16 and bf16. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "sparse/int4.h"
#include "src/base/half.h"
#include "tests/linear_suite.h"

START_TEST(quantisation_is_symmetric)
{
    const float w[2][4] = {{1, -2, 0.5f, 0.0078f}, {0, -0.0f, 0, 0}};
    int8_t q[8];
    float scale[2];
    struct lac_error error;
    ck_assert_int_eq(lac_weight_quantize(&w[0][0], 2, 4, q, scale, &error), LAC_OK);
    ck_assert_float_eq(scale[0], 2.0f / 127);
    ck_assert_float_eq(scale[1], 1);
    const int8_t expected[8] = {64, -127, 32, 0, 0, 0, 0, 0}; /* 63.5 goes to even, 31.75 to 32 */
    ck_assert_mem_eq(q, expected, 8);
    const float bad[2] = {1, NAN};
    ck_assert_int_eq(lac_weight_quantize(bad, 1, 2, q, scale, &error), LAC_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "[0, 1]"));
}
END_TEST

START_TEST(int4_groups_are_the_best)
{
    uint64_t state = test_seed();
    struct lac_int4_tables tables;
    lac_int4_prepare(&tables);
    for (int round = 0; round < 2000; round++) {
        int8_t w[32], most = (int8_t)(1 + random_below(&state, 127));
        for (int i = 0; i < 32; i++)
            w[i] = (int8_t)((int)random_below(&state, 2u * (unsigned)most + 1) - most);
        long least = LONG_MAX, chosen = 0;
        uint8_t g = lac_int4_choose(&tables, w, 32);
        for (int other = 1; other <= LAC_INT4_MOST_G; other++) {
            long error = 0;
            for (int i = 0; i < 32; i++) {
                long level = lrint(w[i] / (double)other), left;
                level = level > 7 ? 7 : level < -7 ? -7 : level;
                left = w[i] - level * other;
                error += left * left;
            }
            least = error < least ? error : least;
            chosen = other == g ? error : chosen;
        }
        check_each(chosen == least, "round %d: %ld for %ld", round, chosen, least);
        long kept = 0;
        for (int i = 0; i < 32; i += 8) {
            uint8_t dword[4];
            int8_t back[8];
            lac_int4_encode(&tables, w + i, g, dword);
            lac_int4_decode(dword, g, back);
            for (int j = 0; j < 8; j++)
                kept += (w[i + j] - back[j]) * (w[i + j] - back[j]);
        }
        check_each(kept == least, "round %d: %ld kept for %ld", round, kept, least);
    }
}
END_TEST

/* fp16 knows 11 bits, bf16 8: every one of the 65,536 comes back, and between two neighbours the
 * nearer one is taken, the even one in the middle. */
START_TEST(halves_round_to_nearest)
{
    for (uint32_t half = 0; half < 65536; half++) {
        float f16 = lac_f16_to_f32((uint16_t)half), bf16 = lac_bf16_to_f32((uint16_t)half);
        if (isnan(f16))
            check_each(isnan(lac_f16_to_f32(lac_f16_from_f32(f16))), "%x", half);
        else
            check_each(lac_f16_from_f32(f16) == half, "%x", half);
        if (isnan(bf16))
            check_each(isnan(lac_bf16_to_f32(lac_bf16_from_f32(bf16))), "%x", half);
        else
            check_each(lac_bf16_from_f32(bf16) == half, "%x", half);
        float next = lac_f16_to_f32((uint16_t)(half + 1));
        if (isnan(f16) || isnan(next) || isinf(f16) || isinf(next) || (half & 0x7fff) == 0x7fff)
            continue;
        float middle = (f16 + next) / 2;
        check_each(lac_f16_from_f32(middle) == half + (half & 1), "%x", half);
        check_each(lac_f16_from_f32(nextafterf(middle, f16)) == half, "%x", half);
        check_each(lac_f16_from_f32(nextafterf(middle, next)) == half + 1, "%x", half);
    }
    ck_assert_uint_eq(lac_f16_from_f32(65519.996f), 0x7bff);
    ck_assert_uint_eq(lac_f16_from_f32(65520), 0x7c00);
    ck_assert_uint_eq(lac_f16_from_f32(-1e30f), 0xfc00);
    ck_assert_uint_eq(lac_f16_from_f32(0x1p-25f), 0);
    ck_assert_uint_eq(lac_f16_from_f32(0x1.8p-25f), 1);
    ck_assert_uint_eq(lac_bf16_from_f32(1.00390625f), 0x3f80);
    ck_assert_uint_eq(lac_bf16_from_f32(1.01171875f), 0x3f82);
    ck_assert_uint_eq(lac_bf16_from_f32(FLT_MAX), 0x7f80);

    const float large[2] = {1, 70000};
    uint16_t halves[2];
    struct lac_error error;
    ck_assert_int_eq(lac_weight_halve(large, 1, 2, LAC_BF16, halves, &error), LAC_OK);
    ck_assert_int_eq(lac_weight_halve(large, 1, 2, LAC_F16, halves, &error), LAC_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "[0, 1]"));
    ck_assert_ptr_nonnull(strstr(error.text, "70000"));
}
END_TEST

void add_rounding_tests(Suite *suite)
{
    add_test(suite, "quantisation", quantisation_is_symmetric);
    add_test(suite, "int4", int4_groups_are_the_best);
    add_test(suite, "halves", halves_round_to_nearest);
}
