/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors' sparse-bitmask and sparse-24-bitmask: golden files, and broken ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/model/expand.h"
#include "tests/model_suite.h"

static const char golden[] = "tests/data/model/bitmask.safetensors";

static enum lac_status open_bytes(const void *data, size_t size, struct lac_tensors **tensors,
                                  struct lac_error *error)
{
    return lac_tensors_open_memory(&lac_default_host, "bytes", data, size, tensors, error);
}

static enum lac_status expand(struct lac_tensors *tensors, const char *p,
                              const struct lac_tensor **dense, struct lac_expansions *expansions,
                              struct lac_error *error)
{
    return lac_expand_bitmask(expansions, tensors, p, p, dense, error);
}

/* a to d are sparse-bitmask, p to s sparse-24-bitmask. */
START_TEST(bitmasks_expand)
{
    static const char names[] = "abcdpqrs";
    struct lac_error error;
    struct lac_tensors *tensors;
    struct lac_expansions expansions = {.arena = {.host = &lac_default_host}};
    ck_assert_int_eq(
        lac_tensors_open_file(&lac_default_host, source_path(golden), &tensors, &error), LAC_OK);
    for (size_t i = 0; names[i]; i++) {
        char name[] = {names[i], 0}, truth_name[16];
        snprintf(truth_name, sizeof truth_name, "%s.dense", name);
        const struct lac_tensor *truth = lac_tensors_find(tensors, truth_name), *dense, *again;
        ck_assert(lac_is_compressed(tensors, name));
        ck_assert_msg(!expand(tensors, name, &dense, &expansions, &error), "%s", error.text);
        ck_assert_int_eq(expand(tensors, name, &again, &expansions, &error), LAC_OK);
        ck_assert_ptr_eq(dense, again);
        ck_assert_int_eq(dense->storage, truth->storage);
        ck_assert_uint_eq(dense->rank, 2);
        ck_assert_uint_eq(dense->shape[0], truth->shape[0]);
        ck_assert_uint_eq(dense->shape[1], truth->shape[1]);
        ck_assert_uint_eq(dense->size_bytes, truth->size_bytes);
        ck_assert_mem_eq(dense->data, truth->data, truth->size_bytes);
    }
    ck_assert(!lac_is_compressed(tensors, "e"));
    lac_arena_clear(&expansions.arena);
    lac_tensors_close(tensors);
}
END_TEST

/* Any bit of the parts of a bitmask, changed: wrong offsets, counts, bits after the end.  Columns
 * may change within their byte: the shape is compared with the configuration's later. */
START_TEST(broken_bitmasks_are_refused)
{
    size_t size;
    char *whole = read_whole(source_path(golden), &size);
    static const struct {
        const char *part;
        enum { FAILS, PASSES, EITHER } what;
    } parts[] = {
        {"a.bitmask", FAILS},     {"a.shape", EITHER},  {"a.row_offsets", FAILS},
        {"a.compressed", PASSES}, {"p.bitmask", FAILS}, {"p.shape", FAILS},
        {"p.compressed", PASSES}, {"q.bitmask", FAILS},
    };
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++) {
        struct lac_tensors *tensors;
        struct lac_error error;
        ck_assert_int_eq(open_bytes(whole, size, &tensors, &error), LAC_OK);
        const struct lac_tensor *part = lac_tensors_find(tensors, parts[p].part);
        const char stem[] = {parts[p].part[0], 0};
        for (size_t bit = 0; bit < 8 * part->size_bytes; bit++) {
            char *byte = whole + ((const char *)part->data - whole) + bit / 8;
            struct lac_expansions expansions = {.arena = {.host = &lac_default_host}};
            const struct lac_tensor *dense = NULL;
            *byte ^= (char)(1 << bit % 8);
            enum lac_status status = expand(tensors, stem, &dense, &expansions, &error);
            *byte ^= (char)(1 << bit % 8);
            ck_assert_msg(parts[p].what == EITHER || (parts[p].what == FAILS) == (status != LAC_OK),
                          "%s bit %zu", parts[p].part, bit);
            ck_assert_ptr_eq(status ? NULL : dense, dense);
            lac_arena_clear(&expansions.arena);
        }
        lac_tensors_close(tensors);
    }
    free(whole);
}
END_TEST

/* One tensor of a file; size_bytes as its shape implies. */
#define PART(name, dtype, shape, begin, end)                                                       \
    "\"w." name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end \
    "]}"
#define FILE_OF(...) "{" __VA_ARGS__ "}"

/* What make_safetensors writes is 0, 1, 2...: as bits byte 4 keeps one column, byte 6 two. */
START_TEST(bad_shapes_of_24_are_named)
{
    static const struct {
        const char *header;
        size_t size;
        enum lac_status status;
        const char *expected;
    } bad[] = {
        {FILE_OF(PART("compressed", "I8", "[2,4]", "0", "8")), 8, LAC_E_FORMAT,
         "w.bitmask is missing"},
        {FILE_OF(PART("compressed", "I8", "[2,4]", "0", "8") "," PART("bitmask", "I8", "[2,1]", "8",
                                                                      "10")),
         10, LAC_E_UNSUPPORTED, "w.bitmask: storage I8"},
        {FILE_OF(PART("compressed", "F8_E4M3", "[2,4]", "0", "8") "," PART("bitmask", "U8", "[2,1]",
                                                                           "8", "10")),
         10, LAC_E_UNSUPPORTED, "w.compressed: storage F8_E4M3"},
        /* one row of bits too few, one too many, one byte of a row too many */
        {FILE_OF(PART("compressed", "I8", "[2,4]", "0", "8") "," PART("bitmask", "U8", "[1,1]", "8",
                                                                      "9")),
         9, LAC_E_FORMAT, "w.bitmask: 1 bytes, expected 2 rows of 1"},
        {FILE_OF(PART("compressed", "I8", "[2,4]", "0", "8") "," PART("bitmask", "U8", "[3,1]", "8",
                                                                      "11")),
         11, LAC_E_FORMAT, "w.bitmask: 3 bytes, expected 2 rows of 1"},
        {FILE_OF(PART("compressed", "I8", "[2,4]", "0", "8") "," PART("bitmask", "U8", "[2,2]", "8",
                                                                      "12")),
         12, LAC_E_FORMAT, "w.bitmask: 4 bytes, expected 2 rows of 1"},
        /* values that are not half of whole fours */
        {FILE_OF(PART("compressed", "I8", "[2,3]", "0", "6") "," PART("bitmask", "U8", "[2,1]", "6",
                                                                      "8")),
         8, LAC_E_FORMAT, "rows of 3 values are not 2 of every 4"},
        {FILE_OF(PART("compressed", "I8", "[2,0]", "0", "0") "," PART("bitmask", "U8", "[2,0]", "0",
                                                                      "0")),
         0, LAC_E_FORMAT, "rows of 0 values"},
        {FILE_OF(PART("compressed", "I8", "[1152921504606846976,0]", "0",
                      "0") "," PART("bitmask", "U8", "[0]", "0", "0")),
         0, LAC_E_FORMAT, "rows of 0 values"},
        {FILE_OF(PART("compressed", "I8", "[0,9223372036854775807]", "0",
                      "0") "," PART("bitmask", "U8", "[0]", "0", "0")),
         0, LAC_E_FORMAT, "values are not 2 of every 4"},
        /* a shape that says something else: 0x0706050403020100 rows */
        {FILE_OF(PART("shape", "I64", "[2]", "0",
                      "16") "," PART("compressed", "I8", "[2,4]", "16",
                                     "24") "," PART("bitmask", "U8", "[2,1]", "24", "26")),
         26, LAC_E_FORMAT, "but the values are 2 of every 4 of [2, 8]"},
        {FILE_OF(PART("shape", "I64", "[1]", "0",
                      "8") "," PART("compressed", "I8", "[2,4]", "8",
                                    "16") "," PART("bitmask", "U8", "[2,1]", "16", "18")),
         18, LAC_E_FORMAT, "but the values are 2 of every 4 of [2, 8]"},
        {FILE_OF(PART("shape", "I32", "[2]", "0",
                      "8") "," PART("compressed", "I8", "[2,4]", "8",
                                    "16") "," PART("bitmask", "U8", "[2,1]", "16", "18")),
         18, LAC_E_UNSUPPORTED, "w.shape: storage I32"},
        /* one column of four, and none of the second four */
        {FILE_OF(PART("compressed", "I8", "[1,4]", "0", "4") "," PART("bitmask", "U8", "[1,1]", "4",
                                                                      "5")),
         5, LAC_E_FORMAT, "row 0 keeps 1 of the 4 columns from 0 on, not 2"},
        {FILE_OF(PART("compressed", "I8", "[1,6]", "0", "6") "," PART("bitmask", "U8", "[1,2]", "6",
                                                                      "8")),
         8, LAC_E_FORMAT, "row 0 keeps 0 of the 4 columns from 4 on, not 2"},
        /* three dimensions are neither form */
        {FILE_OF(PART("compressed", "I8", "[1,2,4]", "0", "8") "," PART("bitmask", "U8", "[2,1]",
                                                                        "8", "10")),
         10, LAC_E_FORMAT, "w.shape is missing"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lac_error error = {0};
        struct lac_tensors *tensors;
        struct lac_expansions expansions = {.arena = {.host = &lac_default_host}};
        const struct lac_tensor *dense = NULL;
        size_t size;
        unsigned char *bytes = make_safetensors(bad[i].header, bad[i].size, &size);
        ck_assert_msg(!open_bytes(bytes, size, &tensors, &error), "%zu: %s", i, error.text);
        ck_assert_msg(expand(tensors, "w", &dense, &expansions, &error) == bad[i].status, "%zu: %s",
                      i, error.text);
        ck_assert_msg(strstr(error.text, bad[i].expected) != NULL, "\"%s\" not in: %s",
                      bad[i].expected, error.text);
        ck_assert_ptr_null(dense);
        lac_arena_clear(&expansions.arena);
        lac_tensors_close(tensors);
        free(bytes);
    }
}
END_TEST

/* A byte of the whole file changed anywhere: read, or refused. */
START_TEST(mutations_do_no_harm)
{
    size_t size;
    char *whole = read_whole(source_path(golden), &size);
    for (size_t at = 0; at < size; at++)
        for (int bit = 0; bit < 8; bit++) {
            struct lac_tensors *tensors;
            struct lac_error error;
            whole[at] ^= (char)(1 << bit);
            if (!open_bytes(whole, size, &tensors, &error)) {
                struct lac_expansions expansions = {.arena = {.host = &lac_default_host}};
                const struct lac_tensor *dense;
                for (const char *name = "apq"; *name; name++)
                    (void)expand(tensors, (const char[]){*name, 0}, &dense, &expansions, &error);
                lac_arena_clear(&expansions.arena);
                lac_tensors_close(tensors);
            }
            whole[at] ^= (char)(1 << bit);
        }
    free(whole);
}
END_TEST

void add_bitmask_tests(Suite *suite)
{
    add_test(suite, "bitmask", bitmasks_expand);
    add_test(suite, "broken bitmask", broken_bitmasks_are_refused);
    add_test(suite, "bad 2:4 bitmask", bad_shapes_of_24_are_named);
    add_test(suite, "mutated bitmask", mutations_do_no_harm);
}
