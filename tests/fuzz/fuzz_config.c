/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary bytes as config.json. */
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/model/config.h"
#include "src/model/quantization.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lac_arena arena = {.host = &lac_default_host};
    struct lac_config config;
    struct lac_error error;
    json_t *root = NULL;
    if (!lac_config_parse("input", data, size, &arena, &config, &error)) {
        if (!config.hidden_size || !config.head_dim || config.n_heads % config.n_kv_heads ||
            !config.max_tokens)
            abort();
        for (size_t i = 0; config.windows && i < config.n_layers; i++)
            if (config.windows[i] > 1u << 30)
                abort();
        for (size_t i = 0; i < config.n_end_ids; i++)
            if (config.end_ids[i] < 0 || (size_t)config.end_ids[i] >= config.vocab_size)
                abort();
        for (size_t i = 0; i < config.n_labels; i++)
            if (!config.labels[i][0] && strlen(config.labels[i]))
                abort();
    }
    if (!lac_json_parse("input", data, size, &root, &error))
        (void)lac_quantization_check(root, &error);
    json_decref(root);
    lac_arena_clear(&arena);
    return 0;
}
