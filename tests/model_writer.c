/* SPDX-License-Identifier: Apache-2.0 */
/* Writing safetensors. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "src/base/file.h"
#include "src/model/tensor.h"
#include "tests/model_suite.h"

static struct lac_tensor_writer *open_writer(const char *path)
{
    struct lac_error error;
    struct lac_tensor_writer *writer = NULL;
    ck_assert_int_eq(lac_tensor_writer_open(&lac_default_host, path, &writer, &error), LAC_OK);
    return writer;
}

static enum lac_status add(struct lac_tensor_writer *writer, const char *name,
                           enum lac_storage storage, size_t rows, size_t cols, const void *data)
{
    struct lac_error error;
    return lac_tensor_writer_add(writer, name, storage, 2, (size_t[]){rows, cols}, data, &error);
}

START_TEST(written_files_read_back)
{
    static const unsigned char bytes[4096] = {1, 2, 3};
    const char *path = scratch_path("w.safetensors");
    struct lac_error error;
    struct lac_tensor_writer *writer = open_writer(path);
    ck_assert_int_eq(lac_tensor_writer_metadata(writer, "k\"\n", "v\xc3\xbc\\", &error), LAC_OK);
    ck_assert_int_eq(add(writer, "a", LAC_STORE_F32, 3, 5, bytes), LAC_OK);
    ck_assert_int_eq(add(writer, "empty", LAC_STORE_F32, 3, 0, NULL), LAC_OK);
    ck_assert_int_eq(add(writer, "b\"", LAC_STORE_I8, 64, 64, bytes), LAC_OK);
    ck_assert_int_eq(lac_tensor_writer_add(writer, "scalar", LAC_STORE_F64, 0, NULL, bytes, &error),
                     LAC_OK);
    ck_assert_int_eq(add(writer, "c", LAC_STORE_U8, 1, 65, bytes), LAC_OK);
    ck_assert(!lac_path_is_file(path));
    ck_assert_int_eq(lac_tensor_writer_commit(writer, &error), LAC_OK);
    ck_assert(!lac_path_is_file(scratch_path("w.safetensors.partial")));

    struct lac_tensors *tensors;
    ck_assert_int_eq(lac_tensors_open_file(&lac_default_host, path, &tensors, &error), LAC_OK);
    ck_assert_str_eq(lac_tensors_metadata(tensors, "k\"\n"), "v\xc3\xbc\\");
    static const char *const names[] = {"a", "empty", "b\"", "scalar", "c"};
    for (size_t i = 0; i < 5; i++) {
        const struct lac_tensor *tensor = lac_tensors_find(tensors, names[i]);
        ck_assert_ptr_nonnull(tensor);
        /* The file is mapped on a page, so places in memory are places in the file. */
        ck_assert_uint_eq((uintptr_t)tensor->data % 64, 0);
        ck_assert_mem_eq(tensor->data, bytes, tensor->size_bytes);
    }
    size_t n_pads = 0;
    for (size_t i = 0; i < lac_tensors_count(tensors); i++) {
        const struct lac_tensor *tensor = lac_tensors_at(tensors, i);
        if (strncmp(tensor->name, "__pad__", 7))
            continue;
        n_pads++;
        ck_assert_int_eq(tensor->storage, LAC_STORE_U8);
        for (size_t k = 0; k < tensor->size_bytes; k++)
            ck_assert_uint_eq(((const unsigned char *)tensor->data)[k], 0);
    }
    ck_assert_uint_eq(n_pads, 3);
    lac_tensors_close(tensors);
}
END_TEST

START_TEST(bad_calls_are_refused)
{
    const char *path = scratch_path("bad.safetensors");
    struct lac_error error;
    struct lac_tensor_writer *writer = open_writer(path);
    char longest[514];
    memset(longest, 'x', 513);
    longest[513] = '\0';
    ck_assert_int_eq(add(writer, "a", LAC_STORE_F32, 1, 1, "abcd"), LAC_OK);
    ck_assert_int_eq(add(writer, "a", LAC_STORE_F32, 1, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, "__metadata__", LAC_STORE_F32, 1, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, "__pad__0", LAC_STORE_F32, 1, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, longest, LAC_STORE_F32, 1, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, "\xff", LAC_STORE_F32, 1, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, "o", LAC_STORE_OTHER, 1, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, "h", LAC_STORE_F32, SIZE_MAX / 2, 3, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(add(writer, "h", LAC_STORE_F32, SIZE_MAX / 8, 1, "abcd"), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_tensor_writer_add(writer, "r", LAC_STORE_U8, 9,
                                           (size_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1}, "a", &error),
                     LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_tensor_writer_metadata(writer, "k", "\xff", &error), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_tensor_writer_metadata(writer, "k", "v", &error), LAC_OK);
    ck_assert_int_eq(lac_tensor_writer_metadata(writer, "k", "w", &error), LAC_E_ARGUMENT);
    ck_assert_int_eq(lac_tensor_writer_commit(writer, &error), LAC_OK);

    struct lac_tensors *tensors; /* what was refused left no trace */
    ck_assert_int_eq(lac_tensors_open_file(&lac_default_host, path, &tensors, &error), LAC_OK);
    ck_assert_uint_eq(lac_tensors_count(tensors), 2);
    lac_tensors_close(tensors);

    writer = open_writer(scratch_path("gone.safetensors"));
    lac_tensor_writer_discard(writer);
    lac_tensor_writer_discard(NULL);
    ck_assert(!lac_path_is_file(scratch_path("gone.safetensors")));
    ck_assert(!lac_path_is_file(scratch_path("gone.safetensors.partial")));
    ck_assert_int_eq(
        lac_tensor_writer_open(&lac_default_host, scratch_path("no/where"), &writer, &error),
        LAC_E_IO);
}
END_TEST

START_TEST(a_full_disk_leaves_the_old_file)
{
    static const char data[1 << 16];
    const char *path = write_text("full.safetensors", "old");
    struct lac_error error;
    struct rlimit old, limit;
    struct lac_tensor_writer *writer = open_writer(path);
    ck_assert_int_eq(add(writer, "a", LAC_STORE_U8, 1, sizeof data, data), LAC_OK);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 5000;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    enum lac_status status = lac_tensor_writer_commit(writer, &error);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_int_eq(status, LAC_E_IO);
    ck_assert_ptr_nonnull(strstr(error.text, "full.safetensors.partial: cannot write"));
    ck_assert(!lac_path_is_file(scratch_path("full.safetensors.partial")));
    size_t size;
    char *text = read_whole(path, &size);
    ck_assert_str_eq(text, "old");
    free(text);
}
END_TEST

START_TEST(without_memory_nothing_is_written)
{
    static const char data[100];
    const char *path = scratch_path("memory.safetensors");
    enum lac_status status = LAC_E_MEMORY;
    for (size_t n = 0; status; n++) {
        struct failing_host host;
        struct lac_error error;
        struct lac_tensor_writer *writer = NULL;
        failing_host_init(&host, n);
        status = lac_tensor_writer_open(&host.host, path, &writer, &error);
        for (int i = 0; !status && i < 100; i++) {
            char name[16];
            snprintf(name, sizeof name, "t%d", i);
            status = add(writer, name, LAC_STORE_U8, 1, sizeof data, data);
        }
        if (!status)
            status = lac_tensor_writer_commit(writer, &error);
        else
            lac_tensor_writer_discard(writer);
        ck_assert(!status || status == LAC_E_MEMORY);
        ck_assert_uint_eq(host.n_live, 0);
        ck_assert_int_eq(lac_path_is_file(path), !status);
        ck_assert(!lac_path_is_file(scratch_path("memory.safetensors.partial")));
    }
}
END_TEST

void add_writer_tests(Suite *suite)
{
    add_test(suite, "written", written_files_read_back);
    add_test(suite, "bad calls", bad_calls_are_refused);
    add_test(suite, "full disk", a_full_disk_leaves_the_old_file);
    add_test(suite, "writer memory", without_memory_nothing_is_written);
}
