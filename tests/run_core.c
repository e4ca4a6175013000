/* SPDX-License-Identifier: Apache-2.0 */
/* Cores: which neurons are counted and chosen, and what is copied of them. */
#include <stdlib.h>
#include <string.h>

#include "simd/cpu.h"
#include "src/run/core.h"
#include "tests/run_suite.h"

enum { HIDDEN = 64, NEURONS = 96 };

static struct lac_network *open_network(enum lac_dtype dtype)
{
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = HIDDEN, .ffn = NEURONS};
    tiny_make(&tiny, test_seed());
    struct lac_network_options options = {
        .dtype = dtype, .pattern = -1, .features = lac_cpu_features()};
    struct lac_network *network = NULL;
    struct lac_error error = {0};
    ck_assert_msg(
        !lac_network_open(&lac_default_host, tiny_write(&tiny), &options, &network, &error), "%s",
        error.text);
    tiny_free(&tiny);
    return network;
}

/* Elements [n_out, n_in] of a weight. */
static void *unpack(const struct lac_weight *w)
{
    void *elements = calloc(w->n_out * w->n_in, lac_element_bytes(w->dtype));
    lac_weight_unpack(w, elements);
    return elements;
}

static void check_copy(const struct lac_weight *whole, const struct lac_weight *copy, bool is_down,
                       const uint32_t *list, size_t n)
{
    size_t size = lac_element_bytes(whole->dtype);
    uint8_t *from = unpack(whole), *to = unpack(copy);
    ck_assert_uint_eq(copy->n_out, is_down ? whole->n_out : n);
    ck_assert_uint_eq(copy->n_in, is_down ? n : whole->n_in);
    for (size_t o = 0; o < copy->n_out; o++) {
        size_t out = is_down ? o : list[o];
        ck_assert(copy->bias[o] == whole->bias[out]);
        ck_assert(!whole->scale || copy->scale[o] == whole->scale[out]);
        ck_assert(is_down || !whole->offset || copy->offset[o] == whole->offset[out]);
        for (size_t i = 0; i < copy->n_in; i++)
            ck_assert_mem_eq(to + (o * copy->n_in + i) * size,
                             from + (out * whole->n_in + (is_down ? list[i] : i)) * size, size);
    }
    free(from);
    free(to);
}

START_TEST(cores_are_what_most_tokens_use)
{
    struct lac_network *network = open_network(_i ? LAC_F32 : LAC_S8);
    struct lac_usage usage, copy;
    struct lac_error error = {0};
    float x[NEURONS][2];
    lac_usage_init(&usage, &lac_default_host, network);
    lac_usage_init(&copy, &lac_default_host, network);
    ck_assert_int_eq(lac_usage_choose(&usage, 0.25, &error), LAC_OK);
    ck_assert_ptr_null(usage.core); /* of nothing */
    ck_assert_int_eq(lac_usage_reserve(&usage, &error), LAC_OK);
    /* The first token's top quarter is the last 24 neurons, of either sign, the second's the first
     * 24; both have the multiples of 4 besides. */
    for (size_t layer = 0; layer < network->config.n_layers; layer++) {
        for (size_t i = 0; i < NEURONS; i++) {
            x[i][0] = i >= NEURONS - 24 ? (i % 2 ? 3 : -3) : 0.5f;
            x[i][1] = i < 24 ? 2 : -0.01f;
        }
        lac_usage_count(&usage, layer, &x[0][0], 2, 0.25);
        lac_usage_count(&usage, layer, &x[0][1], 2, 0.25);
        for (size_t i = 0; i < NEURONS; i++)
            x[i][0] = i % 4 ? 1 : 8;
        lac_usage_count(&usage, layer, &x[0][0], 2, 0.25);
    }
    lac_usage_advance(&usage, 3);
    ck_assert_int_eq(lac_usage_choose(&usage, 0.125, &error), LAC_OK);
    /* Counted twice: the multiples of 4 at both ends, 12 in all. */
    const struct lac_core *core = usage.core;
    ck_assert_uint_eq(core->n_chosen, 12);
    for (size_t layer = 0; layer < network->config.n_layers; layer++) {
        const struct lac_layer *from = &network->layers[layer];
        const struct lac_linear *const whole[] = {&from->gate, &from->up, &from->down};
        const uint32_t *list = core->list + layer * core->n_chosen;
        for (size_t i = 0; i < 12; i++)
            ck_assert_uint_eq(list[i], 4 * i + (i < 6 ? 0 : NEURONS - 48));
        for (size_t k = 0; k < LAC_CORE_LINEARS && core->layers[layer].n_bytes; k++)
            check_copy(&whole[k]->weight, &core->layers[layer].linears[k].weight,
                       k == LAC_CORE_DOWN, list, core->n_chosen);
        ck_assert(_i || core->layers[layer].n_bytes);
    }
    ck_assert_int_eq(lac_usage_copy(&copy, &usage, &error), LAC_OK);
    ck_assert_ptr_eq(copy.core, core);
    /* More is fed: of those counted once the first fill it up. */
    lac_usage_advance(&usage, 4);
    ck_assert_ptr_null(usage.core);
    ck_assert_int_eq(lac_usage_choose(&usage, 0.14, &error), LAC_OK);
    ck_assert_uint_eq(usage.core->n_chosen, 14);
    ck_assert_uint_eq(usage.core->list[1], 1);
    ck_assert_uint_eq(usage.core->list[2], 2);
    lac_usage_clear(&usage);
    ck_assert_uint_eq(copy.core->list[1], 4);
    lac_usage_clear(&copy);
    lac_network_free(network);
}
END_TEST

void add_core_tests(Suite *suite)
{
    add_loop_test(suite, "cores", cores_are_what_most_tokens_use, 2);
}
