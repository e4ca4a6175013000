/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers from plain arrays: they are written as a tokenizer.json, so that one reader checks
 * everything and packed models can keep the result. */
#include <stdlib.h>
#include <string.h>

#include "src/base/json.h"
#include "src/text/parts.h"
#include "src/text/unicode.h"

#define METASPACE "\xe2\x96\x81"

static json_t *text_of(struct lac_slice slice)
{
    return json_stringn(slice.text, slice.size);
}

static enum lac_status make_vocab(const struct lac_tokenizer_parts *parts, json_t *vocab,
                                  struct lac_error *error)
{
    for (size_t i = 0; i < parts->n_tokens; i++) {
        struct lac_slice token = parts->tokens[i];
        if (lac_utf8_check(token.text, token.size) < token.size ||
            memchr(token.text, 0, token.size))
            return lac_fail(error, LAC_E_FORMAT, "token %zu is not UTF-8", i);
        if (json_object_getn(vocab, token.text, token.size))
            return lac_fail(error, LAC_E_FORMAT, "token %zu, \"%.*s\", comes twice", i,
                            (int)token.size, token.text);
        if (json_object_setn_new(vocab, token.text, token.size, json_integer((json_int_t)i)))
            return lac_no_memory(error);
    }
    return LAC_OK;
}

static enum lac_status given_merges(const struct lac_tokenizer_parts *parts, json_t *merges,
                                    struct lac_error *error)
{
    for (size_t i = 0; i < parts->n_merges; i++) {
        struct lac_slice merge = parts->merges[i];
        if (lac_utf8_check(merge.text, merge.size) < merge.size)
            return lac_fail(error, LAC_E_FORMAT, "merge %zu is not UTF-8", i);
        if (json_array_append_new(merges, text_of(merge)))
            return lac_no_memory(error);
    }
    return LAC_OK;
}

struct ranked {
    double score;
    size_t token;
};

static int by_score(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return (a->token > b->token) - (a->token < b->token);
}

/* Every way to make a token of two others is a merge; the better the token, the earlier. */
static enum lac_status merges_of_token(struct lac_slice token, const json_t *vocab, json_t *merges,
                                       struct lac_error *error)
{
    for (size_t i = 0; i < token.size;) {
        i += lac_utf8_size((uint8_t)token.text[i]);
        struct lac_slice left = {token.text, i}, right = {token.text + i, token.size - i};
        if (i >= token.size || !json_object_getn(vocab, left.text, left.size) ||
            !json_object_getn(vocab, right.text, right.size))
            continue;
        json_t *pair = json_pack("[o,o]", text_of(left), text_of(right));
        if (!pair || json_array_append_new(merges, pair))
            return lac_no_memory(error);
    }
    return LAC_OK;
}

static enum lac_status scored_merges(const struct lac_host *host,
                                     const struct lac_tokenizer_parts *parts, const json_t *vocab,
                                     json_t *merges, struct lac_error *error)
{
    struct ranked *ranked = lac_alloc(host, parts->n_tokens, sizeof *ranked);
    enum lac_status status = ranked ? LAC_OK : lac_no_memory(error);
    for (size_t i = 0; !status && i < parts->n_tokens; i++) {
        ranked[i] = (struct ranked){parts->scores[i], i};
        if (!(parts->scores[i] - parts->scores[i] == 0))
            status = lac_fail(error, LAC_E_FORMAT, "the score of token %zu is not finite", i);
    }
    if (!status && parts->n_tokens)
        qsort(ranked, parts->n_tokens, sizeof *ranked, by_score);
    for (size_t i = 0; !status && i < parts->n_tokens; i++) {
        size_t token = ranked[i].token;
        if (!parts->types || parts->types[token] == LAC_TOKEN_NORMAL)
            status = merges_of_token(parts->tokens[token], vocab, merges, error);
    }
    lac_free(host, ranked);
    return status;
}

static enum lac_status make_added(const struct lac_tokenizer_parts *parts, json_t *added,
                                  struct lac_error *error)
{
    for (size_t i = 0; parts->types && i < parts->n_tokens; i++) {
        enum lac_token_type type = (enum lac_token_type)parts->types[i];
        bool special = type == LAC_TOKEN_CONTROL || type == LAC_TOKEN_UNKNOWN;
        if (!special && type != LAC_TOKEN_USER_DEFINED)
            continue;
        json_t *item = json_pack("{s:I,s:o,s:b}", "id", (json_int_t)i, "content",
                                 text_of(parts->tokens[i]), "special", (int)special);
        if (!item || json_array_append_new(added, item))
            return lac_no_memory(error);
    }
    return LAC_OK;
}

static json_t *special_piece(struct lac_slice token, int type_id)
{
    return json_pack("{s:{s:o,s:i}}", "SpecialToken", "id", text_of(token), "type_id", type_id);
}

/* Appends "before TEXT after" to a template; false without memory. */
static bool add_piece(const struct lac_tokenizer_parts *parts, const char *text, int type_id,
                      json_t *pieces)
{
    json_t *sequence = json_pack("{s:{s:s,s:i}}", "Sequence", "id", text, "type_id", type_id);
    bool is_good =
        parts->before < 0 ||
        !json_array_append_new(pieces, special_piece(parts->tokens[parts->before], type_id));
    is_good = !json_array_append_new(pieces, sequence) && is_good;
    return is_good &&
           (parts->after < 0 ||
            !json_array_append_new(pieces, special_piece(parts->tokens[parts->after], type_id)));
}

static bool add_special(const struct lac_tokenizer_parts *parts, int32_t id, json_t *specials)
{
    if (id < 0)
        return true;
    struct lac_slice token = parts->tokens[id];
    json_t *special = json_pack("{s:o,s:[i],s:[o]}", "id", text_of(token), "ids", (int)id, "tokens",
                                text_of(token));
    return !json_object_setn_new(specials, token.text, token.size, special);
}

/* TemplateProcessing for the tokens round a text; null when there are none, NULL without memory. */
static json_t *make_template(const struct lac_tokenizer_parts *parts)
{
    if (parts->before < 0 && parts->after < 0)
        return json_null();
    json_t *single = json_array(), *pair = json_array(), *specials = json_object();
    bool is_good = single && pair && specials && add_piece(parts, "A", 0, single) &&
                   add_piece(parts, "A", 0, pair) && add_piece(parts, "B", 1, pair) &&
                   add_special(parts, parts->before, specials) &&
                   add_special(parts, parts->after, specials);
    /* json_pack takes the references, also when it fails. */
    json_t *made = json_pack("{s:s,s:o,s:o,s:o}", "type", "TemplateProcessing", "single", single,
                             "pair", pair, "special_tokens", specials);
    if (is_good)
        return made;
    json_decref(made);
    return NULL;
}

/* What surrounds vocabulary and merges, which are o; the caller's references are taken. */
static json_t *frame(const struct lac_tokenizer_parts *parts, json_t *vocab, json_t *merges,
                     json_t *added, json_t *post)
{
    if (parts->kind == LAC_PARTS_BYTE_LEVEL)
        return json_pack("{s:o,s:o,s:o,s:{s:s,s:[{s:s,s:{s:s},s:s},{s:s,s:b,s:b}]},s:{s:s},"
                         "s:{s:s,s:b,s:o,s:o}}",
                         "added_tokens", added, "post_processor", post, "normalizer",
                         parts->compose ? json_pack("{s:s}", "type", "NFC") : json_null(),
                         "pre_tokenizer", "type", "Sequence", "pretokenizers", "type", "Split",
                         "pattern", "Regex", parts->pattern, "behavior", "Isolated", "type",
                         "ByteLevel", "add_prefix_space", (int)parts->add_space_prefix, "use_regex",
                         0, "decoder", "type", "ByteLevel", "model", "type", "BPE", "ignore_merges",
                         (int)parts->whole_words, "vocab", vocab, "merges", merges);
    return json_pack("{s:o,s:o,s:{s:s,s:s,s:b},s:{s:s,s:[{s:s,s:{s:s},s:s},{s:s},{s:s},{s:s,s:s,"
                     "s:i}]},s:{s:s,s:b,s:b,s:o,s:o,s:o}}",
                     "added_tokens", added, "post_processor", post, "pre_tokenizer", "type",
                     "Metaspace", "prepend_scheme", parts->add_space_prefix ? "first" : "never",
                     "split", 0, "decoder", "type", "Sequence", "decoders", "type", "Replace",
                     "pattern", "String", METASPACE, "content", " ", "type", "ByteFallback", "type",
                     "Fuse", "type", "Strip", "content", " ", "start", (int)parts->add_space_prefix,
                     "model", "type", "BPE", "byte_fallback", 1, "fuse_unk", 1, "unk_token",
                     parts->unknown < 0 ? json_string("") : text_of(parts->tokens[parts->unknown]),
                     "vocab", vocab, "merges", merges);
}

static enum lac_status check_parts(const struct lac_tokenizer_parts *parts, struct lac_error *error)
{
    if (parts->n_tokens == 0 || parts->n_tokens > LAC_MAX_VOCAB || parts->n_merges > LAC_MAX_VOCAB)
        return lac_fail(error, LAC_E_FORMAT, "%zu tokens and %zu merges are not between 1 and %d",
                        parts->n_tokens, parts->n_merges, LAC_MAX_VOCAB);
    const int32_t ids[] = {parts->unknown, parts->before, parts->after};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i] >= 0 && (size_t)ids[i] >= parts->n_tokens)
            return lac_fail(error, LAC_E_FORMAT, "the %s token %d is not below %zu",
                            i ? "special" : "unknown", ids[i], parts->n_tokens);
    if (parts->kind == LAC_PARTS_SCORED && !parts->scores)
        return lac_fail(error, LAC_E_FORMAT, "tokens without scores");
    return LAC_OK;
}

enum lac_status lac_tokenizer_open_parts(const struct lac_host *host, const char *name,
                                         const struct lac_tokenizer_parts *parts,
                                         struct lac_tokenizer **tokenizer, struct lac_error *error)
{
    struct lac_error own;
    struct lac_error *e = error ? error : &own;
    enum lac_status status = check_parts(parts, e);
    if (status)
        return lac_fail_in(e, status, "%s", name);
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array(), *json = NULL;
    if (!vocab || !merges || !added)
        status = lac_no_memory(e);
    if (!status)
        status = make_vocab(parts, vocab, e);
    if (!status)
        status = parts->kind == LAC_PARTS_SCORED ? scored_merges(host, parts, vocab, merges, e)
                                                 : given_merges(parts, merges, e);
    if (!status)
        status = make_added(parts, added, e);
    if (!status) {
        json_t *post = make_template(parts);
        json = post
                   ? frame(parts, json_incref(vocab), json_incref(merges), json_incref(added), post)
                   : NULL;
        size_t size = json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
        char *text = size ? lac_alloc(host, size, 1) : NULL;
        if (text && json_dumpb(json, text, size, JSON_COMPACT) == size) {
            struct lac_tokenizer_texts texts = {.kind = LAC_TOKENIZER_JSON, .main = {text, size}};
            status = lac_tokenizer_open_texts(host, name, &texts, tokenizer, e);
        } else {
            status = lac_no_memory(e);
        }
        lac_free(host, text);
    } else {
        lac_fail_in(e, status, "%s", name);
    }
    json_decref(json);
    json_decref(vocab);
    json_decref(merges);
    json_decref(added);
    return status;
}
