/* SPDX-License-Identifier: Apache-2.0 */
/* Random weights with activations between guard pages. */
#include "tests/linear_suite.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"

const size_t outs[N_OUTS] = {1, 4, 15, 16, 17, 33, 64}, ins[N_INS] = {1, 3, 4, 5, 31, 64, 129};

/* Zeroes whole blocks of the pattern so that about `keep` of 8 stay. */
static void prune(struct product *p, uint64_t *state, size_t keep)
{
    bool single = !lac_block_indices(p->pattern);
    size_t rows = single ? 1 : lac_pattern_rows(p->pattern);
    size_t v = single ? 1 : lac_block_inputs(p->pattern, p->dtype);
    size_t size = lac_element_bytes(p->dtype);
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

void make_product(struct product *p, uint64_t *state, enum content content)
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
    if (is_quantized && content == RANDOM && random_u64(state) & 1)
        random_outliers(&p->weight.outliers, p->n_out, p->n_in, &p->arena, state);
    ck_assert_int_eq(lac_weight_check(&p->weight, &error), LAC_OK);
    guarded_free(scale, p->n_out * sizeof *scale);
    guarded_free(bias, p->n_out * sizeof *bias);

    p->x_size = (is_quantized ? lac_ceil_div(p->n_in, 4) : p->n_in) * p->ld * 4;
    p->guards_front = random_u64(state) & 1;
    p->x = p->guards_front ? guarded_alloc_front(p->x_size) : guarded_alloc(p->x_size);
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
    p->factor = random_floats(p->n_out * p->ld, state);
    p->residual = random_floats(p->n_out * p->ld, state);
}

void free_product(struct product *p)
{
    free(p->elements);
    lac_arena_clear(&p->arena);
    if (p->guards_front)
        guarded_free_front(p->x, p->x_size);
    else
        guarded_free(p->x, p->x_size);
    guarded_free(p->x_scale, p->ld * 4);
    guarded_free(p->inv_scale, p->ld * 4);
    guarded_free(p->factor, p->n_out * p->ld * 4);
    guarded_free(p->residual, p->n_out * p->ld * 4);
}
