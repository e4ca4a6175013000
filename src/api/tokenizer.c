/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers opened by applications. */
#include "src/text/tokenizer.h"

#include "src/api/internal.h"
#include "src/run/gguf_tokenizer.h"

enum lac_status lac_tokenizer_open(struct lac_engine *engine, const char *path,
                                   struct lac_tokenizer **tokenizer)
{
    struct lac_error error = {0};
    if (!path || !tokenizer)
        lac_fail(&error, LAC_E_ARGUMENT, "lac_tokenizer_open: %s is NULL",
                 path ? "tokenizer" : "path");
    else if (lac_is_gguf(path))
        lac_gguf_tokenizer_open_path(&engine->host, path, tokenizer, &error);
    else
        lac_tokenizer_open_path(&engine->host, path, tokenizer, &error);
    return error.status ? lac_engine_fail(engine, &error) : LAC_OK;
}
