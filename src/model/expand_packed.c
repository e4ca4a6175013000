/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors' pack-quantized, of matrices [rows, cols]:
 *
 *   P.weight_shape    I64 [2]                        rows, cols
 *   P.weight_packed   I32 [rows, ceil(cols * b / 32)]  column c is the b bits from bit c * b % 32
 * of word c * b / 32, as an integer plus 2^(b - 1) P.weight_scale    real [rows, n], [rows] or [1]
 * n groups of ceil(cols / n) columns
 *
 * b is 4 or 8: whichever explains the number of words (both do for less than 5 columns: 4). */
#include <math.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/expand.h"
#include "src/model/storage.h"

struct packed {
    const struct lac_tensor *shape, *words, *scale;
    size_t n_rows, n_cols, n_words; /* of a row */
    size_t bits;
    size_t n_groups, group_cols; /* of a row */
    bool one_scale;              /* for the whole tensor */
};

bool lac_is_packed(const struct lac_tensors *tensors, const char *p)
{
    return lac_find_part(tensors, p, "weight_packed") != NULL;
}

static enum lac_status find_parts(const struct lac_tensors *tensors, const char *p,
                                  struct packed *packed, struct lac_error *error)
{
    const struct {
        const char *name;
        const struct lac_tensor **tensor;
    } parts[] = {
        {"weight_packed", &packed->words},
        {"weight_shape", &packed->shape},
        {"weight_scale", &packed->scale},
    };
    static const char *const refused[] = {"weight_zero_point", "weight_g_idx"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].tensor = lac_find_part(tensors, p, parts[i].name);
        if (!*parts[i].tensor)
            return lac_fail(error, LAC_E_FORMAT, "%s.%s is missing", p, parts[i].name);
    }
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const struct lac_tensor *part = lac_find_part(tensors, p, refused[i]);
        if (part)
            return lac_fail(error, LAC_E_UNSUPPORTED,
                            "%s: %s: cannot be read beside packed weights", part->file, part->name);
    }
    return LAC_OK;
}

static enum lac_status wrong_kind(const struct lac_tensor *t, struct lac_error *error)
{
    return lac_fail(error, LAC_E_UNSUPPORTED, "%s: %s: %s of rank %u cannot be read", t->file,
                    t->name, t->storage_name, t->rank);
}

static enum lac_status read_shape(struct packed *packed, struct lac_error *error)
{
    const struct lac_tensor *shape = packed->shape, *words = packed->words;
    if (shape->storage != LAC_STORE_I64 || shape->rank != 1 || shape->shape[0] != 2)
        return wrong_kind(shape, error);
    if (words->storage != LAC_STORE_I32 || words->rank != 2)
        return wrong_kind(words, error);
    int64_t sizes[2];
    memcpy(sizes, shape->data, sizeof sizes);
    packed->n_words = words->shape[1];
    if (sizes[0] < 0 || (uint64_t)sizes[0] != words->shape[0] || sizes[1] <= 0 ||
        sizes[1] > INT64_MAX / 8)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %lld x %lld, but %zu rows are packed",
                        shape->file, shape->name, (long long)sizes[0], (long long)sizes[1],
                        words->shape[0]);
    packed->n_rows = (size_t)sizes[0];
    packed->n_cols = (size_t)sizes[1];
    for (size_t bits = 8; bits >= 4; bits -= 4)
        if (packed->n_words == lac_ceil_div(packed->n_cols * bits, 32))
            packed->bits = bits;
    if (!packed->bits)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "%s: %s: %zu words for %zu columns (4 and 8 bits can be read)", words->file,
                        words->name, packed->n_words, packed->n_cols);
    return LAC_OK;
}

static bool is_real(const struct lac_tensor *t)
{
    return t->storage == LAC_STORE_F32 || t->storage == LAC_STORE_F16 ||
           t->storage == LAC_STORE_BF16 || t->storage == LAC_STORE_F64;
}

static float scale_at(const struct packed *packed, size_t row, size_t group)
{
    float scale;
    lac_tensor_to_f32(packed->scale, packed->one_scale ? 0 : row * packed->n_groups + group, 1,
                      &scale);
    return scale;
}

static enum lac_status read_scale(struct packed *packed, struct lac_error *error)
{
    const struct lac_tensor *scale = packed->scale;
    if (!is_real(scale) || scale->rank > 2)
        return wrong_kind(scale, error);
    size_t n_rows = scale->rank ? scale->shape[0] : 1;
    packed->n_groups = scale->rank == 2 ? scale->shape[1] : 1;
    packed->one_scale = n_rows == 1 && packed->n_groups == 1;
    if ((n_rows != packed->n_rows && !packed->one_scale) || !packed->n_groups ||
        packed->n_groups > packed->n_cols)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %zu x %zu scales for %zu x %zu weights",
                        scale->file, scale->name, n_rows, packed->n_groups, packed->n_rows,
                        packed->n_cols);
    packed->group_cols = lac_ceil_div(packed->n_cols, packed->n_groups);
    if (lac_ceil_div(packed->n_cols, packed->group_cols) != packed->n_groups)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: %zu columns are not %zu groups", scale->file,
                        scale->name, packed->n_cols, packed->n_groups);
    for (size_t row = 0; row < n_rows; row++)
        for (size_t group = 0; group < packed->n_groups; group++) {
            float value = scale_at(packed, row, group);
            if (!isfinite(value) || value < 0)
                return lac_fail(error, LAC_E_FORMAT, "%s: %s: scale [%zu, %zu] is %g", scale->file,
                                scale->name, row, group, (double)value);
        }
    return LAC_OK;
}

static void widen(const struct packed *packed, float *dense)
{
    const uint8_t *words = packed->words->data;
    const size_t bits = packed->bits, per_word = 32 / bits;
    const int zero = 1 << (bits - 1);
    for (size_t row = 0; row < packed->n_rows; row++)
        for (size_t col = 0; col < packed->n_cols; col++) {
            uint32_t word;
            memcpy(&word, words + (row * packed->n_words + col / per_word) * sizeof word,
                   sizeof word);
            int value = (int)(word >> col % per_word * bits & ((1u << bits) - 1)) - zero;
            *dense++ = (float)value * scale_at(packed, row, col / packed->group_cols);
        }
}

static enum lac_status fill(const struct packed *packed, const char *name, struct lac_arena *arena,
                            struct lac_tensor *made, struct lac_error *error)
{
    size_t n;
    /* At most 8 columns to a word that is there. */
    if (!lac_mul_size(packed->n_rows, packed->n_cols, &n) ||
        !lac_mul_size(n, sizeof(float), &made->size_bytes))
        return lac_fail(error, LAC_E_LIMIT, "%s: %zu x %zu overflows", name, packed->n_rows,
                        packed->n_cols);
    float *data = lac_arena_alloc(arena, n, sizeof *data);
    made->name = lac_arena_strndup(arena, name, strlen(name));
    if (!data || !made->name)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for %zu x %zu weights", name,
                        packed->n_rows, packed->n_cols);
    widen(packed, data);
    made->data = data;
    made->rank = 2;
    made->shape[0] = packed->n_rows;
    made->shape[1] = packed->n_cols;
    made->storage = LAC_STORE_F32;
    made->storage_name = lac_storage_kind(LAC_STORE_F32)->name;
    made->file = packed->words->file;
    return LAC_OK;
}

enum lac_status lac_expand_packed(struct lac_expansions *expansions,
                                  const struct lac_tensors *tensors, const char *p,
                                  const char *name, const struct lac_tensor **tensor,
                                  struct lac_error *error)
{
    const struct lac_tensor *before = lac_expanded(expansions, name);
    if (before) {
        *tensor = before;
        return LAC_OK;
    }
    struct packed packed = {0};
    struct lac_tensor made = {0};
    enum lac_status status = find_parts(tensors, p, &packed, error);
    if (!status)
        status = read_shape(&packed, error);
    if (!status)
        status = read_scale(&packed, error);
    if (!status)
        status = fill(&packed, name, &expansions->arena, &made, error);
    return status ? status : lac_keep_expanded(expansions, &made, tensor, error);
}
