/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the normalizer and the pre-tokenizer of tokenizer.json. */
#include <string.h>

#include "src/text/parts.h"
#include "src/text/unicode.h"

enum { MAX_DEPTH = 8, MAX_CONTENT_BYTES = 1024 };

void *lac_steps_with_room(struct lac_tokenizer *tokenizer, void *steps, size_t n, size_t size,
                          struct lac_error *error)
{
    if (!steps)
        steps = lac_arena_alloc_zero(&tokenizer->arena, LAC_MAX_STEPS, size);
    if (!steps) {
        lac_no_memory(error);
        return NULL;
    }
    if (n == LAC_MAX_STEPS) {
        lac_fail(error, LAC_E_LIMIT, "more than %d steps", LAC_MAX_STEPS);
        return NULL;
    }
    return steps;
}

struct lac_normal_step *lac_add_normal_step(struct lac_tokenizer *tokenizer,
                                            enum lac_normal_kind kind, struct lac_error *error)
{
    struct lac_normalizer *normalizer = &tokenizer->normalizer;
    struct lac_normal_step *steps = lac_steps_with_room(tokenizer, normalizer->steps,
                                                        normalizer->n_steps, sizeof *steps, error);
    if (!steps)
        return NULL;
    normalizer->steps = steps;
    steps[normalizer->n_steps].kind = kind;
    return &steps[normalizer->n_steps++];
}

struct lac_split_step *lac_add_split_step(struct lac_tokenizer *tokenizer, enum lac_split_kind kind,
                                          struct lac_error *error)
{
    struct lac_pretokenizer *pretokenizer = &tokenizer->pretokenizer;
    struct lac_split_step *steps = lac_steps_with_room(tokenizer, pretokenizer->steps,
                                                       pretokenizer->n_steps, sizeof *steps, error);
    if (!steps)
        return NULL;
    pretokenizer->steps = steps;
    steps[pretokenizer->n_steps].kind = kind;
    return &steps[pretokenizer->n_steps++];
}

static enum lac_status add_normal(struct lac_tokenizer *tokenizer, enum lac_normal_kind kind,
                                  struct lac_error *error)
{
    return lac_add_normal_step(tokenizer, kind, error) ? LAC_OK : error->status;
}

enum lac_status lac_add_bert_steps(struct lac_tokenizer *tokenizer, bool clean, bool cjk,
                                   bool strip_accents, bool lower, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    if (clean)
        status = add_normal(tokenizer, LAC_NORMAL_CLEAN, error);
    if (!status && cjk)
        status = add_normal(tokenizer, LAC_NORMAL_CJK, error);
    if (!status && strip_accents)
        status = add_normal(tokenizer, LAC_NORMAL_NFD, error);
    if (!status && strip_accents)
        status = add_normal(tokenizer, LAC_NORMAL_DROP_NONSPACING, error);
    if (!status && lower)
        status = add_normal(tokenizer, LAC_NORMAL_LOWERCASE, error);
    return status;
}

enum lac_status lac_read_type(const json_t *json, const char **type, struct lac_error *error)
{
    if (!json_is_object(json))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(json));
    enum lac_status status = lac_json_string(json, "type", NULL, type, error);
    if (!status && !*type)
        status = lac_fail(error, LAC_E_FORMAT, "type: missing");
    return status;
}

/* {"String": "..."} or {"Regex": "..."} */
static enum lac_status read_pattern(struct lac_tokenizer *tokenizer, const json_t *json,
                                    struct lac_text_pattern **pattern, struct lac_error *error)
{
    const json_t *source = json_object_get(json, "pattern");
    const json_t *literal = json_object_get(source, "String");
    const json_t *regex = json_object_get(source, "Regex");
    const json_t *given = literal ? literal : regex;
    if (!json_is_string(given) || json_object_size(source) != 1)
        return lac_fail(error, LAC_E_FORMAT,
                        "pattern: expected an object with one string, String or Regex");
    enum lac_status status =
        lac_text_pattern_new(tokenizer->host, literal ? LAC_TEXT_LITERAL : LAC_TEXT_REGEX,
                             json_string_value(given), json_string_length(given), pattern, error);
    return status ? lac_fail_in(error, status, "pattern") : LAC_OK;
}

static enum lac_status read_bert(struct lac_tokenizer *tokenizer, const json_t *json,
                                 struct lac_error *error)
{
    bool clean, cjk, lower, accents;
    enum lac_status status = lac_json_bool(json, "clean_text", true, &clean, error);
    if (!status)
        status = lac_json_bool(json, "handle_chinese_chars", true, &cjk, error);
    if (!status)
        status = lac_json_bool(json, "lowercase", true, &lower, error);
    if (!status)
        status = lac_json_bool(json, "strip_accents", lower, &accents, error);
    if (!status)
        status = lac_add_bert_steps(tokenizer, clean, cjk, accents, lower, error);
    return status;
}

static enum lac_status read_strip(struct lac_tokenizer *tokenizer, const json_t *json,
                                  struct lac_error *error)
{
    bool left, right;
    enum lac_status status = lac_json_bool(json, "strip_left", true, &left, error);
    if (!status)
        status = lac_json_bool(json, "strip_right", true, &right, error);
    if (!status && left)
        status = add_normal(tokenizer, LAC_NORMAL_STRIP_LEFT, error);
    if (!status && right)
        status = add_normal(tokenizer, LAC_NORMAL_STRIP_RIGHT, error);
    return status;
}

static enum lac_status read_content(struct lac_tokenizer *tokenizer, const json_t *json,
                                    const char *key, struct lac_normal_step *step,
                                    struct lac_error *error)
{
    const json_t *content = json_object_get(json, key);
    if (!json_is_string(content) || json_string_length(content) > MAX_CONTENT_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "%s: expected a string of at most %d bytes", key,
                        MAX_CONTENT_BYTES);
    step->content_size = json_string_length(content);
    step->content =
        lac_arena_strndup(&tokenizer->arena, json_string_value(content), step->content_size);
    return step->content ? LAC_OK : lac_no_memory(error);
}

static enum lac_status read_replace(struct lac_tokenizer *tokenizer, const json_t *json,
                                    struct lac_error *error)
{
    struct lac_normal_step *step = lac_add_normal_step(tokenizer, LAC_NORMAL_REPLACE, error);
    if (!step)
        return error->status;
    enum lac_status status = read_pattern(tokenizer, json, &step->pattern, error);
    return status ? status : read_content(tokenizer, json, "content", step, error);
}

static enum lac_status read_prepend(struct lac_tokenizer *tokenizer, const json_t *json,
                                    struct lac_error *error)
{
    struct lac_normal_step *step = lac_add_normal_step(tokenizer, LAC_NORMAL_PREPEND, error);
    return step ? read_content(tokenizer, json, "prepend", step, error) : error->status;
}

static enum lac_status read_precompiled(struct lac_tokenizer *tokenizer, const json_t *json,
                                        struct lac_error *error)
{
    static const char key[] = "precompiled_charsmap";
    const json_t *text = json_object_get(json, key);
    struct lac_charsmap *map = lac_arena_alloc(&tokenizer->arena, 1, sizeof *map);
    if (!map)
        return lac_no_memory(error);
    if (!json_is_string(text))
        return lac_fail(error, LAC_E_FORMAT, "%s: expected a string, found %s", key,
                        lac_json_kind(text));
    enum lac_status status = lac_charsmap_read(json_string_value(text), json_string_length(text),
                                               &tokenizer->arena, map, error);
    if (status)
        return lac_fail_in(error, status, "%s", key);
    struct lac_normal_step *step = lac_add_normal_step(tokenizer, LAC_NORMAL_CHARSMAP, error);
    if (!step)
        return error->status;
    step->charsmap = map;
    return LAC_OK;
}

static const struct {
    const char *type;
    enum lac_status (*read)(struct lac_tokenizer *tokenizer, const json_t *json,
                            struct lac_error *error);
    enum lac_normal_kind kind; /* where there is nothing to read */
} normalizers[] = {
    {"BertNormalizer", read_bert, 0},
    {"Lowercase", NULL, LAC_NORMAL_LOWERCASE},
    {"NFC", NULL, LAC_NORMAL_NFC},
    {"NFD", NULL, LAC_NORMAL_NFD},
    {"NFKC", NULL, LAC_NORMAL_NFKC},
    {"NFKD", NULL, LAC_NORMAL_NFKD},
    {"StripAccents", NULL, LAC_NORMAL_DROP_MARKS},
    {"Strip", read_strip, 0},
    {"Replace", read_replace, 0},
    {"Prepend", read_prepend, 0},
    {"Precompiled", read_precompiled, 0},
};

enum lac_status lac_read_sequence(void *context, const json_t *json, const char *key,
                                  unsigned depth, lac_read_item *read, struct lac_error *error)
{
    const json_t *items = json_object_get(json, key);
    if (!json_is_array(items))
        return lac_fail(error, LAC_E_FORMAT, "%s: expected an array, found %s", key,
                        lac_json_kind(items));
    if (depth == MAX_DEPTH)
        return lac_fail(error, LAC_E_LIMIT, "%s: nested more than %d times", key, MAX_DEPTH);
    for (size_t i = 0; i < json_array_size(items); i++) {
        enum lac_status status = read(context, json_array_get(items, i), depth + 1, error);
        if (status)
            return lac_fail_in(error, status, "%s[%zu]", key, i);
    }
    return LAC_OK;
}

static enum lac_status read_normalizer(void *context, const json_t *json, unsigned depth,
                                       struct lac_error *error)
{
    struct lac_tokenizer *tokenizer = context;
    const char *type;
    enum lac_status status = lac_read_type(json, &type, error);
    if (status)
        return status;
    if (!strcmp(type, "Sequence"))
        return lac_read_sequence(tokenizer, json, "normalizers", depth, read_normalizer, error);
    for (size_t i = 0; i < sizeof normalizers / sizeof *normalizers; i++)
        if (!strcmp(type, normalizers[i].type))
            return normalizers[i].read ? normalizers[i].read(tokenizer, json, error)
                                       : add_normal(tokenizer, normalizers[i].kind, error);
    return lac_fail(error, LAC_E_UNSUPPORTED, "there is no normalizer \"%s\" here", type);
}

enum lac_status lac_read_normalizer(struct lac_tokenizer *tokenizer, const json_t *json,
                                    struct lac_error *error)
{
    if (!json || json_is_null(json))
        return LAC_OK;
    enum lac_status status = read_normalizer(tokenizer, json, 0, error);
    return status ? lac_fail_in(error, status, "normalizer") : LAC_OK;
}

enum lac_status lac_read_metaspace(const json_t *json, struct lac_metaspace *metaspace,
                                   struct lac_error *error)
{
    static const char *const schemes[] = {
        [LAC_PREPEND_ALWAYS] = "always",
        [LAC_PREPEND_FIRST] = "first",
        [LAC_PREPEND_NEVER] = "never",
    };
    const char *replacement, *scheme;
    bool prefix;
    enum lac_status status =
        lac_json_string(json, "replacement", "\xe2\x96\x81", &replacement, error);
    if (!status)
        status = lac_json_bool(json, "add_prefix_space", true, &prefix, error);
    if (!status)
        status =
            lac_json_string(json, "prepend_scheme", prefix ? "always" : "never", &scheme, error);
    if (status)
        return status;
    metaspace->size = strlen(replacement);
    if (!metaspace->size || metaspace->size != lac_utf8_size((uint8_t)replacement[0]))
        return lac_fail(error, LAC_E_FORMAT, "replacement: \"%s\" is not one character",
                        replacement);
    memcpy(metaspace->bytes, replacement, metaspace->size);
    size_t i = 0;
    while (i < 3 && strcmp(scheme, schemes[i]))
        i++;
    if (i == 3)
        return lac_fail(error, LAC_E_FORMAT, "prepend_scheme: \"%s\" is none", scheme);
    if (!prefix && i != LAC_PREPEND_NEVER)
        return lac_fail(error, LAC_E_FORMAT, "prepend_scheme: \"%s\" without add_prefix_space",
                        scheme);
    metaspace->scheme = (enum lac_prepend_scheme)i;
    return LAC_OK;
}

static enum lac_status read_behavior(const json_t *json, const char *fallback,
                                     enum lac_split_behavior *behavior, struct lac_error *error)
{
    static const char *const names[] = {
        [LAC_DELIMITER_REMOVED] = "Removed",
        [LAC_DELIMITER_ISOLATED] = "Isolated",
        [LAC_DELIMITER_WITH_PREVIOUS] = "MergedWithPrevious",
        [LAC_DELIMITER_WITH_NEXT] = "MergedWithNext",
        [LAC_DELIMITER_CONTIGUOUS] = "Contiguous",
    };
    const char *name;
    enum lac_status status = lac_json_string(json, "behavior", fallback, &name, error);
    if (status)
        return status;
    for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) {
            *behavior = (enum lac_split_behavior)i;
            return LAC_OK;
        }
    return lac_fail(error, LAC_E_FORMAT, "behavior: \"%s\" is none", name ? name : "");
}

static enum lac_status read_no_options(struct lac_tokenizer *tokenizer, const json_t *json,
                                       struct lac_split_step *step, struct lac_error *error)
{
    (void)tokenizer, (void)json, (void)step, (void)error;
    return LAC_OK;
}

static enum lac_status read_punctuation(struct lac_tokenizer *tokenizer, const json_t *json,
                                        struct lac_split_step *step, struct lac_error *error)
{
    (void)tokenizer;
    return read_behavior(json, "Isolated", &step->behavior, error);
}

static enum lac_status read_digits(struct lac_tokenizer *tokenizer, const json_t *json,
                                   struct lac_split_step *step, struct lac_error *error)
{
    (void)tokenizer;
    bool individual;
    enum lac_status status = lac_json_bool(json, "individual_digits", false, &individual, error);
    step->behavior = !status && individual ? LAC_DELIMITER_ISOLATED : LAC_DELIMITER_CONTIGUOUS;
    return status;
}

static enum lac_status read_split(struct lac_tokenizer *tokenizer, const json_t *json,
                                  struct lac_split_step *step, struct lac_error *error)
{
    enum lac_status status = read_pattern(tokenizer, json, &step->pattern, error);
    if (!status)
        status = read_behavior(json, NULL, &step->behavior, error);
    return status ? status : lac_json_bool(json, "invert", false, &step->invert, error);
}

static enum lac_status read_byte_level(struct lac_tokenizer *tokenizer, const json_t *json,
                                       struct lac_split_step *step, struct lac_error *error)
{
    (void)tokenizer;
    enum lac_status status =
        lac_json_bool(json, "add_prefix_space", true, &step->prefix_space, error);
    return status ? status : lac_json_bool(json, "use_regex", true, &step->gpt2_words, error);
}

static enum lac_status read_metaspace(struct lac_tokenizer *tokenizer, const json_t *json,
                                      struct lac_split_step *step, struct lac_error *error)
{
    (void)tokenizer;
    enum lac_status status = lac_read_metaspace(json, &step->metaspace, error);
    return status ? status : lac_json_bool(json, "split", true, &step->split, error);
}

static const struct {
    const char *type;
    enum lac_split_kind kind;
    enum lac_status (*read)(struct lac_tokenizer *tokenizer, const json_t *json,
                            struct lac_split_step *step, struct lac_error *error);
} pretokenizers[] = {
    {"BertPreTokenizer", LAC_SPLIT_BERT, read_no_options},
    {"Whitespace", LAC_SPLIT_WHITESPACE, read_no_options},
    {"WhitespaceSplit", LAC_SPLIT_WHITESPACE_SPLIT, read_no_options},
    {"Punctuation", LAC_SPLIT_PUNCTUATION, read_punctuation},
    {"Digits", LAC_SPLIT_DIGITS, read_digits},
    {"Split", LAC_SPLIT_PATTERN, read_split},
    {"ByteLevel", LAC_SPLIT_BYTE_LEVEL, read_byte_level},
    {"Metaspace", LAC_SPLIT_METASPACE, read_metaspace},
};

static enum lac_status read_pretokenizer(void *context, const json_t *json, unsigned depth,
                                         struct lac_error *error)
{
    struct lac_tokenizer *tokenizer = context;
    const char *type;
    enum lac_status status = lac_read_type(json, &type, error);
    if (status)
        return status;
    if (!strcmp(type, "Sequence"))
        return lac_read_sequence(tokenizer, json, "pretokenizers", depth, read_pretokenizer, error);
    for (size_t i = 0; i < sizeof pretokenizers / sizeof *pretokenizers; i++) {
        if (strcmp(type, pretokenizers[i].type))
            continue;
        struct lac_split_step *step = lac_add_split_step(tokenizer, pretokenizers[i].kind, error);
        return step ? pretokenizers[i].read(tokenizer, json, step, error) : error->status;
    }
    return lac_fail(error, LAC_E_UNSUPPORTED, "there is no pre-tokenizer \"%s\" here", type);
}

enum lac_status lac_read_pretokenizer(struct lac_tokenizer *tokenizer, const json_t *json,
                                      struct lac_error *error)
{
    if (!json || json_is_null(json))
        return LAC_OK;
    enum lac_status status = read_pretokenizer(tokenizer, json, 0, error);
    return status ? lac_fail_in(error, status, "pre_tokenizer") : LAC_OK;
}
