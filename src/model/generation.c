/* SPDX-License-Identifier: Apache-2.0 */
/* generation_config.json. */
#include "src/model/generation.h"

#include "src/base/file.h"
#include "src/model/json_file.h"

static const char file_name[] = "generation_config.json";

enum lac_status lac_generation_merge(const struct lac_host *host, const char *directory,
                                     json_t *config, struct lac_error *error)
{
    static const char *const keys[] = {"eos_token_id", "bos_token_id"};
    json_t *json = NULL;
    char *path = lac_path_join(host, directory, file_name);
    if (!path)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for a path", directory);
    bool is_there = lac_path_is_file(path) != 0;
    lac_free(host, path);
    if (!is_there)
        return LAC_OK;
    path = NULL;
    enum lac_status status = lac_json_file_read(host, directory, file_name, &json, &path, error);
    if (!status && !json_is_object(json))
        status = lac_fail(error, LAC_E_FORMAT, "%s: expected an object, found %s", path,
                          lac_json_kind(json));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !status; i++) {
        json_t *value = json_object_get(json, keys[i]);
        if (value && !json_is_null(value) && json_object_set(config, keys[i], value))
            status = lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    }
    json_decref(json);
    lac_free(host, path);
    return status;
}
