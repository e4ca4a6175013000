/* SPDX-License-Identifier: Apache-2.0 */
/* Named tensors of a checkpoint: safetensors files, single or in shards, or a GGUF file, mapped
 * read-only. */
#ifndef LACUNA_MODEL_TENSOR_H
#define LACUNA_MODEL_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"
#include "src/base/host.h"

enum lac_storage {
    LAC_STORE_F64,
    LAC_STORE_F32,
    LAC_STORE_F16,
    LAC_STORE_BF16,
    LAC_STORE_I64,
    LAC_STORE_I32,
    LAC_STORE_I16,
    LAC_STORE_I8,
    LAC_STORE_U8,
    LAC_STORE_BOOL,
    LAC_STORE_Q8_0,  /* of GGUF: see below */
    LAC_STORE_OTHER, /* legal in safetensors, of no use to us (F8_E4M3, U64, ...) */
};

enum { LAC_MAX_RANK = 8 };

/* LAC_STORE_Q8_0: rows are whole blocks of an fp16 scale and 32 int8, each worth scale times it. */
enum { LAC_Q8_0_BLOCK = 32, LAC_Q8_0_BYTES = 34 };

struct lac_tensor {
    const char *name;
    enum lac_storage storage;
    const char *storage_name; /* as the file spells it: "BF16" */
    unsigned rank;
    size_t shape[LAC_MAX_RANK];
    const void *data; /* no alignment is promised */
    size_t size_bytes;
    const char *file; /* path it came from, for messages */
};

/* A set of tensors with unique names; owns the mappings. */
struct lac_tensors;

/* Opens one safetensors file. */
enum lac_status lac_tensors_open_file(const struct lac_host *host, const char *path,
                                      struct lac_tensors **tensors, struct lac_error *error);
/* Opens DIRECTORY/model.safetensors, or the shards that model.safetensors.index.json names. */
enum lac_status lac_tensors_open_directory(const struct lac_host *host, const char *directory,
                                           struct lac_tensors **tensors, struct lac_error *error);
/* Reads a safetensors file that lies in memory; name stands for its path in messages.  Borrows
 * data. */
enum lac_status lac_tensors_open_memory(const struct lac_host *host, const char *name,
                                        const void *data, size_t size, struct lac_tensors **tensors,
                                        struct lac_error *error);
/* Takes NULL. */
void lac_tensors_close(struct lac_tensors *tensors);

size_t lac_tensors_count(const struct lac_tensors *tensors);
/* In the order of the file's data. */
const struct lac_tensor *lac_tensors_at(const struct lac_tensors *tensors, size_t i);
/* NULL when there is none. */
const struct lac_tensor *lac_tensors_find(const struct lac_tensors *tensors, const char *name);
/* A value of __metadata__ (of the first file), or NULL. */
const char *lac_tensors_metadata(const struct lac_tensors *tensors, const char *key);

/* Converts n elements from element `first` on to fp32, rounding to nearest; NaN and infinity stay.
 * Storage is not LAC_STORE_OTHER; the caller checked the range. */
void lac_tensor_to_f32(const struct lac_tensor *tensor, size_t first, size_t n, float *out);

/* Writing.  Data is laid out in the order of the calls, each tensor on 64 bytes of the file.
 * safetensors allows no holes: the gap after a tensor is a U8 tensor "__pad__N" of its own, and
 * spaces fill the header up.  A writer belongs to one thread. */
struct lac_tensor_writer;

/* Opens PATH.partial, over an older one; commit renames it to PATH. */
enum lac_status lac_tensor_writer_open(const struct lac_host *host, const char *path,
                                       struct lac_tensor_writer **writer, struct lac_error *error);
/* Strings are copied.  LAC_E_ARGUMENT when they are not UTF-8 or the key is there already. */
enum lac_status lac_tensor_writer_metadata(struct lac_tensor_writer *writer, const char *key,
                                           const char *value, struct lac_error *error);
/* Borrows data until commit; name is copied.  LAC_E_ARGUMENT for LAC_STORE_OTHER and Q8_0, a rank
 * over LAC_MAX_RANK, and a name that is there already, is not UTF-8, is over 512 bytes or begins
 * with
 * "__pad__". */
enum lac_status lac_tensor_writer_add(struct lac_tensor_writer *writer, const char *name,
                                      enum lac_storage storage, unsigned rank, const size_t *shape,
                                      const void *data, struct lac_error *error);
/* Writes, syncs, renames.  The writer is closed in any case; a failure leaves neither PATH.partial
 * nor a changed PATH. */
enum lac_status lac_tensor_writer_commit(struct lac_tensor_writer *writer, struct lac_error *error);
/* Closes without writing.  Takes NULL. */
void lac_tensor_writer_discard(struct lac_tensor_writer *writer);

#endif
