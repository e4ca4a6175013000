/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the built `lacuna` and the examples: the command line and the lines it reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/lacuna.h>

#include "tests/program.h"

/* The command line. */

static const char *const commands[] = {"classify", "tag",   "answer",   "fill", "embed",
                                       "generate", "score", "tokenize", "info", "pack"};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

START_TEST(help_is_for_everything)
{
    struct outcome o = RUN("", commands[_i], "--help");
    expect(&o, 0);
    ck_assert_uint_eq(o.err_size, 0);
    char usage[64];
    snprintf(usage, sizeof usage, "Usage: lacuna %s ", commands[_i]);
    ck_assert_ptr_eq(strstr(o.out, usage), o.out);

    struct outcome all = RUN("", "--help");
    expect(&all, 0);
    ck_assert_ptr_nonnull(strstr(all.out, commands[_i]));
    struct outcome version = RUN("", commands[_i], "--version");
    expect(&version, 0);
    ck_assert_ptr_nonnull(strstr(version.out, lac_version()));
    release(&o);
    release(&all);
    release(&version);
}
END_TEST

struct mistake {
    const char *arguments[MAX_ARGUMENTS];
    int status;
    const char *message;
};

static const struct mistake mistakes[] = {
    {{NULL}, 2, "Usage"},
    {{"bogus"}, 2, "'bogus'"},
    {{"classify", "--nope"}, 2, "--nope"},
    {{"classify", "-Z"}, 2, "-Z"},
    {{"classify", "--threads"}, 2, "--threads"},
    {{"classify", "--threads", "0"}, 2, "'0'"},
    {{"classify", "--threads", "-1"}, 2, "'-1'"},
    {{"classify", "--threads", "2x"}, 2, "'2x'"},
    {{"classify", "--threads", " 2"}, 2, "' 2'"},
    {{"classify", "--threads", ""}, 2, "--threads"},
    {{"classify", "--batch-tokens", "99999999999999999999999"}, 2, "--batch-tokens"},
    {{"classify", "--top-k", "1e3"}, 2, "'1e3'"},
    {{"classify", "--dtype", "int3"}, 2, "'int3'"},
    {{"classify", "--bind", "sofa"}, 2, "'sofa'"},
    {{"classify", "--isa", "avx9000"}, 2, "avx9000"},
    {{"classify", "--truncate", "never"}, 2, "'never'"},
    {{"classify", "--pooling", "mean"}, 2, "--pooling"},
    {{"classify", "--format", "xml"}, 2, "'xml'"},
    {{"classify", "--format", "jsonl", "--header"}, 2, "--header"},
    {{"classify", "--columns", "id"}, 2, "'text'"},
    {{"classify", "--columns", "text,text"}, 2, "twice"},
    {{"classify", "--columns", "text,colour"}, 2, "'colour'"},
    {{"classify", "--columns", "text", "--header"}, 2, "--header"},
    {{"answer", "--format", "text"}, 2, "--format"},
    {{"classify", "one", "two"}, 2, "'two'"},
    {{"embed", "--pooling", "max"}, 2, "'max'"},
    {{"pack", "somewhere"}, 2, "--output"},
    {{"pack", "-o", "x"}, 2, "model"},
    {{"tokenize", "--model", "a", "--tokenizer", "b"}, 2, "--tokenizer"},
    {{"classify", "/nowhere/at/all"}, 3, "/nowhere/at/all"},
    {{"classify", "--model", "/nowhere/at/all"}, 3, "/nowhere/at/all"},
    {{"info", "/nowhere/at/all"}, 3, "/nowhere/at/all"},
    {{"tokenize", "--tokenizer", "/nowhere/at/all"}, 3, "/nowhere/at/all"},
    {{"classify", "--model", "/dev/null"}, 3, "/dev/null"},
    {{"classify", "--model", "\x1b[31mred"}, 3, "?[31mred"},
};
enum { N_MISTAKES = sizeof mistakes / sizeof *mistakes };

START_TEST(mistakes_are_named)
{
    const char *argv[MAX_ARGUMENTS + 1] = {lacuna};
    memcpy(argv + 1, mistakes[_i].arguments, sizeof mistakes[_i].arguments);
    struct outcome o = run_with(argv, "", 0);
    expect(&o, mistakes[_i].status);
    ck_assert_uint_eq(o.out_size, 0);
    ck_assert_msg(strstr(o.err, mistakes[_i].message) != NULL, "%s is not in: %s",
                  mistakes[_i].message, o.err);
    release(&o);
}
END_TEST

/* Lines. */

/* One result for each good line, under its number, in order; one error for each bad one. */
static void expect_lines(const struct outcome *o, const long long *good, size_t n_good,
                         const long long *wrong, size_t n_wrong)
{
    expect(o, n_wrong ? 1 : 0);
    ck_assert_uint_eq(count_lines(o->out), n_good);
    ck_assert_uint_eq(count_lines(o->err), n_wrong);
    for (size_t i = 0; i < n_good; i++) {
        json_t *json = line_json(o->out, i);
        ck_assert_int_eq(get_int(json, "id"), good[i]);
        json_decref(json);
    }
    for (size_t i = 0; i < n_wrong; i++) {
        json_t *json = line_json(o->err, i);
        ck_assert_int_eq(get_int(json, "line"), wrong[i]);
        ck_assert_uint_gt(strlen(get_text(json, "error")), 0);
        json_decref(json);
    }
}

#define LIST(...)                                                                                  \
    (const long long[]){__VA_ARGS__}, sizeof((long long[]){__VA_ARGS__}) / sizeof(long long)

START_TEST(text_lines_keep_their_order)
{
    const char *model = make_model(TINY_CLASSIFY);
    /* A byte order mark, an empty line, bytes that are no UTF-8, CRLF, a zero, no last newline. */
    static const char text[] = "\xef\xbb\xbfthe cat sat\n\nthe \xff dog\r\nthe sun is big\r\n"
                               "a\tdog\nthe\0mat\nthe \xed\xa0\x80 cat\nthe dog";
    struct outcome o = RUN(text, "classify", "--model", model);
    expect_lines(&o, LIST(1, 4, 5, 6, 8), LIST(3, 7));
    /* The mark is not part of the text, nor is the carriage return. */
    struct outcome plain = RUN("the cat sat\n\n\nthe sun is big\n", "classify", "--model", model);
    expect_lines(&plain, LIST(1, 4), NULL, 0);
    json_t *a = line_json(o.out, 0), *b = line_json(plain.out, 0);
    ck_assert(json_equal(a, b));
    json_t *c = line_json(o.out, 1), *d = line_json(plain.out, 1);
    ck_assert(json_equal(c, d));
    json_decref(a);
    json_decref(b);
    json_decref(c);
    json_decref(d);
    release(&o);
    release(&plain);
    struct outcome empty = RUN("", "classify", "--model", model);
    expect_lines(&empty, NULL, 0, NULL, 0);
    release(&empty);
}
END_TEST

START_TEST(json_lines_keep_their_ids)
{
    const char *model = make_model(TINY_CLASSIFY);
    static const char text[] =
        "{\"id\":\"first\",\"text\":\"the cat\"}\n"
        "{\"text\":17}\n"
        "{\"id\":null,\"text\":\"the \\u0000 dog\"}\n"
        "{\"text\":\"a\",\"text\":\"b\"}\n"
        "{\"pair\":\"only\"}\n"
        "[1]\n"
        "{\"text\":\n"
        "{\"id\":[1,{\"x\":2}],\"text\":\"\",\"pair\":\"the dog\",\"more\":1}\n"
        "{\"text\":\"caf\\ud83d\"}\n";
    struct outcome o = RUN(text, "classify", "--model", model);
    expect(&o, 1);
    ck_assert_uint_eq(count_lines(o.out), 3);
    ck_assert_uint_eq(count_lines(o.err), 6);
    json_t *first = line_json(o.out, 0), *third = line_json(o.out, 2);
    ck_assert_str_eq(get_text(first, "id"), "first");
    ck_assert_uint_eq(json_array_size(json_object_get(third, "id")), 2);
    static const long long wrong[] = {2, 4, 5, 6, 7, 9};
    for (size_t i = 0; i < 6; i++) {
        json_t *json = line_json(o.err, i);
        ck_assert_int_eq(get_int(json, "line"), wrong[i]);
        json_decref(json);
    }
    json_decref(first);
    json_decref(third);
    release(&o);
}
END_TEST

START_TEST(columns_have_names)
{
    const char *model = make_model(TINY_CLASSIFY);
    struct outcome o = RUN("the cat\nthe cat\tthe dog\na\tb\tc\n", "classify", "--model", model,
                           "--format", "tsv");
    expect_lines(&o, LIST(1, 2), LIST(3));
    release(&o);
    o = RUN("colour\ttext\tid\nred\tthe cat\t7\nblue\n", "classify", "--model", model, "--header");
    expect(&o, 1);
    json_t *json = line_json(o.out, 0);
    ck_assert_str_eq(get_text(json, "id"), "7");
    json_decref(json);
    release(&o);
    o = RUN("L1\tthe cat\nodd\n", "classify", "--model", model, "--columns", "label,text",
            "--summary");
    expect(&o, 1);
    json = line_json(o.out, 0);
    ck_assert_str_eq(get_text(json, "expected"), "L1");
    json_decref(json);
    ck_assert_ptr_nonnull(strstr(o.err, "labels right"));
    release(&o);
    o = RUN("colour\tsize\n", "classify", "--model", model, "--header");
    expect(&o, 3);
    ck_assert_ptr_nonnull(strstr(o.err, "'text'"));
    release(&o);
}
END_TEST

START_TEST(long_lines_are_truncated_or_errors)
{
    const char *model = make_model(TINY_CLASSIFY);
    size_t size = 3 << 20;
    char *text = malloc(size + 9);
    for (size_t i = 0; i < size; i++)
        text[i] = i % 4 == 3 ? ' ' : "cat"[i % 4];
    memcpy(text + size, "\nthe cat\n", 9);
    const char *const argv[] = {lacuna, "classify", "--model", model, NULL};
    struct outcome o = run_with(argv, text, size + 9);
    expect_lines(&o, LIST(1, 2), NULL, 0);
    release(&o);
    const char *const strict[] = {lacuna,       "classify", "--model", model,
                                  "--truncate", "error",    NULL};
    o = run_with(strict, text, size + 9);
    expect_lines(&o, LIST(2), LIST(1));
    release(&o);
    free(text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    add_loop_test(suite, "help", help_is_for_everything, N_COMMANDS);
    add_loop_test(suite, "mistakes", mistakes_are_named, N_MISTAKES);
    add_test(suite, "text", text_lines_keep_their_order);
    add_test(suite, "json lines", json_lines_keep_their_ids);
    add_test(suite, "columns", columns_have_names);
    add_test(suite, "long lines", long_lines_are_truncated_or_errors);
    add_result_tests(suite);
    add_file_tests(suite);
    add_generate_tests(suite);
    add_score_tests(suite);
    add_tune_tests(suite);
    return run_suite(suite);
}
