/* SPDX-License-Identifier: Apache-2.0 */
/* Forward passes against each other, in every way of dividing the work: not a bit may differ. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sparse/layout.h"
#include "tests/run_suite.h"

static void shuffle(uint64_t *state, size_t *order)
{
    for (size_t i = 0; i < N_LENGTHS; i++)
        order[i] = i;
    for (size_t i = N_LENGTHS; i > 1; i--) {
        size_t k = random_below(state, i), moved = order[i - 1];
        order[i - 1] = order[k];
        order[k] = moved;
    }
}

static void check_divisions(const struct tiny *tiny, enum lac_dtype dtype)
{
    static const size_t threads[] = {1, 2, 3, 5}, batches[] = {1, 50, 100, 330, (size_t)1 << 63};
    const char *path = tiny_write(tiny);
    enum lac_task task = tasks[tiny->head];
    struct text *texts = make_texts(tiny, test_seed() + 7);
    float *first = NULL;
    uint64_t state = test_seed();
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct lac_engine *engine = run_engine(threads[t], NULL);
        struct lac_model *model = run_model(engine, path, dtype, -1);
        for (size_t b = t ? 2 : 0; b < sizeof batches / sizeof batches[0]; b++) {
            size_t order[N_LENGTHS];
            shuffle(&state, order);
            float *numbers =
                run_texts(model, task, LAC_POOL_DEFAULT, batches[b], texts, first ? order : NULL);
            char what[64];
            snprintf(what, sizeof what, "%s, head %d, %zu threads, batches of %zu",
                     dtype == LAC_S8 ? "int8" : "fp32", (int)tiny->head, threads[t], batches[b]);
            if (first)
                check_same(first, numbers, what);
            if (first)
                free(numbers);
            else
                first = numbers;
        }
        lac_model_free(model);
        lac_engine_free(engine);
    }
    free(first);
    free(texts);
}

START_TEST(divisions_of_the_work_do_not_change_a_bit)
{
    for (int head = 0; head < TINY_N_HEADS; head++) {
        /* Large enough that sequences of 64 tokens are worth a team. */
        struct tiny tiny = {.head = (enum tiny_head)head, .hidden = 112, .heads = 2, .ffn = 400};
        tiny_make(&tiny, test_seed() + 300);
        check_divisions(&tiny, LAC_S8);
        check_divisions(&tiny, LAC_F32);
        tiny_free(&tiny);
    }
}
END_TEST

/* The model is so large that one token is worth a team: its layers are divided by rows, those of
 * longer sequences by rows or by tiles. */
static void check_teams(enum lac_dtype dtype)
{
    static const size_t threads[] = {1, 2, 3, 8};
    struct tiny tiny = {.head = TINY_TAG, .hidden = 200, .heads = 5, .ffn = 900};
    tiny_make(&tiny, test_seed() + 310);
    const char *path = tiny_write(&tiny);
    struct text *texts = make_texts(&tiny, 5);
    float *first[N_LENGTHS] = {NULL};
    for (size_t t = 0; t < sizeof threads / sizeof threads[0]; t++) {
        struct lac_engine *engine = run_engine(threads[t], NULL);
        struct lac_model *model = run_model(engine, path, dtype, -1);
        struct lac_session *session = run_session(model, LAC_TASK_TAG, 0, LAC_POOL_DEFAULT);
        for (size_t i = 0; i < N_LENGTHS; i++) {
            float *numbers = calloc(MOST_NUMBERS, sizeof *numbers);
            lac_session_clear(session);
            ck_assert_int_eq(
                lac_session_add_ids(session, texts[i].ids, texts[i].type_ids, texts[i].n, NULL),
                LAC_OK);
            ck_assert_int_eq(lac_session_run(session), LAC_OK);
            size_t n = read_numbers(session, LAC_TASK_TAG, 0, numbers);
            ck_assert_uint_eq(n, texts[i].n * tiny.labels);
            if (first[i])
                ck_assert_msg(!memcmp(first[i], numbers, n * sizeof *numbers),
                              "%zu tokens on %zu threads", texts[i].n, threads[t]);
            free(first[i]);
            first[i] = numbers;
        }
        lac_session_free(session);
        lac_model_free(model);
        lac_engine_free(engine);
    }
    for (size_t i = 0; i < N_LENGTHS; i++)
        free(first[i]);
    free(texts);
    tiny_free(&tiny);
}

START_TEST(a_sequence_alone_is_the_same_on_a_team)
{
    check_teams(LAC_S8);
    check_teams(LAC_F32);
}
END_TEST

static void check_near(const float *a, const float *b)
{
    for (size_t i = 0; i < N_LENGTHS * MOST_NUMBERS; i++)
        check_each(fabsf(a[i] - b[i]) < 1e-4f, "number %zu: %.9g, %.9g", i, (double)a[i],
                   (double)b[i]);
}

/* Integer sums do not depend on the layout; fp32 sums do, in their last bits.  What int4 rounds to
 * does. */
START_TEST(layouts_do_not_change_results)
{
    struct tiny tiny = {.head = TINY_TAG, .hidden = 64, .heads = 2, .ffn = 96};
    tiny_make(&tiny, test_seed() + 320);
    const char *path = tiny_write(&tiny);
    struct text *texts = make_texts(&tiny, 5);
    struct lac_engine *engine = run_engine(1, NULL);
    for (int dtype = LAC_S8; dtype < LAC_S4; dtype++) {
        float *first = NULL;
        for (int pattern = -1; pattern < LAC_N_PATTERNS; pattern++) {
            if (pattern >= 0 &&
                !lac_pattern_holds((enum lac_pattern)pattern, (enum lac_dtype)dtype))
                continue;
            struct lac_model *model = run_model(engine, path, (enum lac_dtype)dtype, pattern);
            for (size_t i = 0; i < lac_model_weights(model) && pattern >= 0; i++) {
                struct lac_weight_info info;
                ck_assert_int_eq(lac_model_weight_info(model, i, &info), LAC_OK);
                ck_assert_int_eq((int)info.pattern, pattern);
            }
            float *numbers = run_texts(model, LAC_TASK_TAG, LAC_POOL_DEFAULT, 0, texts, NULL);
            if (first && dtype == LAC_S8)
                check_same(first, numbers, "another layout");
            if (first)
                check_near(first, numbers);
            free(first);
            first = numbers;
            lac_model_free(model);
        }
        free(first);
    }
    lac_engine_free(engine);
    free(texts);
    tiny_free(&tiny);
}
END_TEST

void add_division_tests(Suite *suite)
{
    add_test(suite, "divisions", divisions_of_the_work_do_not_change_a_bit);
    add_test(suite, "teams", a_sequence_alone_is_the_same_on_a_team);
    add_test(suite, "layouts", layouts_do_not_change_results);
}
