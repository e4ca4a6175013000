/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a safetensors file: nothing in it is believed before it is checked. */
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/json_scan.h"
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

static enum lac_status read_shape(struct lac_scan *scan, struct lac_tensor *tensor,
                                  struct lac_error *error)
{
    enum lac_status status = lac_scan_expect(scan, '[', error);
    bool more = !status && !lac_scan_take(scan, ']');
    tensor->rank = 0;
    while (!status && more) {
        if (tensor->rank == LAC_MAX_RANK)
            return lac_fail(error, LAC_E_LIMIT, "rank over %d", LAC_MAX_RANK);
        status = lac_scan_size(scan, &tensor->shape[tensor->rank++], error);
        if (!status)
            status = lac_scan_more(scan, ']', &more, error);
    }
    return status;
}

static enum lac_status read_offsets(struct lac_scan *scan, const struct header *header,
                                    struct lac_tensor *tensor, struct lac_error *error)
{
    size_t begin = 0, end = 0;
    enum lac_status status = lac_scan_expect(scan, '[', error);
    if (!status)
        status = lac_scan_size(scan, &begin, error);
    if (!status)
        status = lac_scan_expect(scan, ',', error);
    if (!status)
        status = lac_scan_size(scan, &end, error);
    if (!status)
        status = lac_scan_expect(scan, ']', error);
    if (status)
        return status;
    if (end < begin)
        return lac_fail(error, LAC_E_FORMAT, "[%zu, %zu] is no range", begin, end);
    if (end > header->data_size)
        return lac_fail(error, LAC_E_FORMAT, "[%zu, %zu] ends after the file's %zu bytes of data",
                        begin, end, header->data_size);
    tensor->data = header->data + begin;
    tensor->size_bytes = end - begin;
    return LAC_OK;
}

/* text: room for the name, which is not kept. */
static enum lac_status read_dtype(struct lac_scan *scan, char *text,
                                  const struct lac_storage_kind **kind, struct lac_tensor *tensor,
                                  struct lac_error *error)
{
    char *end = text;
    enum lac_status status = lac_scan_string(scan, &end, error);
    if (status)
        return status;
    *kind = lac_storage_named(text);
    if (!*kind)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "\"%.40s\" is not known, so its size cannot be checked", text);
    tensor->storage = (*kind)->storage;
    tensor->storage_name = (*kind)->name;
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

enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, N_MEMBERS = 3 };

static const char *const members[N_MEMBERS] = {"dtype", "shape", "data_offsets"};

/* One member of a tensor's object; its bit joins *seen. */
static enum lac_status read_member(struct lac_scan *scan, const struct header *header, char *text,
                                   unsigned *seen, const struct lac_storage_kind **kind,
                                   struct lac_tensor *tensor, struct lac_error *error)
{
    char *end = text;
    unsigned member = 0;
    enum lac_status status = lac_scan_string(scan, &end, error);
    if (status)
        return status;
    while (member < N_MEMBERS && strcmp(text, members[member]))
        member++;
    if (member == N_MEMBERS || *seen & 1u << member)
        return lac_fail(error, LAC_E_FORMAT, "key \"%.40s\" is %s", text,
                        member == N_MEMBERS ? "not known" : "a duplicate");
    *seen |= 1u << member;
    status = lac_scan_expect(scan, ':', error);
    if (status)
        return status;
    switch (1u << member) {
    case DTYPE:
        status = read_dtype(scan, text, kind, tensor, error);
        break;
    case SHAPE:
        status = read_shape(scan, tensor, error);
        break;
    case OFFSETS:
        status = read_offsets(scan, header, tensor, error);
        break;
    }
    return status ? lac_fail_in(error, status, "%s", members[member]) : LAC_OK;
}

static enum lac_status read_tensor(struct lac_scan *scan, const struct header *header, char *text,
                                   struct lac_tensor *tensor, struct lac_error *error)
{
    const struct lac_storage_kind *kind = NULL;
    unsigned seen = 0;
    enum lac_status status = lac_scan_expect(scan, '{', error);
    bool more = !status && !lac_scan_take(scan, '}');
    while (!status && more) {
        status = read_member(scan, header, text, &seen, &kind, tensor, error);
        if (!status)
            status = lac_scan_more(scan, '}', &more, error);
    }
    if (status)
        return status;
    for (unsigned i = 0; i < N_MEMBERS; i++)
        if (!(seen & 1u << i))
            return lac_fail(error, LAC_E_FORMAT, "%s is missing", members[i]);
    return check_size(kind, tensor, error);
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
    if (n)
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

int lac_metadata_compare(const void *left, const void *right)
{
    const struct lac_metadata *a = left, *b = right;
    return strcmp(a->key, b->key);
}

static enum lac_status add_pair(struct lac_tensors *set, const char *key, const char *value,
                                struct lac_error *error)
{
    if (set->n_metadata == set->metadata_room) {
        size_t room = set->metadata_room ? 2 * set->metadata_room : 16;
        struct lac_metadata *grown =
            lac_realloc(set->host, set->metadata, set->n_metadata, room, sizeof *grown);
        if (!grown)
            return lac_fail(error, LAC_E_MEMORY, "no memory for %zu keys", room);
        set->metadata = grown;
        set->metadata_room = room;
    }
    set->metadata[set->n_metadata++] = (struct lac_metadata){key, value};
    return LAC_OK;
}

static enum lac_status sort_pairs(struct lac_metadata *pairs, size_t n, struct lac_error *error)
{
    qsort(pairs, n, sizeof *pairs, lac_metadata_compare);
    for (size_t i = 1; i < n; i++)
        if (!strcmp(pairs[i - 1].key, pairs[i].key))
            return lac_fail(error, LAC_E_FORMAT, "key \"%.200s\" is a duplicate", pairs[i].key);
    return LAC_OK;
}

/* The pairs of later files come after the first one's n_first, are checked among themselves, and
 * are dropped. */
static enum lac_status read_metadata(struct lac_scan *scan, struct lac_tensors *set, char **text,
                                     struct lac_error *error)
{
    size_t n_first = set->n_metadata;
    enum lac_status status = lac_scan_expect(scan, '{', error);
    bool more = !status && !lac_scan_take(scan, '}');
    while (!status && more) {
        const char *key = *text;
        status = lac_scan_string(scan, text, error);
        if (!status)
            status = lac_scan_expect(scan, ':', error);
        const char *value = *text;
        if (!status)
            status = lac_scan_string(scan, text, error);
        if (!status)
            status = add_pair(set, key, value, error);
        if (!status)
            status = lac_scan_more(scan, '}', &more, error);
    }
    if (!status && set->n_metadata > n_first)
        status = sort_pairs(set->metadata + n_first, set->n_metadata - n_first, error);
    if (status || set->n_files)
        set->n_metadata = n_first;
    return status;
}

/* Room for one more tensor at set->items[n]. */
static enum lac_status reserve(struct lac_tensors *set, size_t n, struct lac_error *error)
{
    if (n < set->room)
        return LAC_OK;
    if (n == LAC_MAX_TENSORS)
        return lac_fail(error, LAC_E_LIMIT, "more than %d tensors", LAC_MAX_TENSORS);
    size_t room = set->room ? 2 * set->room : 256;
    struct lac_tensor *grown = lac_realloc(set->host, set->items, n, room, sizeof *grown);
    if (!grown)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu tensors", room);
    set->items = grown;
    set->room = room;
    return LAC_OK;
}

/* One member of the header: the metadata, or a tensor, which is set->items[*n]. */
static enum lac_status read_entry(struct lac_scan *scan, const struct header *header,
                                  struct lac_tensors *set, const char *path, char **text, size_t *n,
                                  struct lac_error *error)
{
    const char *name = *text;
    enum lac_status status = lac_scan_string(scan, text, error);
    if (!status)
        status = lac_scan_expect(scan, ':', error);
    if (status)
        return status;
    if (!strcmp(name, "__metadata__")) {
        if (set->has_metadata++)
            return lac_fail(error, LAC_E_FORMAT, "__metadata__ is a duplicate");
        status = read_metadata(scan, set, text, error);
        return status ? lac_fail_in(error, status, "__metadata__") : LAC_OK;
    }
    size_t length = (size_t)(*text - name) - 1;
    if (length > LAC_MAX_TENSOR_NAME)
        return lac_fail(error, LAC_E_LIMIT, "tensor %.40s...: a name of %zu bytes, more than %d",
                        name, length, LAC_MAX_TENSOR_NAME);
    status = reserve(set, *n, error);
    if (status)
        return status;
    struct lac_tensor *tensor = &set->items[*n];
    *tensor = (struct lac_tensor){.name = name, .file = path};
    status = read_tensor(scan, header, *text, tensor, error);
    if (status)
        return lac_fail_in(error, status, "tensor %.200s", name);
    ++*n;
    return LAC_OK;
}

static enum lac_status read_header(const struct header *header, struct lac_tensors *set, size_t *n,
                                   struct lac_error *error)
{
    /* Unescaped strings with their final 0 take no more room than the JSON; one string that is not
     * kept may follow them. */
    char *text = lac_arena_alloc(&set->arena, header->json_size, 1);
    const char *path = lac_arena_strndup(&set->arena, header->path, strlen(header->path));
    if (!text || !path)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu bytes of names", header->json_size);
    struct lac_scan scan = {header->json, header->json, header->json + header->json_size};
    set->has_metadata = 0;
    enum lac_status status = lac_scan_expect(&scan, '{', error);
    bool more = !status && !lac_scan_take(&scan, '}');
    while (!status && more) {
        status = read_entry(&scan, header, set, path, &text, n, error);
        if (!status)
            status = lac_scan_more(&scan, '}', &more, error);
    }
    return status ? status : lac_scan_end(&scan, error);
}

enum lac_status lac_tensor_set_read(struct lac_tensors *set, const char *path, const void *data,
                                    size_t size, struct lac_error *error)
{
    struct header header = {0};
    size_t n = set->n;
    enum lac_status status = split_file(path, data, size, &header, error);
    if (status)
        return status;
    status = read_header(&header, set, &n, error);
    if (status)
        return lac_fail_in(error, status, "%s", path);
    status = check_cover(&header, set->items + set->n, n - set->n, error);
    if (!status)
        set->n = n;
    return status;
}
