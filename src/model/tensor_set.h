/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of a set of tensors: what its readers share. */
#ifndef LACUNA_MODEL_TENSOR_SET_H
#define LACUNA_MODEL_TENSOR_SET_H

#include "src/base/arena.h"
#include "src/base/file.h"
#include "src/model/tensor.h"

enum {
    LAC_MAX_HEADER_BYTES = 100000000, /* the format's own limit */
    LAC_MAX_TENSORS = 1 << 20,
    LAC_MAX_TENSOR_NAME = 512,
    LAC_MAX_SHARDS = 4096,
};

struct lac_metadata {
    const char *key, *value;
};

/* By key, for qsort and bsearch. */
int lac_metadata_compare(const void *left, const void *right);

struct lac_tensors {
    const struct lac_host *host;
    struct lac_arena arena;      /* names and paths */
    struct lac_file *files;      /* [n_files], mapped */
    struct lac_tensor *items;    /* [n]: file after file, each in the order of its data */
    struct lac_tensor **by_name; /* [n], sorted; NULL until lac_tensor_set_index */
    size_t n_files, n, room;
    struct lac_metadata *metadata; /* [n_metadata], sorted: __metadata__ of the first file */
    size_t n_metadata, metadata_room;
    unsigned has_metadata; /* of the file being read */
};

/* An empty set, for lac_tensors_close. */
enum lac_status lac_tensor_set_new(const struct lac_host *host, struct lac_tensors **set,
                                   struct lac_error *error);

/* Appends the tensors of a safetensors file that lies in memory; data stays the caller's.  After a
 * failure the set can only be closed. */
enum lac_status lac_tensor_set_read(struct lac_tensors *set, const char *path, const void *data,
                                    size_t size, struct lac_error *error);

/* Maps a file, which the set then owns, and appends its tensors. */
enum lac_status lac_tensor_set_add_file(struct lac_tensors *set, const char *path,
                                        struct lac_error *error);

/* Makes names findable; LAC_E_FORMAT when two files have the same. */
enum lac_status lac_tensor_set_index(struct lac_tensors *set, struct lac_error *error);

/* Appends the shards that DIRECTORY/model.safetensors.index.json names, indexes the set and checks
 * that each tensor lies in the shard where the index has it. */
enum lac_status lac_tensor_set_add_shards(struct lac_tensors *set, const char *directory,
                                          struct lac_error *error);

#endif
