/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of tensors: opening, closing, looking up. */
#include <stdlib.h>
#include <string.h>

#include "src/base/checked.h"
#include "src/model/tensor_set.h"

enum lac_status lac_tensor_set_new(const struct lac_host *host, struct lac_tensors **set,
                                   struct lac_error *error)
{
    struct lac_tensors *made = lac_alloc_zero(host, 1, sizeof *made);
    if (!made)
        return lac_fail(error, LAC_E_MEMORY, "no memory for a set of tensors");
    made->host = host;
    made->arena.host = host;
    *set = made;
    return LAC_OK;
}

void lac_tensors_close(struct lac_tensors *tensors)
{
    if (!tensors)
        return;
    const struct lac_host *host = tensors->host;
    for (size_t i = 0; i < tensors->n_files; i++)
        lac_file_close(&tensors->files[i]);
    lac_arena_clear(&tensors->arena);
    lac_free(host, tensors->files);
    lac_free(host, tensors->items);
    lac_free(host, tensors->by_name);
    lac_free(host, tensors->metadata);
    lac_free(host, tensors);
}

enum lac_status lac_tensor_set_add_file(struct lac_tensors *set, const char *path,
                                        struct lac_error *error)
{
    struct lac_file file = {0};
    struct lac_file *grown =
        lac_realloc(set->host, set->files, set->n_files, set->n_files + 1, sizeof *grown);
    if (!grown)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory", path);
    set->files = grown;
    enum lac_status status = lac_file_open(path, &file, error);
    if (!status)
        status = lac_tensor_set_read(set, path, file.data, file.size, error);
    if (status)
        lac_file_close(&file);
    else
        set->files[set->n_files++] = file;
    return status;
}

static int compare_names(const void *left, const void *right)
{
    const struct lac_tensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

enum lac_status lac_tensor_set_index(struct lac_tensors *set, struct lac_error *error)
{
    set->by_name = lac_alloc(set->host, set->n, sizeof *set->by_name);
    if (!set->by_name)
        return lac_fail(error, LAC_E_MEMORY, "no memory to sort %zu tensors", set->n);
    for (size_t i = 0; i < set->n; i++)
        set->by_name[i] = &set->items[i];
    qsort(set->by_name, set->n, sizeof *set->by_name, compare_names);
    for (size_t i = 1; i < set->n; i++) {
        const struct lac_tensor *a = set->by_name[i - 1], *b = set->by_name[i];
        if (strcmp(a->name, b->name))
            continue;
        if (a->file == b->file)
            return lac_fail(error, LAC_E_FORMAT, "%s: tensor %.200s is a duplicate", b->file,
                            b->name);
        return lac_fail(error, LAC_E_FORMAT, "%s: tensor %.200s is in %s too", b->file, b->name,
                        a->file);
    }
    return LAC_OK;
}

/* Opens what one of the two sources adds, and hands it over or frees it. */
static enum lac_status finish(enum lac_status status, struct lac_tensors *set,
                              struct lac_tensors **tensors, struct lac_error *error)
{
    if (!status && !set->by_name)
        status = lac_tensor_set_index(set, error);
    if (status)
        lac_tensors_close(set);
    else
        *tensors = set;
    return status;
}

enum lac_status lac_tensors_open_file(const struct lac_host *host, const char *path,
                                      struct lac_tensors **tensors, struct lac_error *error)
{
    struct lac_tensors *set = NULL;
    enum lac_status status = lac_tensor_set_new(host, &set, error);
    if (status)
        return status;
    return finish(lac_tensor_set_add_file(set, path, error), set, tensors, error);
}

enum lac_status lac_tensors_open_memory(const struct lac_host *host, const char *name,
                                        const void *data, size_t size, struct lac_tensors **tensors,
                                        struct lac_error *error)
{
    struct lac_tensors *set = NULL;
    enum lac_status status = lac_tensor_set_new(host, &set, error);
    if (status)
        return status;
    return finish(lac_tensor_set_read(set, name, data, size, error), set, tensors, error);
}

/* Weights in a form that we do not read deserve a hint. */
static enum lac_status no_weights(const struct lac_host *host, const char *directory,
                                  struct lac_error *error)
{
    char *pickled = lac_path_join(host, directory, "pytorch_model.bin");
    int is_pickled = pickled && lac_path_is_file(pickled);
    lac_free(host, pickled);
    return lac_fail(error, LAC_E_IO,
                    "%s: neither model.safetensors nor model.safetensors.index.json%s", directory,
                    is_pickled ? "; save pytorch_model.bin as safetensors" : "");
}

enum lac_status lac_tensors_open_directory(const struct lac_host *host, const char *directory,
                                           struct lac_tensors **tensors, struct lac_error *error)
{
    enum lac_status status;
    struct lac_tensors *set = NULL;
    char *single = lac_path_join(host, directory, "model.safetensors");
    char *index = lac_path_join(host, directory, "model.safetensors.index.json");
    if (!single || !index) {
        status = lac_fail(error, LAC_E_MEMORY, "%s: no memory", directory);
        goto out;
    }
    status = lac_tensor_set_new(host, &set, error);
    if (status)
        goto out;
    if (lac_path_is_file(single))
        status = lac_tensor_set_add_file(set, single, error);
    else if (lac_path_is_file(index))
        status = lac_tensor_set_add_shards(set, directory, error);
    else
        status = no_weights(host, directory, error);
    status = finish(status, set, tensors, error);
out:
    lac_free(host, single);
    lac_free(host, index);
    return status;
}

size_t lac_tensors_count(const struct lac_tensors *tensors)
{
    return tensors->n;
}

const struct lac_tensor *lac_tensors_at(const struct lac_tensors *tensors, size_t i)
{
    return &tensors->items[i];
}

const struct lac_tensor *lac_tensors_find(const struct lac_tensors *tensors, const char *name)
{
    const struct lac_tensor key = {.name = name}, *pointer = &key;
    struct lac_tensor **found =
        bsearch(&pointer, tensors->by_name, tensors->n, sizeof pointer, compare_names);
    return found ? *found : NULL;
}

const char *lac_tensors_metadata(const struct lac_tensors *tensors, const char *key)
{
    const struct lac_metadata wanted = {.key = key};
    if (!tensors->n_metadata)
        return NULL;
    const struct lac_metadata *found = bsearch(&wanted, tensors->metadata, tensors->n_metadata,
                                               sizeof wanted, lac_metadata_compare);
    return found ? found->value : NULL;
}
