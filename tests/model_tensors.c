/* SPDX-License-Identifier: Apache-2.0 */
/* Reading safetensors: golden files, and every kind of broken one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/model/tensor.h"
#include "tests/model_suite.h"

static const char golden[] = "tests/data/model/every_dtype.safetensors";

static enum lac_status open_bytes(const void *data, size_t size, struct lac_tensors **tensors,
                                  struct lac_error *error)
{
    return lac_tensors_open_memory(&lac_default_host, "bytes", data, size, tensors, error);
}

START_TEST(golden_values_convert_exactly)
{
    struct lac_error error;
    struct lac_tensors *tensors;
    ck_assert_int_eq(
        lac_tensors_open_file(&lac_default_host, source_path(golden), &tensors, &error), LAC_OK);
    size_t size, n_checked = 0;
    char *text = read_whole(source_path("tests/data/model/every_dtype.expected"), &size);
    char name[32];
    size_t n;
    int used;
    for (char *at = text; sscanf(at, "%31s %zu%n", name, &n, &used) == 2; n_checked++) {
        at += used;
        const struct lac_tensor *tensor = lac_tensors_find(tensors, name);
        ck_assert_msg(tensor != NULL, "%s", name);
        float *values = guarded_alloc(n * sizeof *values);
        /* In two parts: the second begins inside the tensor. */
        lac_tensor_to_f32(tensor, 0, n / 3, values);
        lac_tensor_to_f32(tensor, n / 3, n - n / 3, values + n / 3);
        for (size_t i = 0; i < n; i++) {
            uint32_t expected, found;
            ck_assert_int_eq(sscanf(at, "%x%n", &expected, &used), 1);
            at += used;
            memcpy(&found, &values[i], sizeof found);
            ck_assert_msg(found == expected, "%s[%zu]: %08x, expected %08x", name, i, found,
                          expected);
        }
        guarded_free(values, n * sizeof *values);
    }
    ck_assert_uint_eq(n_checked, 11);
    ck_assert_str_eq(lac_tensors_metadata(tensors, "note"), "gr\xc3\xbcn");
    ck_assert_ptr_null(lac_tensors_metadata(tensors, "absent"));
    ck_assert_ptr_null(lac_tensors_find(tensors, "absent"));
    ck_assert_uint_eq(lac_tensors_count(tensors), 14);
    const struct lac_tensor *f4 = lac_tensors_find(tensors, "f4");
    ck_assert_int_eq(f4->storage, LAC_STORE_OTHER);
    ck_assert_str_eq(f4->storage_name, "F4");
    ck_assert_uint_eq(f4->size_bytes, 3);
    ck_assert_uint_eq(lac_tensors_find(tensors, "scalar")->rank, 0);
    ck_assert_uint_eq(lac_tensors_find(tensors, "empty")->size_bytes, 0);
    ck_assert_uint_eq(lac_tensors_find(tensors, "empty")->shape[1], 0);
    for (size_t i = 0; i + 1 < lac_tensors_count(tensors); i++) {
        const struct lac_tensor *a = lac_tensors_at(tensors, i);
        ck_assert_ptr_eq((const char *)a->data + a->size_bytes,
                         lac_tensors_at(tensors, i + 1)->data);
    }
    free(text);
    lac_tensors_close(tensors);
}
END_TEST

/* Every file must be refused with a message that holds `expected`. */
static void refuse(const void *data, size_t size, const char *expected)
{
    struct lac_error error = {0};
    struct lac_tensors *tensors = NULL;
    enum lac_status status = open_bytes(data, size, &tensors, &error);
    ck_assert_msg(status != LAC_OK, "accepted, expected: %s", expected);
    ck_assert_int_eq(status, error.status);
    ck_assert_ptr_null(tensors);
    ck_assert_msg(strncmp(error.text, "bytes: ", 7) == 0, "%s", error.text);
    ck_assert_msg(strstr(error.text, expected) != NULL, "\"%s\" not in: %s", expected, error.text);
}

#define T(shape, begin, end)                                                                       \
    "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const struct {
    const char *header;
    size_t data_size;
    const char *expected;
} bad_headers[] = {
    {"", 0, "does not begin with '{'"},
    {" {}", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"{", 0, "byte 1: expected a string, found the end"},
    {"{}x", 0, "byte 2: expected the end, found 'x'"},
    {"{} {}", 0, "byte 3: expected the end, found '{'"},
    {"{}", 1, "the tensors end at 0, but the file has 1 bytes"},
    {"{\"a\":1}", 0, "tensor a: byte 5: expected '{', found '1'"},
    {"{\"a\":null}", 0, "tensor a: byte 5: expected '{', found 'n'"},
    {"{\"a\":{}}", 0, "tensor a: dtype is missing"},
    {"{\"a\":{\"dtype\":4,\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     "dtype: byte 14: expected a string, found '4'"},
    {"{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", 4,
     "dtype: \"F31\" is not known"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, "shape is missing"},
    {"{\"a\":" T("4", "0", "4") "}", 4, "shape: byte 28: expected '[', found '4'"},
    {"{\"a\":" T("[1.0]", "0", "4") "}", 4,
     "shape: byte 30: expected an integer from 0 to 2^63 - 1, found '.'"},
    {"{\"a\":" T("[-1]", "0", "4") "}", 4, "expected an integer from 0 to 2^63 - 1, found '-'"},
    {"{\"a\":" T("[\"1\"]", "0", "4") "}", 4, "expected an integer from 0 to 2^63 - 1, found '\"'"},
    {"{\"a\":" T("[99999999999999999999]", "0", "4") "}", 4,
     "expected an integer from 0 to 2^63 - 1, found '9'"},
    {"{\"a\":" T("[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, "shape: rank over 8"},
    {"{\"a\":" T("[4611686018427387904]", "0", "0") "}", 0, "no whole number of bytes"},
    {"{\"a\":" T("[4294967296,4294967296]", "0", "0") "}", 0, "no whole number of bytes"},
    {"{\"a\":" T("[4294967296,1073741824]", "0", "0") "}", 0, "no whole number of bytes"},
    {"{\"a\":" T("[2]", "0", "4") "}", 4, "takes 8 bytes, but data_offsets give 4"},
    {"{\"a\":" T("[0]", "0", "4") "}", 4, "takes 0 bytes, but data_offsets give 4"},
    {"{\"a\":" T("[1]", "0", "8") "}", 4, "[0, 8] ends after the file's 4 bytes"},
    {"{\"a\":" T("[1]", "4", "0") "}", 4, "[4, 0] is no range"},
    {"{\"a\":" T("[1]", "-4", "0") "}", 4, "data_offsets: byte 48: expected an integer from 0"},
    {"{\"a\":" T("[0]", "5", "5") "}", 4, "ends after"},
    {"{\"a\":" T("[1]", "9223372036854775803", "9223372036854775807") "}", 4, "ends after"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4,
     "expected ',', found ']'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,2,4]}}", 4,
     "expected ']', found ','"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4.0]}}", 4, "found '.'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets is missing"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}}", 1, "no whole number"},
    {"{\"a\":" T("[1]", "0", "4") ",\"b\":" T("[1]", "8", "12") "}", 12,
     "tensor b begins at 8, but the data before it ends at 4"},
    {"{\"a\":" T("[1]", "4", "8") "}", 8, "tensor a begins at 4, but the data before it ends at 0"},
    {"{\"a\":" T("[2]", "0", "8") ",\"b\":" T("[1]", "4", "8") "}", 8, "tensor b begins at 4"},
    {"{\"a\":" T("[2]", "0", "8") ",\"b\":" T("[2]", "0", "8") "}", 8, "tensor b begins at 0"},
    {"{\"a\":" T("[2]", "0", "8") ",\"b\":" T("[0]", "4", "4") "}", 8, "begins at 4"},
    {"{\"a\":" T("[1]", "0", "4") "}", 5, "the tensors end at 4, but the file has 5 bytes"},
    {"{\"a\":" T("[1]", "0", "4") ",\"a\":" T("[1]", "4", "8") "}", 8, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "duplicate"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate"},
    {"{\"__metadata__\":[]}", 0, "__metadata__: byte 16: expected '{', found '['"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: byte 21: expected a string, found '1'"},
    {"{\"__metadata__\":{\"k\":{\"j\":\"x\"}}}", 0, "expected a string, found '{'"},
    {"{\"a\\u0000b\":" T("[1]", "0", "4") "}", 4, "expected an escape sequence"},
    {"{\"a\\ud800\":" T("[1]", "0", "4") "}", 4, "expected an escape sequence"},
    {"{\"a\\udc00\":" T("[1]", "0", "4") "}", 4, "expected an escape sequence"},
    {"{\"a\\ud800\\u0041\":" T("[1]", "0", "4") "}", 4, "expected an escape sequence"},
    {"{\"a\\u00g1\":" T("[1]", "0", "4") "}", 4, "expected an escape sequence"},
    {"{\"a\\x\":" T("[1]", "0", "4") "}", 4, "expected an escape sequence"},
    {"{\"a\n\":" T("[1]", "0", "4") "}", 4, "expected the end of a string"},
    {"{\"a\\", 0, "expected an escape sequence, found the end"},
    {"{\"a\\u12", 0, "expected an escape sequence, found the end"},
    {"{\"a", 0, "expected the end of a string, found the end"},
    {"{\"a\"}", 0, "expected ':', found '}'"},
    {"{\"a\":" T("[1]", "0", "4") ",}", 4, "expected a string, found '}'"},
    {"{\"a\":" T("[1,]", "0", "4") "}", 4, "expected an integer"},
    {"{\"a\":" T("[01]", "0", "4") "}", 4, "expected an integer"},
    {"{\"a\":" T("[1e0]", "0", "4") "}", 4, "expected an integer"},
    {"{\"a\":" T("[1]", "0", "4") ",\"a\":" T("[0]", "4", "4") "}", 4, "tensor a is a duplicate"},
    {"{\"a\":" T("[1]", "0", "4") ",\"\\u0061\":" T("[0]", "4", "4") "}", 4,
     "tensor a is a duplicate"},
    {"{\"a\":{\"x\":1}}", 0, "tensor a: key \"x\" is not known"},
    {"{\"\xff\":" T("[1]", "0", "4") "}", 4, "expected UTF-8"},
    {"{\"\xc0\x80\":" T("[1]", "0", "4") "}", 4, "expected UTF-8"},
    {"{\"\xed\xa0\x80\":" T("[1]", "0", "4") "}", 4, "expected UTF-8"},
    {"{\"__metadata__\":{\"k\":\"\xf5\x80\x80\x80\"}}", 0, "expected UTF-8"},
};

START_TEST(bad_headers_are_named)
{
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        size_t size;
        unsigned char *bytes =
            make_safetensors(bad_headers[i].header, bad_headers[i].data_size, &size);
        refuse(bytes, size, bad_headers[i].expected);
        free(bytes);
    }
}
END_TEST

START_TEST(header_sizes_are_checked)
{
    static const uint64_t absurd[] = {3,         9,          100000001, UINT32_MAX,
                                      INT64_MAX, UINT64_MAX, 1 << 20,   UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
        unsigned char bytes[10] = {0};
        memcpy(bytes, &absurd[i], 8);
        memcpy(bytes + 8, "{}", 2);
        refuse(bytes, sizeof bytes, "header of");
    }
    unsigned char zeros[8] = {0};
    refuse(zeros, 8, "does not begin");
    refuse(zeros, 7, "7 bytes; a safetensors file has at least 8");
    refuse(NULL, 0, "0 bytes");

    char header[2000];
    snprintf(header, sizeof header, "{\"%0513d\":%s}", 0, T("[1]", "0", "4"));
    size_t size;
    unsigned char *bytes = make_safetensors(header, 4, &size);
    refuse(bytes, size, "a name of 513 bytes, more than 512");
    free(bytes);
    struct lac_tensors *tensors;
    struct lac_error error;
    snprintf(header, sizeof header, "{\"%0512d\":%s}  \n", 0, T("[1]", "0", "4"));
    bytes = make_safetensors(header, 4, &size);
    ck_assert_int_eq(open_bytes(bytes, size, &tensors, &error), LAC_OK);
    lac_tensors_close(tensors);
    free(bytes);
}
END_TEST

START_TEST(tensors_are_counted)
{
    enum { N = (1 << 20) + 1, ENTRY = 64 };
    char *header = malloc((size_t)N * ENTRY);
    ck_assert_ptr_nonnull(header);
    size_t used = 0, size;
    for (int i = 0; i < N; i++)
        used += (size_t)snprintf(header + used, ENTRY, "%c\"%x\":%s", i ? ',' : '{', i,
                                 "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
    memcpy(header + used, "}", 2);
    unsigned char *bytes = make_safetensors(header, 0, &size);
    refuse(bytes, size, "more than 1048576 tensors");
    free(bytes);
    free(header);
}
END_TEST

START_TEST(empty_tensors_may_lie_anywhere)
{
    const char *header = "{\"b\":" T("[1]", "4", "8") ",\"z\":" T("[0]", "4", "4") ",\"a\":" T(
        "[1]", "0", "4") ",\"y\":" T("[0,7]", "0", "0") ",\"x\":" T("[2,0]", "8", "8") "}";
    size_t size;
    struct lac_tensors *tensors;
    struct lac_error error;
    unsigned char *bytes = make_safetensors(header, 8, &size);
    ck_assert_int_eq(open_bytes(bytes, size, &tensors, &error), LAC_OK);
    static const char *const order[] = {"y", "a", "z", "b", "x"};
    for (size_t i = 0; i < 5; i++)
        ck_assert_str_eq(lac_tensors_at(tensors, i)->name, order[i]);
    lac_tensors_close(tensors);
    free(bytes);

    bytes = make_safetensors("{}", 0, &size);
    ck_assert_int_eq(open_bytes(bytes, size, &tensors, &error), LAC_OK);
    ck_assert_uint_eq(lac_tensors_count(tensors), 0);
    ck_assert_ptr_null(lac_tensors_find(tensors, "a"));
    lac_tensors_close(tensors);
    free(bytes);
}
END_TEST

START_TEST(escapes_are_resolved)
{
    const char *header =
        "\t{ \"__metadata__\" : { \"b\" : \"\\ud83d\\ude00\\u00E9\\u20ac\\\"\\\\\\/\" ,\n"
        "\"a\\t\":\"\\b\\f\\n\\r\\t\\u0041\xc3\xa9\" , \"\" : \"\" } ,"
        "\"\\u0077\":{ \"shape\" : [ 2 , 1 ] , \"data_offsets\" : [ 0 , 2 ] ,"
        "\"dtype\" : \"U8\" } } \r\n";
    size_t size;
    struct lac_tensors *tensors;
    struct lac_error error = {0};
    unsigned char *bytes = make_safetensors(header + 1, 2, &size);
    ck_assert_msg(open_bytes(bytes, size, &tensors, &error) == LAC_OK, "%s", error.text);
    ck_assert_str_eq(lac_tensors_metadata(tensors, "b"),
                     "\xf0\x9f\x98\x80\xc3\xa9\xe2\x82\xac\"\\/");
    ck_assert_str_eq(lac_tensors_metadata(tensors, "a\t"), "\b\f\n\r\tA\xc3\xa9");
    ck_assert_str_eq(lac_tensors_metadata(tensors, ""), "");
    ck_assert_uint_eq(lac_tensors_find(tensors, "w")->shape[0], 2);
    lac_tensors_close(tensors);
    free(bytes);
    bytes = make_safetensors(header, 2, &size);
    refuse(bytes, size, "does not begin with '{'");
    free(bytes);
}
END_TEST

/* Touches all that an accepted file offers. */
static void use(struct lac_tensors *tensors)
{
    for (size_t i = 0; i < lac_tensors_count(tensors); i++) {
        const struct lac_tensor *tensor = lac_tensors_at(tensors, i);
        ck_assert_ptr_eq(lac_tensors_find(tensors, tensor->name), tensor);
        size_t n = 1;
        for (unsigned d = 0; d < tensor->rank; d++)
            n *= tensor->shape[d];
        if (tensor->storage == LAC_STORE_OTHER || n > 4096)
            continue;
        float *values = malloc(n * sizeof *values + 1);
        lac_tensor_to_f32(tensor, 0, n, values);
        free(values);
    }
}

START_TEST(every_prefix_is_refused)
{
    size_t size;
    char *whole = read_whole(source_path(golden), &size);
    struct lac_tensors *tensors;
    struct lac_error error;
    for (size_t n = 0; n <= size; n++) {
        unsigned char *part = guarded_alloc(n);
        memcpy(part, whole, n);
        if (n < size) {
            refuse(part, n, "");
        } else {
            ck_assert_int_eq(open_bytes(part, n, &tensors, &error), LAC_OK);
            use(tensors);
            lac_tensors_close(tensors);
        }
        guarded_free(part, n);
    }
    free(whole);
}
END_TEST

/* Flips, overwritten and repeated bytes: any answer will do, as long as nothing is read outside. */
START_TEST(mutations_do_no_harm)
{
    static const char interesting[] = "{}[]\",:0123456789-.eE\\ \xff\x80\x7f\x01";
    uint64_t state = test_seed();
    size_t size, n_accepted = 0;
    char *whole = read_whole(source_path(golden), &size);
    unsigned char *bytes = guarded_alloc(size);
    for (int round = 0; round < 20000; round++) {
        memcpy(bytes, whole, size);
        for (size_t k = random_below(&state, 3) + 1; k; k--) {
            size_t at = random_below(&state, size / 2);
            switch (random_below(&state, 3)) {
            case 0:
                bytes[at] ^= (unsigned char)(1u << random_below(&state, 8));
                break;
            case 1:
                bytes[at] = (unsigned char)interesting[random_below(&state, sizeof interesting)];
                break;
            default:
                memmove(bytes + at, bytes + random_below(&state, size / 2),
                        random_below(&state, size / 2));
            }
        }
        struct lac_tensors *tensors = NULL;
        struct lac_error error;
        if (!open_bytes(bytes, size, &tensors, &error)) {
            n_accepted++;
            use(tensors);
            lac_tensors_close(tensors);
        }
    }
    ck_assert_uint_gt(n_accepted, 0);
    guarded_free(bytes, size);
    free(whole);
}
END_TEST

START_TEST(running_out_of_memory_is_an_error)
{
    struct failing_host host;
    for (size_t n = 0;; n++) {
        struct lac_tensors *tensors = NULL;
        struct lac_error error;
        failing_host_init(&host, n);
        enum lac_status status =
            lac_tensors_open_file(&host.host, source_path(golden), &tensors, &error);
        if (!status) {
            lac_tensors_close(tensors);
            ck_assert_uint_eq(host.n_live, 0);
            ck_assert_uint_gt(n, 4);
            break;
        }
        ck_assert_int_eq(status, LAC_E_MEMORY);
        ck_assert_uint_eq(host.n_live, 0);
    }
}
END_TEST

/* A shard with one float tensor of that name. */
static void write_shard(const char *path, const char *name)
{
    char header[200];
    size_t size;
    snprintf(header, sizeof header, "{\"%s\":%s}", name, T("[1]", "0", "4"));
    unsigned char *bytes = make_safetensors(header, 4, &size);
    write_file(path, bytes, size);
    free(bytes);
}

static enum lac_status open_shards(const char *directory, const char *index,
                                   struct lac_tensors **tensors, struct lac_error *error)
{
    char name[200];
    snprintf(name, sizeof name, "%s/model.safetensors.index.json", directory);
    write_text(name, index);
    return lac_tensors_open_directory(&lac_default_host, scratch_path(directory), tensors, error);
}

START_TEST(shards_make_one_set)
{
    struct lac_error error;
    struct lac_tensors *tensors;
    write_shard("s/one.safetensors", "a");
    write_shard("s/two.safetensors", "b");
    ck_assert_int_eq(open_shards("s",
                                 "{\"metadata\":{\"total_size\":8},\"weight_map\":{"
                                 "\"b\":\"two.safetensors\",\"a\":\"one.safetensors\"}}",
                                 &tensors, &error),
                     LAC_OK);
    ck_assert_uint_eq(lac_tensors_count(tensors), 2);
    ck_assert_ptr_nonnull(strstr(lac_tensors_find(tensors, "a")->file, "/s/one.safetensors"));
    ck_assert_ptr_nonnull(strstr(lac_tensors_find(tensors, "b")->file, "/s/two.safetensors"));
    lac_tensors_close(tensors);

    write_shard("s/model.safetensors", "c"); /* the single file goes first */
    ck_assert_int_eq(
        lac_tensors_open_directory(&lac_default_host, scratch_path("s"), &tensors, &error), LAC_OK);
    ck_assert_uint_eq(lac_tensors_count(tensors), 1);
    lac_tensors_close(tensors);
}
END_TEST

START_TEST(bad_indices_are_named)
{
    static const struct {
        const char *index, *expected;
    } bad[] = {
        {"[]", "weight_map"},
        {"{}", "weight_map: expected an object, found null"},
        {"{\"weight_map\":{}}", "an empty one"},
        {"{\"weight_map\":[\"a\"]}", "found array"},
        {"{\"weight_map\":{\"a\":1}}", "a: expected a string, found integer"},
        {"{\"weight_map\":{\"a\":\"../b/one.safetensors\"}}", "is no name of a file"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "is no name of a file"},
        {"{\"weight_map\":{\"a\":\"x/one.safetensors\"}}", "is no name of a file"},
        {"{\"weight_map\":{\"a\":\"..\"}}", "is no name of a file"},
        {"{\"weight_map\":{\"a\":\"\"}}", "is no name of a file"},
        {"{\"weight_map\":{\"a\":\"nowhere.safetensors\"}}", "nowhere.safetensors: No such file"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"z\":\"one.safetensors\"}}",
         "z is not in one.safetensors"},
        {"{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}",
         "is in one.safetensors, not in two.safetensors"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"three.safetensors\"}}",
         "tensor a is in"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"a\":\"one.safetensors\"}}", "duplicate"},
    };
    write_shard("b/one.safetensors", "a");
    write_shard("b/two.safetensors", "b");
    write_shard("b/three.safetensors", "a");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lac_error error = {0};
        struct lac_tensors *tensors = NULL;
        ck_assert_msg(open_shards("b", bad[i].index, &tensors, &error) != LAC_OK, "%s",
                      bad[i].index);
        ck_assert_msg(strstr(error.text, bad[i].expected) != NULL, "\"%s\" not in: %s",
                      bad[i].expected, error.text);
        ck_assert_ptr_null(tensors);
    }
}
END_TEST

START_TEST(directories_without_weights_are_named)
{
    struct lac_error error;
    struct lac_tensors *tensors = NULL;
    write_text("n/pytorch_model.bin", "x");
    ck_assert_int_eq(
        lac_tensors_open_directory(&lac_default_host, scratch_path("n"), &tensors, &error),
        LAC_E_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "save pytorch_model.bin as safetensors"));
    ck_assert_int_eq(
        lac_tensors_open_file(&lac_default_host, scratch_path("absent"), &tensors, &error),
        LAC_E_IO);
    ck_assert_int_eq(
        lac_tensors_open_file(&lac_default_host, scratch_directory(), &tensors, &error), LAC_E_IO);
}
END_TEST

void add_tensor_tests(Suite *suite)
{
    add_test(suite, "golden", golden_values_convert_exactly);
    add_test(suite, "bad headers", bad_headers_are_named);
    add_test(suite, "header sizes", header_sizes_are_checked);
    add_test(suite, "tensor count", tensors_are_counted);
    add_test(suite, "empty tensors", empty_tensors_may_lie_anywhere);
    add_test(suite, "escapes", escapes_are_resolved);
    add_test(suite, "prefixes", every_prefix_is_refused);
    add_test(suite, "mutations", mutations_do_no_harm);
    add_test(suite, "memory", running_out_of_memory_is_an_error);
    add_test(suite, "shards", shards_make_one_set);
    add_test(suite, "indices", bad_indices_are_named);
    add_test(suite, "no weights", directories_without_weights_are_named);
}
