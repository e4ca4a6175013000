/* SPDX-License-Identifier: Apache-2.0 */
/* JSON files of a model directory. */
#include "src/model/json_file.h"

#include <string.h>

#include "src/base/file.h"

/* An index of a million tensors stays below this. */
enum { MAX_JSON_BYTES = 200000000 };

bool lac_is_plain_name(const char *name)
{
    return name[0] && name[0] != '.' && !strchr(name, '/');
}

enum lac_status lac_json_file_read(const struct lac_host *host, const char *directory,
                                   const char *name, json_t **json, char **path,
                                   struct lac_error *error)
{
    json_t *read = NULL;
    struct lac_file file = {0};
    char *joined = lac_path_join(host, directory, name);
    if (!joined)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for a path", name);
    enum lac_status status = lac_file_open(joined, &file, error);
    if (status)
        goto out;
    if (file.size > MAX_JSON_BYTES) {
        status = lac_fail(error, LAC_E_LIMIT, "%s: %zu bytes, more than %d", joined, file.size,
                          MAX_JSON_BYTES);
        goto out;
    }
    status = lac_json_parse(joined, file.data, file.size, &read, error);
out:
    lac_file_close(&file);
    if (status) {
        lac_free(host, joined);
        return status;
    }
    *json = read;
    *path = joined;
    return LAC_OK;
}
