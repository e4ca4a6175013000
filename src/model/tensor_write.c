/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a safetensors file, each tensor on 64 bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "src/base/checked.h"
#include "src/base/json.h"
#include "src/model/storage.h"
#include "src/model/tensor_set.h"

/* A range of the data: a tensor, and the padding after it. */
struct piece {
    const void *data;
    size_t size_bytes, pad_bytes;
};

/* The header is known before the first byte is written, so the file is written front to back. */
struct lac_tensor_writer {
    const struct lac_host *host;
    char *path, *partial;
    int fd;
    json_t *header, *metadata; /* metadata belongs to header */
    struct piece *pieces;
    size_t n_pieces, room;
    size_t end; /* of the data so far; a multiple of LAC_ALIGNMENT */
};

static void close_writer(struct lac_tensor_writer *writer)
{
    const struct lac_host *host = writer->host;
    if (writer->fd >= 0)
        close(writer->fd);
    json_decref(writer->header);
    lac_free(host, writer->path);
    lac_free(host, writer->partial);
    lac_free(host, writer->pieces);
    lac_free(host, writer);
}

void lac_tensor_writer_discard(struct lac_tensor_writer *writer)
{
    if (!writer)
        return;
    if (writer->fd >= 0)
        unlink(writer->partial);
    close_writer(writer);
}

static char *append(const struct lac_host *host, const char *path, const char *suffix)
{
    size_t n = strlen(path), n_suffix = strlen(suffix);
    char *joined = lac_alloc(host, n + n_suffix + 1, 1);
    if (joined) {
        memcpy(joined, path, n);
        memcpy(joined + n, suffix, n_suffix + 1);
    }
    return joined;
}

enum lac_status lac_tensor_writer_open(const struct lac_host *host, const char *path,
                                       struct lac_tensor_writer **writer, struct lac_error *error)
{
    struct lac_tensor_writer *made = lac_alloc_zero(host, 1, sizeof *made);
    if (!made)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory to write it", path);
    made->host = host;
    made->fd = -1;
    made->path = lac_strndup(host, path, strlen(path));
    made->partial = append(host, path, ".partial");
    made->header = json_pack("{s:{}}", "__metadata__");
    made->metadata = json_object_get(made->header, "__metadata__");
    if (!made->path || !made->partial || !made->metadata) {
        close_writer(made);
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory to write it", path);
    }
    made->fd = open(made->partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (made->fd < 0) {
        enum lac_status status =
            lac_fail(error, LAC_E_IO, "%s: %s", made->partial, strerror(errno));
        close_writer(made);
        return status;
    }
    *writer = made;
    return LAC_OK;
}

enum lac_status lac_tensor_writer_metadata(struct lac_tensor_writer *writer, const char *key,
                                           const char *value, struct lac_error *error)
{
    if (json_object_get(writer->metadata, key))
        return lac_fail(error, LAC_E_ARGUMENT, "%s: metadata %.200s is there already", writer->path,
                        key);
    if (json_object_set_new(writer->metadata, key, json_string(value)))
        return lac_fail(error, LAC_E_ARGUMENT, "%s: metadata %.200s is not UTF-8, or no memory",
                        writer->path, key);
    return LAC_OK;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [begin, begin + size_bytes]} under name. */
static enum lac_status add_entry(struct lac_tensor_writer *writer, const char *name,
                                 const char *storage_name, unsigned rank, const size_t *shape,
                                 size_t begin, size_t size_bytes, struct lac_error *error)
{
    json_t *lengths = json_array();
    for (unsigned i = 0; i < rank; i++)
        json_array_append_new(lengths, json_integer((json_int_t)shape[i]));
    if (json_array_size(lengths) != rank) {
        json_decref(lengths);
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for its header", writer->path);
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", storage_name, "shape", lengths,
                              "data_offsets", (json_int_t)begin, (json_int_t)(begin + size_bytes));
    if (json_object_set_new(writer->header, name, entry))
        return lac_fail(error, LAC_E_ARGUMENT, "%s: tensor name %.200s is not UTF-8, or no memory",
                        writer->path, name);
    return LAC_OK;
}

static enum lac_status check_tensor(const struct lac_tensor_writer *writer, const char *name,
                                    enum lac_storage storage, unsigned rank, const size_t *shape,
                                    size_t *size_bytes, struct lac_error *error)
{
    const struct lac_storage_kind *kind = lac_storage_kind(storage);
    const char *reserved = "__pad__";
    size_t n, end;
    if (!kind)
        return lac_fail(error, LAC_E_ARGUMENT, "%s: tensor %.200s: storage %d cannot be written",
                        writer->path, name, (int)storage);
    if (!strncmp(name, reserved, strlen(reserved)) || json_object_get(writer->header, name) ||
        strlen(name) > LAC_MAX_TENSOR_NAME)
        return lac_fail(error, LAC_E_ARGUMENT,
                        "%s: tensor name %.200s is taken, reserved or over %d bytes", writer->path,
                        name, LAC_MAX_TENSOR_NAME);
    if (rank > LAC_MAX_RANK)
        return lac_fail(error, LAC_E_ARGUMENT, "%s: tensor %.200s: rank %u, more than %d",
                        writer->path, name, rank, LAC_MAX_RANK);
    if (!lac_shape_elements(rank, shape, &n) || !lac_storage_size(kind, n, size_bytes) ||
        !lac_add_size(*size_bytes, writer->end, &end) || end > INT64_MAX / 2)
        return lac_fail(error, LAC_E_ARGUMENT, "%s: tensor %.200s: too large", writer->path, name);
    return LAC_OK;
}

static enum lac_status reserve_piece(struct lac_tensor_writer *writer, struct lac_error *error)
{
    if (writer->n_pieces == LAC_MAX_TENSORS / 2)
        return lac_fail(error, LAC_E_LIMIT, "%s: more than %zu tensors", writer->path,
                        writer->n_pieces);
    if (writer->n_pieces < writer->room)
        return LAC_OK;
    size_t room = writer->room ? 2 * writer->room : 64;
    struct piece *grown =
        lac_realloc(writer->host, writer->pieces, writer->n_pieces, room, sizeof *grown);
    if (!grown)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu tensors", writer->path, room);
    writer->pieces = grown;
    writer->room = room;
    return LAC_OK;
}

enum lac_status lac_tensor_writer_add(struct lac_tensor_writer *writer, const char *name,
                                      enum lac_storage storage, unsigned rank, const size_t *shape,
                                      const void *data, struct lac_error *error)
{
    size_t size_bytes;
    enum lac_status status = check_tensor(writer, name, storage, rank, shape, &size_bytes, error);
    if (!status)
        status = reserve_piece(writer, error);
    if (!status)
        status = add_entry(writer, name, lac_storage_kind(storage)->name, rank, shape, writer->end,
                           size_bytes, error);
    if (status)
        return status;
    size_t end = writer->end + size_bytes;
    size_t pad_bytes = lac_round_up(end, LAC_ALIGNMENT) - end;
    if (pad_bytes) {
        char pad_name[40];
        snprintf(pad_name, sizeof pad_name, "__pad__%zu", writer->n_pieces);
        status = add_entry(writer, pad_name, "U8", 1, &pad_bytes, end, pad_bytes, error);
        if (status) {
            json_object_del(writer->header, name);
            return status;
        }
    }
    writer->pieces[writer->n_pieces++] = (struct piece){data, size_bytes, pad_bytes};
    writer->end = end + pad_bytes;
    return LAC_OK;
}

static enum lac_status write_all(const struct lac_tensor_writer *writer, const void *data,
                                 size_t size, struct lac_error *error)
{
    const char *rest = data;
    while (size) {
        /* Linux writes at most 2^31 - 4096 bytes a call. */
        ssize_t n = write(writer->fd, rest, lac_min_size(size, 1 << 30));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lac_fail(error, LAC_E_IO, "%s: cannot write %zu bytes: %s", writer->partial,
                            size, strerror(errno));
        rest += n;
        size -= (size_t)n;
    }
    return LAC_OK;
}

static enum lac_status write_header(const struct lac_tensor_writer *writer, struct lac_error *error)
{
    size_t size = json_dumpb(writer->header, NULL, 0, JSON_COMPACT);
    size_t padded = lac_round_up(8 + size, LAC_ALIGNMENT) - 8;
    if (!size || padded > LAC_MAX_HEADER_BYTES)
        return lac_fail(error, LAC_E_LIMIT, "%s: header of %zu bytes, more than %d", writer->path,
                        size, LAC_MAX_HEADER_BYTES);
    char *text = lac_alloc(writer->host, 8 + padded, 1);
    if (!text)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for a header of %zu bytes",
                        writer->path, padded);
    uint64_t n = padded;
    memcpy(text, &n, sizeof n);
    memset(text + 8, ' ', padded);
    enum lac_status status;
    if (json_dumpb(writer->header, text + 8, size, JSON_COMPACT) != size)
        status = lac_fail(error, LAC_E_MEMORY, "%s: no memory for its header", writer->path);
    else
        status = write_all(writer, text, 8 + padded, error);
    lac_free(writer->host, text);
    return status;
}

static enum lac_status write_pieces(const struct lac_tensor_writer *writer, struct lac_error *error)
{
    static const char zeros[LAC_ALIGNMENT];
    for (size_t i = 0; i < writer->n_pieces; i++) {
        const struct piece *piece = &writer->pieces[i];
        enum lac_status status = write_all(writer, piece->data, piece->size_bytes, error);
        if (!status)
            status = write_all(writer, zeros, piece->pad_bytes, error);
        if (status)
            return status;
    }
    return LAC_OK;
}

/* The rename itself is safe only once the directory is on disk; where a file system cannot sync
 * directories, the file is there all the same. */
static void sync_directory(const struct lac_tensor_writer *writer)
{
    char *slash = strrchr(writer->path, '/');
    if (slash)
        slash[1] = '\0';
    int fd = open(slash ? writer->path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static enum lac_status publish(struct lac_tensor_writer *writer, struct lac_error *error)
{
    if (fsync(writer->fd))
        return lac_fail(error, LAC_E_IO, "%s: cannot sync: %s", writer->partial, strerror(errno));
    int fd = writer->fd;
    writer->fd = -1;
    if (close(fd)) {
        unlink(writer->partial);
        return lac_fail(error, LAC_E_IO, "%s: cannot close: %s", writer->partial, strerror(errno));
    }
    if (rename(writer->partial, writer->path)) {
        enum lac_status status = lac_fail(error, LAC_E_IO, "%s: cannot rename it to %s: %s",
                                          writer->partial, writer->path, strerror(errno));
        unlink(writer->partial);
        return status;
    }
    sync_directory(writer);
    return LAC_OK;
}

enum lac_status lac_tensor_writer_commit(struct lac_tensor_writer *writer, struct lac_error *error)
{
    if (!json_object_size(writer->metadata))
        json_object_del(writer->header, "__metadata__");
    enum lac_status status = write_header(writer, error);
    if (!status)
        status = write_pieces(writer, error);
    if (!status)
        status = publish(writer, error);
    lac_tensor_writer_discard(writer);
    return status;
}
