/* SPDX-License-Identifier: Apache-2.0 */
/* The tokenizer inside a GGUF file. */
#include "src/run/gguf_tokenizer.h"

#include <string.h>

/* What reading the keys takes; all memory is the host's, for the time of the call. */
struct reader {
    const struct lac_host *host;
    const struct lac_gguf *gguf;
    struct lac_tokenizer_parts parts;
    struct lac_slice *tokens, *merges;
    uint8_t *types;
    float *scores;
    struct lac_error *error;
};

/* Regular expressions of words, by the name that a file gives them.  A file from before there were
 * names has GPT-2's. */
static const struct words {
    const char *name, *pattern;
    bool whole_words, compose;
} word_kinds[] = {
#define GPT2_WORDS                                                                                 \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LATER_WORDS(digits)                                                                        \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    {"gpt-2", GPT2_WORDS, false, false},
    {"default", GPT2_WORDS, false, false},
    {"llama-bpe", LATER_WORDS("\\p{N}{1,3}"), true, false},
    {"qwen2", LATER_WORDS("\\p{N}"), false, true},
};

static enum lac_status no_memory(const struct reader *r)
{
    return lac_fail(r->error, LAC_E_MEMORY, "no memory for a tokenizer");
}

static bool is_text(const char *text, size_t size, const char *expected)
{
    return size == strlen(expected) && !memcmp(text, expected, size);
}

/* The array must be there and have n elements, unless n is 0. */
static enum lac_status get_array(const struct reader *r, const char *key,
                                 enum lac_gguf_kind element, size_t n,
                                 const struct lac_gguf_value **value)
{
    enum lac_status status = lac_gguf_array(r->gguf, key, element, value, r->error);
    if (status)
        return status;
    if (!*value)
        return lac_fail(r->error, LAC_E_FORMAT, "%s is missing", key);
    if (n && (*value)->n != n)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: %zu elements for %zu tokens", key, (*value)->n,
                        n);
    return LAC_OK;
}

static enum lac_status read_strings(struct reader *r, const char *key, struct lac_slice **strings,
                                    size_t *n)
{
    const struct lac_gguf_value *value;
    enum lac_status status = get_array(r, key, LAC_GGUF_STRING, 0, &value);
    if (status)
        return status;
    *strings = lac_alloc(r->host, value->n, sizeof **strings);
    if (!*strings)
        return no_memory(r);
    const uint8_t *at = value->data;
    for (size_t i = 0; i < value->n; i++)
        lac_gguf_next_string(&at, &(*strings)[i].text, &(*strings)[i].size);
    *n = value->n;
    return LAC_OK;
}

static enum lac_status read_types(struct reader *r)
{
    static const char key[] = "tokenizer.ggml.token_type";
    const struct lac_gguf_value *value;
    size_t n = r->parts.n_tokens;
    if (!lac_gguf_find(r->gguf, key))
        return LAC_OK;
    enum lac_status status = get_array(r, key, LAC_GGUF_I32, n, &value);
    if (status)
        return status;
    r->types = lac_alloc(r->host, n, 1);
    if (!r->types)
        return no_memory(r);
    for (size_t i = 0; i < n; i++) {
        int32_t type;
        memcpy(&type, value->data + i * sizeof type, sizeof type);
        if (type < LAC_TOKEN_NORMAL || type > LAC_TOKEN_BYTE)
            return lac_fail(r->error, LAC_E_FORMAT, "%s: token %zu has type %d", key, i, type);
        r->types[i] = (uint8_t)type;
    }
    r->parts.types = r->types;
    return LAC_OK;
}

static enum lac_status read_id(struct reader *r, const char *key, int32_t *id)
{
    size_t value;
    enum lac_status status = lac_gguf_size(r->gguf, key, SIZE_MAX, &value, r->error);
    if (!status && value != SIZE_MAX && value >= r->parts.n_tokens)
        return lac_fail(r->error, LAC_E_FORMAT, "%s: %zu is not below %zu tokens", key, value,
                        r->parts.n_tokens);
    *id = status || value == SIZE_MAX ? -1 : (int32_t)value;
    return status;
}

/* A token that stands before or after each text when a switch says so. */
static enum lac_status read_round(struct reader *r, const char *id_key, const char *switch_key,
                                  bool fallback, int32_t *id)
{
    bool is_on = false;
    enum lac_status status = lac_gguf_bool(r->gguf, switch_key, fallback, &is_on, r->error);
    *id = -1;
    return status || !is_on ? status : read_id(r, id_key, id);
}

static enum lac_status read_scored(struct reader *r)
{
    const struct lac_gguf_value *value;
    size_t n = r->parts.n_tokens;
    r->parts.kind = LAC_PARTS_SCORED;
    enum lac_status status = get_array(r, "tokenizer.ggml.scores", LAC_GGUF_F32, n, &value);
    if (status)
        return status;
    r->scores = lac_alloc(r->host, n, sizeof *r->scores);
    if (!r->scores)
        return no_memory(r);
    memcpy(r->scores, value->data, n * sizeof *r->scores);
    r->parts.scores = r->scores;
    return LAC_OK;
}

static enum lac_status read_byte_level(struct reader *r)
{
    static const char key[] = "tokenizer.ggml.pre";
    const char *name;
    size_t size;
    r->parts.kind = LAC_PARTS_BYTE_LEVEL;
    enum lac_status status =
        read_strings(r, "tokenizer.ggml.merges", &r->merges, &r->parts.n_merges);
    if (!status)
        status = lac_gguf_string(r->gguf, key, &name, &size, r->error);
    if (status)
        return status;
    r->parts.merges = r->merges;
    if (!name) {
        name = word_kinds[0].name;
        size = strlen(name);
    }
    for (size_t i = 0; i < sizeof word_kinds / sizeof word_kinds[0]; i++)
        if (is_text(name, size, word_kinds[i].name)) {
            r->parts.pattern = word_kinds[i].pattern;
            r->parts.whole_words = word_kinds[i].whole_words;
            r->parts.compose = word_kinds[i].compose;
            return LAC_OK;
        }
    return lac_fail(r->error, LAC_E_UNSUPPORTED,
                    "%s \"%.*s\" cannot be read (gpt-2, default, llama-bpe and qwen2 can)", key,
                    (int)(size < 100 ? size : 100), name);
}

/* SentencePiece begins texts with a space and its first token unless told otherwise. */
static enum lac_status read_parts(struct reader *r, const char *model, size_t size)
{
    static const char key[] = "tokenizer.ggml.model";
    bool is_scored = is_text(model, size, "llama");
    if (!is_scored && !is_text(model, size, "gpt2"))
        return lac_fail(r->error, LAC_E_UNSUPPORTED,
                        "%s \"%.*s\" cannot be read (llama and gpt2 "
                        "can)",
                        key, (int)(size < 100 ? size : 100), model);
    enum lac_status status =
        read_strings(r, "tokenizer.ggml.tokens", &r->tokens, &r->parts.n_tokens);
    r->parts.tokens = r->tokens;
    if (!status)
        status = read_types(r);
    if (!status)
        status = is_scored ? read_scored(r) : read_byte_level(r);
    if (!status)
        status = lac_gguf_bool(r->gguf, "tokenizer.ggml.add_space_prefix", is_scored,
                               &r->parts.add_space_prefix, r->error);
    if (!status)
        status = read_id(r, "tokenizer.ggml.unknown_token_id", &r->parts.unknown);
    if (!status)
        status = read_round(r, "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token",
                            is_scored || r->parts.whole_words, &r->parts.before);
    if (!status)
        status = read_round(r, "tokenizer.ggml.eos_token_id", "tokenizer.ggml.add_eos_token", false,
                            &r->parts.after);
    return status;
}

enum lac_status lac_gguf_tokenizer_open(const struct lac_host *host, const char *name,
                                        const struct lac_gguf *gguf,
                                        struct lac_tokenizer **tokenizer, struct lac_error *error)
{
    struct lac_error own;
    struct reader r = {.host = host, .gguf = gguf, .error = error ? error : &own};
    const char *model;
    size_t size;
    enum lac_status status = lac_gguf_string(gguf, "tokenizer.ggml.model", &model, &size, r.error);
    if (!status && !model) {
        *tokenizer = NULL;
        return LAC_OK;
    }
    if (!status)
        status = read_parts(&r, model, size);
    if (status)
        lac_fail_in(r.error, status, "%s", name);
    else
        status = lac_tokenizer_open_parts(host, name, &r.parts, tokenizer, r.error);
    lac_free(host, r.tokens);
    lac_free(host, r.merges);
    lac_free(host, r.types);
    lac_free(host, r.scores);
    return status;
}

enum lac_status lac_gguf_tokenizer_open_path(const struct lac_host *host, const char *path,
                                             struct lac_tokenizer **tokenizer,
                                             struct lac_error *error)
{
    struct lac_gguf *gguf = NULL;
    struct lac_tokenizer *made = NULL;
    enum lac_status status = lac_gguf_open(host, path, &gguf, error);
    if (!status)
        status = lac_gguf_tokenizer_open(host, path, gguf, &made, error);
    if (!status && !made)
        status = lac_fail(error, LAC_E_FORMAT, "%s: no tokenizer.ggml.model", path);
    if (!status)
        *tokenizer = made;
    lac_gguf_close(gguf);
    return status;
}
