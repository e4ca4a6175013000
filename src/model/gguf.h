/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF files, version 3 (and 2, which differs in nothing that little-endian machines see): keys
 * with typed values, then tensors, mapped read-only.  Source: the GGUF specification in ggml's
 * docs. */
#ifndef LACUNA_MODEL_GGUF_H
#define LACUNA_MODEL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "src/model/tensor.h"

enum lac_gguf_kind { /* the format's numbers */
                     LAC_GGUF_U8 = 0,
                     LAC_GGUF_I8 = 1,
                     LAC_GGUF_U16 = 2,
                     LAC_GGUF_I16 = 3,
                     LAC_GGUF_U32 = 4,
                     LAC_GGUF_I32 = 5,
                     LAC_GGUF_F32 = 6,
                     LAC_GGUF_BOOL = 7,
                     LAC_GGUF_STRING = 8,
                     LAC_GGUF_ARRAY = 9,
                     LAC_GGUF_U64 = 10,
                     LAC_GGUF_I64 = 11,
                     LAC_GGUF_F64 = 12,
                     LAC_N_GGUF_KINDS = 13,
};

/* The value of a key; points into the file. */
struct lac_gguf_value {
    const char *key;
    enum lac_gguf_kind kind;
    enum lac_gguf_kind element; /* of an array */
    size_t n;                   /* elements of an array, bytes of a string, else 1 */
    const uint8_t *data;        /* of the first element, or the string; no alignment is promised */
};

/* Keys and tensors of a file; owns its mapping. */
struct lac_gguf;

/* Counts, lengths, kinds, alignment and places are checked, and that no key or tensor comes twice
 * and no tensors overlap; strings need not be UTF-8.  LAC_E_UNSUPPORTED for tensors whose elements
 * are not F32, F16, BF16 or Q8_0. */
enum lac_status lac_gguf_open(const struct lac_host *host, const char *path, struct lac_gguf **gguf,
                              struct lac_error *error);
/* The same of a file that lies in memory, which is borrowed; name stands for its path. */
enum lac_status lac_gguf_open_memory(const struct lac_host *host, const char *name,
                                     const void *data, size_t size, struct lac_gguf **gguf,
                                     struct lac_error *error);
/* Takes NULL. */
void lac_gguf_close(struct lac_gguf *gguf);

/* Does a file begin as GGUF does?  False when it cannot be read. */
bool lac_is_gguf(const char *path);

/* Belongs to gguf; shapes as in PyTorch, the innermost dimension last. */
const struct lac_tensors *lac_gguf_tensors(const struct lac_gguf *gguf);

size_t lac_gguf_count(const struct lac_gguf *gguf);
/* Sorted by key. */
const struct lac_gguf_value *lac_gguf_at(const struct lac_gguf *gguf, size_t i);
/* NULL when there is none. */
const struct lac_gguf_value *lac_gguf_find(const struct lac_gguf *gguf, const char *key);

/* Typed look-ups.  A missing key gives the fallback, a value of another kind or out of range
 * LAC_E_FORMAT with "key: expected ...".  Any integer kind will do for a size. */
enum lac_status lac_gguf_size(const struct lac_gguf *gguf, const char *key, size_t fallback,
                              size_t *value, struct lac_error *error);
enum lac_status lac_gguf_real(const struct lac_gguf *gguf, const char *key, double fallback,
                              double *value, struct lac_error *error);
enum lac_status lac_gguf_bool(const struct lac_gguf *gguf, const char *key, bool fallback,
                              bool *value, struct lac_error *error);
/* The text, without a final 0, belongs to gguf; NULL when the key is missing. */
enum lac_status lac_gguf_string(const struct lac_gguf *gguf, const char *key, const char **text,
                                size_t *size, struct lac_error *error);
/* An array of this kind of elements; *value is NULL when the key is missing. */
enum lac_status lac_gguf_array(const struct lac_gguf *gguf, const char *key,
                               enum lac_gguf_kind element, const struct lac_gguf_value **value,
                               struct lac_error *error);

/* The string at *at of an array of strings, which begins at value->data; moves *at to the next. */
void lac_gguf_next_string(const uint8_t **at, const char **text, size_t *size);

/* What config.json would say of the model in the file: a new reference.  LAC_E_UNSUPPORTED names an
 * architecture or setting that we cannot run. */
enum lac_status lac_gguf_config(const struct lac_gguf *gguf, json_t **config,
                                struct lac_error *error);

#endif
