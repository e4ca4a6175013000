/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a GGUF file's keys, by type. */
#include <string.h>

#include "src/model/gguf.h"

static enum lac_status mismatch(const struct lac_gguf_value *value, const char *expected,
                                struct lac_error *error)
{
    return lac_fail(error, LAC_E_FORMAT, "%.200s: expected %s, found kind %d", value->key, expected,
                    (int)value->kind);
}

/* An integer of any kind; false when it is negative or no integer. */
static bool to_size(const struct lac_gguf_value *value, size_t *size)
{
    uint64_t wide = 0;
    int64_t narrow;
    switch (value->kind) {
    case LAC_GGUF_U8:
        memcpy(&wide, value->data, 1); /* the lowest byte comes first */
        break;
    case LAC_GGUF_U16:
        memcpy(&wide, value->data, 2);
        break;
    case LAC_GGUF_U32:
        memcpy(&wide, value->data, 4);
        break;
    case LAC_GGUF_U64:
        memcpy(&wide, value->data, 8);
        break;
    case LAC_GGUF_I8:
        narrow = (int8_t)value->data[0];
        wide = (uint64_t)narrow;
        break;
    case LAC_GGUF_I16: {
        int16_t number;
        memcpy(&number, value->data, sizeof number);
        wide = (uint64_t)(int64_t)number;
        break;
    }
    case LAC_GGUF_I32: {
        int32_t number;
        memcpy(&number, value->data, sizeof number);
        wide = (uint64_t)(int64_t)number;
        break;
    }
    case LAC_GGUF_I64:
        memcpy(&wide, value->data, 8);
        break;
    default:
        return false;
    }
    *size = (size_t)wide;
    return wide <= INT64_MAX;
}

enum lac_status lac_gguf_size(const struct lac_gguf *gguf, const char *key, size_t fallback,
                              size_t *value, struct lac_error *error)
{
    const struct lac_gguf_value *found = lac_gguf_find(gguf, key);
    *value = fallback;
    return !found || to_size(found, value) ? LAC_OK : mismatch(found, "an integer from 0", error);
}

enum lac_status lac_gguf_real(const struct lac_gguf *gguf, const char *key, double fallback,
                              double *value, struct lac_error *error)
{
    const struct lac_gguf_value *found = lac_gguf_find(gguf, key);
    float single;
    size_t whole;
    *value = fallback;
    if (!found)
        return LAC_OK;
    if (found->kind == LAC_GGUF_F32) {
        memcpy(&single, found->data, sizeof single);
        *value = (double)single;
    } else if (found->kind == LAC_GGUF_F64) {
        memcpy(value, found->data, sizeof *value);
    } else if (to_size(found, &whole)) {
        *value = (double)whole;
    } else {
        return mismatch(found, "a number", error);
    }
    if (!(*value - *value == 0))
        return lac_fail(error, LAC_E_FORMAT, "%.200s: not a finite number", key);
    return LAC_OK;
}

enum lac_status lac_gguf_bool(const struct lac_gguf *gguf, const char *key, bool fallback,
                              bool *value, struct lac_error *error)
{
    const struct lac_gguf_value *found = lac_gguf_find(gguf, key);
    *value = fallback;
    if (found && found->kind != LAC_GGUF_BOOL)
        return mismatch(found, "a bool", error);
    if (found)
        *value = found->data[0] != 0;
    return LAC_OK;
}

enum lac_status lac_gguf_string(const struct lac_gguf *gguf, const char *key, const char **text,
                                size_t *size, struct lac_error *error)
{
    const struct lac_gguf_value *found = lac_gguf_find(gguf, key);
    *text = NULL;
    *size = 0;
    if (found && found->kind != LAC_GGUF_STRING)
        return mismatch(found, "a string", error);
    if (found) {
        *text = (const char *)found->data;
        *size = found->n;
    }
    return LAC_OK;
}

enum lac_status lac_gguf_array(const struct lac_gguf *gguf, const char *key,
                               enum lac_gguf_kind element, const struct lac_gguf_value **value,
                               struct lac_error *error)
{
    *value = lac_gguf_find(gguf, key);
    if (*value && ((*value)->kind != LAC_GGUF_ARRAY || (*value)->element != element))
        return lac_fail(error, LAC_E_FORMAT,
                        "%.200s: expected an array of kind %d, found kind %d of kind %d", key,
                        (int)element, (int)(*value)->kind, (int)(*value)->element);
    return LAC_OK;
}

void lac_gguf_next_string(const uint8_t **at, const char **text, size_t *size)
{
    uint64_t n;
    memcpy(&n, *at, sizeof n);
    *text = (const char *)*at + sizeof n;
    *size = (size_t)n;
    *at += sizeof n + n;
}
