/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors' sparse-bitmask, of matrices and (with one row) of vectors:
 *
 *   P.shape        I64 [rank]                     of the dense tensor
 *   P.compressed   [n_nonzeros]                   row after row
 *   P.bitmask      U8 [rows, ceil(cols / 8)]      column c is bit c % 8 of byte c / 8
 *   P.row_offsets  I64 [rows]                     first nonzero of each row
 *
 * and its sparse-24-bitmask, of matrices whose columns are a multiple of 4: P.compressed is
 * [rows, cols / 2], the bits keep exactly two columns of every four, and there are no offsets.
 * P.shape may be missing there, as it follows. */
#include "src/model/expand.h"

#include <stdio.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/storage.h"

struct bitmask {
    const struct lac_tensor *values, *bits;
    const struct lac_tensor *shape;   /* NULL: the shape follows from that of values */
    const struct lac_tensor *offsets; /* NULL: sparse-24-bitmask */
    size_t n_rows, n_cols, row_bytes; /* of the bits */
    size_t element_bytes;
};

struct lac_expansion {
    struct lac_expansion *next;
    struct lac_tensor tensor;
};

enum { NAME_SIZE = 192 };

const struct lac_tensor *lac_find_part(const struct lac_tensors *tensors, const char *p,
                                       const char *part)
{
    char name[NAME_SIZE];
    int n = snprintf(name, sizeof name, "%s.%s", p, part);
    return n > 0 && n < NAME_SIZE ? lac_tensors_find(tensors, name) : NULL;
}

bool lac_is_compressed(const struct lac_tensors *tensors, const char *p)
{
    return lac_find_part(tensors, p, "compressed") != NULL;
}

const struct lac_tensor *lac_expanded(const struct lac_expansions *expansions, const char *name)
{
    for (const struct lac_expansion *e = expansions->first; e; e = e->next)
        if (!strcmp(e->tensor.name, name))
            return &e->tensor;
    return NULL;
}

enum lac_status lac_keep_expanded(struct lac_expansions *expansions, const struct lac_tensor *made,
                                  const struct lac_tensor **tensor, struct lac_error *error)
{
    struct lac_expansion *kept = lac_arena_alloc(&expansions->arena, 1, sizeof *kept);
    if (!kept)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", made->name);
    *kept = (struct lac_expansion){expansions->first, *made};
    expansions->first = kept;
    *tensor = &kept->tensor;
    return LAC_OK;
}

static int64_t read_i64(const struct lac_tensor *tensor, size_t i)
{
    int64_t value;
    memcpy(&value, (const uint8_t *)tensor->data + 8 * i, sizeof value);
    return value;
}

/* Element count of a tensor that has been read: cannot overflow. */
static size_t count(const struct lac_tensor *tensor)
{
    size_t n = 0;
    (void)lac_shape_elements(tensor->rank, tensor->shape, &n);
    return n;
}

/* storage LAC_STORE_OTHER: any that we know. */
static enum lac_status find_one(const struct lac_tensors *tensors, const char *p, const char *name,
                                enum lac_storage storage, const struct lac_tensor **tensor,
                                struct lac_error *error)
{
    const struct lac_tensor *part = lac_find_part(tensors, p, name);
    if (!part)
        return lac_fail(error, LAC_E_FORMAT, "%s.%s is missing", p, name);
    if (storage != LAC_STORE_OTHER ? part->storage != storage : part->storage == LAC_STORE_OTHER)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s: %s: storage %s cannot be read", part->file,
                        part->name, part->storage_name);
    *tensor = part;
    return LAC_OK;
}

/* Values that are a matrix themselves tell sparse-24-bitmask. */
static enum lac_status find_parts(const struct lac_tensors *tensors, const char *p,
                                  struct bitmask *mask, struct lac_error *error)
{
    enum lac_status status =
        find_one(tensors, p, "compressed", LAC_STORE_OTHER, &mask->values, error);
    if (!status)
        status = find_one(tensors, p, "bitmask", LAC_STORE_U8, &mask->bits, error);
    if (status)
        return status;
    bool is_24 = mask->values->rank == 2;
    if (!is_24 || lac_find_part(tensors, p, "shape"))
        status = find_one(tensors, p, "shape", LAC_STORE_I64, &mask->shape, error);
    if (!status && !is_24)
        status = find_one(tensors, p, "row_offsets", LAC_STORE_I64, &mask->offsets, error);
    mask->element_bytes = lac_storage_kind(mask->values->storage)->bits / 8;
    return status;
}

static enum lac_status read_shape(const struct bitmask *mask, struct lac_tensor *dense,
                                  struct lac_error *error)
{
    size_t rank = count(mask->shape);
    if (mask->shape->rank != 1 || rank < 1 || rank > 2)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s: %s: %zu dimensions (1 or 2 can be read)",
                        mask->shape->file, mask->shape->name, rank);
    dense->rank = (unsigned)rank;
    for (size_t i = 0; i < rank; i++) {
        int64_t length = read_i64(mask->shape, i);
        if (length < 0)
            return lac_fail(error, LAC_E_FORMAT, "%s: %s: %lld is negative", mask->shape->file,
                            mask->shape->name, (long long)length);
        dense->shape[i] = (size_t)length;
    }
    return LAC_OK;
}

/* Of sparse-24-bitmask: the shape as the values have it, which P.shape must not contradict. */
static enum lac_status check_24(const struct bitmask *mask, struct lac_tensor *dense,
                                struct lac_error *error)
{
    const struct lac_tensor *values = mask->values;
    size_t n_cols;
    char has[64], needs[64];
    if (!lac_mul_size(values->shape[1], 2, &n_cols) || !n_cols || n_cols % 4)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: rows of %zu values are not 2 of every 4",
                        values->file, values->name, values->shape[1]);
    const size_t shape[2] = {values->shape[0], n_cols};
    if (mask->shape && (dense->rank != 2 || memcmp(dense->shape, shape, sizeof shape)))
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %s, but the values are 2 of every 4 of %s",
                        values->file, mask->shape->name,
                        lac_shape_text(dense->rank, dense->shape, has, sizeof has),
                        lac_shape_text(2, shape, needs, sizeof needs));
    dense->rank = 2;
    memcpy(dense->shape, shape, sizeof shape);
    return LAC_OK;
}

static enum lac_status read_dimensions(struct bitmask *mask, struct lac_tensor *dense,
                                       struct lac_error *error)
{
    size_t n_bytes;
    enum lac_status status = mask->shape ? read_shape(mask, dense, error) : LAC_OK;
    if (!status && !mask->offsets)
        status = check_24(mask, dense, error);
    if (status)
        return status;
    mask->n_rows = dense->rank == 2 ? dense->shape[0] : 1;
    mask->n_cols = dense->shape[dense->rank - 1];
    mask->row_bytes = mask->n_cols / 8 + (mask->n_cols % 8 != 0);
    if (!lac_mul_size(mask->n_rows, mask->row_bytes, &n_bytes) || n_bytes != mask->bits->size_bytes)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %zu bytes, expected %zu rows of %zu",
                        mask->bits->file, mask->bits->name, mask->bits->size_bytes, mask->n_rows,
                        mask->row_bytes);
    if (mask->offsets && count(mask->offsets) != mask->n_rows)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %zu offsets, expected %zu",
                        mask->offsets->file, mask->offsets->name, count(mask->offsets),
                        mask->n_rows);
    return LAC_OK;
}

static enum lac_status check_row_offset(const struct bitmask *mask, size_t row, size_t n_before,
                                        struct lac_error *error)
{
    int64_t offset = read_i64(mask->offsets, row);
    if (offset < 0 || (uint64_t)offset != n_before)
        return lac_fail(error, LAC_E_FORMAT,
                        "%s: %s: row %zu begins at %lld, but the bits before it are %zu",
                        mask->offsets->file, mask->offsets->name, row, (long long)offset, n_before);
    return LAC_OK;
}

static enum lac_status check_row_24(const struct bitmask *mask, size_t row, const uint8_t *bits,
                                    struct lac_error *error)
{
    for (size_t column = 0; column < mask->n_cols; column += 4) {
        int n = __builtin_popcount(bits[column / 8] >> column % 8 & 15);
        if (n != 2)
            return lac_fail(error, LAC_E_FORMAT,
                            "%s: %s: row %zu keeps %d of the 4 columns from %zu on, not 2",
                            mask->bits->file, mask->bits->name, row, n, column);
    }
    return LAC_OK;
}

/* The bits say where each nonzero belongs; the offsets (or the 2 of every 4) say the same again, so
 * they must agree. */
static enum lac_status check_counts(const struct bitmask *mask, struct lac_error *error)
{
    const uint8_t *bits = mask->bits->data;
    size_t n = 0;
    for (size_t row = 0; row < mask->n_rows; row++, bits += mask->row_bytes) {
        enum lac_status status = mask->offsets ? check_row_offset(mask, row, n, error)
                                               : check_row_24(mask, row, bits, error);
        if (status)
            return status;
        for (size_t i = 0; i < mask->row_bytes; i++)
            n += (size_t)__builtin_popcount(bits[i]);
        if (mask->n_cols % 8 && bits[mask->row_bytes - 1] >> mask->n_cols % 8)
            return lac_fail(error, LAC_E_FORMAT, "%s: %s: row %zu has bits after column %zu",
                            mask->bits->file, mask->bits->name, row, mask->n_cols);
    }
    if (n != count(mask->values))
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %zu values, but %zu bits are set",
                        mask->values->file, mask->values->name, count(mask->values), n);
    return LAC_OK;
}

static void scatter(const struct bitmask *mask, uint8_t *dense)
{
    const uint8_t *bits = mask->bits->data, *value = mask->values->data;
    size_t size = mask->element_bytes;
    for (size_t row = 0; row < mask->n_rows; row++) {
        for (size_t i = 0; i < mask->row_bytes; i++)
            for (unsigned left = bits[i]; left; left &= left - 1) {
                size_t column = 8 * i + (size_t)__builtin_ctz(left);
                memcpy(dense + column * size, value, size);
                value += size;
            }
        bits += mask->row_bytes;
        dense += mask->n_cols * size;
    }
}

static enum lac_status fill(const struct bitmask *mask, const char *name,
                            struct lac_expansions *expansions, struct lac_tensor *dense,
                            struct lac_error *error)
{
    struct lac_arena *arena = &expansions->arena;
    size_t n;
    /* At most 64 times the bits that are there. */
    if (!lac_mul_size(mask->n_rows, mask->n_cols, &n) ||
        !lac_mul_size(n, mask->element_bytes, &dense->size_bytes))
        return lac_fail(error, LAC_E_LIMIT, "%s: %zu x %zu overflows", name, mask->n_rows,
                        mask->n_cols);
    uint8_t *data = lac_arena_alloc_zero(arena, dense->size_bytes, 1);
    dense->name = lac_arena_strndup(arena, name, strlen(name));
    if (!dense->name || !data)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu x %zu elements", name,
                        mask->n_rows, mask->n_cols);
    scatter(mask, data);
    dense->data = data;
    dense->storage = mask->values->storage;
    dense->storage_name = mask->values->storage_name;
    dense->file = mask->values->file;
    return LAC_OK;
}

enum lac_status lac_expand_bitmask(struct lac_expansions *expansions,
                                   const struct lac_tensors *tensors, const char *p,
                                   const char *name, const struct lac_tensor **tensor,
                                   struct lac_error *error)
{
    const struct lac_tensor *before = lac_expanded(expansions, name);
    if (before) {
        *tensor = before;
        return LAC_OK;
    }
    struct bitmask mask = {0};
    struct lac_tensor made = {0};
    enum lac_status status = find_parts(tensors, p, &mask, error);
    if (!status)
        status = read_dimensions(&mask, &made, error);
    if (!status)
        status = check_counts(&mask, error);
    if (!status)
        status = fill(&mask, name, expansions, &made, error);
    return status ? status : lac_keep_expanded(expansions, &made, tensor, error);
}
