/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a safetensors file: nothing in it is believed before it is checked. */
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/base/json.h"
#include "src/model/storage.h"
#include "src/model/tensor_set.h"

/*   u64 N, little-endian | N bytes of JSON | data
 *
 * The tensors' ranges of data, sorted, must meet end to end from 0 to the end of the file. */
struct header {
    const char *path;
    const char *json;
    size_t json_size;
    const uint8_t *data;
    size_t data_size;
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors is little-endian");
_Static_assert(sizeof(size_t) == 8, "sizes in files have 64 bits");

static enum lac_status split_file(const char *path, const void *data, size_t size,
                                  struct header *header, struct lac_error *error)
{
    if (size < 8)
        return lac_fail(error, LAC_E_FORMAT, "%s: %zu bytes; a safetensors file has at least 8",
                        path, size);
    uint64_t n;
    memcpy(&n, data, sizeof n);
    if (n > LAC_MAX_HEADER_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "%s: header of %llu bytes, more than %d", path,
                        (unsigned long long)n, LAC_MAX_HEADER_BYTES);
    if (n > size - 8)
        return lac_fail(error, LAC_E_FORMAT, "%s: header of %llu bytes in a file of %zu", path,
                        (unsigned long long)n, size);
    *header = (struct header){
        .path = path,
        .json = (const char *)data + 8,
        .json_size = (size_t)n,
        .data = (const uint8_t *)data + 8 + n,
        .data_size = size - 8 - (size_t)n,
    };
    if (!n || header->json[0] != '{')
        return lac_fail(error, LAC_E_FORMAT, "%s: the header does not begin with '{'", path);
    return LAC_OK;
}

static enum lac_status read_shape(const json_t *shape, struct lac_tensor *tensor,
                                  struct lac_error *error)
{
    if (!json_is_array(shape))
        return lac_fail(error, LAC_E_FORMAT, "shape: expected an array, found %s",
                        lac_json_kind(shape));
    if (json_array_size(shape) > LAC_MAX_RANK)
        return lac_fail(error, LAC_E_LIMIT, "shape: rank %zu, more than %d", json_array_size(shape),
                        LAC_MAX_RANK);
    tensor->rank = (unsigned)json_array_size(shape);
    for (unsigned i = 0; i < tensor->rank; i++) {
        const json_t *length = json_array_get(shape, i);
        if (!json_is_integer(length))
            return lac_fail(error, LAC_E_FORMAT, "shape[%u]: expected an integer, found %s", i,
                            lac_json_kind(length));
        if (json_integer_value(length) < 0)
            return lac_fail(error, LAC_E_FORMAT, "shape[%u]: %lld is negative", i,
                            (long long)json_integer_value(length));
        tensor->shape[i] = (size_t)json_integer_value(length);
    }
    return LAC_OK;
}

static enum lac_status read_offsets(const struct header *header, const json_t *offsets,
                                    struct lac_tensor *tensor, struct lac_error *error)
{
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return lac_fail(error, LAC_E_FORMAT, "data_offsets: expected two integers");
    json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin)
        return lac_fail(error, LAC_E_FORMAT, "data_offsets: [%lld, %lld] is no range",
                        (long long)begin, (long long)end);
    if ((uint64_t)end > header->data_size)
        return lac_fail(error, LAC_E_FORMAT,
                        "data_offsets: [%lld, %lld] ends after the file's %zu bytes of data",
                        (long long)begin, (long long)end, header->data_size);
    tensor->data = header->data + begin;
    tensor->size_bytes = (size_t)(end - begin);
    return LAC_OK;
}

static enum lac_status check_size(const struct lac_storage_kind *kind,
                                  const struct lac_tensor *tensor, struct lac_error *error)
{
    char shape[256];
    lac_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    size_t n, size_bytes;
    if (!lac_shape_elements(tensor->rank, tensor->shape, &n) ||
        !lac_storage_size(kind, n, &size_bytes))
        return lac_fail(error, LAC_E_FORMAT, "%s %s is no whole number of bytes below 2^64", shape,
                        kind->name);
    if (size_bytes != tensor->size_bytes)
        return lac_fail(error, LAC_E_FORMAT, "%s %s takes %zu bytes, but data_offsets give %zu",
                        shape, kind->name, size_bytes, tensor->size_bytes);
    return LAC_OK;
}

static enum lac_status read_tensor(const struct header *header, const json_t *entry,
                                   struct lac_tensor *tensor, struct lac_error *error)
{
    if (!json_is_object(entry))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(entry));
    const json_t *dtype = json_object_get(entry, "dtype");
    if (!json_is_string(dtype))
        return lac_fail(error, LAC_E_FORMAT, "dtype: expected a string, found %s",
                        lac_json_kind(dtype));
    const struct lac_storage_kind *kind = lac_storage_named(json_string_value(dtype));
    if (!kind)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "dtype %.40s is not known, so its size cannot "
                        "be checked",
                        json_string_value(dtype));
    tensor->storage = kind->storage;
    tensor->storage_name = kind->name;
    enum lac_status status = read_shape(json_object_get(entry, "shape"), tensor, error);
    if (!status)
        status = read_offsets(header, json_object_get(entry, "data_offsets"), tensor, error);
    if (!status)
        status = check_size(kind, tensor, error);
    return status;
}

static int compare_places(const void *left, const void *right)
{
    const struct lac_tensor *a = left, *b = right;
    if (a->data != b->data)
        return (uintptr_t)a->data < (uintptr_t)b->data ? -1 : 1;
    if (a->size_bytes != b->size_bytes)
        return a->size_bytes < b->size_bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Empty tensors sort before the one that begins where they lie, so that a walk over the sorted
 * ranges meets each boundary once. */
static enum lac_status check_cover(const struct header *header, struct lac_tensor *tensors,
                                   size_t n, struct lac_error *error)
{
    size_t end = 0;
    qsort(tensors, n, sizeof *tensors, compare_places);
    for (size_t i = 0; i < n; i++) {
        size_t begin = (size_t)((const uint8_t *)tensors[i].data - header->data);
        if (begin != end)
            return lac_fail(error, LAC_E_FORMAT,
                            "%s: tensor %.200s begins at %zu, but the data before it ends at %zu",
                            header->path, tensors[i].name, begin, end);
        end += tensors[i].size_bytes;
    }
    if (end != header->data_size)
        return lac_fail(error, LAC_E_FORMAT,
                        "%s: the tensors end at %zu, but the file has %zu bytes of data",
                        header->path, end, header->data_size);
    return LAC_OK;
}

static enum lac_status check_metadata(const char *path, json_t *metadata, struct lac_error *error)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata))
        return lac_fail(error, LAC_E_FORMAT, "%s: __metadata__: expected an object, found %s", path,
                        lac_json_kind(metadata));
    json_object_foreach(metadata, key, value) if (!json_is_string(value)) return lac_fail(
        error, LAC_E_FORMAT, "%s: __metadata__: %.200s: expected a string, found %s", path, key,
        lac_json_kind(value));
    return LAC_OK;
}

/* One piece for all names: an arena piece each would waste a cache line on it. */
static enum lac_status copy_names(struct lac_tensors *set, const struct header *header,
                                  json_t *root, char **names, const char **path,
                                  struct lac_error *error)
{
    const char *key;
    json_t *entry;
    size_t size_bytes = 0;
    json_object_foreach(root, key, entry)
    {
        size_t length = strlen(key);
        if (length > LAC_MAX_TENSOR_NAME)
            return lac_fail(error, LAC_E_LIMIT,
                            "%s: tensor %.40s...: a name of %zu bytes, more than %d", header->path,
                            key, length, LAC_MAX_TENSOR_NAME);
        size_bytes += length + 1; /* both within the header's size */
    }
    *names = lac_arena_alloc(&set->arena, size_bytes, 1);
    *path = lac_arena_strndup(&set->arena, header->path, strlen(header->path));
    if (!*names || !*path)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for the names of %zu tensors",
                        header->path, json_object_size(root));
    return LAC_OK;
}

static enum lac_status read_tensors(struct lac_tensors *set, const struct header *header,
                                    json_t *root, struct lac_error *error)
{
    size_t n = json_object_size(root), n_all;
    if (n > LAC_MAX_TENSORS || !lac_add_size(set->n, n, &n_all) || n_all > LAC_MAX_TENSORS)
        return lac_fail(error, LAC_E_LIMIT, "%s: %zu tensors, more than %d", header->path, n,
                        LAC_MAX_TENSORS);
    char *names = NULL;
    const char *path = NULL;
    enum lac_status status = copy_names(set, header, root, &names, &path, error);
    if (status)
        return status;
    struct lac_tensor *grown = lac_realloc(set->host, set->items, set->n, n_all, sizeof *grown);
    if (!grown)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu tensors", header->path, n);
    set->items = grown;

    struct lac_tensor *tensor = grown + set->n;
    const char *key;
    json_t *entry;
    json_object_foreach(root, key, entry)
    {
        size_t size = strlen(key) + 1;
        *tensor = (struct lac_tensor){.name = memcpy(names, key, size), .file = path};
        names += size;
        status = read_tensor(header, entry, tensor++, error);
        if (status)
            return lac_fail_in(error, status, "%s: tensor %.200s", header->path, key);
    }
    status = check_cover(header, grown + set->n, n, error);
    if (!status)
        set->n = n_all;
    return status;
}

enum lac_status lac_tensor_set_read(struct lac_tensors *set, const char *path, const void *data,
                                    size_t size, struct lac_error *error)
{
    struct header header = {0};
    enum lac_status status = split_file(path, data, size, &header, error);
    if (status)
        return status;
    json_t *root = NULL;
    status = lac_json_parse(path, header.json, header.json_size, &root, error);
    if (status)
        return status;
    json_t *metadata = json_incref(json_object_get(root, "__metadata__"));
    if (metadata) {
        status = check_metadata(path, metadata, error);
        json_object_del(root, "__metadata__");
    }
    if (!status)
        status = read_tensors(set, &header, root, error);
    if (!status && !set->metadata && !set->n_files)
        set->metadata = json_incref(metadata);
    json_decref(metadata);
    json_decref(root);
    return status;
}
