/* SPDX-License-Identifier: Apache-2.0 */
/* `lacuna` with files, pipes and failing outputs, and the examples. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/program.h"

START_TEST(output_goes_to_a_file)
{
    const char *model = make_model(TINY_CLASSIFY), *result = scratch_path("result");
    struct outcome a = RUN("the cat\n", "classify", "--model", model);
    struct outcome b = RUN("the cat\n", "classify", "--model", model, "--output", result);
    expect(&b, 0);
    ck_assert_uint_eq(b.out_size, 0);
    size_t size;
    char *text = read_file(result, &size);
    ck_assert_str_eq(text, a.out);
    free(text);
    release(&b);
    /* The input is not overwritten by its own results. */
    const char *input = write_file("input", "the cat\n", 8);
    b = RUN("", "classify", "--model", model, "--output", input, input);
    expect(&b, 3);
    text = read_file(input, &size);
    ck_assert_str_eq(text, "the cat\n");
    free(text);
    release(&a);
    release(&b);
}
END_TEST

START_TEST(full_disks_and_closed_pipes_are_failures)
{
    const char *model = make_model(TINY_CLASSIFY);
    const char *in = write_file("stdin", "the cat\nthe dog\n", 16), *err = scratch_path("stderr");
    const char *const argv[] = {lacuna, "classify", "--model", model, NULL};
    ck_assert_int_eq(finish_program(start_program(argv, in, "/dev/full", err)), 3);
    size_t size;
    char *text = read_file(err, &size);
    ck_assert_ptr_nonnull(strstr(text, "No space left"));
    free(text);

    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    int saved = dup(STDOUT_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    pid_t pid = start_program(argv, in, NULL, err);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(ends[1]);
    ck_assert_int_eq(finish_program(pid), 3);
    text = read_file(err, &size);
    ck_assert_ptr_nonnull(strstr(text, "Broken pipe"));
    free(text);
}
END_TEST

/* Blocks when results wait for the end of the input. */
START_TEST(results_do_not_wait_for_more_lines)
{
    const char *model = make_model(TINY_CLASSIFY), *err = scratch_path("stderr");
    const char *const argv[] = {lacuna, "classify", "--model", model, NULL};
    int to[2], from[2];
    ck_assert(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC));
    int saved_in = dup(STDIN_FILENO), saved_out = dup(STDOUT_FILENO);
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    pid_t pid = start_program(argv, NULL, NULL, err);
    dup2(saved_in, STDIN_FILENO);
    dup2(saved_out, STDOUT_FILENO);
    close(saved_in);
    close(saved_out);
    close(to[0]);
    close(from[1]);
    FILE *out = fdopen(from[0], "r");
    for (long long i = 1; i <= 3; i++) {
        char line[512];
        ck_assert_int_eq(write(to[1], "the cat\n", 8), 8);
        ck_assert_ptr_nonnull(fgets(line, sizeof line, out));
        json_t *json = line_json(line, 0);
        ck_assert_int_eq(get_int(json, "id"), i);
        json_decref(json);
    }
    close(to[1]);
    ck_assert_int_eq(getc(out), EOF);
    ck_assert_int_eq(finish_program(pid), 0);
    fclose(out);
}
END_TEST

/* The examples. */

START_TEST(the_smallest_program_classifies)
{
    const char *model = make_model(TINY_CLASSIFY);
    static const char program[] = LACUNA_BUILD_DIR "/examples/classify";
    struct outcome o = run_with((const char *const[]){program, model, "the cat sat", NULL}, "", 0);
    expect(&o, 0);
    struct outcome line = RUN("the cat sat\n", "classify", "--model", model);
    json_t *json = line_json(line.out, 0);
    char expected[64];
    snprintf(expected, sizeof expected, "%s %.3f\n", get_text(json, "label"),
             get_real(json, "score"));
    ck_assert_str_eq(o.out, expected);
    json_decref(json);
    release(&o);
    release(&line);
    o = run_with((const char *const[]){program, "/nowhere", "x", NULL}, "", 0);
    expect(&o, 1);
    ck_assert_ptr_nonnull(strstr(o.err, "/nowhere"));
    release(&o);
}
END_TEST

START_TEST(the_dictionary_finds_its_own_definitions)
{
    static const char program[] = LACUNA_BUILD_DIR "/examples/reverse-dictionary";
    static const char entries[] = "tabby\tthe big cat sat on the mat\nhound\ta dog in the sun\n"
                                  "no tab here\nthief\twho is in the mat?\n";
    const char *model = make_model(TINY_CLASSIFY), *cache = scratch_path("cache");
    const char *dictionary = write_file("dictionary", entries, sizeof entries - 1);
    const char *const argv[] = {program, "-c", cache, model, dictionary, NULL};
    static const char query[] = "a dog in the sun\n\nthe big cat sat on the mat\n";
    struct outcome first = run_with(argv, query, sizeof query - 1);
    expect(&first, 0);
    ck_assert_ptr_eq(strstr(first.out, " 1.000  hound: "), first.out);
    const char *second = strstr(first.out, "\n\n");
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_eq(strstr(second, "\n\n 1.000  tabby: "), second);
    ck_assert_uint_eq(count_lines(first.out), 2 * 4);

    struct stat before, after;
    ck_assert_int_eq(stat(cache, &before), 0);
    ck_assert_int_eq((int)before.st_size, 32 + 3 * MODEL_WIDTH * 4);
    struct outcome cached = run_with(argv, query, sizeof query - 1);
    expect(&cached, 0);
    ck_assert_str_eq(cached.out, first.out);
    /* A cache of another dictionary, or a broken one, is made anew. */
    write_file("cache", "lacdict\0and no more", 19);
    struct outcome renewed = run_with(argv, query, sizeof query - 1);
    ck_assert_str_eq(renewed.out, first.out);
    ck_assert_int_eq(stat(cache, &after), 0);
    ck_assert_int_eq((int)after.st_size, (int)before.st_size);
    release(&first);
    release(&cached);
    release(&renewed);
}
END_TEST

START_TEST(the_dictionary_knows_its_defaults)
{
    static const char program[] = LACUNA_BUILD_DIR "/examples/reverse-dictionary";
    static const char query[] = "a feeling of intense anger\n";
    struct outcome o = run_with((const char *const[]){program, NULL}, query, sizeof query - 1);
    expect(&o, 0);
    ck_assert_ptr_eq(strstr(o.out, " 1.000  fury, rage, madness: "), o.out);
    ck_assert_uint_eq(count_lines(o.out), 11);
    release(&o);
}
END_TEST

/* A test that waits for good where the program is wrong: half an hour is for good. */
static void add_patient_test(Suite *suite, const char *name, const TTest *function)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 1800);
    tcase_add_test(tcase, function);
    suite_add_tcase(suite, tcase);
}

void add_file_tests(Suite *suite)
{
    add_test(suite, "output", output_goes_to_a_file);
    add_test(suite, "failing output", full_disks_and_closed_pipes_are_failures);
    add_patient_test(suite, "streaming", results_do_not_wait_for_more_lines);
    add_test(suite, "examples/classify", the_smallest_program_classifies);
    add_test(suite, "examples/reverse-dictionary", the_dictionary_finds_its_own_definitions);
    add_test(suite, "examples/reverse-dictionary, shipped", the_dictionary_knows_its_defaults);
}
