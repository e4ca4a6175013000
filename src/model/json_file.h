/* SPDX-License-Identifier: Apache-2.0 */
/* JSON files of a model directory. */
#ifndef LACUNA_MODEL_JSON_FILE_H
#define LACUNA_MODEL_JSON_FILE_H

#include <stdbool.h>

#include "src/base/host.h"
#include "src/base/json.h"

/* Reads DIRECTORY/NAME, any JSON.  json is a new reference; path gets the file's
 * path for messages: lac_free it.  Both stay untouched on failure. */
enum lac_status lac_json_file_read(const struct lac_host *host, const char *directory,
                                   const char *name, json_t **json, char **path,
                                   struct lac_error *error);

/* A name that stays in its directory: no '/', no leading dot, not empty. */
bool lac_is_plain_name(const char *name);

#endif
