/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints in shards: model.safetensors.index.json names the file of each tensor. */
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/model/json_file.h"
#include "src/model/tensor_set.h"

static const char index_name[] = "model.safetensors.index.json";

static int compare_strings(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The values of weight_map, sorted and each once, into shards [json_object_size]. */
static enum lac_status list_shards(json_t *weight_map, const char **shards, size_t *n_shards,
                                   struct lac_error *error)
{
    const char *key;
    json_t *value;
    size_t n = 0, n_unique = 0;
    json_object_foreach(weight_map, key, value)
    {
        const char *shard = json_string_value(value);
        if (!shard)
            return lac_fail(error, LAC_E_FORMAT, "weight_map: %.200s: expected a string, found %s",
                            key, lac_json_kind(value));
        if (!lac_is_plain_name(shard))
            return lac_fail(error, LAC_E_FORMAT,
                            "weight_map: %.200s: \"%.200s\" is no name of a file beside the index",
                            key, shard);
        shards[n++] = shard;
    }
    qsort(shards, n, sizeof *shards, compare_strings);
    for (size_t i = 0; i < n; i++)
        if (!n_unique || strcmp(shards[i], shards[n_unique - 1]))
            shards[n_unique++] = shards[i];
    if (n_unique > LAC_MAX_SHARDS)
        return lac_fail(error, LAC_E_LIMIT, "weight_map: %zu shards, more than %d", n_unique,
                        LAC_MAX_SHARDS);
    *n_shards = n_unique;
    return LAC_OK;
}

static enum lac_status add_shards(struct lac_tensors *set, const char *directory,
                                  const char *const *shards, size_t n_shards,
                                  struct lac_error *error)
{
    for (size_t i = 0; i < n_shards; i++) {
        char *path = lac_path_join(set->host, directory, shards[i]);
        enum lac_status status = path ? lac_tensor_set_add_file(set, path, error)
                                      : lac_fail(error, LAC_E_MEMORY, "%s: no memory", shards[i]);
        lac_free(set->host, path);
        if (status)
            return status;
    }
    return LAC_OK;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A shard may hold tensors that the index does not list; the opposite is a broken checkpoint. */
static enum lac_status check_places(const struct lac_tensors *set, json_t *weight_map,
                                    struct lac_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(weight_map, key, value)
    {
        const struct lac_tensor *tensor = lac_tensors_find(set, key);
        if (!tensor)
            return lac_fail(error, LAC_E_FORMAT, "weight_map: %.200s is not in %s", key,
                            json_string_value(value));
        if (strcmp(last_part(tensor->file), json_string_value(value)))
            return lac_fail(error, LAC_E_FORMAT, "weight_map: %.200s is in %s, not in %s", key,
                            last_part(tensor->file), json_string_value(value));
    }
    return LAC_OK;
}

enum lac_status lac_tensor_set_add_shards(struct lac_tensors *set, const char *directory,
                                          struct lac_error *error)
{
    json_t *root = NULL;
    char *path = NULL;
    const char **shards = NULL;
    size_t n_shards = 0;
    enum lac_status status =
        lac_json_file_read(set->host, directory, index_name, &root, &path, error);
    if (status)
        return status;
    json_t *weight_map = json_object_get(root, "weight_map");
    if (!json_is_object(weight_map) || !json_object_size(weight_map)) {
        status = lac_fail(error, LAC_E_FORMAT, "%s: weight_map: expected an object, found %s", path,
                          weight_map && json_is_object(weight_map) ? "an empty one"
                                                                   : lac_json_kind(weight_map));
        goto out;
    }
    shards = lac_alloc(set->host, json_object_size(weight_map), sizeof *shards);
    if (!shards) {
        status = lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
        goto out;
    }
    status = list_shards(weight_map, shards, &n_shards, error);
    if (status) {
        lac_fail_in(error, status, "%s", path);
        goto out;
    }
    status = add_shards(set, directory, shards, n_shards, error);
    if (!status)
        status = lac_tensor_set_index(set, error);
    if (status)
        goto out;
    status = check_places(set, weight_map, error);
    if (status)
        lac_fail_in(error, status, "%s", path);
out:
    lac_free(set->host, shards);
    lac_free(set->host, path);
    json_decref(root);
    return status;
}
