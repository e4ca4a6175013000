/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON from files that nobody vouches for. */
#include "src/base/json.h"

enum lac_status lac_json_parse(const char *name, const void *data, size_t size, json_t **json,
                               struct lac_error *error)
{
    json_error_t where;
    json_t *parsed = json_loadb(size ? data : "", size, JSON_REJECT_DUPLICATES, &where);
    if (!parsed) {
        enum lac_status status = json_error_code(&where) == json_error_out_of_memory
                                     ? LAC_E_MEMORY
                                     : LAC_E_FORMAT;
        return lac_fail(error, status, "%s: line %d, column %d: %s", name, where.line,
                        where.column, where.text);
    }
    *json = parsed;
    return LAC_OK;
}

const char *lac_json_kind(const json_t *json)
{
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "real number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

static const json_t *find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static enum lac_status mismatch(const char *key, const char *expected, const json_t *found,
                                struct lac_error *error)
{
    return lac_fail(error, LAC_E_FORMAT, "%s: expected %s, found %s", key, expected,
                    lac_json_kind(found));
}

enum lac_status lac_json_int(const json_t *object, const char *key, int64_t fallback,
                             int64_t *value, struct lac_error *error)
{
    const json_t *found = find(object, key);
    if (found && !json_is_integer(found))
        return mismatch(key, "an integer", found, error);
    *value = found ? (int64_t)json_integer_value(found) : fallback;
    return LAC_OK;
}

enum lac_status lac_json_size(const json_t *object, const char *key, size_t fallback,
                              size_t lowest, size_t highest, size_t *value,
                              struct lac_error *error)
{
    int64_t number = 0;
    if (!find(object, key)) {
        *value = fallback;
        return LAC_OK;
    }
    enum lac_status status = lac_json_int(object, key, 0, &number, error);
    if (status)
        return status;
    if (number < 0 || (uint64_t)number < lowest || (uint64_t)number > highest)
        return lac_fail(error, LAC_E_FORMAT, "%s: %lld is not between %zu and %zu", key,
                        (long long)number, lowest, highest);
    *value = (size_t)number;
    return LAC_OK;
}

enum lac_status lac_json_real(const json_t *object, const char *key, double fallback,
                              double *value, struct lac_error *error)
{
    const json_t *found = find(object, key);
    if (found && !json_is_number(found))
        return mismatch(key, "a number", found, error);
    *value = found ? json_number_value(found) : fallback;
    return LAC_OK;
}

enum lac_status lac_json_bool(const json_t *object, const char *key, bool fallback, bool *value,
                              struct lac_error *error)
{
    const json_t *found = find(object, key);
    if (found && !json_is_boolean(found))
        return mismatch(key, "true or false", found, error);
    *value = found ? json_is_true(found) : fallback;
    return LAC_OK;
}

enum lac_status lac_json_string(const json_t *object, const char *key, const char *fallback,
                                const char **value, struct lac_error *error)
{
    const json_t *found = find(object, key);
    if (found && !json_is_string(found))
        return mismatch(key, "a string", found, error);
    *value = found ? json_string_value(found) : fallback;
    return LAC_OK;
}
