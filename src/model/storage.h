/* SPDX-License-Identifier: Apache-2.0 */
/* The element types safetensors knows: how the file spells them, how wide they are. */
#ifndef LACUNA_MODEL_STORAGE_H
#define LACUNA_MODEL_STORAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "src/model/tensor.h"

struct lac_storage_kind {
    const char *name; /* as files spell it */
    enum lac_storage storage;
    unsigned bits; /* of an element */
};

/* NULL for a name that is not known. */
const struct lac_storage_kind *lac_storage_named(const char *name);
/* NULL for LAC_STORE_OTHER. */
const struct lac_storage_kind *lac_storage_kind(enum lac_storage storage);

/* Bytes of n elements; false when they overflow or do not fill whole bytes. */
bool lac_storage_size(const struct lac_storage_kind *kind, size_t n, size_t *size_bytes);

/* Product of the shape, 1 for rank 0; false on overflow. */
bool lac_shape_elements(unsigned rank, const size_t *shape, size_t *n);

/* "[2, 3]" into text, cut to size; returns text. */
char *lac_shape_text(unsigned rank, const size_t *shape, char *text, size_t size);

#endif
