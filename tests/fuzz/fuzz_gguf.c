/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as a GGUF file: keys, tensors, and what they say of a model and its tokenizer. */
#include <stdlib.h>
#include <string.h>

#include "src/model/config.h"
#include "src/model/gguf.h"
#include "src/run/gguf_tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(const struct lac_tensor *tensor)
{
    size_t n = 1;
    for (unsigned i = 0; i < tensor->rank; i++)
        n *= tensor->shape[i];
    float *values = n < 100000 ? malloc(n * sizeof *values + 1) : NULL;
    if (values)
        lac_tensor_to_f32(tensor, 0, n, values);
    free(values);
}

static void configure(const struct lac_gguf *gguf)
{
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_config config;
    struct lac_error error;
    json_t *json = NULL;
    if (lac_gguf_config(gguf, &json, &error))
        return;
    char *text = json_dumps(json, JSON_COMPACT);
    if (text && !lac_config_parse("input", text, strlen(text), &arena, &config, &error) &&
        (!config.head_dim || config.n_heads % config.n_kv_heads || !config.max_tokens))
        abort();
    free(text);
    json_decref(json);
    lac_arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lac_gguf *gguf;
    struct lac_tokenizer *tokenizer = NULL;
    struct lac_error error;
    if (lac_gguf_open_memory(&lac_default_host, "input", data, size, &gguf, &error))
        return 0;
    const struct lac_tensors *tensors = lac_gguf_tensors(gguf);
    for (size_t i = 0; i < lac_tensors_count(tensors); i++) {
        if (lac_tensors_find(tensors, lac_tensors_at(tensors, i)->name) !=
            lac_tensors_at(tensors, i))
            abort();
        convert(lac_tensors_at(tensors, i));
    }
    for (size_t i = 0; i < lac_gguf_count(gguf); i++)
        if (lac_gguf_find(gguf, lac_gguf_at(gguf, i)->key) != lac_gguf_at(gguf, i))
            abort();
    configure(gguf);
    (void)lac_gguf_tokenizer_open(&lac_default_host, "input", gguf, &tokenizer, &error);
    lac_tokenizer_free(tokenizer);
    lac_gguf_close(gguf);
    return 0;
}
