/* SPDX-License-Identifier: Apache-2.0 */
/* Every linear kernel against the scalar one, the scalar one against a plain double sum. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernel.h"
#include "sparse/int4.h"
#include "sparse/layout.h"
#include "sparse/sums.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "tests/support.h"

/* LARGEST: every product is -128 * -128. */
enum content { RANDOM, EXTREME, ZERO, N_CONTENTS, LARGEST = N_CONTENTS };

/* One product: weight, activations between guard pages, and what a kernel makes of them. */
struct product {
    size_t n_out, n_in, n_tokens, ld;
    enum lac_dtype dtype;
    enum lac_pattern pattern;
    void *elements; /* row-major [n_out, n_in] */
    struct lac_arena arena;
    struct lac_weight weight;
    void *x;
    size_t x_size;
    float *x_scale, *residual, *inv_scale;
};

struct result {
    size_t y_size, u8_size, max_size;
    float *y, *abs_max;
    uint8_t *y_u8;
};

/* Zeroes whole blocks of the pattern so that about `keep` of 8 stay. */
static void prune(struct product *p, uint64_t *state, size_t keep)
{
    bool single = p->pattern == LAC_PATTERN_DENSE || p->pattern == LAC_PATTERN_BITMAP;
    size_t rows = single ? 1 : lac_pattern_rows(p->pattern);
    size_t v = single ? 1 : lac_dword_inputs(p->dtype), size = lac_element_bytes(p->dtype);
    for (size_t o = 0; o < p->n_out; o += rows)
        for (size_t i = 0; i < p->n_in; i += v)
            if (random_below(state, 8) >= keep)
                for (size_t r = o; r < lac_min_size(o + rows, p->n_out); r++)
                    memset((uint8_t *)p->elements + (r * p->n_in + i) * size, 0,
                           lac_min_size(v, p->n_in - i) * size);
}

static int8_t random_s8(uint64_t *state, enum content content)
{
    if (content == EXTREME)
        return random_u64(state) & 1 ? 127 : -127;
    if (content == LARGEST)
        return -128;
    return (int8_t)(random_below(state, 255) - 127);
}

static void fill_weight(struct product *p, uint64_t *state, enum content content)
{
    size_t n = p->n_out * p->n_in;
    memset(p->elements, 0, n * lac_element_bytes(p->dtype));
    if (content == ZERO)
        return;
    for (size_t i = 0; i < n; i++)
        if (lac_dtype_is_quantized(p->dtype))
            ((int8_t *)p->elements)[i] = random_s8(state, content);
        else if (p->dtype == LAC_F32)
            ((float *)p->elements)[i] = random_float(state);
        else {
            float w = random_float(state);
            struct lac_error error;
            ck_assert_int_eq(
                lac_weight_halve(&w, 1, 1, p->dtype, (uint16_t *)p->elements + i, &error), LAC_OK);
        }
    if (content == RANDOM)
        prune(p, state, 3);
}

static float *random_floats(size_t n, uint64_t *state)
{
    float *values = guarded_alloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = random_float(state);
    return values;
}

static void make_product(struct product *p, uint64_t *state, enum content content)
{
    p->elements = malloc(p->n_out * p->n_in * lac_element_bytes(p->dtype) + 1);
    fill_weight(p, state, content);
    float *scale = random_floats(p->n_out, state), *bias = random_floats(p->n_out, state);
    for (size_t o = 0; o < p->n_out; o++)
        scale[o] = 0.01f + fabsf(scale[o]) * 0.01f;
    p->arena = (struct lac_arena){.host = &lac_default_host};
    struct lac_error error;
    bool is_quantized = lac_dtype_is_quantized(p->dtype);
    ck_assert_int_eq(lac_weight_pack(p->elements, is_quantized ? scale : NULL, bias, p->n_out,
                                     p->n_in, p->dtype, p->pattern, &p->arena, &p->weight, &error),
                     LAC_OK);
    ck_assert_int_eq(lac_weight_check(&p->weight, &error), LAC_OK);
    guarded_free(scale, p->n_out * sizeof *scale);
    guarded_free(bias, p->n_out * sizeof *bias);

    p->x_size = (is_quantized ? lac_ceil_div(p->n_in, 4) : p->n_in) * p->ld * 4;
    p->x = guarded_alloc(p->x_size);
    if (is_quantized)
        for (size_t i = 0; i < p->x_size; i++)
            ((uint8_t *)p->x)[i] = content == LARGEST   ? 0
                                   : content == EXTREME ? (random_u64(state) & 1 ? 255 : 0)
                                                        : (uint8_t)random_below(state, 256);
    else
        for (size_t i = 0; i < p->x_size / 4; i++)
            ((float *)p->x)[i] = random_float(state);
    p->x_scale = random_floats(p->ld, state);
    p->inv_scale = random_floats(p->ld, state);
    for (size_t t = 0; t < p->ld; t++) {
        p->x_scale[t] = fabsf(p->x_scale[t]) * 0.05f;
        /* y_u8 is defined for less than 2^15 steps. */
        p->inv_scale[t] = content == RANDOM ? 10 + 40 * fabsf(p->inv_scale[t]) : 1;
    }
    p->residual = random_floats(p->n_out * p->ld, state);
}

static void free_product(struct product *p)
{
    free(p->elements);
    lac_arena_clear(&p->arena);
    guarded_free(p->x, p->x_size);
    guarded_free(p->x_scale, p->ld * 4);
    guarded_free(p->inv_scale, p->ld * 4);
    guarded_free(p->residual, p->n_out * p->ld * 4);
}

static void make_result(const struct product *p, struct result *r)
{
    r->y_size = p->n_out * p->ld * 4;
    r->u8_size = lac_round_up(p->n_out, 4) * p->ld;
    r->max_size = p->ld * 4;
    r->y = guarded_alloc(r->y_size);
    r->y_u8 = guarded_alloc(r->u8_size);
    r->abs_max = guarded_alloc(r->max_size);
    memset(r->y, 0x7f, r->y_size);
    memset(r->y_u8, 0x7f, r->u8_size);
    memset(r->abs_max, 0, r->max_size);
}

static void free_result(struct result *r)
{
    guarded_free(r->y, r->y_size);
    guarded_free(r->y_u8, r->u8_size);
    guarded_free(r->abs_max, r->max_size);
}

/* What of a result is asked for. */
enum outputs { Y = 1, Y_U8 = 2, RESIDUAL = 4, ABS_MAX = 8 };

static struct lac_linear_args args_of(const struct product *p, const struct result *r,
                                      enum lac_activation activation, unsigned outputs)
{
    return (struct lac_linear_args){
        .w = &p->weight,
        .out_end = p->n_out,
        .n_tokens = p->n_tokens,
        .ld = p->ld,
        .x = p->x,
        .x_scale = lac_dtype_is_quantized(p->dtype) ? p->x_scale : NULL,
        .activation = activation,
        .residual = outputs & RESIDUAL ? p->residual : NULL,
        .y = outputs & Y ? r->y : NULL,
        .abs_max = outputs & ABS_MAX ? r->abs_max : NULL,
        .y_u8 = outputs & Y_U8 ? r->y_u8 : NULL,
        .y_inv_scale = outputs & Y_U8 ? p->inv_scale : NULL,
    };
}

/* In pieces of whole units, as workers do. */
static void run_in_pieces(const struct lac_kernel *kernel, struct lac_linear_args args,
                          size_t piece)
{
    size_t n_out = args.out_end;
    for (size_t o = 0; o < n_out; o += piece) {
        args.out_begin = o;
        args.out_end = lac_min_size(o + piece, n_out);
        kernel->run.linear(&args);
    }
}

/* |v| bound of the result's error: sums of k terms of size s are off by at most k * eps * sum|a||b|
 * in any order; activations have slope below 1.13 and add 4 eps of their own. */
static float tolerance(const struct product *p, enum lac_activation activation)
{
    float k = (float)p->n_in;
    bool is_quantized = lac_dtype_is_quantized(p->dtype);
    if (is_quantized && activation == LAC_ACT_NONE)
        return 0; /* integers, then one fma: exact */
    return !is_quantized ? 1.2f * k * FLT_EPSILON * (k + 2) * 0.35f + 4e-6f : 4e-6f;
}

static void compare(const struct product *p, const struct result *expected,
                    const struct result *got, enum lac_activation activation, unsigned outputs,
                    const char *name)
{
    for (size_t o = 0; o < p->n_out; o++)
        for (size_t t = 0; t < p->n_tokens; t++) {
            size_t at = o * p->ld + t;
            float e = expected->y[at], g = got->y[at];
            float bound = tolerance(p, activation) * (1 + fabsf(e));
            if (outputs & Y)
                ck_assert_msg(fabsf(e - g) <= bound,
                              "%s %zux%zu tokens %zu ld %zu: y[%zu,%zu] = %.9g, expected %.9g",
                              name, p->n_out, p->n_in, p->n_tokens, p->ld, o, t, (double)g,
                              (double)e);
            if (outputs & Y_U8) {
                size_t byte = (o / 4 * p->ld + t) * 4 + o % 4;
                float steps = bound * p->inv_scale[t];
                ck_assert_msg(fabsf((float)expected->y_u8[byte] - (float)got->y_u8[byte]) <=
                                  (steps == 0     ? 0
                                   : steps < 0.5f ? 1
                                                  : 2 * steps),
                              "%s %zux%zu tokens %zu: u8[%zu,%zu] = %d, expected %d", name,
                              p->n_out, p->n_in, p->n_tokens, o, t, got->y_u8[byte],
                              expected->y_u8[byte]);
            }
        }
    for (size_t o = p->n_out; outputs & Y_U8 && o % 4; o++)
        for (size_t t = 0; t < p->n_tokens; t++)
            ck_assert_int_eq(got->y_u8[(o / 4 * p->ld + t) * 4 + o % 4], 128);
    for (size_t t = 0; outputs & ABS_MAX && t < p->n_tokens; t++)
        ck_assert_float_le(fabsf(expected->abs_max[t] - got->abs_max[t]),
                           tolerance(p, activation) * (1 + expected->abs_max[t]));
}

static const struct lac_kernel *scalar_twin(const struct lac_kernel *kernel)
{
    struct lac_weight weight = {.pattern = kernel->pattern, .dtype = kernel->dtype};
    return lac_kernel_find_linear(kernel->op, &weight, 0);
}

static void try_kernel(const struct lac_kernel *kernel, struct product *p, size_t piece)
{
    static const unsigned kinds[] = {Y, Y | RESIDUAL | ABS_MAX, Y_U8, Y | Y_U8 | RESIDUAL | ABS_MAX,
                                     Y_U8 | ABS_MAX};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int act = 0; act < LAC_N_ACTIVATIONS; act++) {
            /* What follows a sum does not know how long it was. */
            if (act != LAC_ACT_NONE && ((i != 1 && i != 2) || p->n_in > 200))
                continue;
            struct result expected, got;
            make_result(p, &expected);
            make_result(p, &got);
            struct lac_linear_args args = args_of(p, &expected, act, kinds[i]);
            scalar_twin(kernel)->run.linear(&args);
            args = args_of(p, &got, act, kinds[i]);
            run_in_pieces(kernel, args, piece);
            compare(p, &expected, &got, act, kinds[i], kernel->name);
            free_result(&expected);
            free_result(&got);
        }
}

static void try_shape(const struct lac_kernel *kernel, size_t n_out, size_t n_in, size_t n_tokens,
                      enum content content, uint64_t *state)
{
    struct product p = {
        .n_out = n_out,
        .n_in = n_in,
        .n_tokens = n_tokens,
        .ld = lac_round_up(n_tokens, LAC_LANES),
        .dtype = kernel->dtype,
        .pattern = kernel->pattern,
    };
    if (kernel->op == LAC_OP_LINEAR_OUTPUT && random_u64(state) & 1)
        p.ld = n_tokens + random_below(state, 3);
    make_product(&p, state, content);
    if (kernel->fits && !kernel->fits(&p.weight)) {
        free_product(&p);
        return;
    }
    if (kernel->pack) {
        p.weight.extra = kernel->pack(&p.weight, &p.arena);
        ck_assert_ptr_nonnull(p.weight.extra);
    }
    try_kernel(kernel, &p, lac_pattern_unit(p.pattern) * (1 + random_below(state, 4)));
    free_product(&p);
}

static const size_t outs[] = {1, 4, 15, 16, 17, 33, 64}, ins[] = {1, 3, 4, 5, 31, 64, 129},
                    tokens[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 47, 48};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* A kernel of another library refuses everything where that cannot be opened. */
static int fits_plain(const struct lac_kernel *kernel)
{
    struct lac_weight w = {.pattern = kernel->pattern, .dtype = kernel->dtype};
    w.n_out = w.n_in = w.n_dwords = 64;
    return !kernel->fits || kernel->fits(&w);
}

START_TEST(kernels_agree_with_scalar)
{
    uint64_t state = test_seed();
    unsigned features = lac_cpu_features();
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        if ((*k)->op != LAC_OP_LINEAR_TOKEN && (*k)->op != LAC_OP_LINEAR_OUTPUT)
            continue;
        if ((*k)->needs & ~features) {
            printf("cannot run here: %s\n", (*k)->name);
            continue;
        }
        if (!(*k)->needs)
            continue;
        if (!fits_plain(*k)) {
            printf("refuses all: %s\n", (*k)->name);
            continue;
        }
        for (size_t o = 0; o < COUNT(outs); o++)
            for (size_t i = 0; i < COUNT(ins); i++) {
                size_t t = tokens[random_below(&state, COUNT(tokens))];
                try_shape(*k, outs[o], ins[i], t, random_below(&state, N_CONTENTS), &state);
            }
        for (size_t t = 0; t < COUNT(tokens); t++)
            try_shape(*k, 37, 70, tokens[t], RANDOM, &state);
        try_shape(*k, 80, 1030, 48, RANDOM, &state);
        try_shape(*k, 48, 515, 5, EXTREME, &state);
        /* Sums of 2^22, the largest that are read as floats, and one product more. */
        try_shape(*k, 48, 256, 48, LARGEST, &state);
        try_shape(*k, 48, 257, 48, LARGEST, &state);
    }
}
END_TEST

static double element_value(const struct product *p, const void *elements, size_t at)
{
    switch (p->dtype) {
    case LAC_F32:
        return (double)((const float *)elements)[at];
    case LAC_BF16:
        return (double)lac_bf16_to_f32(((const uint16_t *)elements)[at]);
    case LAC_F16:
        return (double)lac_f16_to_f32(((const uint16_t *)elements)[at]);
    default:
        return ((const int8_t *)elements)[at];
    }
}

/* A weight that is too wide is refused by the kernels that have a limit, and gets one that has
 * none. */
START_TEST(kernels_may_refuse)
{
    unsigned features = lac_cpu_features();
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        if (!(*k)->fits)
            continue;
        struct lac_weight w = {.pattern = (*k)->pattern, .dtype = (*k)->dtype, .n_out = 16};
        w.n_in = 1 << 20;
        ck_assert_msg(!(*k)->fits(&w), "%s takes %zu inputs", (*k)->name, w.n_in);
        const struct lac_kernel *other = lac_kernel_find_linear((*k)->op, &w, features);
        ck_assert_ptr_nonnull(other);
        ck_assert_ptr_ne(other, *k);
    }
}
END_TEST

/* v by the formula in simd/kernel.h, in double; elements as they are kept. */
static double expected_value(const struct product *p, const void *elements, size_t o, size_t t)
{
    double acc = 0;
    bool is_quantized = lac_dtype_is_quantized(p->dtype);
    for (size_t i = 0; i < p->n_in; i++)
        acc += element_value(p, elements, o * p->n_in + i) *
               (is_quantized ? ((uint8_t *)p->x)[(i / 4 * p->ld + t) * 4 + i % 4] - 128
                             : (double)((float *)p->x)[i * p->ld + t]);
    if (is_quantized)
        acc *= (double)p->weight.scale[o] * (double)p->x_scale[t];
    return acc + (double)p->weight.bias[o];
}

START_TEST(scalar_is_the_definition)
{
    uint64_t state = test_seed();
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        if (((*k)->op != LAC_OP_LINEAR_TOKEN && (*k)->op != LAC_OP_LINEAR_OUTPUT) || (*k)->needs)
            continue;
        struct product p = {.n_out = 21,
                            .n_in = 43,
                            .n_tokens = 16,
                            .ld = 16,
                            .dtype = (*k)->dtype,
                            .pattern = (*k)->pattern};
        make_product(&p, &state, RANDOM);
        struct result r;
        make_result(&p, &r);
        struct lac_linear_args args = args_of(&p, &r, LAC_ACT_NONE, Y);
        (*k)->run.linear(&args);
        void *kept = malloc(p.n_out * p.n_in * lac_element_bytes(p.dtype));
        lac_weight_unpack(&p.weight, kept);
        for (size_t o = 0; o < p.n_out; o++)
            for (size_t t = 0; t < p.n_tokens; t++) {
                double e = expected_value(&p, kept, o, t);
                ck_assert_double_le(fabs(e - (double)r.y[o * p.ld + t]), 1e-5 * (1 + fabs(e)));
            }
        free(kept);
        free_result(&r);
        free_product(&p);
    }
}
END_TEST

/* int4 keeps zeros and signs; packed again, it is what it was. */
static void check_rounded(struct product *p, void *back)
{
    const int8_t *elements = p->elements, *rounded = back;
    for (size_t i = 0; i < p->n_out * p->n_in; i++) {
        ck_assert_int_ge(elements[i] * rounded[i], 0);
        ck_assert_msg(elements[i] || !rounded[i], "a zero became %d", rounded[i]);
    }
    struct lac_weight again;
    struct lac_error error;
    ck_assert_int_eq(lac_weight_pack(back, p->weight.scale, NULL, p->n_out, p->n_in, p->dtype,
                                     p->pattern, &p->arena, &again, &error),
                     LAC_OK);
    void *back_again = malloc(p->n_out * p->n_in);
    lac_weight_unpack(&again, back_again);
    ck_assert_mem_eq(back_again, back, p->n_out * p->n_in);
    free(back_again);
}

START_TEST(layouts_round_trip)
{
    uint64_t state = test_seed();
    for (int dtype = 1; dtype < LAC_N_DTYPES; dtype++)
        for (int pattern = 0; pattern < LAC_N_PATTERNS; pattern++)
            for (size_t o = 0; o < COUNT(outs) && lac_pattern_holds(pattern, dtype); o++)
                for (size_t i = 0; i < COUNT(ins); i++) {
                    struct product p = {.n_out = outs[o],
                                        .n_in = ins[i],
                                        .n_tokens = 1,
                                        .ld = 1,
                                        .dtype = dtype,
                                        .pattern = pattern};
                    make_product(&p, &state, RANDOM);
                    size_t size = p.n_out * p.n_in * lac_element_bytes(p.dtype);
                    void *back = malloc(size);
                    lac_weight_unpack(&p.weight, back);
                    if (dtype == LAC_S4)
                        check_rounded(&p, back);
                    else
                        ck_assert_mem_eq(back, p.elements, size);
                    struct lac_weight_stats stats;
                    lac_weight_measure(p.elements, p.n_out, p.n_in, p.dtype, &stats);
                    if (pattern != LAC_PATTERN_DENSE)
                        ck_assert_uint_eq(stats.n_nonzero[pattern], p.weight.n_blocks);
                    free(back);
                    free_product(&p);
                }
}
END_TEST

START_TEST(small_sums_are_floats)
{
    static const struct {
        size_t n_in;
        enum content content;
        bool expected;
    } cases[] = {
        {256, LARGEST, true},  {257, LARGEST, false}, {256, EXTREME, true},
        {260, EXTREME, false}, {1024, ZERO, true},    {400, RANDOM, true},
    };
    uint64_t state = test_seed();
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct product p = {.n_out = 20,
                            .n_in = cases[i].n_in,
                            .n_tokens = 1,
                            .ld = 1,
                            .dtype = LAC_S8,
                            .pattern = LAC_PATTERN_4};
        make_product(&p, &state, cases[i].content);
        const struct lac_weight *w = &p.weight;
        ck_assert_int_eq(w->has_float_sums, cases[i].expected);
        for (size_t o = 0; o < p.n_out; o++) {
            ck_assert_int_eq(w->start[o], w->offset[o] + (w->has_float_sums ? LAC_SUM_BITS : 0));
            /* Exact: in double nothing is rounded. */
            double shift = w->has_float_sums ? -0x1.8p23 * (double)w->scale[o] : 0;
            ck_assert_double_eq((double)w->shift[o], shift);
        }
        free_product(&p);
    }
}
END_TEST

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
        ck_assert_int_eq(chosen, least);
        long kept = 0;
        for (int i = 0; i < 32; i += 8) {
            uint8_t dword[4];
            int8_t back[8];
            lac_int4_encode(&tables, w + i, g, dword);
            lac_int4_decode(dword, g, back);
            for (int j = 0; j < 8; j++)
                kept += (w[i + j] - back[j]) * (w[i + j] - back[j]);
        }
        ck_assert_int_eq(kept, least);
    }
}
END_TEST

START_TEST(bitmaps_are_counted)
{
    uint64_t state = test_seed();
    for (int dtype = 1; dtype < LAC_N_DTYPES; dtype++) {
        struct product p = {.n_out = 21,
                            .n_in = 43,
                            .n_tokens = 1,
                            .ld = 1,
                            .dtype = dtype,
                            .pattern = LAC_PATTERN_BITMAP};
        if (!lac_pattern_holds(p.pattern, p.dtype))
            continue;
        make_product(&p, &state, RANDOM);
        struct lac_error error;
        struct lac_weight w = p.weight;
        size_t n_bytes = lac_masks_bytes(&w);
        uint8_t *masks = (uint8_t *)(uintptr_t)w.masks;
        /* Any one bit turned over changes a count or keeps padding. */
        for (size_t bit = 0; bit < n_bytes * 8; bit++) {
            masks[bit / 8] ^= (uint8_t)(1u << bit % 8);
            ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
            masks[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        /* A bit moved within its row keeps the count: good, unless it moved into padding. */
        for (size_t i = 0; i < 200; i++) {
            size_t row_bits = n_bytes / w.n_block_rows * 8;
            size_t from = random_below(&state, row_bits), to = random_below(&state, row_bits);
            if ((masks[from / 8] >> from % 8 & 1) == (masks[to / 8] >> to % 8 & 1))
                continue;
            masks[from / 8] ^= (uint8_t)(1u << from % 8);
            masks[to / 8] ^= (uint8_t)(1u << to % 8);
            if (!lac_weight_check(&w, &error)) {
                void *back = guarded_alloc(p.n_out * p.n_in * lac_element_bytes(p.dtype));
                lac_weight_unpack(&w, back);
                guarded_free(back, p.n_out * p.n_in * lac_element_bytes(p.dtype));
            } else {
                masks[from / 8] ^= (uint8_t)(1u << from % 8);
                masks[to / 8] ^= (uint8_t)(1u << to % 8);
            }
        }
        ck_assert_int_eq(lac_weight_check(&w, &error), LAC_OK);
        uint32_t *row_begin = (uint32_t *)(uintptr_t)w.row_begin;
        row_begin[1]++;
        ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
        row_begin[1]--;
        w.n_blocks++;
        ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
        w.n_blocks--;
        w.masks = NULL;
        ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
        free_product(&p);
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
            ck_assert(isnan(lac_f16_to_f32(lac_f16_from_f32(f16))));
        else
            ck_assert_uint_eq(lac_f16_from_f32(f16), half);
        if (isnan(bf16))
            ck_assert(isnan(lac_bf16_to_f32(lac_bf16_from_f32(bf16))));
        else
            ck_assert_uint_eq(lac_bf16_from_f32(bf16), half);
        float next = lac_f16_to_f32((uint16_t)(half + 1));
        if (isnan(f16) || isnan(next) || isinf(f16) || isinf(next) || (half & 0x7fff) == 0x7fff)
            continue;
        float middle = (f16 + next) / 2;
        ck_assert_uint_eq(lac_f16_from_f32(middle), half + (half & 1));
        ck_assert_uint_eq(lac_f16_from_f32(nextafterf(middle, f16)), half);
        ck_assert_uint_eq(lac_f16_from_f32(nextafterf(middle, next)), half + 1);
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

START_TEST(checks_believe_nothing)
{
    uint64_t state = test_seed();
    struct product p = {
        .n_out = 32, .n_in = 64, .n_tokens = 1, .ld = 1, .dtype = LAC_S8, .pattern = LAC_PATTERN_4};
    make_product(&p, &state, RANDOM);
    struct lac_error error;
    struct lac_weight w = p.weight;
    uint16_t *index = (uint16_t *)(uintptr_t)w.index;
    uint32_t *row_begin = (uint32_t *)(uintptr_t)w.row_begin;
    float *scale = (float *)(uintptr_t)w.scale;

    uint16_t good_index = index[1];
    index[1] = index[0];
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    index[1] = 16;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    index[1] = good_index;
    uint32_t good_begin = row_begin[2];
    row_begin[2] = row_begin[3] + 1;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    row_begin[2] = UINT32_MAX;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    row_begin[2] = good_begin;
    scale[3] = INFINITY;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    scale[3] = 1;
    w.n_blocks++;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    w.n_blocks--;
    w.n_in = 1 << 20;
    ck_assert_int_lt(lac_weight_check(&w, &error), LAC_OK);
    w.n_in = 64;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_OK);
    w.dtype = LAC_N_DTYPES;
    ck_assert_int_eq(lac_weight_check(&w, &error), LAC_E_FORMAT);
    free_product(&p);

    p.dtype = LAC_S4;
    make_product(&p, &state, RANDOM);
    uint8_t *group = (uint8_t *)(uintptr_t)p.weight.group;
    size_t last = lac_weight_groups(&p.weight) * 4 - 1;
    group[last] = 0;
    ck_assert_int_eq(lac_weight_check(&p.weight, &error), LAC_E_FORMAT);
    group[last] = LAC_INT4_MOST_G + 1;
    ck_assert_int_eq(lac_weight_check(&p.weight, &error), LAC_E_FORMAT);
    group[last] = LAC_INT4_MOST_G;
    ck_assert_int_eq(lac_weight_check(&p.weight, &error), LAC_OK);
    free_product(&p);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linear");
    add_test(suite, "layouts", layouts_round_trip);
    add_test(suite, "sums", small_sums_are_floats);
    add_test(suite, "quantisation", quantisation_is_symmetric);
    add_test(suite, "int4", int4_groups_are_the_best);
    add_test(suite, "halves", halves_round_to_nearest);
    add_test(suite, "checks", checks_believe_nothing);
    add_test(suite, "bitmaps", bitmaps_are_counted);
    add_test(suite, "definition", scalar_is_the_definition);
    add_test(suite, "refusals", kernels_may_refuse);
    add_test(suite, "kernels", kernels_agree_with_scalar);
    return run_suite(suite);
}
