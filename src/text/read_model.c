/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the model of tokenizer.json: vocabulary, merges, and their options. */
#include <string.h>

#include "src/base/checked.h"
#include "src/text/parts.h"

static enum lac_status read_id(const char *spelling, const json_t *json, int32_t *id,
                               struct lac_error *error)
{
    if (!json_is_integer(json))
        return lac_fail(error, LAC_E_FORMAT, "\"%s\": expected an integer, found %s", spelling,
                        lac_json_kind(json));
    json_int_t value = json_integer_value(json);
    if (value < 0 || value >= LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_FORMAT, "\"%s\": id %lld is not between 0 and %d", spelling,
                        (long long)value, LAC_MAX_VOCAB - 1);
    *id = (int32_t)value;
    return LAC_OK;
}

/* What the vocabulary will need. */
struct vocab_size {
    size_t n_tokens, spelling_bytes, n_ids;
};

static enum lac_status measure_vocab(const json_t *json, struct vocab_size *size,
                                     struct lac_error *error)
{
    const char *spelling;
    json_t *value;
    *size = (struct vocab_size){0};
    json_object_foreach((json_t *)json, spelling, value)
    {
        int32_t id = 0;
        enum lac_status status = read_id(spelling, value, &id, error);
        if (status)
            return status;
        size->n_tokens++;
        size->spelling_bytes += strlen(spelling);
        size->n_ids = lac_max_size(size->n_ids, (size_t)id + 1);
    }
    if (!size->n_tokens)
        return lac_fail(error, LAC_E_FORMAT, "no tokens");
    return LAC_OK;
}

static enum lac_status read_vocab(struct lac_tokenizer *tokenizer, const json_t *json,
                                  struct lac_error *error)
{
    struct lac_vocab *vocab = &tokenizer->model.vocab;
    struct vocab_size size;
    if (!json_is_object(json))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(json));
    enum lac_status status = measure_vocab(json, &size, error);
    if (status)
        return status;
    if (!lac_vocab_make(vocab, size.n_tokens, size.spelling_bytes, size.n_ids, &tokenizer->arena))
        return lac_no_memory(error);
    const char *spelling;
    json_t *value;
    json_object_foreach((json_t *)json, spelling, value)
    {
        int32_t id = (int32_t)json_integer_value(value);
        status = lac_vocab_add(vocab, spelling, strlen(spelling), id, error);
        if (status)
            return status;
    }
    return LAC_OK;
}

enum lac_status lac_read_vocab(struct lac_tokenizer *tokenizer, const json_t *json,
                               struct lac_error *error)
{
    enum lac_status status = read_vocab(tokenizer, json, error);
    return status ? lac_fail_in(error, status, "vocab") : LAC_OK;
}

/* A string of at most LAC_MAX_AFFIX_BYTES; null is the empty one. */
static enum lac_status read_affix(struct lac_tokenizer *tokenizer, const json_t *json,
                                  const char *key, const char *fallback, struct lac_slice *affix,
                                  struct lac_error *error)
{
    const char *text;
    enum lac_status status = lac_json_string(json, key, fallback, &text, error);
    if (status)
        return status;
    affix->size = strlen(text);
    if (affix->size > LAC_MAX_AFFIX_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "%s: %zu bytes are more than %d", key, affix->size,
                        LAC_MAX_AFFIX_BYTES);
    affix->text = lac_arena_strndup(&tokenizer->arena, text, affix->size);
    return affix->text ? LAC_OK : lac_no_memory(error);
}

static enum lac_status read_wordpiece(struct lac_tokenizer *tokenizer, const json_t *json,
                                      struct lac_error *error)
{
    struct lac_wordpiece *wordpiece = &tokenizer->model.wordpiece;
    const char *unknown;
    tokenizer->model.kind = LAC_MODEL_WORDPIECE;
    enum lac_status status =
        read_affix(tokenizer, json, "continuing_subword_prefix", "##", &wordpiece->prefix, error);
    if (!status)
        status = lac_json_size(json, "max_input_chars_per_word", 100, 0, SIZE_MAX / 2,
                               &wordpiece->max_chars, error);
    if (!status)
        status = lac_json_string(json, "unk_token", "[UNK]", &unknown, error);
    if (!status)
        status = lac_read_vocab(tokenizer, json_object_get(json, "vocab"), error);
    if (status)
        return status;
    wordpiece->unknown = lac_vocab_find(&tokenizer->model.vocab, unknown, strlen(unknown));
    if (wordpiece->unknown < 0)
        return lac_fail(error, LAC_E_FORMAT, "unk_token: \"%s\" is not in the vocabulary", unknown);
    return LAC_OK;
}

/* The spelling of left and right merged: right without the prefix of its kind. */
static int32_t merged_id(const struct lac_word_model *model, struct lac_slice left,
                         struct lac_slice right)
{
    size_t prefix = model->bpe.prefix.size;
    if (right.size < prefix)
        return -1;
    const char *rest = right.text + prefix;
    size_t n_rest = right.size - prefix;
    uint64_t hash = lac_hash_bytes(LAC_HASH_START, left.text, left.size);
    hash = lac_hash_bytes(hash, rest, n_rest);
    return lac_vocab_find_hashed(&model->vocab, hash, left.text, left.size, rest, n_rest);
}

enum lac_status lac_add_merge(struct lac_tokenizer *tokenizer, struct lac_slice left,
                              struct lac_slice right, uint32_t rank, struct lac_error *error)
{
    struct lac_word_model *model = &tokenizer->model;
    int32_t a = lac_vocab_find(&model->vocab, left.text, left.size);
    int32_t b = lac_vocab_find(&model->vocab, right.text, right.size);
    int32_t both = merged_id(model, left, right);
    if (a < 0 || b < 0)
        return lac_fail(error, LAC_E_FORMAT, "\"%.*s\" is not in the vocabulary",
                        (int)(a < 0 ? left : right).size, (a < 0 ? left : right).text);
    if (both < 0)
        return lac_fail(error, LAC_E_FORMAT,
                        "what \"%.*s\" and \"%.*s\" make is not in the vocabulary", (int)left.size,
                        left.text, (int)right.size, right.text);
    uint64_t key = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    /* A pair that comes twice has its last rank. */
    *lac_map_find(&model->bpe.merges, key) = (struct lac_map_slot){key, rank, (uint32_t)both};
    return LAC_OK;
}

/* "a b" or ["a", "b"] */
static enum lac_status read_pair(const json_t *json, struct lac_slice pair[2],
                                 struct lac_error *error)
{
    if (json_is_string(json)) {
        const char *text = json_string_value(json);
        const char *space = strchr(text, ' ');
        if (!space || strchr(space + 1, ' '))
            return lac_fail(error, LAC_E_FORMAT, "\"%s\" is not two tokens", text);
        pair[0] = (struct lac_slice){text, (size_t)(space - text)};
        pair[1] = (struct lac_slice){space + 1, strlen(space + 1)};
        return LAC_OK;
    }
    if (!json_is_array(json) || json_array_size(json) != 2)
        return lac_fail(error, LAC_E_FORMAT, "expected two tokens, found %s", lac_json_kind(json));
    for (size_t i = 0; i < 2; i++) {
        const json_t *token = json_array_get(json, i);
        if (!json_is_string(token))
            return lac_fail(error, LAC_E_FORMAT, "expected a string, found %s",
                            lac_json_kind(token));
        pair[i] = (struct lac_slice){json_string_value(token), json_string_length(token)};
    }
    return LAC_OK;
}

static enum lac_status read_merges(struct lac_tokenizer *tokenizer, const json_t *json,
                                   struct lac_error *error)
{
    size_t n = json_array_size(json);
    if (!json_is_array(json))
        return lac_fail(error, LAC_E_FORMAT, "merges: expected an array, found %s",
                        lac_json_kind(json));
    if (n > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_LIMIT, "merges: %zu are more than %d", n, LAC_MAX_VOCAB);
    if (!lac_map_make(&tokenizer->model.bpe.merges, n, &tokenizer->arena))
        return lac_no_memory(error);
    for (size_t i = 0; i < n; i++) {
        const json_t *merge = json_array_get(json, i);
        struct lac_slice pair[2];
        if (json_is_string(merge) && !strncmp(json_string_value(merge), "#version", 8))
            continue;
        enum lac_status status = read_pair(merge, pair, error);
        if (!status)
            status = lac_add_merge(tokenizer, pair[0], pair[1], (uint32_t)i, error);
        if (status)
            return lac_fail_in(error, status, "merges[%zu]", i);
    }
    return LAC_OK;
}

static enum lac_status read_bpe_options(struct lac_tokenizer *tokenizer, const json_t *json,
                                        struct lac_error *error)
{
    struct lac_bpe *bpe = &tokenizer->model.bpe;
    struct lac_unknown *unknown = &tokenizer->model.unknown;
    double dropout;
    enum lac_status status = lac_json_real(json, "dropout", 0, &dropout, error);
    if (!status && dropout != 0)
        return lac_fail(error, LAC_E_UNSUPPORTED, "dropout: %g is not 0", dropout);
    if (!status)
        status = read_affix(tokenizer, json, "continuing_subword_prefix", "", &bpe->prefix, error);
    if (!status)
        status = read_affix(tokenizer, json, "end_of_word_suffix", "", &bpe->suffix, error);
    if (!status)
        status = lac_json_bool(json, "fuse_unk", false, &unknown->fuse, error);
    if (!status)
        status = lac_json_bool(json, "byte_fallback", false, &unknown->byte_fallback, error);
    if (!status)
        status = lac_json_bool(json, "ignore_merges", false, &bpe->whole_words, error);
    return status;
}

static enum lac_status read_bpe(struct lac_tokenizer *tokenizer, const json_t *json,
                                struct lac_error *error)
{
    int32_t *id = &tokenizer->model.unknown.id;
    const char *unknown;
    tokenizer->model.kind = LAC_MODEL_BPE;
    enum lac_status status = read_bpe_options(tokenizer, json, error);
    if (!status)
        status = lac_json_string(json, "unk_token", "", &unknown, error);
    if (!status)
        status = lac_read_vocab(tokenizer, json_object_get(json, "vocab"), error);
    if (!status)
        status = read_merges(tokenizer, json_object_get(json, "merges"), error);
    if (status)
        return status;
    *id = lac_vocab_find(&tokenizer->model.vocab, unknown, strlen(unknown));
    /* Files of byte-level models have "" for none. */
    if (*id < 0 && unknown[0])
        return lac_fail(error, LAC_E_FORMAT, "unk_token: \"%s\" is not in the vocabulary", unknown);
    return LAC_OK;
}

/* [["token", score], ...]; places are ids. */
static enum lac_status measure_scored(const json_t *json, struct vocab_size *size,
                                      struct lac_error *error)
{
    *size = (struct vocab_size){.n_tokens = json_array_size(json), .n_ids = json_array_size(json)};
    if (!json_is_array(json))
        return lac_fail(error, LAC_E_FORMAT, "expected an array, found %s", lac_json_kind(json));
    if (size->n_tokens == 0 || size->n_tokens > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_FORMAT, "%zu tokens are not between 1 and %d", size->n_tokens,
                        LAC_MAX_VOCAB);
    for (size_t i = 0; i < size->n_tokens; i++) {
        const json_t *item = json_array_get(json, i);
        const json_t *spelling = json_array_get(item, 0), *score = json_array_get(item, 1);
        if (json_array_size(item) != 2 || !json_is_string(spelling) || !json_is_number(score))
            return lac_fail(error, LAC_E_FORMAT, "[%zu]: expected a token and its score", i);
        size->spelling_bytes += json_string_length(spelling);
    }
    return LAC_OK;
}

static enum lac_status read_scored(struct lac_tokenizer *tokenizer, const json_t *json,
                                   struct lac_error *error)
{
    struct lac_vocab *vocab = &tokenizer->model.vocab;
    struct vocab_size size;
    enum lac_status status = measure_scored(json, &size, error);
    if (status)
        return status;
    double *scores = lac_arena_alloc(&tokenizer->arena, size.n_ids, sizeof *scores);
    if (!scores ||
        !lac_vocab_make(vocab, size.n_tokens, size.spelling_bytes, size.n_ids, &tokenizer->arena))
        return lac_no_memory(error);
    for (size_t i = 0; i < size.n_ids; i++) {
        const json_t *item = json_array_get(json, i);
        const json_t *spelling = json_array_get(item, 0);
        status = lac_vocab_add(vocab, json_string_value(spelling), json_string_length(spelling),
                               (int32_t)i, error);
        if (status)
            return status;
        scores[i] = json_number_value(json_array_get(item, 1));
    }
    tokenizer->model.unigram.scores = scores;
    return LAC_OK;
}

static enum lac_status read_unigram(struct lac_tokenizer *tokenizer, const json_t *json,
                                    struct lac_error *error)
{
    struct lac_unknown *unknown = &tokenizer->model.unknown;
    int64_t id = -1;
    tokenizer->model.kind = LAC_MODEL_UNIGRAM;
    unknown->fuse = true;
    enum lac_status status =
        lac_json_bool(json, "byte_fallback", false, &unknown->byte_fallback, error);
    if (!status)
        status = lac_json_int(json, "unk_id", -1, &id, error);
    if (status)
        return status;
    status = read_scored(tokenizer, json_object_get(json, "vocab"), error);
    if (status)
        return lac_fail_in(error, status, "vocab");
    if (id < -1 || id >= (int64_t)tokenizer->model.vocab.n_ids)
        return lac_fail(error, LAC_E_FORMAT, "unk_id: %lld is not in the vocabulary",
                        (long long)id);
    unknown->id = (int32_t)id;
    return LAC_OK;
}

/* Files of the first years have no type; the keys tell. */
static const char *guess_type(const json_t *json)
{
    if (json_is_array(json_object_get(json, "vocab")))
        return "Unigram";
    if (json_object_get(json, "merges"))
        return "BPE";
    if (json_object_get(json, "max_input_chars_per_word"))
        return "WordPiece";
    return "WordLevel";
}

static enum lac_status read_model(struct lac_tokenizer *tokenizer, const json_t *json,
                                  struct lac_error *error)
{
    const char *type;
    if (!json_is_object(json))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(json));
    enum lac_status status = lac_json_string(json, "type", guess_type(json), &type, error);
    if (status)
        return status;
    if (!strcmp(type, "WordPiece"))
        return read_wordpiece(tokenizer, json, error);
    if (!strcmp(type, "BPE"))
        return read_bpe(tokenizer, json, error);
    if (!strcmp(type, "Unigram"))
        return read_unigram(tokenizer, json, error);
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "tokenizers of type \"%s\" are not read here; WordPiece, BPE and Unigram are",
                    type);
}

enum lac_status lac_read_model(struct lac_tokenizer *tokenizer, const json_t *json,
                               struct lac_error *error)
{
    enum lac_status status = read_model(tokenizer, json, error);
    return status ? lac_fail_in(error, status, "model") : LAC_OK;
}
