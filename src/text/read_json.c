/* SPDX-License-Identifier: Apache-2.0 */
/* Reads tokenizer.json.  Of its truncation the length is read, for callers that want it; padding is
 * not, as nothing here is padded. */
#include <string.h>

#include "src/text/parts.h"

static enum lac_status read_flags(const json_t *json, unsigned *flags, struct lac_error *error)
{
    static const struct {
        const char *key;
        unsigned flag;
    } keys[] = {
        {"single_word", LAC_ADDED_SINGLE_WORD}, {"lstrip", LAC_ADDED_LSTRIP},
        {"rstrip", LAC_ADDED_RSTRIP},           {"normalized", LAC_ADDED_NORMALIZED},
        {"special", LAC_ADDED_SPECIAL},
    };
    *flags = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        bool set;
        enum lac_status status = lac_json_bool(json, keys[i].key, false, &set, error);
        if (status)
            return status;
        *flags |= set ? keys[i].flag : 0;
    }
    return LAC_OK;
}

enum lac_status lac_read_added(struct lac_tokenizer *tokenizer, const json_t *json, int64_t id,
                               struct lac_added *added, struct lac_error *error)
{
    const json_t *content = json_object_get(json, "content");
    if (!json_is_string(content))
        return lac_fail(error, LAC_E_FORMAT, "content: expected a string, found %s",
                        lac_json_kind(content));
    if (id < 0 || id >= LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_FORMAT, "id: %lld is not between 0 and %d", (long long)id,
                        LAC_MAX_VOCAB - 1);
    added->id = (int32_t)id;
    added->size = json_string_length(content);
    if (added->size == 0 || added->size > LAC_MAX_ADDED_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "content: %zu bytes are not between 1 and %d",
                        added->size, LAC_MAX_ADDED_BYTES);
    added->content = lac_arena_strndup(&tokenizer->arena, json_string_value(content), added->size);
    return added->content ? read_flags(json, &added->flags, error) : lac_no_memory(error);
}

static enum lac_status read_added_tokens(struct lac_tokenizer *tokenizer, const json_t *json,
                                         struct lac_error *error)
{
    if (!json || json_is_null(json))
        return LAC_OK;
    size_t n = json_array_size(json);
    if (!json_is_array(json) || n > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_FORMAT, "added_tokens: expected an array, found %s",
                        lac_json_kind(json));
    tokenizer->added = lac_arena_alloc(&tokenizer->arena, n, sizeof *tokenizer->added);
    if (!tokenizer->added)
        return lac_no_memory(error);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(json, i);
        int64_t id;
        enum lac_status status = lac_json_int(item, "id", -1, &id, error);
        if (!status)
            status = lac_read_added(tokenizer, item, id, &tokenizer->added[i], error);
        if (status)
            return lac_fail_in(error, status, "added_tokens[%zu]", i);
        tokenizer->n_added++;
    }
    return LAC_OK;
}

static enum lac_status read_truncation(struct lac_tokenizer *tokenizer, const json_t *json,
                                       struct lac_error *error)
{
    if (!json || json_is_null(json))
        return LAC_OK;
    if (!json_is_object(json))
        return lac_fail(error, LAC_E_FORMAT, "truncation: expected an object, found %s",
                        lac_json_kind(json));
    enum lac_status status =
        lac_json_size(json, "max_length", 0, 0, (size_t)1 << 62, &tokenizer->truncation, error);
    return status ? lac_fail_in(error, status, "truncation") : LAC_OK;
}

static enum lac_status read_parts(struct lac_tokenizer *tokenizer, const json_t *json,
                                  struct lac_error *error)
{
    if (!json_is_object(json))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(json));
    /* The normalizer comes before what it is applied to, the vocabulary before its ids. */
    enum lac_status status =
        lac_read_normalizer(tokenizer, json_object_get(json, "normalizer"), error);
    if (!status)
        status = lac_read_pretokenizer(tokenizer, json_object_get(json, "pre_tokenizer"), error);
    if (!status)
        status = lac_read_model(tokenizer, json_object_get(json, "model"), error);
    if (!status)
        status = read_added_tokens(tokenizer, json_object_get(json, "added_tokens"), error);
    if (!status)
        status = lac_read_decoder(tokenizer, json_object_get(json, "decoder"), error);
    if (!status)
        status = lac_finish_tokenizer(tokenizer, error);
    if (!status)
        status = lac_read_post(tokenizer, json_object_get(json, "post_processor"), error);
    if (!status)
        status = read_truncation(tokenizer, json_object_get(json, "truncation"), error);
    return status;
}

enum lac_status lac_read_json(struct lac_tokenizer *tokenizer,
                              const struct lac_tokenizer_names *names, struct lac_error *error)
{
    json_t *json;
    struct lac_slice text = tokenizer->texts.main;
    enum lac_status status = lac_json_parse(names->main, text.text, text.size, &json, error);
    if (status)
        return status;
    status = read_parts(tokenizer, json, error);
    json_decref(json);
    return status ? lac_fail_in(error, status, "%s", names->main) : LAC_OK;
}
