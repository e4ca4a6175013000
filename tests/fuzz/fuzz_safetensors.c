/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a safetensors file: look everything up, convert and expand it. */
#include <stdlib.h>
#include <string.h>

#include "src/model/expand.h"
#include "src/model/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(const struct lac_tensor *tensor)
{
    size_t n = 1;
    for (unsigned i = 0; i < tensor->rank; i++)
        n *= tensor->shape[i];
    if (tensor->storage == LAC_STORE_OTHER || n > 1 << 16)
        return;
    float *values = malloc(n * sizeof *values + 1);
    if (values)
        lac_tensor_to_f32(tensor, 0, n, values);
    free(values);
}

static void expand(const struct lac_tensors *tensors, const char *name)
{
    struct lac_expansions expansions = {.arena = {.host = &lac_default_host}};
    const struct lac_tensor *dense;
    struct lac_error error;
    const char *dot = strrchr(name, '.');
    char *p = strndup(name, dot ? (size_t)(dot - name) : 0);
    if (p && !lac_expand_bitmask(&expansions, tensors, p, name, &dense, &error))
        convert(dense);
    free(p);
    lac_arena_clear(&expansions.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lac_tensors *tensors;
    struct lac_error error;
    if (lac_tensors_open_memory(&lac_default_host, "input", data, size, &tensors, &error))
        return 0;
    for (size_t i = 0; i < lac_tensors_count(tensors); i++) {
        const struct lac_tensor *tensor = lac_tensors_at(tensors, i);
        if (lac_tensors_find(tensors, tensor->name) != tensor)
            abort();
        convert(tensor);
        expand(tensors, tensor->name);
    }
    (void)lac_tensors_metadata(tensors, "format");
    lac_tensors_close(tensors);
    return 0;
}
