/* SPDX-License-Identifier: Apache-2.0 */
/* Every linear kernel against the scalar one, the scalar one against a plain double sum. */
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/kernel.h"
#include "src/base/checked.h"
#include "src/base/half.h"
#include "tests/linear_suite.h"

struct result {
    size_t y_size, u8_size, max_size;
    float *y, *abs_max;
    uint8_t *y_u8;
};

static void make_result(const struct product *p, struct result *r)
{
    r->y_size = p->n_out * p->ld * 4;
    r->u8_size = lac_round_up(p->n_out, 4) * p->ld;
    r->max_size = p->ld * 4;
    r->y = guarded_alloc(r->y_size);
    r->y_u8 = guarded_alloc(r->u8_size);
    r->abs_max = guarded_alloc(r->max_size);
}

/* Not a result of anything, so that what is not written shows. */
static void reset_result(struct result *r)
{
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
enum outputs { Y = 1, Y_U8 = 2, RESIDUAL = 4, ABS_MAX = 8, FACTOR = 16 };

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
        .factor = outputs & FACTOR ? p->factor : NULL,
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
                check_each(fabsf(e - g) <= bound,
                           "%s %zux%zu tokens %zu ld %zu: y[%zu,%zu] = %.9g, expected %.9g", name,
                           p->n_out, p->n_in, p->n_tokens, p->ld, o, t, (double)g, (double)e);
            if (outputs & Y_U8) {
                size_t byte = (o / 4 * p->ld + t) * 4 + o % 4;
                float steps = bound * p->inv_scale[t];
                check_each(fabsf((float)expected->y_u8[byte] - (float)got->y_u8[byte]) <=
                               (steps == 0     ? 0
                                : steps < 0.5f ? 1
                                               : 2 * steps),
                           "%s %zux%zu tokens %zu: u8[%zu,%zu] = %d, expected %d", name, p->n_out,
                           p->n_in, p->n_tokens, o, t, got->y_u8[byte], expected->y_u8[byte]);
            }
        }
    for (size_t o = p->n_out; outputs & Y_U8 && o % 4; o++)
        for (size_t t = 0; t < p->n_tokens; t++)
            check_each(got->y_u8[(o / 4 * p->ld + t) * 4 + o % 4] == 128,
                       "%s: output %zu that pads is %d", name, o,
                       got->y_u8[(o / 4 * p->ld + t) * 4 + o % 4]);
    for (size_t t = 0; outputs & ABS_MAX && t < p->n_tokens; t++)
        check_each(fabsf(expected->abs_max[t] - got->abs_max[t]) <=
                       tolerance(p, activation) * (1 + expected->abs_max[t]),
                   "%s: abs_max[%zu] = %.9g, expected %.9g", name, t, (double)got->abs_max[t],
                   (double)expected->abs_max[t]);
}

static const struct lac_kernel *scalar_twin(const struct lac_kernel *kernel)
{
    struct lac_weight weight = {.pattern = kernel->pattern, .dtype = kernel->dtype};
    return lac_kernel_find_linear(kernel->op, &weight, 0);
}

/* What is added to and multiplied with: each of these has results of its own. */
static const unsigned panels[] = {0, RESIDUAL, RESIDUAL | FACTOR};

static size_t panels_of(unsigned outputs)
{
    return outputs & FACTOR ? 2 : outputs & RESIDUAL ? 1 : 0;
}

/* What the scalar kernel makes of the product, with each of these panels: all outputs. */
static void make_expected(const struct lac_kernel *kernel, const struct product *p,
                          enum lac_activation activation, struct result expected[COUNT(panels)])
{
    for (size_t i = 0; i < COUNT(panels); i++) {
        reset_result(&expected[i]);
        struct lac_linear_args args =
            args_of(p, &expected[i], activation, Y | Y_U8 | ABS_MAX | panels[i]);
        scalar_twin(kernel)->run.linear(&args);
    }
}

static void try_kernel(const struct lac_kernel *kernel, struct product *p, size_t piece)
{
    static const unsigned kinds[] = {Y, Y | FACTOR | RESIDUAL | ABS_MAX, Y_U8,
                                     Y | Y_U8 | RESIDUAL | ABS_MAX, Y_U8 | ABS_MAX};
    struct result expected[COUNT(panels)], got;
    for (size_t i = 0; i < COUNT(panels); i++)
        make_result(p, &expected[i]);
    make_result(p, &got);
    /* What follows a sum does not know how long it was. */
    for (int act = 0; act < (p->n_in > 200 ? LAC_ACT_NONE + 1 : LAC_N_ACTIVATIONS); act++) {
        make_expected(kernel, p, act, expected);
        for (size_t i = 0; i < COUNT(kinds); i++) {
            if (act != LAC_ACT_NONE && i != 1 && i != 2)
                continue;
            struct lac_linear_args args = args_of(p, &got, act, kinds[i]);
            reset_result(&got);
            run_in_pieces(kernel, args, piece);
            compare(p, &expected[panels_of(kinds[i])], &got, act, kinds[i], kernel->name);
        }
    }
    for (size_t i = 0; i < COUNT(panels); i++)
        free_result(&expected[i]);
    free_result(&got);
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

static const size_t tokens[] = {1,  2,  3,  4,  5,  7,  8,  9,  11, 13, 15, 16,
                                17, 18, 19, 25, 27, 31, 33, 34, 39, 47, 48};

static bool is_onednn(const struct lac_kernel *kernel)
{
    return strstr(kernel->name, "/onednn") != NULL;
}

/* A kernel of another library refuses everything where that is not installed, and only there. */
static bool is_installed(const struct lac_kernel *kernel)
{
    struct lac_weight w = {.pattern = kernel->pattern, .dtype = kernel->dtype};
    w.n_out = w.n_in = w.n_dwords = 64;
    if (!kernel->fits || kernel->fits(&w))
        return true;
    ck_assert_msg(is_onednn(kernel) && !dlopen("libdnnl.so.2", RTLD_NOW), "%s refuses all",
                  kernel->name);
    return false;
}

/* All sizes round the edges, each with some number of tokens; and all numbers of tokens. */
static void try_shapes(const struct lac_kernel *kernel, uint64_t *state)
{
    for (size_t o = 0; o < N_OUTS; o++)
        for (size_t i = 0; i < N_INS; i++) {
            size_t t = tokens[random_below(state, COUNT(tokens))];
            try_shape(kernel, outs[o], ins[i], t, random_below(state, N_CONTENTS), state);
        }
    for (size_t t = 0; t < COUNT(tokens); t++)
        try_shape(kernel, 37, 70, tokens[t], RANDOM, state);
    try_shape(kernel, 80, 1030, 48, RANDOM, state);
    try_shape(kernel, 48, 515, 5, EXTREME, state);
    /* More inputs than output-lane kernels copy; an odd number. */
    if (kernel->op == LAC_OP_LINEAR_OUTPUT) {
        try_shape(kernel, 20, 20001, 3, EXTREME, state);
        try_shape(kernel, 20, 20001, 11, EXTREME, state);
    }
    /* Sums of 2^22, the largest that are read as floats, and one product more. */
    try_shape(kernel, 48, 256, 48, LARGEST, state);
    try_shape(kernel, 48, 257, 48, LARGEST, state);
}

START_TEST(kernels_agree_with_scalar)
{
    uint64_t state = test_seed();
    unsigned features = lac_cpu_features(), n_onednn = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        if ((*k)->op != LAC_OP_LINEAR_TOKEN && (*k)->op != LAC_OP_LINEAR_OUTPUT)
            continue;
        n_onednn += is_onednn(*k);
        if ((*k)->needs & ~features || !is_installed(*k))
            printf("cannot run here: %s\n", (*k)->name);
        else if ((*k)->needs)
            try_shapes(*k, &state);
        else
            /* With itself: each output alone, and in pieces. */
            try_shape(*k, 37, 70, 5, RANDOM, &state);
    }
    if (!n_onednn)
        puts("cannot run here: oneDNN, which is not built in");
}
END_TEST

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

static double input_value(const struct product *p, size_t i, size_t t)
{
    return ((uint8_t *)p->x)[(i / 4 * p->ld + t) * 4 + i % 4] - 128;
}

/* v by the formula in simd/kernel.h, in double; elements as they are kept. */
static double expected_value(const struct product *p, const void *elements, size_t o, size_t t)
{
    double acc = 0;
    bool is_quantized = lac_dtype_is_quantized(p->dtype);
    const struct lac_outliers *out = &p->weight.outliers;
    for (size_t i = 0; i < p->n_in; i++)
        acc += element_value(p, elements, o * p->n_in + i) *
               (is_quantized ? input_value(p, i, t) : (double)((float *)p->x)[i * p->ld + t]);
    if (is_quantized)
        acc *= (double)p->weight.scale[o] * (double)p->x_scale[t];
    for (uint32_t k = out->n ? out->begin[o] : 0; out->n && k < out->begin[o + 1]; k++)
        acc += (double)out->values[k] * input_value(p, out->index[k], t) * (double)p->x_scale[t];
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
                double got = (double)r.y[o * p.ld + t];
                check_each(fabs(e - got) <= 1e-5 * (1 + fabs(e)), "%s: y[%zu,%zu] = %.9g for %.9g",
                           (*k)->name, o, t, got, e);
            }
        free(kept);
        free_result(&r);
        free_product(&p);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linear");
    add_layout_tests(suite);
    add_rounding_tests(suite);
    add_outlier_tests(suite);
    add_test(suite, "definition", scalar_is_the_definition);
    add_test(suite, "refusals", kernels_may_refuse);
    add_test(suite, "kernels", kernels_agree_with_scalar);
    return run_suite(suite);
}
