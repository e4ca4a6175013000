/* SPDX-License-Identifier: Apache-2.0 */
/* `lacuna tune-attention`: a plan that the other commands take. */
#include <stdlib.h>
#include <string.h>

#include "tests/program.h"

static const char rules[] = "{\"rules\": {\"near\": [{\"kind\": \"window\", \"left\": 0,"
                            " \"right\": 0}]}}";

/* Some hundred tokens. */
static const char *write_text(void)
{
    static const char words[] = "the cat sat on the mat. who is big? the sun and the moon.\n";
    char text[20 * sizeof words] = "";
    for (size_t i = 0; i < 20; i++)
        strcat(text, words);
    return write_file("text.txt", text, strlen(text));
}

static const char *make_decoder(void)
{
    struct tiny tiny = {.family = TINY_LLAMA, .hidden = 32, .ffn = 72, .max_tokens = 512};
    tiny_make(&tiny, test_seed());
    const char *path = tiny_write(&tiny);
    tiny_free(&tiny);
    return path;
}

static json_t *read_plan(const char *path)
{
    size_t size;
    char *text = read_file(path, &size);
    json_t *plan = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_msg(plan != NULL, "no JSON: %s", text);
    free(text);
    return plan;
}

START_TEST(plans_are_written)
{
    const char *model = make_decoder(), *text = write_text();
    const char *given = write_file("rules.json", rules, sizeof rules - 1);
    const char *path = scratch_path("plan.json");
    struct outcome o = RUN("", "tune-attention", model, "--text", text, "-o", path, "--rules",
                           given, "--error", "1000", "--window", "300");
    expect(&o, 0);
    ck_assert_ptr_nonnull(strstr(o.out, "% of the key blocks, error "));
    ck_assert_ptr_nonnull(strstr(o.out, "with full attention"));
    release(&o);
    json_t *plan = read_plan(path), *measured = json_object_get(plan, "measured");
    ck_assert_ptr_nonnull(json_object_get(json_object_get(plan, "rules"), "near"));
    ck_assert_int_eq(get_int(measured, "window"), 300);
    ck_assert_int_gt(get_int(measured, "tokens"), 300);
    ck_assert(get_real(measured, "density") < 0.5);
    ck_assert(get_real(measured, "error") > 0);
    /* score takes the text in the same way. */
    o = RUN("", "score", "-m", model, "--attention", "full", "--attention", path, "--window", "300",
            "--json", text);
    expect(&o, 0);
    json_t *full = line_json(o.out, 0), *own = line_json(o.out, 1);
    ck_assert(get_real(full, "perplexity") != get_real(own, "perplexity"));
    json_decref(full);
    json_decref(own);
    json_decref(plan);
    release(&o);
}
END_TEST

START_TEST(plans_are_printed)
{
    const char *model = make_model(TINY_CLASSIFY), *text = write_text();
    struct outcome o =
        RUN("", "tune-attention", "--text", text, "--max-tokens", "50", "--density", "1", model);
    expect(&o, 0);
    json_t *plan = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(plan);
    ck_assert_int_eq(get_int(json_object_get(plan, "measured"), "tokens"), 50);
    ck_assert_ptr_null(json_object_get(json_object_get(plan, "measured"), "perplexity"));
    ck_assert_ptr_nonnull(strstr(o.err, "50 tokens: "));
    const char *path = write_file("printed.json", o.out, o.out_size);
    struct outcome used = RUN("the cat\n", "classify", "-m", model, "--attention", path);
    expect(&used, 0);
    release(&used);
    release(&o);
    json_decref(plan);
}
END_TEST

START_TEST(wrong_tunings_are_refused)
{
    const char *model = make_decoder(), *text = write_text();
    struct outcome o = RUN("", "tune-attention", model);
    expect(&o, 2);
    ck_assert_ptr_nonnull(strstr(o.err, "--text"));
    release(&o);
    o = RUN("", "tune-attention", "--text", text);
    expect(&o, 2);
    release(&o);
    o = RUN("", "tune-attention", model, "--text", text, "--error", "0.1", "--density", "0.5");
    expect(&o, 2);
    release(&o);
    o = RUN("", "tune-attention", model, "--text", text, "--error", "0");
    expect(&o, 3);
    ck_assert_ptr_nonnull(strstr(o.err, "an error of 0"));
    release(&o);
    o = RUN("", "tune-attention", model, "--text", "/no/such/text");
    expect(&o, 3);
    release(&o);
    o = RUN("", "tune-attention", model, "--text", text, "--rules", text);
    expect(&o, 3);
    ck_assert_ptr_nonnull(strstr(o.err, "rules to try: line 1"));
    release(&o);
    o = RUN("", "tune-attention", model, "--text", text, "--max-tokens", "50", "-o",
            "/no/such/directory/plan");
    expect(&o, 3);
    ck_assert_ptr_nonnull(strstr(o.err, "/no/such/directory/plan"));
    release(&o);
}
END_TEST

void add_tune_tests(Suite *suite)
{
    add_test(suite, "tune-attention", plans_are_written);
    add_test(suite, "tune-attention, printed", plans_are_printed);
    add_test(suite, "tune-attention, wrong", wrong_tunings_are_refused);
}
