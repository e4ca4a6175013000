/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON from files that nobody vouches for: typed look-ups with errors that name the key.
 *
 * All take an object and a key; a missing or null key gives the fallback, a key of another type
 * or out of range LAC_E_FORMAT with "key: expected ..., found ...". */
#ifndef LACUNA_BASE_JSON_H
#define LACUNA_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "src/base/error.h"

/* Parses size bytes; duplicate keys and invalid UTF-8 are errors, which begin with name.
 * *json is a new reference: json_decref. */
enum lac_status lac_json_parse(const char *name, const void *data, size_t size, json_t **json,
                               struct lac_error *error);

enum lac_status lac_json_size(const json_t *object, const char *key, size_t fallback,
                              size_t lowest, size_t highest, size_t *value,
                              struct lac_error *error);
enum lac_status lac_json_int(const json_t *object, const char *key, int64_t fallback,
                             int64_t *value, struct lac_error *error);
enum lac_status lac_json_real(const json_t *object, const char *key, double fallback,
                              double *value, struct lac_error *error);
enum lac_status lac_json_bool(const json_t *object, const char *key, bool fallback, bool *value,
                              struct lac_error *error);
/* The string belongs to the object. */
enum lac_status lac_json_string(const json_t *object, const char *key, const char *fallback,
                                const char **value, struct lac_error *error);

/* "object", "array", "string", ...: for messages. */
const char *lac_json_kind(const json_t *json);

#endif
