/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a Hugging Face directory or a GGUF file. */
#include "src/model/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include <lacuna/session.h>

#include "src/base/file.h"
#include "src/model/expand.h"
#include "src/model/generation.h"
#include "src/model/json_file.h"
#include "src/model/names.h"
#include "src/model/pooling.h"
#include "src/model/quantization.h"

static const char config_name[] = "config.json";

void lac_checkpoint_close(struct lac_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    const struct lac_host *host = checkpoint->host;
    lac_tensors_close(checkpoint->own_tensors);
    lac_gguf_close(checkpoint->gguf);
    if (checkpoint->expansions)
        lac_arena_clear(&checkpoint->expansions->arena);
    lac_free(host, checkpoint->expansions);
    lac_arena_clear(&checkpoint->arena);
    lac_free(host, checkpoint);
}

static enum lac_status new_checkpoint(const struct lac_host *host, const char *path,
                                      struct lac_checkpoint **checkpoint, struct lac_error *error)
{
    struct lac_checkpoint *made = lac_alloc_zero(host, 1, sizeof *made);
    if (!made)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    made->host = host;
    made->arena.host = host;
    made->path = lac_arena_strndup(&made->arena, path, strlen(path));
    made->expansions = lac_alloc_zero(host, 1, sizeof *made->expansions);
    if (!made->path || !made->expansions) {
        lac_checkpoint_close(made);
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    }
    made->expansions->arena.host = host;
    *checkpoint = made;
    return LAC_OK;
}

/* Keeps the text of root and reads the configuration out of it: what a packed file will hold is
 * what was read. */
static enum lac_status read_config(struct lac_checkpoint *checkpoint, const json_t *root,
                                   const char *path, struct lac_error *error)
{
    size_t size = json_dumpb(root, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    char *text = size ? lac_arena_alloc(&checkpoint->arena, size + 1, 1) : NULL;
    if (!text || json_dumpb(root, text, size, JSON_COMPACT | JSON_ENCODE_ANY) != size)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    text[size] = '\0';
    checkpoint->config_text = text;
    return lac_config_parse(path, text, size, &checkpoint->arena, &checkpoint->config, error);
}

/* With the family's prefix in a model with a head, without in a bare one. */
static enum lac_status find_prefix(struct lac_checkpoint *checkpoint, struct lac_error *error)
{
    struct lac_config *config = &checkpoint->config;
    const char *const *prefixes = lac_family_prefixes(config->family);
    char name[LAC_NAME_SIZE];
    for (size_t i = 0; i < LAC_N_PREFIXES && prefixes[i]; i++) {
        config->prefix = prefixes[i];
        if (lac_checkpoint_has(checkpoint, LAC_ROLE_WORD_EMBEDDING, 0))
            return LAC_OK;
    }
    lac_role_name(config, LAC_ROLE_WORD_EMBEDDING, 0, 0, name); /* the last prefix is empty */
    return lac_fail(error, LAC_E_FORMAT, "%s: no tensor %s.weight, with or without \"%s\"",
                    checkpoint->path, name, prefixes[0]);
}

/* What the tensors of a head are called tells which it is. */
static unsigned guess_task(const struct lac_checkpoint *checkpoint)
{
    if (lac_family_is_decoder(checkpoint->config.family))
        return LAC_TASK_GENERATE;
    if (lac_checkpoint_has(checkpoint, LAC_ROLE_CLASSIFIER, 0)) {
        bool is_sequence = lac_checkpoint_has(
            checkpoint,
            checkpoint->config.has_classifier_dense ? LAC_ROLE_CLASSIFIER_DENSE : LAC_ROLE_POOLER,
            0);
        return is_sequence ? LAC_TASK_CLASSIFY : LAC_TASK_TAG;
    }
    if (lac_checkpoint_has(checkpoint, LAC_ROLE_ANSWER, 0))
        return LAC_TASK_ANSWER;
    if (lac_checkpoint_has(checkpoint, LAC_ROLE_FILL_DENSE, 0))
        return LAC_TASK_FILL;
    return LAC_TASK_EMBED;
}

/* A configuration without architectures gets one, and is read again. */
static enum lac_status complete_config(struct lac_checkpoint *checkpoint, json_t *root,
                                       const char *path, struct lac_error *error)
{
    if (checkpoint->config.architecture[0])
        return LAC_OK;
    const char *prefix = checkpoint->config.prefix;
    const char *name = lac_architecture_name(checkpoint->config.family, guess_task(checkpoint));
    if (json_object_set_new(root, "architectures", json_pack("[s]", name)))
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    enum lac_status status = read_config(checkpoint, root, path, error);
    checkpoint->config.prefix = prefix;
    return status;
}

/* The head of the architecture must be there: nobody wants random answers. */
static enum lac_status check_heads(const struct lac_checkpoint *checkpoint, struct lac_error *error)
{
    const struct lac_config *config = &checkpoint->config;
    const struct {
        unsigned task;
        enum lac_role role;
        bool is_needed;
    } needed[] = {
        {LAC_TASK_CLASSIFY, LAC_ROLE_POOLER, !config->has_classifier_dense},
        {LAC_TASK_CLASSIFY, LAC_ROLE_CLASSIFIER_DENSE, config->has_classifier_dense},
        {LAC_TASK_CLASSIFY, LAC_ROLE_CLASSIFIER, true},
        {LAC_TASK_TAG, LAC_ROLE_CLASSIFIER, true},
        {LAC_TASK_ANSWER, LAC_ROLE_ANSWER, true},
        {LAC_TASK_FILL, LAC_ROLE_FILL_DENSE, true},
        {LAC_TASK_FILL, LAC_ROLE_FILL_NORM, true},
        {LAC_TASK_FILL, LAC_ROLE_FILL_DECODER, true},
        {LAC_TASK_GENERATE, LAC_ROLE_LM_HEAD, true},
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        char name[LAC_NAME_SIZE] = "";
        if (!(config->tasks & needed[i].task) || !needed[i].is_needed ||
            lac_checkpoint_has(checkpoint, needed[i].role, 0))
            continue;
        lac_role_name(config, needed[i].role, 0, 0, name);
        return lac_fail(error, LAC_E_FORMAT, "%s: %s needs a tensor %s.weight, which is missing",
                        checkpoint->path, config->architecture, name);
    }
    return LAC_OK;
}

/* What is the same for both, once configuration and tensors are there. */
static enum lac_status finish(struct lac_checkpoint *checkpoint, json_t *root, const char *path,
                              struct lac_error *error)
{
    enum lac_status status = find_prefix(checkpoint, error);
    if (!status)
        status = complete_config(checkpoint, root, path, error);
    return status ? status : check_heads(checkpoint, error);
}

static enum lac_status open_tensors(struct lac_checkpoint *checkpoint, json_t *root,
                                    const char *path, struct lac_error *error)
{
    enum lac_status status = read_config(checkpoint, root, path, error);
    if (status)
        return status;
    status = lac_quantization_check(root, error);
    if (status)
        return lac_fail_in(error, status, "%s", path);
    status = lac_tensors_open_directory(checkpoint->host, checkpoint->path,
                                        &checkpoint->own_tensors, error);
    checkpoint->tensors = checkpoint->own_tensors;
    return status ? status : finish(checkpoint, root, path, error);
}

static enum lac_status open_directory(struct lac_checkpoint *checkpoint, struct lac_error *error)
{
    const struct lac_host *host = checkpoint->host;
    json_t *root = NULL;
    char *path = NULL;
    enum lac_status status =
        lac_json_file_read(host, checkpoint->path, config_name, &root, &path, error);
    if (!status && !json_is_object(root))
        status = lac_fail(error, LAC_E_FORMAT, "%s: expected an object, found %s", path,
                          lac_json_kind(root));
    if (!status)
        status = lac_pooling_merge(host, checkpoint->path, root, error);
    if (!status)
        status = lac_generation_merge(host, checkpoint->path, root, error);
    if (!status)
        status = open_tensors(checkpoint, root, path, error);
    json_decref(root);
    lac_free(host, path);
    return status;
}

static enum lac_status open_gguf(struct lac_checkpoint *checkpoint, struct lac_error *error)
{
    json_t *root = NULL;
    enum lac_status status =
        lac_gguf_open(checkpoint->host, checkpoint->path, &checkpoint->gguf, error);
    if (status)
        return status;
    checkpoint->tensors = lac_gguf_tensors(checkpoint->gguf);
    status = lac_gguf_config(checkpoint->gguf, &root, error);
    if (status)
        return lac_fail_in(error, status, "%s", checkpoint->path);
    status = read_config(checkpoint, root, checkpoint->path, error);
    checkpoint->config.naming = LAC_NAMES_GGUF;
    if (!status)
        status = finish(checkpoint, root, checkpoint->path, error);
    json_decref(root);
    return status;
}

bool lac_is_checkpoint(const char *path)
{
    return lac_path_is_directory(path) || lac_is_gguf(path);
}

enum lac_status lac_checkpoint_open(const struct lac_host *host, const char *path,
                                    struct lac_checkpoint **checkpoint, struct lac_error *error)
{
    struct lac_checkpoint *made = NULL;
    enum lac_status status = new_checkpoint(host, path, &made, error);
    if (!status)
        status = lac_is_gguf(path) ? open_gguf(made, error) : open_directory(made, error);
    if (status)
        lac_checkpoint_close(made);
    else
        *checkpoint = made;
    return status;
}
