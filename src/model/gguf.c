/* SPDX-License-Identifier: Apache-2.0 */
/* Reading GGUF: nothing in the file is believed before it is checked. */
#include "src/model/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/storage.h"
#include "src/model/tensor_set.h"

/*   "GGUF" | u32 version | u64 n_tensors | u64 n_keys
 *   n_keys times     string key | u32 kind | value
 *   n_tensors times  string name | u32 rank | u64 dimensions, innermost first | u32 type | u64
 * offset zeros up to a multiple of the alignment data, to which the offsets are relative
 *
 * A string is a u64 length and that many bytes; an array a u32 kind, a u64 count and its elements.
 */

enum {
    MAX_KEYS = 1 << 20,
    MAX_KEY_BYTES = 65535, /* the format's own limit */
    MAX_GGUF_RANK = 4,     /* the format's own limit */
    MAX_NESTING = 4,       /* of arrays in arrays: no file in use has any */
    MAX_ALIGNMENT = 1 << 20,
    USUAL_ALIGNMENT = 32,
    STRING_BYTES = 8,  /* the least that a string, */
    ARRAY_BYTES = 12,  /* an array, */
    KEY_BYTES = 13,    /* a key with its value, */
    TENSOR_BYTES = 24, /* and a tensor take */
};

static const char magic[4] = {'G', 'G', 'U', 'F'};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF is read as little-endian");

static const struct {
    const char *name;
    size_t size_bytes; /* 0: it varies */
} kinds[LAC_N_GGUF_KINDS] = {
    [LAC_GGUF_U8] = {"u8", 1},         [LAC_GGUF_I8] = {"i8", 1},
    [LAC_GGUF_U16] = {"u16", 2},       [LAC_GGUF_I16] = {"i16", 2},
    [LAC_GGUF_U32] = {"u32", 4},       [LAC_GGUF_I32] = {"i32", 4},
    [LAC_GGUF_F32] = {"f32", 4},       [LAC_GGUF_BOOL] = {"bool", 1},
    [LAC_GGUF_STRING] = {"string", 0}, [LAC_GGUF_ARRAY] = {"array", 0},
    [LAC_GGUF_U64] = {"u64", 8},       [LAC_GGUF_I64] = {"i64", 8},
    [LAC_GGUF_F64] = {"f64", 8},
};

/* ggml's types of elements.  Those without a block are named for the message alone. */
static const struct element_type {
    const char *name;
    enum lac_storage storage;
    size_t block, block_bytes; /* elements of a block, and what they take */
} types[] = {
    [0] = {"F32", LAC_STORE_F32, 1, 4},
    [1] = {"F16", LAC_STORE_F16, 1, 2},
    [2] = {"Q4_0", LAC_STORE_OTHER, 0, 0},
    [3] = {"Q4_1", LAC_STORE_OTHER, 0, 0},
    [6] = {"Q5_0", LAC_STORE_OTHER, 0, 0},
    [7] = {"Q5_1", LAC_STORE_OTHER, 0, 0},
    [8] = {"Q8_0", LAC_STORE_Q8_0, LAC_Q8_0_BLOCK, LAC_Q8_0_BYTES},
    [9] = {"Q8_1", LAC_STORE_OTHER, 0, 0},
    [10] = {"Q2_K", LAC_STORE_OTHER, 0, 0},
    [11] = {"Q3_K", LAC_STORE_OTHER, 0, 0},
    [12] = {"Q4_K", LAC_STORE_OTHER, 0, 0},
    [13] = {"Q5_K", LAC_STORE_OTHER, 0, 0},
    [14] = {"Q6_K", LAC_STORE_OTHER, 0, 0},
    [15] = {"Q8_K", LAC_STORE_OTHER, 0, 0},
    [30] = {"BF16", LAC_STORE_BF16, 1, 2},
};

enum { N_TYPES = sizeof types / sizeof types[0] };

struct lac_gguf {
    const struct lac_host *host;
    struct lac_tensors *set; /* tensors, the arena of all names, the mapping */
    struct lac_gguf_value *values;
    size_t n_values;
};

/* What is left of the file. */
struct cursor {
    const uint8_t *begin, *at, *end;
};

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

static enum lac_status cut_short(const struct cursor *c, size_t needed, const char *what,
                                 struct lac_error *error)
{
    return lac_fail(error, LAC_E_FORMAT, "byte %zu: %s takes %zu bytes, but %zu are left",
                    (size_t)(c->at - c->begin), what, needed, left(c));
}

static enum lac_status take_u32(struct cursor *c, const char *what, uint32_t *value,
                                struct lac_error *error)
{
    if (left(c) < sizeof *value)
        return cut_short(c, sizeof *value, what, error);
    memcpy(value, c->at, sizeof *value);
    c->at += sizeof *value;
    return LAC_OK;
}

static enum lac_status take_u64(struct cursor *c, const char *what, uint64_t *value,
                                struct lac_error *error)
{
    if (left(c) < sizeof *value)
        return cut_short(c, sizeof *value, what, error);
    memcpy(value, c->at, sizeof *value);
    c->at += sizeof *value;
    return LAC_OK;
}

/* A count of things that take at least this many bytes each. */
static enum lac_status take_count(struct cursor *c, const char *what, size_t least, size_t *n,
                                  struct lac_error *error)
{
    uint64_t count = 0;
    enum lac_status status = take_u64(c, what, &count, error);
    if (status)
        return status;
    if (count > left(c) / least)
        return lac_fail(error, LAC_E_FORMAT, "byte %zu: %s of %llu, but %zu bytes are left",
                        (size_t)(c->at - c->begin) - sizeof count, what, (unsigned long long)count,
                        left(c));
    *n = (size_t)count;
    return LAC_OK;
}

static enum lac_status take_string(struct cursor *c, const char *what, const uint8_t **text,
                                   size_t *size, struct lac_error *error)
{
    enum lac_status status = take_count(c, what, 1, size, error);
    if (status)
        return status;
    *text = c->at;
    c->at += *size;
    return LAC_OK;
}

/* A copy with a final 0 of a name, which may not hold one. */
static enum lac_status take_name(struct cursor *c, const char *what, size_t most,
                                 struct lac_arena *arena, const char **name,
                                 struct lac_error *error)
{
    const uint8_t *text;
    size_t size;
    enum lac_status status = take_string(c, what, &text, &size, error);
    if (status)
        return status;
    if (!size || size > most || memchr(text, 0, size))
        return lac_fail(error, LAC_E_FORMAT,
                        "byte %zu: %s of %zu bytes; 1 to %zu without zeros can be read",
                        (size_t)(text - c->begin), what, size, most);
    *name = lac_arena_strndup(arena, (const char *)text, size);
    return *name ? LAC_OK : lac_fail(error, LAC_E_MEMORY, "no memory for names");
}

static enum lac_status take_kind(struct cursor *c, enum lac_gguf_kind *kind,
                                 struct lac_error *error)
{
    uint32_t number = 0;
    enum lac_status status = take_u32(c, "a kind", &number, error);
    if (!status && number >= LAC_N_GGUF_KINDS)
        return lac_fail(error, LAC_E_FORMAT, "kind %u of values is not known", number);
    *kind = status ? LAC_GGUF_U8 : (enum lac_gguf_kind)number;
    return status;
}

/* Passes over n elements of a kind. */
static enum lac_status pass(struct cursor *c, enum lac_gguf_kind kind, size_t n, unsigned depth,
                            struct lac_error *error)
{
    const uint8_t *text;
    size_t size;
    enum lac_status status = LAC_OK;
    if (kinds[kind].size_bytes) {
        if (n > left(c) / kinds[kind].size_bytes)
            return cut_short(c, n * kinds[kind].size_bytes, kinds[kind].name, error);
        for (size_t i = 0; kind == LAC_GGUF_BOOL && i < n; i++)
            if (c->at[i] > 1)
                return lac_fail(error, LAC_E_FORMAT, "byte %zu: %u is no bool",
                                (size_t)(c->at + i - c->begin), c->at[i]);
        c->at += n * kinds[kind].size_bytes;
        return LAC_OK;
    }
    for (size_t i = 0; i < n && !status; i++) {
        if (kind == LAC_GGUF_STRING) {
            status = take_string(c, "a string", &text, &size, error);
            continue;
        }
        enum lac_gguf_kind element;
        if (depth == MAX_NESTING)
            return lac_fail(error, LAC_E_LIMIT, "arrays in arrays, deeper than %d", MAX_NESTING);
        status = take_kind(c, &element, error);
        if (!status)
            status = take_count(c, "an array", 1, &size, error);
        if (!status)
            status = pass(c, element, size, depth + 1, error);
    }
    return status;
}

static enum lac_status take_value(struct cursor *c, struct lac_gguf_value *value,
                                  struct lac_error *error)
{
    enum lac_status status = take_kind(c, &value->kind, error);
    value->n = 1;
    value->element = value->kind;
    if (!status && value->kind == LAC_GGUF_STRING)
        return take_string(c, "a string", &value->data, &value->n, error);
    if (!status && value->kind == LAC_GGUF_ARRAY) {
        status = take_kind(c, &value->element, error);
        size_t least = value->element == LAC_GGUF_STRING  ? STRING_BYTES
                       : value->element == LAC_GGUF_ARRAY ? ARRAY_BYTES
                                                          : kinds[value->element].size_bytes;
        if (!status)
            status = take_count(c, "an array", least, &value->n, error);
    }
    value->data = c->at;
    return status ? status : pass(c, value->element, value->n, 1, error);
}

static int compare_keys(const void *left_value, const void *right_value)
{
    const struct lac_gguf_value *a = left_value, *b = right_value;
    return strcmp(a->key, b->key);
}

static enum lac_status read_keys(struct lac_gguf *gguf, struct cursor *c, size_t n,
                                 struct lac_error *error)
{
    if (n > MAX_KEYS)
        return lac_fail(error, LAC_E_LIMIT, "%zu keys, more than %d", n, MAX_KEYS);
    gguf->values = lac_alloc(gguf->host, n, sizeof *gguf->values);
    if (!gguf->values)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu keys", n);
    for (size_t i = 0; i < n; i++) {
        struct lac_gguf_value *value = &gguf->values[i];
        *value = (struct lac_gguf_value){0};
        enum lac_status status =
            take_name(c, "a key", MAX_KEY_BYTES, &gguf->set->arena, &value->key, error);
        if (status)
            return status;
        status = take_value(c, value, error);
        if (status)
            return lac_fail_in(error, status, "key %.200s", value->key);
    }
    gguf->n_values = n;
    if (n)
        qsort(gguf->values, n, sizeof *gguf->values, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (!compare_keys(&gguf->values[i - 1], &gguf->values[i]))
            return lac_fail(error, LAC_E_FORMAT, "key %.200s is a duplicate", gguf->values[i].key);
    return LAC_OK;
}

/* Dimensions come innermost first. */
static enum lac_status take_shape(struct cursor *c, struct lac_tensor *tensor,
                                  struct lac_error *error)
{
    uint32_t rank = 0;
    enum lac_status status = take_u32(c, "a rank", &rank, error);
    if (!status && (rank < 1 || rank > MAX_GGUF_RANK))
        return lac_fail(error, LAC_E_FORMAT, "rank %u is not between 1 and %d", rank,
                        (int)MAX_GGUF_RANK);
    tensor->rank = status ? 0 : rank;
    for (unsigned i = tensor->rank; i-- && !status;) {
        uint64_t size = 0;
        status = take_u64(c, "a dimension", &size, error);
        tensor->shape[i] = (size_t)size;
    }
    return status;
}

static enum lac_status take_type(struct cursor *c, struct lac_tensor *tensor,
                                 struct lac_error *error)
{
    uint32_t number = 0;
    enum lac_status status = take_u32(c, "a type", &number, error);
    if (status)
        return status;
    const struct element_type *type =
        number < N_TYPES && types[number].name ? &types[number] : NULL;
    if (!type || !type->block)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "elements of type %u%s%s%s cannot be read (F32, F16, BF16 and Q8_0 can)",
                        number, type ? " (" : "", type ? type->name : "", type ? ")" : "");
    size_t n, n_blocks, row = tensor->shape[tensor->rank - 1];
    tensor->storage = type->storage;
    tensor->storage_name = type->name;
    if (!lac_shape_elements(tensor->rank, tensor->shape, &n) || row % type->block)
        return lac_fail(error, LAC_E_FORMAT, "rows of %zu elements cannot be %s", row, type->name);
    n_blocks = n / type->block;
    if (!lac_mul_size(n_blocks, type->block_bytes, &tensor->size_bytes))
        return lac_fail(error, LAC_E_FORMAT, "%zu elements are too many", n);
    return LAC_OK;
}

/* A tensor without its data; its offset goes to *offset. */
static enum lac_status take_tensor(struct lac_gguf *gguf, struct cursor *c, size_t alignment,
                                   struct lac_tensor *tensor, uint64_t *offset,
                                   struct lac_error *error)
{
    enum lac_status status = take_name(c, "a tensor's name", LAC_MAX_TENSOR_NAME, &gguf->set->arena,
                                       &tensor->name, error);
    if (status)
        return status;
    status = take_shape(c, tensor, error);
    if (!status)
        status = take_type(c, tensor, error);
    if (!status)
        status = take_u64(c, "an offset", offset, error);
    if (!status && *offset % alignment)
        status = lac_fail(error, LAC_E_FORMAT, "offset %llu is no multiple of %zu",
                          (unsigned long long)*offset, alignment);
    return status ? lac_fail_in(error, status, "tensor %.200s", tensor->name) : LAC_OK;
}

/* Data takes its place once it is known where the data begin. */
static enum lac_status place(const struct cursor *c, size_t data_begin, struct lac_tensor *tensors,
                             const uint64_t *offsets, size_t n, struct lac_error *error)
{
    size_t size = (size_t)(c->end - c->begin);
    size_t n_data = data_begin < size ? size - data_begin : 0;
    for (size_t i = 0; i < n; i++) {
        if (offsets[i] > n_data || tensors[i].size_bytes > n_data - offsets[i])
            return lac_fail(error, LAC_E_FORMAT,
                            "tensor %.200s: %zu bytes at %llu, but there are %zu bytes of data",
                            tensors[i].name, tensors[i].size_bytes, (unsigned long long)offsets[i],
                            n_data);
        /* An empty tensor of a file without data: any valid pointer. */
        tensors[i].data = n_data ? c->begin + data_begin + offsets[i] : c->end;
    }
    return LAC_OK;
}

static int compare_places(const void *left_tensor, const void *right_tensor)
{
    const struct lac_tensor *a = left_tensor, *b = right_tensor;
    if (a->data != b->data)
        return (const uint8_t *)a->data < (const uint8_t *)b->data ? -1 : 1;
    return (a->size_bytes > b->size_bytes) - (a->size_bytes < b->size_bytes);
}

static enum lac_status check_overlaps(struct lac_tensor *tensors, size_t n, struct lac_error *error)
{
    if (n)
        qsort(tensors, n, sizeof *tensors, compare_places);
    for (size_t i = 1; i < n; i++) {
        const struct lac_tensor *a = &tensors[i - 1], *b = &tensors[i];
        if ((const uint8_t *)b->data < (const uint8_t *)a->data + a->size_bytes)
            return lac_fail(error, LAC_E_FORMAT, "tensors %.200s and %.200s overlap", a->name,
                            b->name);
    }
    return LAC_OK;
}

static enum lac_status read_alignment(const struct lac_gguf *gguf, size_t *alignment,
                                      struct lac_error *error)
{
    static const char key[] = "general.alignment";
    enum lac_status status = lac_gguf_size(gguf, key, USUAL_ALIGNMENT, alignment, error);
    if (!status &&
        (*alignment < 1 || *alignment > MAX_ALIGNMENT || (*alignment & (*alignment - 1))))
        return lac_fail(error, LAC_E_FORMAT, "%s: %zu is no power of two up to %d", key, *alignment,
                        (int)MAX_ALIGNMENT);
    return status;
}

static enum lac_status read_tensors(struct lac_gguf *gguf, struct cursor *c, const char *path,
                                    size_t n, struct lac_error *error)
{
    struct lac_tensors *set = gguf->set;
    size_t alignment, data_begin;
    enum lac_status status = read_alignment(gguf, &alignment, error);
    if (!status && n > LAC_MAX_TENSORS)
        status = lac_fail(error, LAC_E_LIMIT, "%zu tensors, more than %d", n, LAC_MAX_TENSORS);
    if (status)
        return status;
    uint64_t *offsets = lac_alloc(gguf->host, n, sizeof *offsets);
    set->items = lac_alloc(gguf->host, n, sizeof *set->items);
    const char *file = lac_arena_strndup(&set->arena, path, strlen(path));
    if (!offsets || !set->items || !file)
        status = lac_fail(error, LAC_E_MEMORY, "no memory for %zu tensors", n);
    for (size_t i = 0; i < n && !status; i++) {
        set->items[i] = (struct lac_tensor){.file = file};
        status = take_tensor(gguf, c, alignment, &set->items[i], &offsets[i], error);
    }
    /* A file in memory is far from SIZE_MAX. */
    data_begin = lac_round_up((size_t)(c->at - c->begin), alignment);
    if (!status)
        status = place(c, data_begin, set->items, offsets, n, error);
    if (!status)
        status = check_overlaps(set->items, n, error);
    if (!status)
        set->n = set->room = n;
    lac_free(gguf->host, offsets);
    return status;
}

static enum lac_status read_header(struct cursor *c, size_t *n_tensors, size_t *n_keys,
                                   struct lac_error *error)
{
    uint32_t version = 0;
    if (left(c) < sizeof magic || memcmp(c->at, magic, sizeof magic))
        return lac_fail(error, LAC_E_FORMAT, "does not begin with \"GGUF\"");
    c->at += sizeof magic;
    enum lac_status status = take_u32(c, "the version", &version, error);
    if (!status && version != 2 && version != 3)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "version %u of GGUF%s cannot be read (2 and 3 can)", version,
                        version && !(version & 0xffff) ? ", big-endian," : "");
    if (!status)
        status = take_count(c, "a count of tensors", TENSOR_BYTES, n_tensors, error);
    if (!status)
        status = take_count(c, "a count of keys", KEY_BYTES, n_keys, error);
    return status;
}

static enum lac_status read_file(struct lac_gguf *gguf, const char *path, const void *data,
                                 size_t size, struct lac_error *error)
{
    static const uint8_t nothing[1];
    const uint8_t *begin = size ? data : nothing;
    struct cursor c = {begin, begin, begin + size};
    size_t n_tensors, n_keys;
    enum lac_status status = read_header(&c, &n_tensors, &n_keys, error);
    if (!status)
        status = read_keys(gguf, &c, n_keys, error);
    if (!status)
        status = read_tensors(gguf, &c, path, n_tensors, error);
    if (status)
        return lac_fail_in(error, status, "%s", path);
    return lac_tensor_set_index(gguf->set, error);
}

static enum lac_status new_gguf(const struct lac_host *host, const char *path,
                                struct lac_gguf **gguf, struct lac_error *error)
{
    struct lac_gguf *made = lac_alloc_zero(host, 1, sizeof *made);
    if (!made)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    made->host = host;
    enum lac_status status = lac_tensor_set_new(host, &made->set, error);
    if (status)
        lac_gguf_close(made);
    else
        *gguf = made;
    return status;
}

enum lac_status lac_gguf_open_memory(const struct lac_host *host, const char *name,
                                     const void *data, size_t size, struct lac_gguf **gguf,
                                     struct lac_error *error)
{
    struct lac_gguf *made = NULL;
    enum lac_status status = new_gguf(host, name, &made, error);
    if (!status)
        status = read_file(made, name, data, size, error);
    if (status)
        lac_gguf_close(made);
    else
        *gguf = made;
    return status;
}

enum lac_status lac_gguf_open(const struct lac_host *host, const char *path, struct lac_gguf **gguf,
                              struct lac_error *error)
{
    struct lac_gguf *made = NULL;
    struct lac_file file = {0};
    enum lac_status status = new_gguf(host, path, &made, error);
    if (status)
        return status;
    made->set->files = lac_alloc(host, 1, sizeof *made->set->files);
    status = made->set->files ? lac_file_open(path, &file, error)
                              : lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    if (!status) {
        made->set->files[made->set->n_files++] = file;
        status = read_file(made, path, file.data, file.size, error);
    }
    if (status)
        lac_gguf_close(made);
    else
        *gguf = made;
    return status;
}

void lac_gguf_close(struct lac_gguf *gguf)
{
    if (!gguf)
        return;
    lac_tensors_close(gguf->set);
    lac_free(gguf->host, gguf->values);
    lac_free(gguf->host, gguf);
}

bool lac_is_gguf(const char *path)
{
    struct lac_file file = {0};
    if (!lac_path_is_file(path) || lac_file_open(path, &file, NULL))
        return false;
    bool is_gguf = file.size >= sizeof magic && !memcmp(file.data, magic, sizeof magic);
    lac_file_close(&file);
    return is_gguf;
}

const struct lac_tensors *lac_gguf_tensors(const struct lac_gguf *gguf)
{
    return gguf->set;
}

size_t lac_gguf_count(const struct lac_gguf *gguf)
{
    return gguf->n_values;
}

const struct lac_gguf_value *lac_gguf_at(const struct lac_gguf *gguf, size_t i)
{
    return &gguf->values[i];
}

const struct lac_gguf_value *lac_gguf_find(const struct lac_gguf *gguf, const char *key)
{
    const struct lac_gguf_value wanted = {.key = key};
    return gguf->n_values
               ? bsearch(&wanted, gguf->values, gguf->n_values, sizeof wanted, compare_keys)
               : NULL;
}
