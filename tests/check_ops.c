/* SPDX-License-Identifier: Apache-2.0 */
/* Quantising, norms, rotary positions and softmax: every kernel against the scalar one, bit
 * for bit, and the scalar one against a plain definition in double. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/base/checked.h"
#include "tests/ops_suite.h"

enum content { RANDOM, HUGE_VALUES, TINY_VALUES, ZEROS, EQUAL, MIXED, N_CONTENTS };

const size_t feature_counts[N_FEATURE_COUNTS] = {1, 2, 4, 7, 16, 17, 77, 256};

const struct tile_lanes tiles[N_TILES] = {{1, 1}, {16, 16}, {48, 16}, {48, 32}, {48, 48}};

void *alloc(enum guard guard, size_t size)
{
    return guard == GUARD_BEHIND ? guarded_alloc(size) : guarded_alloc_front(size);
}

void release(enum guard guard, void *memory, size_t size)
{
    (guard == GUARD_BEHIND ? guarded_free : guarded_free_front)(memory, size);
}

static float value(enum content content, uint64_t *state, size_t feature)
{
    float x = random_float(state);
    switch (content) {
    case HUGE_VALUES:
        return x * 1e17f;
    case TINY_VALUES:
        return x * 1e-30f;
    case ZEROS:
        return 0;
    case EQUAL:
        return 0.7f;
    case MIXED:
        return feature % 5 ? x * 1e-3f : x * 100;
    default:
        return x;
    }
}

/* A panel [n_features][ld]; its last lane is a token of zeros. */
static float *make_panel(enum guard guard, enum content content, size_t n_features, size_t ld,
                         uint64_t *state)
{
    float *x = alloc(guard, n_features * ld * sizeof *x);
    for (size_t i = 0; i < n_features * ld; i++)
        x[i] = ld > 1 && i % ld == ld - 1 ? 0 : value(content, state, i / ld);
    return x;
}

static void assert_same(const struct lac_kernel *kernel, const char *what, const void *expected,
                        const void *found, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (((const uint8_t *)expected)[i] != ((const uint8_t *)found)[i])
            ck_abort_msg("%s: byte %zu of %s differs", kernel->name, i, what);
}

void each_kernel(enum lac_op op,
                 void (*check)(const struct lac_kernel *, const struct lac_kernel *))
{
    const struct lac_kernel *scalar = lac_kernel_find(op, 0);
    size_t n = 0;
    ck_assert_ptr_nonnull(scalar);
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if ((*k)->op == op && !((*k)->needs & ~lac_cpu_features())) {
            check(*k, scalar);
            n++;
        }
    ck_assert_uint_ge(n, 1);
}

/* Quantising.  Outputs begin as the 0xa5 of fresh guarded memory, so lanes that must not be
 * written are compared too. */

struct quantized {
    uint8_t *bytes;
    float *scale;
    size_t bytes_size, scale_size;
};

static struct quantized make_quantized(enum guard guard, size_t n_features, size_t tile)
{
    struct quantized q = {.bytes_size = lac_round_up(n_features, 4) * tiles[tile].ld,
                          .scale_size = tiles[tile].n * sizeof(float)};
    q.bytes = alloc(guard, q.bytes_size);
    q.scale = alloc(guard, q.scale_size);
    return q;
}

static void release_quantized(enum guard guard, struct quantized *q)
{
    release(guard, q->bytes, q->bytes_size);
    release(guard, q->scale, q->scale_size);
}

static void assert_same_quantized(const struct lac_kernel *kernel, const struct quantized *expected,
                                  const struct quantized *found)
{
    assert_same(kernel, "y_u8", expected->bytes, found->bytes, found->bytes_size);
    assert_same(kernel, "y_scale", expected->scale, found->scale, found->scale_size);
}

/* Bytes against x / scale in double, with the scale max|x| / 127. */
static void assert_quantized(const float *x, size_t n_features, size_t tile,
                             const struct quantized *q)
{
    size_t ld = tiles[tile].ld;
    for (size_t t = 0; t < tiles[tile].n; t++) {
        double most = 0;
        for (size_t f = 0; f < n_features; f++)
            most = fmax(most, fabs(x[f * ld + t]));
        ck_assert_double_eq_tol(q->scale[t], most / 127, most * FLT_EPSILON / 127 + 0x1p-148);
        for (size_t f = 0; f < lac_round_up(n_features, 4); f++) {
            int byte = q->bytes[(f / 4 * ld + t) * 4 + f % 4] - 128;
            double exact = f < n_features && most > 0 ? x[f * ld + t] * 127 / most : 0;
            check_each(byte >= -127, "%d", byte);
            check_each(fabs(byte - exact) <= 0.5 + 127 * 2 * FLT_EPSILON,
                       "token %zu feature %zu: %d for %f", t, f, byte, exact);
        }
    }
}

static void check_quantize(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                           enum guard guard, enum content content, size_t n_features, size_t tile,
                           uint64_t *state)
{
    size_t ld = tiles[tile].ld, x_size = n_features * ld * sizeof(float);
    float *x = make_panel(guard, content, n_features, ld, state);
    struct quantized expected = make_quantized(guard, n_features, tile);
    struct quantized found = make_quantized(guard, n_features, tile);
    size_t max_size = tiles[tile].n * sizeof(float);
    float *abs_max = alloc(guard, max_size);
    struct lac_quantize_args args = {.x = x,
                                     .n_features = n_features,
                                     .ld = ld,
                                     .n_lanes = tiles[tile].n,
                                     .y_u8 = expected.bytes,
                                     .y_scale = expected.scale};
    scalar->run.quantize(&args);
    assert_quantized(x, n_features, tile, &expected);
    args.y_u8 = found.bytes;
    args.y_scale = found.scale;
    kernel->run.quantize(&args);
    assert_same_quantized(kernel, &expected, &found);

    for (size_t t = 0; t < tiles[tile].n; t++) {
        abs_max[t] = 0;
        for (size_t f = 0; f < n_features; f++)
            abs_max[t] = fmaxf(abs_max[t], fabsf(x[f * ld + t]));
    }
    args.abs_max = abs_max;
    memset(found.bytes, 0xa5, found.bytes_size);
    kernel->run.quantize(&args);
    assert_same_quantized(kernel, &expected, &found);
    release(guard, abs_max, max_size);
    release(guard, x, x_size);
    release_quantized(guard, &expected);
    release_quantized(guard, &found);
}

static void quantize_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    uint64_t state = test_seed();
    for (int content = 0; content < N_CONTENTS; content++)
        for (size_t f = 0; f < N_FEATURE_COUNTS; f++)
            for (size_t tile = 0; tile < N_TILES; tile++)
                check_quantize(kernel, scalar, (content + f + tile) % N_GUARDS, content,
                               feature_counts[f], tile, &state);
}

START_TEST(quantize)
{
    each_kernel(LAC_OP_QUANTIZE, quantize_kernel);
}
END_TEST

/* max = 127, so that values are bytes and halves fall between two of them. */
static void quantize_halves(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    (void)scalar;
    static const float values[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, -127};
    static const uint8_t expected[] = {255, 128, 130, 130, 128, 126, 2, 1};
    _Alignas(64) float x[8 * 16];
    _Alignas(64) uint8_t bytes[8 * 16];
    float scale[16];
    for (size_t i = 0; i < 8 * 16; i++)
        x[i] = values[i / 16];
    kernel->run.quantize(&(struct lac_quantize_args){
        .x = x, .n_features = 8, .ld = 16, .n_lanes = 16, .y_u8 = bytes, .y_scale = scale});
    for (size_t f = 0; f < 8; f++)
        ck_assert_uint_eq(bytes[(f / 4 * 16 + 3) * 4 + f % 4], expected[f]);
    ck_assert_float_eq(scale[0], 1);
}

START_TEST(quantize_rounds_half_to_even)
{
    each_kernel(LAC_OP_QUANTIZE, quantize_halves);
}
END_TEST

/* Norms. */

/* With u = eps / 2 of float, and sums of n terms in 16 parts (n / 16 + 5 roundings):
 *   |mean - exact| <= (n / 16 + 6) u mean|x|  =: d
 *   variance       relative (n / 16 + 10) u, and d^2 more
 *   y              the sum of what both make, and a few roundings of its own. */
static void assert_normed(const struct lac_norm_args *a, const float *x)
{
    double n = (double)a->n_features, u = FLT_EPSILON / 2, steps = n / 16 + 10;
    for (size_t t = 0; t < a->n_lanes; t++) {
        double sum = 0, size = 0, squares = 0, mean = 0, d = 0;
        for (size_t f = 0; f < a->n_features; f++) {
            sum += x[f * a->ld + t];
            size += fabs(x[f * a->ld + t]);
        }
        if (a->rule == LAC_RULE_LAYER_NORM) {
            mean = sum / n;
            d = steps * u * size / n;
        }
        for (size_t f = 0; f < a->n_features; f++)
            squares += (x[f * a->ld + t] - mean) * (x[f * a->ld + t] - mean);
        double variance = squares / n, factor = 1 / sqrt(variance + a->eps);
        double factor_error = steps * u + d * d * factor * factor;
        for (size_t f = 0; f < a->n_features; f++) {
            double z = (x[f * a->ld + t] - mean) * factor, g = a->gamma[f];
            double b = a->beta ? a->beta[f] : 0, exact = z * g + b;
            double bound = fabs(g) * (d * factor + fabs(z) * factor_error) +
                           4 * u * (fabs(z * g) + fabs(b)) +
                           u * fabs(g * factor * x[f * a->ld + t]) + 0x1p-140;
            check_each(fabs(a->y[f * a->ld + t] - exact) <= bound,
                       "token %zu feature %zu of %zu: %.9g for %.9g, bound %g", t, f, a->n_features,
                       a->y[f * a->ld + t], exact, bound);
        }
    }
}

/* One set of results: all that a norm writes. */
struct normed {
    float *y;
    struct quantized q;
    size_t size;
};

static struct normed make_normed(enum guard guard, size_t n_features, size_t tile)
{
    size_t size = n_features * tiles[tile].ld * sizeof(float);
    return (struct normed){alloc(guard, size), make_quantized(guard, n_features, tile), size};
}

static void release_normed(enum guard guard, struct normed *n)
{
    release(guard, n->y, n->size);
    release_quantized(guard, &n->q);
}

static void run_norm(const struct lac_kernel *kernel, struct lac_norm_args args, struct normed *to)
{
    args.y = to->y;
    args.y_u8 = to->q.bytes;
    args.y_scale = to->q.scale;
    kernel->run.norm(&args);
}

/* Each token of a panel as a row has the bits it has in the panel. */
static void check_norm_rows(const struct lac_kernel *kernel, const struct lac_norm_args *a,
                            const struct normed *panel)
{
    size_t n = a->n_features, ld = a->ld, n_bytes = lac_round_up(n, 4);
    float *x = guarded_alloc(n * sizeof *x), *y = guarded_alloc(n * sizeof *y), scale;
    uint8_t *bytes = guarded_alloc(n_bytes);
    for (size_t t = 0; t < a->n_lanes; t += 1 + a->n_lanes / 3) {
        for (size_t f = 0; f < n; f++)
            x[f] = a->x[f * ld + t];
        struct lac_norm_args row = *a;
        row.x = x;
        row.ld = row.n_lanes = 1;
        row.y = t % 2 ? y : NULL;
        row.y_u8 = bytes;
        row.y_scale = &scale;
        kernel->run.norm(&row);
        for (size_t f = 0; f < n && row.y; f++)
            assert_same(kernel, "y of a row", &panel->y[f * ld + t], &y[f], sizeof *y);
        for (size_t f = 0; f < n_bytes; f++)
            ck_assert_uint_eq(bytes[f], panel->q.bytes[(f / 4 * ld + t) * 4 + f % 4]);
        assert_same(kernel, "scale of a row", &panel->q.scale[t], &scale, sizeof scale);
    }
    guarded_free(x, n * sizeof *x);
    guarded_free(y, n * sizeof *y);
    guarded_free(bytes, n_bytes);
}

static void check_norm(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                       enum guard guard, enum content content, size_t n_features, size_t tile,
                       uint64_t *state)
{
    size_t ld = tiles[tile].ld, size = n_features * ld * sizeof(float);
    float *x = make_panel(guard, content, n_features, ld, state);
    float *gamma = alloc(guard, n_features * sizeof(float));
    float *beta = alloc(guard, n_features * sizeof(float));
    struct normed expected = make_normed(guard, n_features, tile);
    struct normed found = make_normed(guard, n_features, tile);
    for (size_t f = 0; f < n_features; f++) {
        gamma[f] = random_float(state);
        beta[f] = random_float(state);
    }
    struct lac_norm_args args = {
        .rule = random_u64(state) & 1 ? LAC_RULE_RMS_NORM : LAC_RULE_LAYER_NORM,
        .x = x,
        .n_features = n_features,
        .ld = ld,
        .n_lanes = tiles[tile].n,
        .gamma = gamma,
        .beta = random_u64(state) & 1 ? beta : NULL,
        .eps = 1e-5f,
    };
    run_norm(scalar, args, &expected);
    args.y = expected.y;
    assert_normed(&args, x);
    assert_quantized(expected.y, n_features, tile, &expected.q);
    run_norm(kernel, args, &found);
    assert_same(kernel, "y", expected.y, found.y, size);
    assert_same_quantized(kernel, &expected.q, &found.q);
    check_norm_rows(kernel, &args, &expected);

    /* Bytes alone. */
    struct quantized bytes = make_quantized(guard, n_features, tile);
    args.y = NULL;
    args.y_u8 = bytes.bytes;
    args.y_scale = bytes.scale;
    kernel->run.norm(&args);
    assert_same_quantized(kernel, &expected.q, &bytes);
    release_quantized(guard, &bytes);

    /* Without bytes, and in place: lanes beyond n_lanes are then those of x. */
    memcpy(found.y, x, size);
    args.x = args.y = found.y;
    args.y_u8 = NULL;
    args.y_scale = NULL;
    kernel->run.norm(&args);
    for (size_t i = 0; i < n_features * ld; i++)
        if (i % ld >= args.n_lanes)
            expected.y[i] = x[i];
    assert_same(kernel, "y in place", expected.y, found.y, size);

    release(guard, x, size);
    release(guard, gamma, n_features * sizeof(float));
    release(guard, beta, n_features * sizeof(float));
    release_normed(guard, &expected);
    release_normed(guard, &found);
}

static void norm_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    uint64_t state = test_seed();
    for (int content = 0; content < N_CONTENTS; content++)
        for (size_t f = 0; f < N_FEATURE_COUNTS; f++)
            for (size_t tile = 0; tile < N_TILES; tile++)
                check_norm(kernel, scalar, (content + f + tile) % N_GUARDS, content,
                           feature_counts[f], tile, &state);
}

START_TEST(norm)
{
    each_kernel(LAC_OP_NORM, norm_kernel);
}
END_TEST

/* Rotary positions. */

static void assert_turned(const struct lac_rope_args *a, const float *x)
{
    size_t half = a->n_rotated / 2;
    for (size_t i = 0; i < a->n_heads * a->head_dim; i++)
        for (size_t t = 0; t < a->ld; t++) {
            size_t d = i % a->head_dim, at = i * a->ld + t, pair = d % (half ? half : 1);
            double exact = x[at], other, size = 0;
            if (d < 2 * half && t < a->n_lanes) {
                double c = a->cos[pair * a->ld + t], s = a->sin[pair * a->ld + t];
                other = d < half ? -x[at + half * a->ld] : x[at - half * a->ld];
                exact = x[at] * c + other * s;
                size = fabs(x[at] * c) + fabs(other * s);
            }
            ck_assert_msg(fabs(a->x[at] - exact) <= FLT_EPSILON * size, "feature %zu token %zu", i,
                          t);
        }
}

static void check_rope(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                       enum guard guard, const size_t shape[3], size_t tile, uint64_t *state)
{
    size_t n_heads = shape[0], head_dim = shape[1], n_rotated = shape[2], ld = tiles[tile].ld;
    size_t n = n_heads * head_dim * ld, size = n * sizeof(float), half = n_rotated / 2;
    float *x = make_panel(guard, RANDOM, n_heads * head_dim, ld, state);
    float *expected = alloc(guard, size), *found = alloc(guard, size);
    float *cosine = make_panel(guard, RANDOM, half, ld, state);
    float *sine = make_panel(guard, RANDOM, half, ld, state);
    memcpy(expected, x, size);
    memcpy(found, x, size);
    struct lac_rope_args args = {.x = expected,
                                 .n_heads = n_heads,
                                 .head_dim = head_dim,
                                 .n_rotated = n_rotated,
                                 .ld = ld,
                                 .n_lanes = tiles[tile].n,
                                 .cos = cosine,
                                 .sin = sine};
    scalar->run.rope(&args);
    assert_turned(&args, x);
    args.x = found;
    kernel->run.rope(&args);
    assert_same(kernel, "x", expected, found, size);
    release(guard, x, size);
    release(guard, expected, size);
    release(guard, found, size);
    release(guard, cosine, half * ld * sizeof(float));
    release(guard, sine, half * ld * sizeof(float));
}

static void rope_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const size_t shapes[][3] = {{1, 2, 2},   {3, 8, 8},   {2, 20, 10},
                                       {1, 64, 64}, {2, 80, 32}, {1, 34, 34}};
    uint64_t state = test_seed();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t tile = 0; tile < N_TILES; tile++)
            check_rope(kernel, scalar, (i + tile) % N_GUARDS, shapes[i], tile, &state);
}

START_TEST(rope)
{
    each_kernel(LAC_OP_ROPE, rope_kernel);
}
END_TEST

/* Softmax. */

static void assert_softmax(const float *x, size_t n, const float *y)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, x[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - max);
    for (size_t i = 0; i < n; i++) {
        double exact = exp(x[i] - max) / sum;
        /* exp 2^-23, the sum n / 16 + 4 roundings, x - max one of up to |x - max|, and 3 more */
        double bound = exact * (FLT_EPSILON * ((double)n / 32 + 8 + fabs(x[i] - max))) + 0x1p-148;
        check_each(exact == 0 ? y[i] == 0 : fabs(y[i] - exact) <= bound,
                   "element %zu of %zu: %.9g for %.9g", i, n, y[i], exact);
    }
}

static void check_softmax(const struct lac_kernel *kernel, const struct lac_kernel *scalar,
                          enum guard guard, size_t n, float width, uint64_t *state)
{
    size_t size = n * sizeof(float);
    float *x = alloc(guard, size), *expected = alloc(guard, size), *found = alloc(guard, size);
    for (size_t i = 0; i < n; i++)
        x[i] = i % 7 == 3 && i ? -INFINITY : random_float(state) * width;
    scalar->run.softmax(&(struct lac_softmax_args){x, n, expected});
    assert_softmax(x, n, expected);
    kernel->run.softmax(&(struct lac_softmax_args){x, n, found});
    assert_same(kernel, "y", expected, found, size);
    kernel->run.softmax(&(struct lac_softmax_args){x, n, x});
    assert_same(kernel, "y in place", expected, x, size);
    release(guard, x, size);
    release(guard, expected, size);
    release(guard, found, size);
}

static void softmax_kernel(const struct lac_kernel *kernel, const struct lac_kernel *scalar)
{
    static const float widths[] = {0, 1, 30, 1e4f, 1e30f};
    uint64_t state = test_seed();
    for (int guard = 0; guard < N_GUARDS; guard++)
        for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
            for (size_t n = 1; n <= 50; n++)
                check_softmax(kernel, scalar, guard, n, widths[w], &state);
            check_softmax(kernel, scalar, guard, 1001, widths[w], &state);
        }
}

START_TEST(softmax)
{
    each_kernel(LAC_OP_SOFTMAX, softmax_kernel);
}
END_TEST

static int is_ours(enum lac_op op)
{
    return op == LAC_OP_QUANTIZE || op == LAC_OP_NORM || op == LAC_OP_ROPE ||
           op == LAC_OP_SOFTMAX || op == LAC_OP_TO_PANEL || op == LAC_OP_FROM_PANEL;
}

int main(void)
{
    for (const struct lac_kernel *const *k = lac_kernels(); *k; k++)
        if (is_ours((*k)->op) && (*k)->needs & ~lac_cpu_features())
            printf("not run on this machine: %s\n", (*k)->name);
    Suite *suite = suite_create("ops");
    add_test(suite, "quantize", quantize);
    add_test(suite, "quantize_rounds_half_to_even", quantize_rounds_half_to_even);
    add_test(suite, "norm", norm);
    add_test(suite, "rope", rope);
    add_test(suite, "softmax", softmax);
    add_panel_tests(suite);
    return run_suite(suite);
}
