/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what models had before tokenizer.json: vocab.txt, or vocab.json with merges.txt, and
 * tokenizer_config.json. */
#include <string.h>

#include "src/base/checked.h"
#include "src/text/parts.h"
#include "src/text/unicode.h"

/* A special token of the configuration: its key, and its spelling and flags unless the file has
 * others. */
struct special_key {
    const char *key;
    const char *spelling;
    unsigned flags;
};

/* Appends an added token unless its spelling is among the first n_known. */
static struct lac_added *add_special(struct lac_tokenizer *tokenizer, size_t n_known,
                                     const struct lac_added *token)
{
    for (size_t i = 0; i < n_known; i++) {
        struct lac_added *known = &tokenizer->added[i];
        if (known->size == token->size && !memcmp(known->content, token->content, token->size))
            return known;
    }
    tokenizer->added[tokenizer->n_added] = *token;
    return &tokenizer->added[tokenizer->n_added++];
}

/* "cls_token": "[CLS]", or an object with content and flags.  *id is -1 when the vocabulary does
 * not have it. */
static enum lac_status read_special(struct lac_tokenizer *tokenizer, const json_t *config,
                                    const struct special_key *key, int32_t *id,
                                    struct lac_error *error)
{
    const json_t *given = json_object_get(config, key->key);
    struct lac_added token = {key->spelling, strlen(key->spelling), 0, key->flags};
    enum lac_status status = LAC_OK;
    if (json_is_object(given)) {
        status = lac_read_added(tokenizer, given, 0, &token, error);
        token.flags |= LAC_ADDED_SPECIAL;
    } else {
        status = lac_json_string(config, key->key, key->spelling, &token.content, error);
        token.size = status ? 0 : strlen(token.content);
        token.content =
            status ? NULL : lac_arena_strndup(&tokenizer->arena, token.content, token.size);
        if (!status && !token.content)
            status = lac_no_memory(error);
    }
    if (status)
        return lac_fail_in(error, status, "%s", key->key);
    if (token.size == 0 || token.size > LAC_MAX_ADDED_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "%s: %zu bytes are not between 1 and %d", key->key,
                        token.size, LAC_MAX_ADDED_BYTES);
    *id = token.id = lac_vocab_find(&tokenizer->model.vocab, token.content, token.size);
    if (*id >= 0)
        add_special(tokenizer, tokenizer->n_added, &token);
    return LAC_OK;
}

/* "added_tokens_decoder": {"103": {"content": "[MASK]", ...}, ...}: these flags count. */
static enum lac_status read_decoder_table(struct lac_tokenizer *tokenizer, const json_t *table,
                                          struct lac_error *error)
{
    /* Its entries are only compared with the special tokens: a table may be long, and what comes
     * twice in it is found later. */
    size_t n_special = tokenizer->n_added;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)table, key, value)
    {
        int64_t id = 0;
        size_t n = strspn(key, "0123456789");
        for (size_t i = 0; i < n && id < LAC_MAX_VOCAB; i++)
            id = 10 * id + (key[i] - '0');
        if (!n || key[n])
            return lac_fail(error, LAC_E_FORMAT, "\"%s\" is not an id", key);
        struct lac_added token;
        enum lac_status status = lac_read_added(tokenizer, value, id, &token, error);
        if (status)
            return lac_fail_in(error, status, "\"%s\"", key);
        struct lac_added *kept = add_special(tokenizer, n_special, &token);
        *kept = token;
    }
    return LAC_OK;
}

/* ids gets the id of each key. */
static enum lac_status read_specials(struct lac_tokenizer *tokenizer, const json_t *config,
                                     const struct special_key *keys, size_t n_keys, int32_t *ids,
                                     struct lac_error *error)
{
    const json_t *table = json_object_get(config, "added_tokens_decoder");
    size_t n_table = json_object_size(table);
    if (n_table > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_LIMIT, "added_tokens_decoder: %zu are too many", n_table);
    tokenizer->added =
        lac_arena_alloc(&tokenizer->arena, n_table + n_keys, sizeof *tokenizer->added);
    if (!tokenizer->added)
        return lac_no_memory(error);
    for (size_t i = 0; i < n_keys; i++) {
        enum lac_status status = read_special(tokenizer, config, &keys[i], &ids[i], error);
        if (status)
            return status;
    }
    enum lac_status status = read_decoder_table(tokenizer, table, error);
    return status ? lac_fail_in(error, status, "added_tokens_decoder") : LAC_OK;
}

/* The configuration, or NULL when there is none. */
static enum lac_status read_config(const struct lac_tokenizer *tokenizer,
                                   const struct lac_tokenizer_names *names, json_t **config,
                                   struct lac_error *error)
{
    struct lac_slice text = tokenizer->texts.config;
    *config = NULL;
    if (!text.size)
        return LAC_OK;
    enum lac_status status = lac_json_parse(names->config, text.text, text.size, config, error);
    if (status || json_is_object(*config))
        return status;
    status = lac_fail(error, LAC_E_FORMAT, "%s: expected an object, found %s", names->config,
                      lac_json_kind(*config));
    json_decref(*config);
    *config = NULL;
    return status;
}

/* One line without its end; false after the last. */
static bool next_line(struct lac_slice *rest, struct lac_slice *line)
{
    if (!rest->size)
        return false;
    const char *end = memchr(rest->text, '\n', rest->size);
    size_t taken = end ? (size_t)(end - rest->text) + 1 : rest->size;
    *line = (struct lac_slice){rest->text, end ? taken - 1 : taken};
    if (line->size && line->text[line->size - 1] == '\r')
        line->size--;
    rest->text += taken;
    rest->size -= taken;
    return true;
}

static enum lac_status check_text(struct lac_slice text, struct lac_error *error)
{
    size_t bad = lac_utf8_check(text.text, text.size);
    if (bad < text.size)
        return lac_fail(error, LAC_E_FORMAT, "not UTF-8 at byte %zu", bad);
    return LAC_OK;
}

/* A token a line; its id is the line's number, counted from 0.  Empty lines are holes. */
static enum lac_status read_lines(struct lac_tokenizer *tokenizer, struct lac_error *error)
{
    struct lac_slice rest = tokenizer->texts.main, line;
    size_t n = 0;
    enum lac_status status = check_text(rest, error);
    if (status)
        return status;
    while (next_line(&rest, &line))
        n++;
    if (!n)
        return lac_fail(error, LAC_E_FORMAT, "no tokens");
    if (n > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_FORMAT, "%zu lines are more than %d", n, LAC_MAX_VOCAB);
    if (!lac_vocab_make(&tokenizer->model.vocab, n, tokenizer->texts.main.size, n,
                        &tokenizer->arena))
        return lac_no_memory(error);
    rest = tokenizer->texts.main;
    for (int32_t id = 0; next_line(&rest, &line); id++) {
        if (line.size)
            status = lac_vocab_add(&tokenizer->model.vocab, line.text, line.size, id, error);
        if (status)
            return lac_fail_in(error, status, "line %d", id + 1);
    }
    return LAC_OK;
}

enum { BERT_UNK, BERT_SEP, BERT_PAD, BERT_CLS, BERT_MASK, BERT_N };

static enum lac_status read_bert_specials(struct lac_tokenizer *tokenizer, const json_t *config,
                                          struct lac_error *error)
{
    static const struct special_key keys[BERT_N] = {
        [BERT_UNK] = {"unk_token", "[UNK]", LAC_ADDED_SPECIAL},
        [BERT_SEP] = {"sep_token", "[SEP]", LAC_ADDED_SPECIAL},
        [BERT_PAD] = {"pad_token", "[PAD]", LAC_ADDED_SPECIAL},
        [BERT_CLS] = {"cls_token", "[CLS]", LAC_ADDED_SPECIAL},
        [BERT_MASK] = {"mask_token", "[MASK]", LAC_ADDED_SPECIAL},
    };
    int32_t ids[BERT_N];
    enum lac_status status = read_specials(tokenizer, config, keys, BERT_N, ids, error);
    if (status)
        return status;
    static const int required[] = {BERT_UNK, BERT_SEP, BERT_CLS};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (ids[required[i]] < 0)
            return lac_fail(error, LAC_E_FORMAT, "%s: it is not in the vocabulary",
                            keys[required[i]].key);
    tokenizer->model.wordpiece.unknown = ids[BERT_UNK];
    tokenizer->mask_id = ids[BERT_MASK];
    return lac_make_templates(tokenizer, LAC_STYLE_BERT, ids[BERT_CLS], ids[BERT_SEP], error);
}

static enum lac_status read_bert_options(struct lac_tokenizer *tokenizer, const json_t *config,
                                         struct lac_error *error)
{
    bool lower, accents, cjk;
    enum lac_status status = lac_json_bool(config, "do_lower_case", true, &lower, error);
    if (!status)
        status = lac_json_bool(config, "strip_accents", lower, &accents, error);
    if (!status)
        status = lac_json_bool(config, "tokenize_chinese_chars", true, &cjk, error);
    if (!status)
        status = lac_add_bert_steps(tokenizer, true, cjk, accents, lower, error);
    if (!status && !lac_add_split_step(tokenizer, LAC_SPLIT_BERT, error))
        status = error->status;
    return status;
}

enum lac_status lac_read_vocab_txt(struct lac_tokenizer *tokenizer,
                                   const struct lac_tokenizer_names *names, struct lac_error *error)
{
    json_t *config = NULL;
    tokenizer->model.kind = LAC_MODEL_WORDPIECE;
    tokenizer->model.wordpiece.prefix = (struct lac_slice){"##", 2};
    tokenizer->model.wordpiece.max_chars = 100;
    enum lac_status status = read_lines(tokenizer, error);
    if (!status)
        status =
            lac_add_wordpiece_decoding(tokenizer, tokenizer->model.wordpiece.prefix, true, error);
    if (status)
        return lac_fail_in(error, status, "%s", names->main);
    status = read_config(tokenizer, names, &config, error);
    if (status)
        return status;
    status = read_bert_options(tokenizer, config, error);
    if (!status)
        status = read_bert_specials(tokenizer, config, error);
    if (!status)
        status = lac_finish_tokenizer(tokenizer, error);
    json_decref(config);
    return status ? lac_fail_in(error, status, "%s", config ? names->config : names->main) : LAC_OK;
}

/* "left right" a line after a first line "#version: 0.2". */
static enum lac_status read_merge_lines(struct lac_tokenizer *tokenizer, struct lac_error *error)
{
    struct lac_slice rest = tokenizer->texts.merges, line;
    size_t n = 0, number = 0;
    enum lac_status status = check_text(rest, error);
    if (status)
        return status;
    while (next_line(&rest, &line))
        n++;
    if (n > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_LIMIT, "%zu lines are more than %d", n, LAC_MAX_VOCAB);
    if (!lac_map_make(&tokenizer->model.bpe.merges, n, &tokenizer->arena))
        return lac_no_memory(error);
    rest = tokenizer->texts.merges;
    while (next_line(&rest, &line)) {
        number++;
        if (!line.size || (line.size >= 8 && !memcmp(line.text, "#version", 8)))
            continue;
        const char *space = memchr(line.text, ' ', line.size);
        size_t n_left = space ? (size_t)(space - line.text) : 0;
        struct lac_slice left = {line.text, n_left};
        struct lac_slice right = {line.text + n_left + 1, line.size - n_left - 1};
        if (!space || memchr(right.text, ' ', right.size))
            return lac_fail(error, LAC_E_FORMAT, "line %zu: not two tokens", number);
        status = lac_add_merge(tokenizer, left, right, (uint32_t)number, error);
        if (status)
            return lac_fail_in(error, status, "line %zu", number);
    }
    return LAC_OK;
}

enum {
    ROBERTA_BOS,
    ROBERTA_EOS,
    ROBERTA_SEP,
    ROBERTA_CLS,
    ROBERTA_UNK,
    ROBERTA_PAD,
    ROBERTA_MASK,
    ROBERTA_N
};

/* GPT-2 has the same files but no <s>: then there are no special tokens round a text. */
static enum lac_status read_roberta_specials(struct lac_tokenizer *tokenizer, const json_t *config,
                                             struct lac_error *error)
{
    static const struct special_key keys[ROBERTA_N] = {
        [ROBERTA_BOS] = {"bos_token", "<s>", LAC_ADDED_SPECIAL},
        [ROBERTA_EOS] = {"eos_token", "</s>", LAC_ADDED_SPECIAL},
        [ROBERTA_SEP] = {"sep_token", "</s>", LAC_ADDED_SPECIAL},
        [ROBERTA_CLS] = {"cls_token", "<s>", LAC_ADDED_SPECIAL},
        [ROBERTA_UNK] = {"unk_token", "<unk>", LAC_ADDED_SPECIAL},
        [ROBERTA_PAD] = {"pad_token", "<pad>", LAC_ADDED_SPECIAL},
        [ROBERTA_MASK] = {"mask_token", "<mask>", LAC_ADDED_SPECIAL | LAC_ADDED_LSTRIP},
    };
    int32_t ids[ROBERTA_N];
    enum lac_status status = read_specials(tokenizer, config, keys, ROBERTA_N, ids, error);
    if (status)
        return status;
    tokenizer->model.unknown.id = ids[ROBERTA_UNK];
    tokenizer->mask_id = ids[ROBERTA_MASK];
    tokenizer->post.trim_offsets = ids[ROBERTA_CLS] >= 0 && ids[ROBERTA_SEP] >= 0;
    return lac_make_templates(tokenizer, LAC_STYLE_ROBERTA, ids[ROBERTA_CLS], ids[ROBERTA_SEP],
                              error);
}

static enum lac_status read_roberta_options(struct lac_tokenizer *tokenizer, const json_t *config,
                                            struct lac_error *error)
{
    struct lac_split_step *step = lac_add_split_step(tokenizer, LAC_SPLIT_BYTE_LEVEL, error);
    if (!step)
        return error->status;
    step->gpt2_words = true;
    enum lac_status status =
        lac_json_bool(config, "add_prefix_space", false, &step->prefix_space, error);
    tokenizer->post.prefix_space = step->prefix_space;
    return status;
}

static enum lac_status read_vocab_json(struct lac_tokenizer *tokenizer,
                                       const struct lac_tokenizer_names *names,
                                       struct lac_error *error)
{
    struct lac_slice text = tokenizer->texts.main;
    json_t *json;
    enum lac_status status = lac_json_parse(names->main, text.text, text.size, &json, error);
    if (status)
        return status;
    status = lac_read_vocab(tokenizer, json, error);
    json_decref(json);
    return status ? lac_fail_in(error, status, "%s", names->main) : LAC_OK;
}

enum lac_status lac_read_vocab_merges(struct lac_tokenizer *tokenizer,
                                      const struct lac_tokenizer_names *names,
                                      struct lac_error *error)
{
    json_t *config = NULL;
    tokenizer->model.kind = LAC_MODEL_BPE;
    tokenizer->model.bpe.prefix = tokenizer->model.bpe.suffix = (struct lac_slice){"", 0};
    tokenizer->decoder.join = LAC_JOIN_BYTE_LEVEL;
    enum lac_status status = read_vocab_json(tokenizer, names, error);
    if (status)
        return status;
    status = read_merge_lines(tokenizer, error);
    if (status)
        return lac_fail_in(error, status, "%s", names->merges);
    status = read_config(tokenizer, names, &config, error);
    if (status)
        return status;
    status = read_roberta_options(tokenizer, config, error);
    if (!status)
        status = read_roberta_specials(tokenizer, config, error);
    if (!status)
        status = lac_finish_tokenizer(tokenizer, error);
    json_decref(config);
    return status ? lac_fail_in(error, status, "%s", config ? names->config : names->main) : LAC_OK;
}
