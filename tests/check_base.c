/* SPDX-License-Identifier: Apache-2.0 */
/* Status, messages, arenas, size arithmetic, JSON look-ups. */
#include <string.h>

#include "src/base/arena.h"
#include "src/base/checked.h"
#include "src/base/error.h"
#include "src/base/json.h"
#include "tests/support.h"

START_TEST(sizes_notice_overflow)
{
    size_t out;
    ck_assert(!lac_mul_size(SIZE_MAX, 2, &out));
    ck_assert(!lac_add_size(SIZE_MAX, 1, &out));
    ck_assert(!lac_round_up_size(SIZE_MAX - 3, 64, &out));
    ck_assert(lac_round_up_size(65, 64, &out));
    ck_assert_uint_eq(out, 128);
    ck_assert(lac_mul_size(SIZE_MAX, 0, &out));
    ck_assert_uint_eq(out, 0);
}
END_TEST

START_TEST(messages_are_printable)
{
    struct lac_error error;
    ck_assert_int_eq(lac_fail(&error, LAC_E_FORMAT, "%s", "a\x1b[31m\xff\xc3\xa9"), LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "a?[31m?\xc3\xa9");
    lac_fail_in(&error, LAC_E_IO, "file %d", 3);
    ck_assert_int_eq(error.status, LAC_E_IO);
    ck_assert_str_eq(error.text, "file 3: a?[31m?\xc3\xa9");
    ck_assert_int_eq(lac_fail(NULL, LAC_E_MEMORY, "x"), LAC_E_MEMORY);

    char longer[2 * LAC_ERROR_TEXT_SIZE];
    for (size_t i = 0; i + 2 < sizeof longer; i += 2)
        memcpy(longer + i, "\xc3\xa9", 3);
    lac_fail(&error, LAC_E_IO, "x%s", longer);
    ck_assert_uint_lt(strlen(error.text), LAC_ERROR_TEXT_SIZE);
}
END_TEST

START_TEST(arenas_align_and_refuse)
{
    struct lac_arena arena = {.host = &lac_default_host};
    for (size_t i = 0; i < 2000; i++) {
        unsigned char *piece = lac_arena_alloc(&arena, i, 3);
        ck_assert_ptr_nonnull(piece);
        ck_assert_uint_eq((uintptr_t)piece % LAC_ALIGNMENT, 0);
        memset(piece, (int)i, i * 3);
    }
    ck_assert_ptr_null(lac_arena_alloc(&arena, SIZE_MAX / 2, 3));
    ck_assert_ptr_null(lac_arena_alloc(&arena, SIZE_MAX - 8, 1));
    ck_assert_str_eq(lac_arena_strndup(&arena, "abc", 2), "ab");
    lac_arena_clear(&arena);
    ck_assert_uint_eq(arena.size_bytes, 0);
    ck_assert_ptr_nonnull(lac_arena_alloc_zero(&arena, 5, 5));
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(json_names_what_is_wrong)
{
    struct lac_error error;
    json_t *json = NULL;
    const char *twice = "{\"a\": 1, \"a\": 2}";
    ck_assert_int_eq(lac_json_parse("f", twice, strlen(twice), &json, &error), LAC_E_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "duplicate"));
    ck_assert_int_eq(lac_json_parse("f", "{\"\xff\":1}", 7, &json, &error), LAC_E_FORMAT);
    ck_assert_int_eq(lac_json_parse("f", NULL, 0, &json, &error), LAC_E_FORMAT);

    const char *good = "{\"n\": 7, \"neg\": -1, \"x\": 0.5, \"s\": \"t\", \"z\": null, \"b\": true}";
    ck_assert_int_eq(lac_json_parse("f", good, strlen(good), &json, &error), LAC_OK);
    size_t size;
    double real;
    bool flag;
    const char *string;
    ck_assert_int_eq(lac_json_size(json, "n", 0, 1, 10, &size, &error), LAC_OK);
    ck_assert_uint_eq(size, 7);
    ck_assert_int_eq(lac_json_size(json, "z", 3, 1, 10, &size, &error), LAC_OK);
    ck_assert_uint_eq(size, 3);
    ck_assert_int_eq(lac_json_size(json, "n", 0, 8, 10, &size, &error), LAC_E_FORMAT);
    ck_assert_int_eq(lac_json_size(json, "neg", 0, 0, 10, &size, &error), LAC_E_FORMAT);
    ck_assert_int_eq(lac_json_size(json, "s", 0, 0, 10, &size, &error), LAC_E_FORMAT);
    ck_assert_str_eq(error.text, "s: expected an integer, found string");
    ck_assert_int_eq(lac_json_real(json, "x", 0, &real, &error), LAC_OK);
    ck_assert_double_eq(real, 0.5);
    ck_assert_int_eq(lac_json_real(json, "n", 0, &real, &error), LAC_OK);
    ck_assert_int_eq(lac_json_bool(json, "b", false, &flag, &error), LAC_OK);
    ck_assert(flag);
    ck_assert_int_eq(lac_json_string(json, "s", NULL, &string, &error), LAC_OK);
    ck_assert_str_eq(string, "t");
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    add_test(suite, "sizes", sizes_notice_overflow);
    add_test(suite, "messages", messages_are_printable);
    add_test(suite, "arenas", arenas_align_and_refuse);
    add_test(suite, "json", json_names_what_is_wrong);
    return run_suite(suite);
}
