/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the post-processor and the decoder of tokenizer.json. */
#include <string.h>

#include "src/text/parts.h"

enum { MAX_PARTS = 64 };

/* A template under construction has room for MAX_PARTS parts. */
static enum lac_status add_part(struct lac_tokenizer *tokenizer, struct lac_template *template,
                                struct lac_template_part part, struct lac_error *error)
{
    if (!template->parts)
        template->parts = lac_arena_alloc(&tokenizer->arena, MAX_PARTS, sizeof part);
    if (!template->parts)
        return lac_no_memory(error);
    if (template->n_parts == MAX_PARTS)
        return lac_fail(error, LAC_E_LIMIT, "more than %d parts", MAX_PARTS);
    template->parts[template->n_parts++] = part;
    template->n_special += part.n_ids;
    return LAC_OK;
}

static enum lac_status add_special(struct lac_tokenizer *tokenizer, struct lac_template *template,
                                   int32_t id, struct lac_error *error)
{
    int32_t *ids = lac_arena_alloc(&tokenizer->arena, 1, sizeof *ids);
    if (!ids)
        return lac_no_memory(error);
    *ids = id;
    struct lac_template_part part = {LAC_PART_SPECIAL, 0, ids, 1};
    return add_part(tokenizer, template, part, error);
}

static enum lac_status add_text(struct lac_tokenizer *tokenizer, struct lac_template *template,
                                enum lac_part_kind kind, struct lac_error *error)
{
    struct lac_template_part part = {kind, 0, NULL, 0};
    return add_part(tokenizer, template, part, error);
}

static enum lac_status make_template(struct lac_tokenizer *tokenizer, struct lac_template *template,
                                     const char *shape, int32_t cls, int32_t sep,
                                     struct lac_error *error)
{
    *template = (struct lac_template){0};
    uint8_t type_id = 0;
    for (; *shape; shape++) {
        enum lac_status status;
        if (*shape == '1') {
            type_id = 1;
            continue;
        }
        if (*shape == 'A' || *shape == 'B')
            status = add_text(tokenizer, template, *shape == 'A' ? LAC_PART_FIRST : LAC_PART_SECOND,
                              error);
        else
            status = add_special(tokenizer, template, *shape == 'c' ? cls : sep, error);
        if (status)
            return status;
        template->parts[template->n_parts - 1].type_id = type_id;
    }
    return LAC_OK;
}

enum lac_status lac_make_templates(struct lac_tokenizer *tokenizer, enum lac_part_style style,
                                   int32_t cls, int32_t sep, struct lac_error *error)
{
    /* c and s: the special tokens; A and B: the texts; 1: from here on type 1. */
    bool special = cls >= 0 && sep >= 0;
    const char *single = special ? "cAs" : "A";
    const char *pair = !special ? "A1B" : style == LAC_STYLE_ROBERTA ? "cAssBs" : "cAs1Bs";
    enum lac_status status =
        make_template(tokenizer, &tokenizer->post.single, single, cls, sep, error);
    return status ? status : make_template(tokenizer, &tokenizer->post.pair, pair, cls, sep, error);
}

static enum lac_status check_id(const struct lac_tokenizer *tokenizer, const json_t *json,
                                int32_t *id, struct lac_error *error)
{
    if (!json_is_integer(json))
        return lac_fail(error, LAC_E_FORMAT, "expected an integer id, found %s",
                        lac_json_kind(json));
    json_int_t value = json_integer_value(json);
    if (value < 0 || value >= LAC_MAX_VOCAB || !lac_tokenizer_token(tokenizer, (int32_t)value))
        return lac_fail(error, LAC_E_FORMAT, "id %lld has no token", (long long)value);
    *id = (int32_t)value;
    return LAC_OK;
}

/* "key": ["[SEP]", 102] */
static enum lac_status read_named_id(const struct lac_tokenizer *tokenizer, const json_t *json,
                                     const char *key, int32_t *id, struct lac_error *error)
{
    const json_t *pair = json_object_get(json, key);
    if (!json_is_array(pair) || json_array_size(pair) != 2)
        return lac_fail(error, LAC_E_FORMAT, "%s: expected a token and its id, found %s", key,
                        lac_json_kind(pair));
    enum lac_status status = check_id(tokenizer, json_array_get(pair, 1), id, error);
    return status ? lac_fail_in(error, status, "%s", key) : LAC_OK;
}

/* The ids of special_tokens[name]. */
static enum lac_status read_special(struct lac_tokenizer *tokenizer, const json_t *specials,
                                    const char *name, struct lac_template_part *part,
                                    struct lac_error *error)
{
    const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
    size_t n = json_array_size(ids);
    if (n == 0 || n > MAX_PARTS)
        return lac_fail(error, LAC_E_FORMAT, "special_tokens: no ids for \"%s\", or over %d", name,
                        MAX_PARTS);
    int32_t *out = lac_arena_alloc(&tokenizer->arena, n, sizeof *out);
    if (!out)
        return lac_no_memory(error);
    for (size_t i = 0; i < n; i++) {
        enum lac_status status = check_id(tokenizer, json_array_get(ids, i), &out[i], error);
        if (status)
            return lac_fail_in(error, status, "special_tokens: \"%s\"", name);
    }
    part->kind = LAC_PART_SPECIAL;
    part->ids = out;
    part->n_ids = n;
    return LAC_OK;
}

/* {"Sequence": {"id": "A", "type_id": 0}} or {"SpecialToken": {"id": "[CLS]", "type_id": 0}} */
static enum lac_status read_part(struct lac_tokenizer *tokenizer, const json_t *json,
                                 const json_t *specials, struct lac_template *template,
                                 struct lac_error *error)
{
    const json_t *text = json_object_get(json, "Sequence");
    const json_t *part_json = text ? text : json_object_get(json, "SpecialToken");
    struct lac_template_part part = {LAC_PART_FIRST, 0, NULL, 0};
    const char *id;
    size_t type_id;
    if (!json_is_object(part_json))
        return lac_fail(error, LAC_E_FORMAT, "expected Sequence or SpecialToken");
    enum lac_status status = lac_json_string(part_json, "id", "", &id, error);
    if (!status)
        status = lac_json_size(part_json, "type_id", 0, 0, UINT8_MAX, &type_id, error);
    if (!status && !text)
        status = read_special(tokenizer, specials, id, &part, error);
    if (status)
        return status;
    if (text && strcmp(id, "A") && strcmp(id, "B"))
        return lac_fail(error, LAC_E_FORMAT, "id: \"%s\" is neither A nor B", id);
    if (text)
        part.kind = id[0] == 'A' ? LAC_PART_FIRST : LAC_PART_SECOND;
    part.type_id = (uint8_t)type_id;
    return add_part(tokenizer, template, part, error);
}

static size_t count_parts(const struct lac_template *template, enum lac_part_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < template->n_parts; i++)
        n += template->parts[i].kind == kind;
    return n;
}

static enum lac_status read_template(struct lac_tokenizer *tokenizer, const json_t *json,
                                     const char *key, size_t n_texts, struct lac_template *template,
                                     struct lac_error *error)
{
    const json_t *parts = json_object_get(json, key);
    const json_t *specials = json_object_get(json, "special_tokens");
    *template = (struct lac_template){0};
    if (!json_is_array(parts))
        return lac_fail(error, LAC_E_FORMAT, "%s: expected an array, found %s", key,
                        lac_json_kind(parts));
    for (size_t i = 0; i < json_array_size(parts); i++) {
        enum lac_status status =
            read_part(tokenizer, json_array_get(parts, i), specials, template, error);
        if (status)
            return lac_fail_in(error, status, "%s[%zu]", key, i);
    }
    if (count_parts(template, LAC_PART_FIRST) != 1 ||
        count_parts(template, LAC_PART_SECOND) != n_texts - 1)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s: each text must occur exactly once", key);
    return LAC_OK;
}

/* What a walk over post-processors has found. */
struct post_walk {
    struct lac_tokenizer *tokenizer;
    bool has_templates;
};

static enum lac_status read_template_processing(struct post_walk *walk, const json_t *json,
                                                struct lac_error *error)
{
    struct lac_post *post = &walk->tokenizer->post;
    enum lac_status status =
        read_template(walk->tokenizer, json, "single", 1, &post->single, error);
    return status ? status : read_template(walk->tokenizer, json, "pair", 2, &post->pair, error);
}

static enum lac_status read_cls_sep(struct post_walk *walk, const json_t *json,
                                    enum lac_part_style style, struct lac_error *error)
{
    int32_t cls, sep;
    enum lac_status status = read_named_id(walk->tokenizer, json, "cls", &cls, error);
    if (!status)
        status = read_named_id(walk->tokenizer, json, "sep", &sep, error);
    return status ? status : lac_make_templates(walk->tokenizer, style, cls, sep, error);
}

static enum lac_status read_bert(struct post_walk *walk, const json_t *json,
                                 struct lac_error *error)
{
    return read_cls_sep(walk, json, LAC_STYLE_BERT, error);
}

static enum lac_status read_trimming(struct post_walk *walk, const json_t *json,
                                     struct lac_error *error)
{
    struct lac_post *post = &walk->tokenizer->post;
    bool trim, prefix;
    enum lac_status status = lac_json_bool(json, "trim_offsets", true, &trim, error);
    if (!status)
        status = lac_json_bool(json, "add_prefix_space", true, &prefix, error);
    if (!status && trim) {
        post->trim_offsets = true;
        post->prefix_space = prefix;
    }
    return status;
}

static enum lac_status read_roberta(struct post_walk *walk, const json_t *json,
                                    struct lac_error *error)
{
    enum lac_status status = read_trimming(walk, json, error);
    return status ? status : read_cls_sep(walk, json, LAC_STYLE_ROBERTA, error);
}

static const struct {
    const char *type;
    bool templates;
    enum lac_status (*read)(struct post_walk *walk, const json_t *json, struct lac_error *error);
} processors[] = {
    {"TemplateProcessing", true, read_template_processing},
    {"BertProcessing", true, read_bert},
    {"RobertaProcessing", true, read_roberta},
    {"ByteLevel", false, read_trimming},
};

static enum lac_status read_processor(void *context, const json_t *json, unsigned depth,
                                      struct lac_error *error)
{
    struct post_walk *walk = context;
    const char *type;
    enum lac_status status = lac_read_type(json, &type, error);
    if (status)
        return status;
    if (!strcmp(type, "Sequence"))
        return lac_read_sequence(walk, json, "processors", depth, read_processor, error);
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++) {
        if (strcmp(type, processors[i].type))
            continue;
        if (processors[i].templates && walk->has_templates)
            return lac_fail(error, LAC_E_UNSUPPORTED, "a second source of special tokens");
        walk->has_templates |= processors[i].templates;
        return processors[i].read(walk, json, error);
    }
    return lac_fail(error, LAC_E_UNSUPPORTED, "there is no post-processor \"%s\" here", type);
}

enum lac_status lac_read_post(struct lac_tokenizer *tokenizer, const json_t *json,
                              struct lac_error *error)
{
    struct post_walk walk = {tokenizer, false};
    enum lac_status status = lac_make_templates(tokenizer, LAC_STYLE_BERT, -1, -1, error);
    if (!status && json && !json_is_null(json))
        status = read_processor(&walk, json, 0, error);
    return status ? lac_fail_in(error, status, "post_processor") : LAC_OK;
}
