/* SPDX-License-Identifier: Apache-2.0 */
/* Products with some neurons: every kernel against the scalar one and against the dense linear
 * kernel of the same instruction set, on bundles that end where a page does. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/neurons.h"
#include "sparse/bundle.h"
#include "src/base/checked.h"
#include "tests/support.h"

enum content { RANDOM, EXTREME, N_CONTENTS };

static const size_t hidden_sizes[] = {1, 5, 16, 63, 64, 65, 130, 330};
static const size_t neuron_counts[] = {1, 3, 16, 17, 50};
static const size_t token_counts[] = {1, 2, 3, 4, 5, 7, 16, 18};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* A layer's weights, its bundle copied to where reading past its end is a fault, and a list. */
struct layer {
    enum lac_dtype dtype;
    size_t n_hidden, n_neurons, n_listed;
    struct lac_arena arena;
    struct lac_weight up, down;
    struct lac_bundle bundle;
    uint8_t *guarded;
    size_t guarded_bytes;
    uint32_t list[64];
};

static void make_weight(struct lac_weight *w, size_t n_out, size_t n_in, enum content content,
                        struct layer *l, uint64_t *state)
{
    struct lac_error error;
    bool is_quantized = l->dtype == LAC_S8;
    void *elements = malloc(n_out * n_in * sizeof(float));
    float *scale = malloc(n_out * sizeof *scale), *bias = malloc(n_out * sizeof *bias);
    for (size_t i = 0; i < n_out * n_in; i++)
        if (!is_quantized)
            ((float *)elements)[i] = random_float(state);
        else
            ((int8_t *)elements)[i] = content == EXTREME ? (random_u64(state) & 1 ? 127 : -128)
                                                         : (int8_t)random_below(state, 256);
    for (size_t o = 0; o < n_out; o++) {
        scale[o] = 0.01f + fabsf(random_float(state)) * 0.01f;
        bias[o] = random_float(state);
    }
    ck_assert(!lac_weight_pack(elements, is_quantized ? scale : NULL, bias, n_out, n_in, l->dtype,
                               LAC_PATTERN_DENSE, &l->arena, w, &error));
    free(elements);
    free(scale);
    free(bias);
}

static void layer_make(struct layer *l, enum content content, uint64_t *state)
{
    struct lac_error error;
    l->arena = (struct lac_arena){.host = &lac_default_host};
    make_weight(&l->up, l->n_neurons, l->n_hidden, content, l, state);
    make_weight(&l->down, l->n_hidden, l->n_neurons, content, l, state);
    ck_assert(lac_bundle_fits(&l->up, &l->down));
    ck_assert(!lac_bundle_make(&l->up, &l->down, &lac_default_host, &l->arena, &l->bundle, &error));
    l->guarded_bytes = l->n_neurons * l->bundle.stride;
    l->guarded = guarded_alloc(l->guarded_bytes);
    memcpy(l->guarded, l->bundle.neurons, l->guarded_bytes);
    l->n_listed = 0;
    for (size_t i = 0; i < l->n_neurons; i++)
        if (random_u64(state) & 1)
            l->list[l->n_listed++] = (uint32_t)i;
    if (!l->n_listed)
        l->list[l->n_listed++] = (uint32_t)(l->n_neurons - 1);
}

static void layer_free(struct layer *l)
{
    lac_arena_clear(&l->arena);
    guarded_free(l->guarded, l->guarded_bytes);
}

/* Activations of n features, their scales, and panels to go with outputs. */
struct batch {
    size_t n_tokens, ld, n_in, n_out, x_bytes, y_bytes;
    uint8_t *x;
    float *x_scale, *factor, *residual, *y, *abs_max;
};

static float *random_floats(size_t n, uint64_t *state)
{
    float *values = guarded_alloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = random_float(state);
    return values;
}

static void batch_make(struct batch *b, enum lac_dtype dtype, enum content content, uint64_t *state)
{
    size_t n_rows = dtype == LAC_S8 ? lac_ceil_div(b->n_in, 4) : b->n_in;
    b->x_bytes = n_rows * b->ld * 4;
    b->y_bytes = b->n_out * b->ld * sizeof(float);
    b->x = guarded_alloc(b->x_bytes);
    for (size_t i = 0; i < b->x_bytes / 4; i++) {
        float f = random_float(state);
        uint32_t bytes = (uint32_t)random_u64(state);
        memcpy(b->x + i * 4, dtype == LAC_S8 ? (void *)&bytes : (void *)&f, 4);
    }
    for (size_t i = 0; dtype == LAC_S8 && i < b->x_bytes; i++) {
        size_t feature = i / 4 / b->ld * 4 + i % 4;
        if (feature >= b->n_in)
            b->x[i] = 128;
        else if (content == EXTREME)
            b->x[i] = random_u64(state) & 1 ? 255 : 0;
    }
    b->x_scale = random_floats(b->ld, state);
    b->factor = random_floats(b->n_out * b->ld, state);
    b->residual = random_floats(b->n_out * b->ld, state);
    b->y = guarded_alloc(b->y_bytes);
    b->abs_max = guarded_alloc(b->ld * sizeof(float));
}

static void batch_free(struct batch *b)
{
    guarded_free(b->x, b->x_bytes);
    guarded_free(b->x_scale, b->ld * sizeof(float));
    guarded_free(b->factor, b->y_bytes);
    guarded_free(b->residual, b->y_bytes);
    guarded_free(b->y, b->y_bytes);
    guarded_free(b->abs_max, b->ld * sizeof(float));
}

/* All outputs, in pieces; what was there before shows what was not written. */
static void run(const struct lac_kernel *kernel, struct lac_neurons_args args,
                const struct batch *b, size_t piece)
{
    memset(b->y, 0x5a, b->y_bytes);
    memset(b->abs_max, 0, b->ld * sizeof(float));
    for (size_t out = 0; out < b->n_out; out += piece) {
        args.linear.out_begin = out;
        args.linear.out_end = lac_min_size(out + piece, b->n_out);
        kernel->run.neurons(&args);
    }
}

static struct lac_linear_args linear_args(const struct batch *b, const struct lac_weight *w,
                                          uint64_t *state)
{
    uint64_t kind = random_u64(state);
    return (struct lac_linear_args){
        .w = w,
        .out_end = b->n_out,
        .n_tokens = b->n_tokens,
        .ld = b->ld,
        .x = b->x,
        .x_scale = w->dtype == LAC_S8 ? b->x_scale : NULL,
        .activation = kind & 1 ? LAC_ACT_SILU : LAC_ACT_NONE,
        .factor = kind & 2 ? b->factor : NULL,
        .residual = kind & 4 ? b->residual : NULL,
        .y = b->y,
        .abs_max = kind & 8 ? b->abs_max : NULL,
    };
}

/* Sums of n products of numbers up to 1 differ by their order and by fusing. */
static void compare(const char *name, const struct layer *l, const struct batch *b,
                    const float *expected, const float *expected_max, double tolerance)
{
    for (size_t o = 0; o < b->n_out; o++)
        for (size_t t = 0; t < b->ld; t++) {
            double e = expected[o * b->ld + t], g = b->y[o * b->ld + t];
            check_each(t < b->n_tokens ? fabs(e - g) <= tolerance * (1 + fabs(e))
                                       : !memcmp(&expected[o * b->ld + t], &b->y[o * b->ld + t], 4),
                       "%s: %zu of %zu neurons, %zu hidden, %zu tokens: y[%zu, %zu] = %.9g, not "
                       "%.9g",
                       name, l->n_listed, l->n_neurons, l->n_hidden, b->n_tokens, o, t, g, e);
        }
    for (size_t t = 0; t < b->n_tokens; t++)
        check_each(fabs((double)expected_max[t] - (double)b->abs_max[t]) <=
                       tolerance * (1 + (double)expected_max[t]),
                   "%s: %zu of %zu neurons, %zu hidden: abs_max[%zu] is %g, not %g", name,
                   l->n_listed, l->n_neurons, l->n_hidden, t, (double)b->abs_max[t],
                   (double)expected_max[t]);
}

/* The linear kernel for few tokens on the whole weight; of rows only the listed ones count. */
static void compare_with_linear(const struct lac_kernel *kernel, const struct layer *l,
                                struct lac_neurons_args args, const struct batch *b)
{
    bool is_rows = kernel->op == LAC_OP_NEURON_ROWS;
    const struct lac_weight *w = is_rows ? &l->up : &l->down;
    const struct lac_kernel *linear =
        lac_kernel_find_linear(LAC_OP_LINEAR_OUTPUT, w, kernel->needs);
    struct batch all = *b;
    all.n_out = w->n_out;
    all.y_bytes = w->n_out * b->ld * sizeof(float);
    all.y = guarded_alloc(all.y_bytes);
    size_t x_rows = w->dtype == LAC_S8 ? lac_ceil_div(w->n_in, 4) : w->n_in;
    all.x = guarded_alloc(x_rows * b->ld * 4);
    memset(all.x, w->dtype == LAC_S8 ? 128 : 0, x_rows * b->ld * 4);
    for (size_t i = 0; i < b->n_in; i++)
        for (size_t t = 0; t < b->ld; t++) {
            size_t to = is_rows ? i : l->list[i];
            if (w->dtype == LAC_S8)
                all.x[(to / 4 * b->ld + t) * 4 + to % 4] = b->x[(i / 4 * b->ld + t) * 4 + i % 4];
            else
                memcpy(all.x + (to * b->ld + t) * 4, b->x + (i * b->ld + t) * 4, 4);
        }
    args.linear.w = w;
    args.linear.x = all.x;
    args.linear.y = all.y;
    args.linear.out_begin = 0;
    args.linear.out_end = w->n_out;
    args.linear.factor = args.linear.residual = NULL;
    args.linear.abs_max = NULL;
    linear->run.linear(&args.linear);
    for (size_t o = 0; o < b->n_out; o++)
        for (size_t t = 0; t < b->n_tokens; t++) {
            float e = all.y[(is_rows ? l->list[o] : o) * b->ld + t], g = b->y[o * b->ld + t];
            check_each(e == g, "%s: output %zu of token %zu is %.9g, and %.9g by %s", kernel->name,
                       o, t, (double)g, (double)e, linear->name);
        }
    guarded_free(all.x, x_rows * b->ld * 4);
    guarded_free(all.y, all.y_bytes);
}

static void try_batch(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                      const struct layer *l, size_t n_tokens, enum content content, uint64_t *state)
{
    bool is_rows = kernel->op == LAC_OP_NEURON_ROWS;
    struct lac_weight w = is_rows ? l->up : l->down;
    float scale[64] = {0}, bias[64] = {0}, *listed = NULL;
    int32_t offset[64] = {0};
    struct batch b = {
        .n_tokens = n_tokens,
        .ld =
            random_u64(state) & 1 ? n_tokens + random_below(state, 3) : lac_round_up(n_tokens, 16),
        .n_in = is_rows ? l->n_hidden : l->n_listed,
        .n_out = is_rows ? l->n_listed : l->n_hidden,
    };
    batch_make(&b, l->dtype, content, state);
    w.n_in = b.n_in;
    w.n_out = b.n_out;
    for (size_t i = 0; is_rows && i < l->n_listed; i++) {
        bias[i] = w.bias[l->list[i]];
        scale[i] = w.scale ? w.scale[l->list[i]] : 0;
        offset[i] = w.offset ? w.offset[l->list[i]] : 0;
    }
    if (is_rows) {
        w.scale = scale;
        w.bias = bias;
        w.offset = offset;
    }
    struct lac_neurons_args args = {
        .linear = linear_args(&b, &w, state),
        .part = l->guarded + (is_rows ? 0 : l->bundle.down),
        .stride = l->bundle.stride,
        .list = l->list,
    };
    float expected_max[32] = {0};
    run(scalar, args, &b, b.n_out);
    listed = malloc(b.y_bytes);
    memcpy(listed, b.y, b.y_bytes);
    memcpy(expected_max, b.abs_max, b.n_tokens * sizeof(float));
    run(kernel, args, &b, 16 * (1 + random_below(state, 6)));
    /* Integers are exact, but for the activation, which is not the scalar one. */
    compare(kernel->name, l, &b, listed, expected_max,
            l->dtype == LAC_S8 && args.linear.activation == LAC_ACT_NONE ? 1e-6 : 1e-5);
    args.linear.factor = args.linear.residual = NULL;
    run(kernel, args, &b, b.n_out);
    compare_with_linear(kernel, l, args, &b);
    free(listed);
    batch_free(&b);
}

static void try_kernel(const struct lac_kernel *kernel)
{
    const struct lac_kernel *scalar = lac_kernel_find_dtype(kernel->op, kernel->dtype, 0);
    uint64_t state = test_seed();
    for (size_t h = 0; h < COUNT(hidden_sizes); h++)
        for (size_t n = 0; n < COUNT(neuron_counts); n++)
            for (int content = 0; content < N_CONTENTS; content++) {
                struct layer l = {
                    .dtype = kernel->dtype,
                    .n_hidden = hidden_sizes[h],
                    .n_neurons = neuron_counts[n],
                };
                layer_make(&l, content, &state);
                for (size_t t = 0; t < COUNT(token_counts); t++)
                    try_batch(kernel, scalar, &l, token_counts[t], content, &state);
                layer_free(&l);
            }
}

static bool is_ours(const struct lac_kernel *kernel)
{
    return kernel->op == LAC_OP_NEURON_ROWS || kernel->op == LAC_OP_NEURON_COLUMNS;
}

START_TEST(kernels)
{
    size_t n = 0;
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (is_ours(*k) && !((*k)->needs & ~lac_cpu_features())) {
            try_kernel(*k);
            n++;
        }
    ck_assert_uint_ge(n, 4);
}
END_TEST

/* Sums that are kept in parts: more outputs than one part has. */
START_TEST(many_outputs)
{
    uint64_t state = test_seed();
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++) {
        struct layer l = {.dtype = (*k)->dtype, .n_hidden = 2100, .n_neurons = 21};
        if (!is_ours(*k) || (*k)->needs & ~lac_cpu_features())
            continue;
        layer_make(&l, RANDOM, &state);
        for (size_t n = 1; n < 7; n++)
            try_batch(*k, lac_kernel_find_dtype((*k)->op, (*k)->dtype, 0), &l, n, RANDOM, &state);
        layer_free(&l);
    }
}
END_TEST

START_TEST(bundles_of_odd_weights)
{
    struct lac_weight up = {.dtype = LAC_S8, .n_out = 8, .n_in = 4};
    struct lac_weight down = {.dtype = LAC_S8, .n_out = 4, .n_in = 8};
    ck_assert(lac_bundle_fits(&up, &down));
    up.dtype = LAC_F32;
    ck_assert(!lac_bundle_fits(&up, &down));
    up.dtype = down.dtype = LAC_BF16;
    ck_assert(!lac_bundle_fits(&up, &down));
    up.dtype = down.dtype = LAC_S8;
    down.outliers.n = 1;
    ck_assert(!lac_bundle_fits(&up, &down));
    down.outliers.n = 0;
    down.n_in = 7;
    ck_assert(!lac_bundle_fits(&up, &down));
    down.n_in = 8;
}
END_TEST

int main(void)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (is_ours(*k) && (*k)->needs & ~lac_cpu_features())
            printf("not run on this machine: %s\n", (*k)->name);
    Suite *suite = suite_create("neurons");
    add_test(suite, "kernels", kernels);
    add_test(suite, "many_outputs", many_outputs);
    add_test(suite, "bundles_of_odd_weights", bundles_of_odd_weights);
    return run_suite(suite);
}
