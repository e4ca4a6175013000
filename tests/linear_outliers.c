/* SPDX-License-Identifier: Apache-2.0 */
/* Outliers: which weights are taken out, what that gains, and what is not believed of a file.  What
 * kernels make of them, check_linear.c compares. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sparse/layout.h"
#include "src/base/checked.h"
#include "tests/linear_suite.h"

void random_outliers(struct lac_outliers *o, size_t n_out, size_t n_in, struct lac_arena *arena,
                     uint64_t *state)
{
    size_t n_rows = lac_outliers_rows(n_out);
    uint32_t *begin = lac_arena_alloc(arena, n_rows + 1, sizeof *begin);
    uint32_t *index = lac_arena_alloc(arena, n_out * 4, sizeof *index);
    float *values = lac_arena_alloc(arena, n_out * 4, sizeof *values);
    size_t n = 0;
    for (size_t r = 0; r <= n_rows; r++) {
        begin[r] = (uint32_t)n;
        size_t wanted = r < n_out ? random_below(state, 5) : 0, i = random_below(state, n_in);
        for (size_t k = 0; k < wanted && i < n_in; k++, i += 1 + random_below(state, n_in)) {
            index[n] = (uint32_t)i;
            values[n++] = random_float(state);
        }
    }
    *o = n ? (struct lac_outliers){n, begin, index, values} : (struct lac_outliers){0};
    struct lac_error error;
    ck_assert_int_eq(lac_outliers_check(o, n_out, n_in, &error), LAC_OK);
}

enum { N_OUT = 37, N_IN = 200 };

/* Cubes of uniform numbers, half of them zero: few are large. */
static void fill(float *w, uint64_t *state)
{
    for (size_t i = 0; i < N_OUT * N_IN; i++) {
        float u = random_float(state);
        w[i] = random_u64(state) & 1 ? 0 : u * u * u * (float)(1 + i / N_IN);
    }
    memset(w + 5 * N_IN, 0, N_IN * sizeof *w); /* an output of zeros */
}

START_TEST(the_largest_are_taken)
{
    uint64_t state = test_seed();
    float *w = malloc(N_OUT * N_IN * sizeof *w), *before = malloc(N_OUT * N_IN * sizeof *w);
    static const double shares[] = {0, 0.0001, 0.005, 0.02, LAC_MOST_OUTLIERS};
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        struct lac_arena arena = {.host = &lac_default_host};
        struct lac_outliers o;
        struct lac_error error;
        size_t n_nonzero = 0;
        fill(w, &state);
        memcpy(before, w, N_OUT * N_IN * sizeof *w);
        for (size_t i = 0; i < N_OUT * N_IN; i++)
            n_nonzero += w[i] != 0;
        ck_assert_int_eq(lac_outliers_take(w, N_OUT, N_IN, shares[s], &arena, &o, &error), LAC_OK);
        ck_assert_int_eq(lac_outliers_check(&o, N_OUT, N_IN, &error), LAC_OK);
        ck_assert_double_le((double)o.n, shares[s] * (double)n_nonzero);
        /* Within 0.8 % of the smallest that is taken lie few others. */
        if (shares[s] >= 0.005)
            ck_assert_double_ge((double)o.n, 0.7 * shares[s] * (double)n_nonzero);
        double least_taken = INFINITY, most_left = 0;
        for (size_t r = 0; r < N_OUT; r++) {
            double sum = 0;
            size_t n = 0;
            for (size_t i = 0; i < N_IN; i++) {
                sum += pow((double)before[r * N_IN + i], 2);
                n += before[r * N_IN + i] != 0;
            }
            double rms = n ? sqrt(sum / (double)n) : 1;
            uint32_t k = o.n ? o.begin[r] : 0, end = o.n ? o.begin[r + 1] : 0;
            for (size_t i = 0; i < N_IN; i++) {
                double ratio = fabs((double)before[r * N_IN + i]) / rms;
                bool taken = k < end && o.index[k] == i;
                ck_assert(w[r * N_IN + i] == (taken ? 0 : before[r * N_IN + i]));
                if (taken) {
                    ck_assert(o.values[k++] == before[r * N_IN + i]);
                    least_taken = fmin(least_taken, ratio);
                } else {
                    most_left = fmax(most_left, ratio);
                }
            }
            ck_assert_uint_eq(k, end);
        }
        ck_assert_double_ge(least_taken, 0.99 * most_left);
        lac_arena_clear(&arena);
    }
    free(w);
    free(before);
}
END_TEST

/* Sum of squares of what quantising w loses. */
static double loss(const float *w)
{
    int8_t *q = malloc(N_OUT * N_IN);
    float scale[N_OUT];
    struct lac_error error;
    double sum = 0;
    ck_assert_int_eq(lac_weight_quantize(w, N_OUT, N_IN, q, scale, &error), LAC_OK);
    for (size_t i = 0; i < N_OUT * N_IN; i++) {
        double left = (double)w[i] - q[i] * (double)scale[i / N_IN];
        sum += left * left;
    }
    free(q);
    return sum;
}

START_TEST(the_rest_loses_less)
{
    uint64_t state = test_seed();
    float *w = malloc(N_OUT * N_IN * sizeof *w);
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_outliers o;
    struct lac_error error;
    fill(w, &state);
    for (size_t r = 0; r < N_OUT; r += 2) /* one that is ten times the others in every second row */
        w[r * N_IN + 7] = 10 * (float)(r + 1);
    double before = loss(w);
    ck_assert_int_eq(lac_outliers_take(w, N_OUT, N_IN, 0.01, &arena, &o, &error), LAC_OK);
    ck_assert_double_lt(loss(w), before / 20);
    lac_arena_clear(&arena);
    free(w);
}
END_TEST

START_TEST(weights_without_outliers_keep_all)
{
    /* All alike: there is no share of the largest. */
    float w[64], zeros[64] = {0};
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_outliers o;
    struct lac_error error;
    for (size_t i = 0; i < 64; i++)
        w[i] = i % 3 ? 0.5f : -0.5f;
    ck_assert_int_eq(lac_outliers_take(w, 4, 16, LAC_MOST_OUTLIERS, &arena, &o, &error), LAC_OK);
    ck_assert_uint_eq(o.n, 0);
    ck_assert_int_eq(lac_outliers_take(zeros, 4, 16, LAC_MOST_OUTLIERS, &arena, &o, &error),
                     LAC_OK);
    ck_assert_uint_eq(o.n, 0);
    w[37] = INFINITY;
    ck_assert_int_eq(lac_outliers_take(w, 4, 16, 0.01, &arena, &o, &error), LAC_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "[2, 5]"));
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(files_are_not_believed)
{
    uint64_t state = test_seed();
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_outliers o;
    struct lac_error error;
    random_outliers(&o, N_OUT, N_IN, &arena, &state);
    ck_assert_uint_gt(o.n, 10);
    uint32_t *begin = (uint32_t *)(uintptr_t)o.begin, *index = (uint32_t *)(uintptr_t)o.index;
    float *values = (float *)(uintptr_t)o.values;
    /* Any other beginning is out of order or moves an outlier to a row where its input may be out
     * of order. */
    for (size_t r = 0; r <= lac_outliers_rows(N_OUT); r++) {
        static const uint32_t wrong[] = {1u << 31, 0x10000, UINT32_MAX};
        for (size_t i = 0; i < 3; i++) {
            begin[r] ^= wrong[i];
            ck_assert_int_eq(lac_outliers_check(&o, N_OUT, N_IN, &error), LAC_E_FORMAT);
            begin[r] ^= wrong[i];
        }
    }
    for (size_t k = 0; k < o.n; k++) {
        uint32_t good = index[k];
        index[k] = N_IN;
        ck_assert_int_eq(lac_outliers_check(&o, N_OUT, N_IN, &error), LAC_E_FORMAT);
        index[k] = UINT32_MAX;
        ck_assert_int_eq(lac_outliers_check(&o, N_OUT, N_IN, &error), LAC_E_FORMAT);
        index[k] = good;
        float value = values[k];
        values[k] = NAN;
        ck_assert_int_eq(lac_outliers_check(&o, N_OUT, N_IN, &error), LAC_E_FORMAT);
        values[k] = value;
    }
    size_t row = 0;
    while (begin[row + 1] - begin[row] < 2)
        row++;
    index[begin[row] + 1] = index[begin[row]];
    ck_assert_int_eq(lac_outliers_check(&o, N_OUT, N_IN, &error), LAC_E_FORMAT);
    lac_arena_clear(&arena);
}
END_TEST

void add_outlier_tests(Suite *suite)
{
    add_test(suite, "outliers", the_largest_are_taken);
    add_test(suite, "outliers' gain", the_rest_loses_less);
    add_test(suite, "no outliers", weights_without_outliers_keep_all);
    add_test(suite, "broken outliers", files_are_not_believed);
}
