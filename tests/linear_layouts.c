/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts of weights: what goes in comes out, and what is damaged is refused. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "sparse/int4.h"
#include "sparse/loose.h"
#include "sparse/sums.h"
#include "src/base/checked.h"
#include "tests/linear_suite.h"

/* int4 keeps zeros and signs; packed again, it is what it was. */
static void check_rounded(struct product *p, void *back)
{
    const int8_t *elements = p->elements, *rounded = back;
    for (size_t i = 0; i < p->n_out * p->n_in; i++) {
        check_each(elements[i] * rounded[i] >= 0, "%d became %d", elements[i], rounded[i]);
        check_each(elements[i] || !rounded[i], "a zero became %d", rounded[i]);
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

/* The quads of single inputs: each kept one has one place, the first of a quad is a multiple of 4,
 * and there are no more quads than that takes. */
START_TEST(single_inputs_share_quads)
{
    uint64_t state = test_seed();
    for (size_t turn = 0; turn < 500; turn++) {
        enum { MOST = 150 };
        size_t n_in = 1 + random_below(&state, MOST), n = 0, n_first = 0, density[4];
        uint8_t kept[(MOST + 7) / 8] = {0}, used[MOST] = {0}, seen[MOST] = {0};
        uint16_t index[MOST * 4];
        for (size_t r = 0; r < 4; r++)
            density[r] = random_below(&state, 9);
        for (size_t i = 0; i < n_in; i++)
            if (random_below(&state, 8) < density[i % 4]) {
                kept[i / 8] |= (uint8_t)(1u << i % 8);
                n++;
                n_first += i % 4 == 0;
            }
        size_t n_quads = lac_loose_quads(kept, n_in);
        lac_loose_place(kept, n_in, index, used);
        for (size_t k = 0; k < n_quads; k++) {
            ck_assert_uint_eq(index[4 * k] % 4, 0);
            for (size_t p = 0; p < 4; p++) {
                uint16_t i = index[4 * k + p];
                ck_assert_uint_lt(i, n_in);
                if (!(used[k] >> p & 1))
                    continue;
                ck_assert(kept[i / 8] >> i % 8 & 1);
                ck_assert_uint_eq(seen[i]++, 0);
                n--;
            }
        }
        ck_assert_uint_eq(n, 0);
        for (size_t i = 0; i < n_in; i++)
            n += seen[i];
        ck_assert_uint_eq(n_quads, lac_max_size((n + 3) / 4, (n - n_first + 2) / 3));
    }
}
END_TEST

START_TEST(places_of_tiles_and_quads_are_checked)
{
    static const enum lac_pattern patterns[] = {LAC_PATTERN_TILE_16, LAC_PATTERN_4X1};
    uint64_t state = test_seed();
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct product p = {.n_out = 64,
                            .n_in = 128,
                            .n_tokens = 1,
                            .ld = 1,
                            .dtype = LAC_S8,
                            .pattern = patterns[i]};
        make_product(&p, &state, RANDOM);
        struct lac_error error;
        uint16_t *index = (uint16_t *)(uintptr_t)p.weight.index, good = index[0];
        static const uint16_t wrong[] = {1, 2, 3, 128, 0xfffc, 0xffff};
        for (size_t k = 0; k < COUNT(wrong); k++) {
            index[0] = wrong[k];
            ck_assert_int_eq(lac_weight_check(&p.weight, &error), LAC_E_FORMAT);
        }
        index[0] = good;
        ck_assert_int_eq(lac_weight_check(&p.weight, &error), LAC_OK);
        free_product(&p);
    }
    struct lac_weight w;
    struct lac_error error;
    ck_assert_int_eq(lac_weight_shape(4, 1 << 16, LAC_S8, LAC_PATTERN_4X1, &w, &error), LAC_OK);
    ck_assert_int_eq(lac_weight_shape(4, (1 << 16) + 1, LAC_S8, LAC_PATTERN_4X1, &w, &error),
                     LAC_E_LIMIT);
    ck_assert_int_eq(lac_weight_shape(4, 16, LAC_F32, LAC_PATTERN_4X1, &w, &error),
                     LAC_E_UNSUPPORTED);
    ck_assert_int_eq(lac_weight_shape(4, 16, LAC_S4, LAC_PATTERN_TILE_16, &w, &error),
                     LAC_E_UNSUPPORTED);
    ck_assert_int_eq(lac_weight_shape(4, 16, LAC_BF16, LAC_PATTERN_TILE_32, &w, &error),
                     LAC_E_UNSUPPORTED);
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

void add_layout_tests(Suite *suite)
{
    add_test(suite, "layouts", layouts_round_trip);
    add_test(suite, "quads", single_inputs_share_quads);
    add_test(suite, "places", places_of_tiles_and_quads_are_checked);
    add_test(suite, "sums", small_sums_are_floats);
    add_test(suite, "checks", checks_believe_nothing);
    add_test(suite, "bitmaps", bitmaps_are_counted);
}
