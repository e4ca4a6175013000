/* SPDX-License-Identifier: Apache-2.0 */
/* sentence-transformers: modules.json lists a pipeline (Transformer, Pooling, Normalize), and the
 * pooling module's folder says how token vectors become one. */
#include "src/model/pooling.h"

#include <string.h>

#include "src/base/file.h"
#include "src/model/config.h"
#include "src/model/json_file.h"

struct pipeline {
    const char *pooling_folder; /* belongs to the JSON of modules.json */
    int has_pooling, has_normalize;
};

static const char *last_part(const char *type)
{
    const char *dot = strrchr(type, '.');
    return dot ? dot + 1 : type;
}

static enum lac_status read_module(json_t *module, struct pipeline *pipeline,
                                   struct lac_error *error)
{
    const char *type = NULL, *path = NULL;
    if (!json_is_object(module))
        return lac_fail(error, LAC_E_FORMAT, "expected objects, found %s", lac_json_kind(module));
    enum lac_status status = lac_json_string(module, "type", "", &type, error);
    if (!status)
        status = lac_json_string(module, "path", "", &path, error);
    if (status)
        return status;
    const char *kind = last_part(type);
    if (!strcmp(kind, "Transformer") && !pipeline->has_pooling)
        return LAC_OK;
    if (!strcmp(kind, "Pooling") && !pipeline->has_pooling && !pipeline->has_normalize) {
        if (!lac_is_plain_name(path))
            return lac_fail(error, LAC_E_FORMAT, "path: \"%.100s\" is no folder beside it", path);
        pipeline->pooling_folder = path;
        pipeline->has_pooling = 1;
        return LAC_OK;
    }
    if (!strcmp(kind, "Normalize") && pipeline->has_pooling) {
        pipeline->has_normalize = 1;
        return LAC_OK;
    }
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "module %.100s at this place cannot be run (Transformer, Pooling, Normalize "
                    "can, in this order)",
                    type);
}

static enum lac_status read_modules(json_t *modules, struct pipeline *pipeline,
                                    struct lac_error *error)
{
    if (!json_is_array(modules))
        return lac_fail(error, LAC_E_FORMAT, "expected an array, found %s", lac_json_kind(modules));
    for (size_t i = 0; i < json_array_size(modules); i++) {
        enum lac_status status = read_module(json_array_get(modules, i), pipeline, error);
        if (status)
            return status;
    }
    return LAC_OK;
}

static const struct {
    const char *key;
    const char *pooling; /* ours; NULL when we cannot run it */
} modes[] = {
    {"pooling_mode_mean_tokens", "mean"},       {"pooling_mode_cls_token", "cls"},
    {"pooling_mode_max_tokens", NULL},          {"pooling_mode_mean_sqrt_len_tokens", NULL},
    {"pooling_mode_weightedmean_tokens", NULL}, {"pooling_mode_lasttoken", NULL},
};

/* Several modes at once would be concatenated. */
static enum lac_status read_flags(const json_t *config, const char **pooling,
                                  struct lac_error *error)
{
    const char *chosen = NULL;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        bool on = false;
        enum lac_status status = lac_json_bool(config, modes[i].key, false, &on, error);
        if (status)
            return status;
        if (!on)
            continue;
        if (!modes[i].pooling || chosen)
            return lac_fail(error, LAC_E_UNSUPPORTED,
                            "%s%s cannot be run (pooling_mode_mean_tokens or "
                            "pooling_mode_cls_token alone can)",
                            modes[i].key, chosen ? " beside another mode" : "");
        chosen = modes[i].pooling;
    }
    if (!chosen)
        return lac_fail(error, LAC_E_FORMAT, "no pooling mode is true");
    *pooling = chosen;
    return LAC_OK;
}

static enum lac_status read_mode(const json_t *config, const char **pooling,
                                 struct lac_error *error)
{
    const char *mode = NULL;
    enum lac_status status = lac_json_string(config, "pooling_mode", NULL, &mode, error);
    if (status)
        return status;
    if (!mode)
        return read_flags(config, pooling, error);
    if (strcmp(mode, "mean") && strcmp(mode, "cls"))
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "pooling_mode \"%.100s\" cannot be run (mean and cls can)", mode);
    *pooling = mode[0] == 'm' ? "mean" : "cls";
    return LAC_OK;
}

static enum lac_status read_folder(const struct lac_host *host, const char *directory,
                                   const char *folder, const char **pooling,
                                   struct lac_error *error)
{
    json_t *json = NULL;
    char *path = NULL;
    char *joined = lac_path_join(host, directory, folder);
    if (!joined)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", directory);
    enum lac_status status = lac_json_file_read(host, joined, "config.json", &json, &path, error);
    if (!status) {
        status = read_mode(json, pooling, error);
        if (status)
            lac_fail_in(error, status, "%s", path);
    }
    json_decref(json);
    lac_free(host, path);
    lac_free(host, joined);
    return status;
}

static enum lac_status has_file(const struct lac_host *host, const char *directory,
                                const char *name, int *found, struct lac_error *error)
{
    char *path = lac_path_join(host, directory, name);
    if (!path)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", directory);
    *found = lac_path_is_file(path);
    lac_free(host, path);
    return LAC_OK;
}

/* *n_tokens: max_seq_length of the Transformer module; 0 where there is none. */
static enum lac_status read_length(const struct lac_host *host, const char *directory,
                                   size_t *n_tokens, struct lac_error *error)
{
    json_t *json = NULL;
    char *path = NULL;
    int found = 0;
    enum lac_status status = has_file(host, directory, "sentence_bert_config.json", &found, error);
    if (!status && found)
        status =
            lac_json_file_read(host, directory, "sentence_bert_config.json", &json, &path, error);
    if (!status && found) {
        if (json_is_object(json))
            status =
                lac_json_size(json, "max_seq_length", 0, 1, LAC_MAX_TEXT_TOKENS, n_tokens, error);
        else
            status =
                lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(json));
        if (status)
            lac_fail_in(error, status, "%s", path);
    }
    json_decref(json);
    lac_free(host, path);
    return status;
}

enum lac_status lac_pooling_merge(const struct lac_host *host, const char *directory,
                                  json_t *config, struct lac_error *error)
{
    struct pipeline pipeline = {0};
    json_t *modules = NULL;
    char *path = NULL;
    const char *pooling = NULL;
    int has_modules = 0, has_folder = 0;
    size_t n_tokens = 0;
    enum lac_status status = read_length(host, directory, &n_tokens, error);
    if (!status)
        status = has_file(host, directory, "modules.json", &has_modules, error);
    if (!status)
        status = has_file(host, directory, "1_Pooling/config.json", &has_folder, error);
    if (!status && has_modules)
        status = lac_json_file_read(host, directory, "modules.json", &modules, &path, error);
    if (status)
        goto out;
    if (modules) {
        status = read_modules(modules, &pipeline, error);
        if (status) {
            lac_fail_in(error, status, "%s", path);
            goto out;
        }
    } else if (has_folder) {
        pipeline.pooling_folder = "1_Pooling";
    }
    if (pipeline.pooling_folder) {
        status = read_folder(host, directory, pipeline.pooling_folder, &pooling, error);
        if (status)
            goto out;
    }
    if ((pooling && json_object_set_new(config, "lacuna_pooling", json_string(pooling))) ||
        (modules &&
         json_object_set_new(config, "lacuna_normalize", json_boolean(pipeline.has_normalize))) ||
        (n_tokens &&
         json_object_set_new(config, "lacuna_text_tokens", json_integer((json_int_t)n_tokens))))
        status = lac_fail(error, LAC_E_MEMORY, "%s: no memory", directory);
out:
    json_decref(modules);
    lac_free(host, path);
    return status;
}
