/* SPDX-License-Identifier: Apache-2.0 */
/* Attention plans: what each layer and head follows, and what is no plan. */
#include <string.h>

#include "src/run/sight_plan.h"
#include "tests/run_suite.h"

enum { LAYERS = 2, HEADS = 3 };

static const struct lac_sight usual[1];

/* Reads a plan over usual rules. */
static enum lac_status read_choices(const char *text, struct lac_arena *arena,
                                    const struct lac_sight *sights[LAYERS * HEADS],
                                    const struct lac_pick *choices[LAYERS * HEADS],
                                    struct lac_error *error)
{
    json_t *json = NULL;
    struct lac_sight_plan plan = {LAYERS, HEADS, false, sights, choices, NULL};
    ck_assert_int_eq(lac_json_parse("plan", text, strlen(text), &json, error), LAC_OK);
    for (size_t i = 0; i < LAYERS * HEADS; i++) {
        sights[i] = usual;
        choices[i] = NULL;
    }
    enum lac_status status = lac_sight_plan_read(json, arena, &plan, error);
    json_decref(json);
    return status;
}

static enum lac_status read_plan(const char *text, struct lac_arena *arena,
                                 const struct lac_sight *sights[LAYERS * HEADS],
                                 struct lac_error *error)
{
    const struct lac_pick *choices[LAYERS * HEADS];
    return read_choices(text, arena, sights, choices, error);
}

START_TEST(plans)
{
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_error error = {0};
    const struct lac_sight *sights[LAYERS * HEADS];
    static const char text[] =
        "{\"rules\": {\"near\": [{\"kind\": \"window\", \"left\": 3, \"right\": 1},"
        "                        {\"kind\": \"sinks\", \"n\": 2}],"
        " \"mask\": [{\"kind\": \"blocks\", \"block\": 4, \"mask\": [\"10\", \"01\"]}],"
        " \"far\": [{\"kind\": \"global\", \"ranges\": [[5, 6]], \"rows\": false},"
        "           {\"kind\": \"strided\", \"stride\": 4, \"offset\": 1, \"block\": 2}],"
        " \"grid\": [{\"kind\": \"neighbours\", \"axes\": [{\"size\": 3, \"window\": 1},"
        "            {\"size\": 4, \"window\": 3}]}], \"none\": []},"
        " \"layers\": [[\"near\", \"mask\", \"far\"], [\"usual\", \"grid\", \"none\"]]}";
    ck_assert_msg(!read_plan(text, &arena, sights, &error), "%s", error.text);
    /* What query 6 sees of 12 keys. */
    static const char *const expected[] = {"110111110000", "000011110000", "001101000011",
                                           NULL,           "000000000000", "000000000000"};
    for (size_t i = 0; i < LAYERS * HEADS; i++) {
        if (!expected[i]) {
            ck_assert_ptr_eq(sights[i], usual);
            continue;
        }
        for (size_t key = 0; key < 12; key++) {
            bool sees = lac_sight_sees(sights[i], 12, 6, key);
            if (i == 4) /* line 1 of the grid, columns 1 to 3 */
                ck_assert(sees == (key >= 5 && key < 8));
            else
                ck_assert_msg(sees == (expected[i][key] == '1'), "head %zu, key %zu", i, key);
        }
    }
    ck_assert_msg(!read_plan("{\"rules\": {\"a\": [{\"kind\": \"all\"}]}, \"layers\": \"a\"}",
                             &arena, sights, &error),
                  "%s", error.text);
    for (size_t i = 1; i < LAYERS * HEADS; i++)
        ck_assert_ptr_eq(sights[i], sights[0]);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(plans_with_choices)
{
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_error error = {0};
    const struct lac_sight *sights[LAYERS * HEADS];
    const struct lac_pick *choices[LAYERS * HEADS];
    static const char text[] =
        "{\"rules\": {\"lines\": [{\"kind\": \"vertical_slash\", \"columns\": 1000, "
        "\"diagonals\": 200, \"mass\": 0.9, \"sample\": 32, \"first\": 4, \"near\": 100}],"
        " \"pooled\": [{\"kind\": \"pooled\", \"blocks\": 7}, {\"kind\": \"window\", "
        "\"left\": 3}],"
        " \"estimate\": [{\"kind\": \"sinks\", \"n\": 2}, {\"kind\": \"estimate\"}]},"
        " \"layers\": [[\"lines\", \"pooled\", \"estimate\"], \"usual\"]}";
    ck_assert_msg(!read_choices(text, &arena, sights, choices, &error), "%s", error.text);
    const struct lac_pick *c = choices[0];
    ck_assert(c->kind == LAC_PICK_LINES && c->columns.n == 1000 && c->diagonals.n == 200);
    ck_assert(c->columns.mass == 0.9 && c->diagonals.mass == 0.9 && c->n_sampled == 32);
    ck_assert(c->n_first == 4 && c->n_near == 100);
    ck_assert_ptr_eq(sights[0], usual);
    c = choices[1];
    ck_assert(c->kind == LAC_PICK_POOLED && c->blocks.n == 7 && c->blocks.mass == 0);
    ck_assert_ptr_ne(sights[1], usual);
    ck_assert(lac_sight_sees(sights[1], 12, 6, 3) && !lac_sight_sees(sights[1], 12, 6, 2));
    c = choices[2];
    ck_assert(c->kind == LAC_PICK_ESTIMATE && c->threshold == 0.01);
    ck_assert(lac_sight_sees(sights[2], 12, 6, 1) && !lac_sight_sees(sights[2], 12, 6, 2));
    for (size_t i = 3; i < LAYERS * HEADS; i++)
        ck_assert(!choices[i] && sights[i] == usual);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(plans_with_figures)
{
    static const char text[] =
        "{\"layers\": \"usual\", \"measured\": {\"tokens\": 9, \"window\": 4, \"density\": 0.5,"
        " \"error\": 0.1, \"perplexity\": 3, \"full_perplexity\": 2.5, \"others\": null,"
        " \"head_density\": [[1, 0.5, 0], [1, 1, 1]], \"head_error\": [[0, 0, 0], [0, 2, 0.5]]}}";
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_error error = {0};
    const struct lac_sight *sights[LAYERS * HEADS];
    ck_assert_msg(!read_plan(text, &arena, sights, &error), "%s", error.text);
    for (size_t i = 0; i < LAYERS * HEADS; i++)
        ck_assert_ptr_eq(sights[i], usual);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(no_plans)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"[]", "rules"},
        {"{\"rules\": 1, \"layers\": \"usual\"}", "rules"},
        {"{}", "layers"},
        {"{\"layers\": \"near\"}", "near"},
        {"{\"layers\": [\"usual\"]}", "1 items for 2 layers"},
        {"{\"layers\": [[\"usual\"], \"usual\"]}", "1 items for 3 heads of layer 0"},
        {"{\"rules\": {\"a\": 1}, \"layers\": \"a\"}", "rule \"a\""},
        {"{\"rules\": {\"a\": [1]}, \"layers\": \"a\"}", "expected an object"},
        {"{\"rules\": {\"a\": [{\"kind\": \"b\"}]}, \"layers\": \"a\"}", "\"b\" is not known"},
        {"{\"rules\": {\"a\": [{\"kind\": \"window\", \"left\": -1}]}, \"layers\": \"a\"}", "left"},
        {"{\"rules\": {\"a\": [{\"kind\": \"strided\"}]}, \"layers\": \"a\"}", "stride"},
        {"{\"rules\": {\"a\": [{\"kind\": \"sinks\"}]}, \"layers\": \"a\"}", "n: expected"},
        {"{\"rules\": {\"a\": [{\"kind\": \"blocks\"}]}, \"layers\": \"a\"}", "mask"},
        {"{\"rules\": {\"a\": [{\"kind\": \"blocks\", \"mask\": [\"01\", \"1\"]}]},"
         " \"layers\": \"a\"}",
         "row 1"},
        {"{\"rules\": {\"a\": [{\"kind\": \"global\", \"ranges\": [[2]]}]}, \"layers\": \"a\"}",
         "ranges"},
        {"{\"rules\": {\"a\": [{\"kind\": \"global\", \"ranges\": [[2, 1]]}]}, \"layers\": \"a\"}",
         "ranges"},
        {"{\"rules\": {\"a\": [{\"kind\": \"pooled\"}, {\"kind\": \"estimate\"}]},"
         " \"layers\": \"a\"}",
         "more than one choice"},
        {"{\"rules\": {\"a\": [{\"kind\": \"pooled\", \"mass\": 2}]}, \"layers\": \"a\"}",
         "blocks out of bounds"},
        {"{\"rules\": {\"a\": [{\"kind\": \"pooled\", \"blocks\": -1}]}, \"layers\": \"a\"}",
         "blocks"},
        {"{\"rules\": {\"a\": [{\"kind\": \"vertical_slash\", \"sample\": 17}]},"
         " \"layers\": \"a\"}",
         "sampled queries"},
        {"{\"rules\": {\"a\": [{\"kind\": \"gate\"}]}, \"layers\": \"a\"}",
         "the model has no gates"},
        {"{\"rules\": {\"a\": [{\"kind\": \"estimate\", \"threshold\": \"x\"}]},"
         " \"layers\": \"a\"}",
         "threshold"},
        {"{\"layers\": \"usual\", \"measured\": 1}", "measured: expected an object"},
        {"{\"layers\": \"usual\", \"measured\": {\"tokens\": -1}}", "measured: tokens"},
        {"{\"layers\": \"usual\", \"measured\": {\"error\": \"x\"}}", "measured: error"},
        {"{\"layers\": \"usual\", \"measured\": {\"perplexity\": -1}}", "measured: perplexity"},
        {"{\"layers\": \"usual\", \"measured\": {\"head_error\": [[1, 1, 1]]}}",
         "measured: head_error: expected a list for each of 2 layers"},
        {"{\"layers\": \"usual\", \"measured\": {\"head_density\": [[1, 1, 1], [1, -1, 1]]}}",
         "measured: head_density: layer 1"},
        {"{\"layers\": \"usual\", \"measured\": {\"head_density\": [[1, 1, 1], [1, 1]]}}",
         "measured: head_density: layer 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lac_arena arena = {.host = &lac_default_host};
        struct lac_error error = {0};
        const struct lac_sight *sights[LAYERS * HEADS];
        ck_assert_msg(read_plan(cases[i].text, &arena, sights, &error) != LAC_OK, "%s",
                      cases[i].text);
        ck_assert_msg(strstr(error.text, cases[i].error) != NULL, "%s: %s", cases[i].text,
                      error.text);
        lac_arena_clear(&arena);
    }
}
END_TEST

void add_sight_tests(Suite *suite)
{
    add_test(suite, "plans", plans);
    add_test(suite, "plans_with_choices", plans_with_choices);
    add_test(suite, "plans_with_figures", plans_with_figures);
    add_test(suite, "no_plans", no_plans);
}
