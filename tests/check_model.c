/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of models: safetensors, config.json, checkpoints.  Golden files in tests/data/model come
 * from make_files.py beside them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/model_suite.h"

const char *scratch_path(const char *name)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    int n = snprintf(path, sizeof paths[0], "%s/%s", scratch_directory(), name);
    ck_assert(n > 0 && (size_t)n < sizeof paths[0]);
    return path;
}

static void make_folders(const char *path)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder + strlen(scratch_directory()) + 1; (slash = strchr(slash, '/'));
         *slash++ = '/') {
        *slash = '\0';
        mkdir(folder, 0777);
    }
}

const char *write_file(const char *name, const void *data, size_t size)
{
    const char *path = scratch_path(name);
    make_folders(path);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

const char *write_text(const char *name, const char *text)
{
    return write_file(name, text, strlen(text));
}

void *read_whole(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    ck_assert_ptr_nonnull(data);
    ck_assert_uint_eq(fread(data, 1, *size, file), *size);
    data[*size] = '\0';
    fclose(file);
    return data;
}

unsigned char *make_safetensors(const char *header, size_t data_size, size_t *size)
{
    uint64_t n = strlen(header);
    *size = 8 + n + data_size;
    unsigned char *bytes = malloc(*size);
    ck_assert_ptr_nonnull(bytes);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, n);
    for (size_t i = 0; i < data_size; i++)
        bytes[8 + n + i] = (unsigned char)i;
    return bytes;
}

static void *counting_alloc(void *context, size_t alignment, size_t size_bytes)
{
    struct failing_host *host = context;
    if (host->n_allocations++ >= host->fails_at)
        return NULL;
    void *memory;
    if (posix_memalign(&memory, alignment, size_bytes))
        return NULL;
    host->n_live++;
    return memory;
}

static void counting_release(void *context, void *memory)
{
    struct failing_host *host = context;
    host->n_live--;
    free(memory);
}

void failing_host_init(struct failing_host *host, size_t fails_at)
{
    *host = (struct failing_host){.fails_at = fails_at};
    host->host.allocator = (struct lac_allocator){counting_alloc, counting_release, host};
}

int main(void)
{
    Suite *suite = suite_create("model");
    add_tensor_tests(suite);
    add_bitmask_tests(suite);
    add_writer_tests(suite);
    add_config_tests(suite);
    add_checkpoint_tests(suite);
    add_decoder_tests(suite);
    add_gguf_tests(suite);
    add_made_gguf_tests(suite);
    add_sentence_tests(suite);
    add_packed_tests(suite);
    return run_suite(suite);
}
