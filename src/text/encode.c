/* SPDX-License-Identifier: Apache-2.0 */
/* Encoding: the way of a text through the parts of a tokenizer. */
#include <string.h>

#include "src/text/parts.h"
#include "src/text/unicode.h"

enum { MAX_TEXT_BYTES = 1 << 26 };

/* Normalizes one part of the original text and looks for added tokens in the result. */
static enum lac_status add_text(const struct lac_tokenizer *tokenizer, struct lac_scratch *scratch,
                                const uint8_t *text, size_t begin, size_t end, uint64_t *budget,
                                struct lac_error *error)
{
    size_t start = scratch->text.n;
    enum lac_status status = lac_normalize(&tokenizer->normalizer, text, begin, end, scratch,
                                           &scratch->text, budget, error);
    if (status)
        return status;
    if (scratch->text.n > LAC_MAX_NORMALIZED_BYTES)
        return lac_fail(error, LAC_E_LIMIT, "a normalized text has more than %d bytes",
                        LAC_MAX_NORMALIZED_BYTES);
    if (!lac_finder_split(&tokenizer->normalized_finder, scratch->host, scratch->text.bytes, start,
                          scratch->text.n, &scratch->pieces))
        return lac_fail(error, LAC_E_MEMORY, "no memory to split a text");
    return LAC_OK;
}

/* Fills scratch->text and pieces: added tokens and normalized text between them. */
static enum lac_status find_pieces(const struct lac_tokenizer *tokenizer,
                                   struct lac_scratch *scratch, const uint8_t *text, size_t size,
                                   uint64_t *budget, struct lac_error *error)
{
    struct lac_pieces *raw = &scratch->split;
    raw->n = 0;
    scratch->pieces.n = 0;
    scratch->text.n = 0;
    if (!lac_finder_split(&tokenizer->raw_finder, scratch->host, text, 0, size, raw) ||
        !lac_aligned_reserve(scratch->host, &scratch->text, size))
        return lac_fail(error, LAC_E_MEMORY, "no memory to split a text");
    for (size_t i = 0; i < raw->n; i++) {
        struct lac_piece piece = raw->at[i];
        enum lac_status status = LAC_OK;
        size_t start = scratch->text.n;
        if (piece.id < 0)
            status = add_text(tokenizer, scratch, text, piece.begin, piece.end, budget, error);
        else if (!lac_copy_text(scratch->host, text, piece.begin, piece.end, &scratch->text) ||
                 !lac_piece_push(scratch->host, &scratch->pieces, start, scratch->text.n, piece.id))
            status = lac_fail(error, LAC_E_MEMORY, "no memory to split a text");
        if (status)
            return status;
    }
    return LAC_OK;
}

static enum lac_status encode_word(const struct lac_tokenizer *tokenizer,
                                   struct lac_scratch *scratch, struct lac_piece piece,
                                   struct lac_tokens *tokens, struct lac_error *error)
{
    if (piece.begin == piece.end)
        return LAC_OK;
    return lac_word_encode(&tokenizer->model, scratch, piece.begin, piece.end, tokens, error);
}

/* Trims the ranges of tokens from `first` on.  added: the text of an added token, else NULL. */
static void trim(const struct lac_tokenizer *tokenizer, struct lac_tokens *tokens, size_t first,
                 const uint8_t *added, size_t added_size, const uint8_t *text)
{
    for (size_t i = first; i < tokens->n; i++) {
        size_t size = added_size;
        const uint8_t *spelling = added ? added
                                        : (const uint8_t *)lac_vocab_spelling(
                                              &tokenizer->model.vocab, tokens->at[i].id, &size);
        lac_post_trim(&tokenizer->post, spelling, size, text, i == 0, &tokens->at[i].from);
    }
}

/* The tokens of one text, without special ones. */
static enum lac_status encode_one(const struct lac_tokenizer *tokenizer,
                                  struct lac_scratch *scratch, const uint8_t *text, size_t size,
                                  struct lac_tokens *tokens, struct lac_error *error)
{
    uint64_t budget = lac_matching_budget(size);
    enum lac_status status = find_pieces(tokenizer, scratch, text, size, &budget, error);
    if (!status)
        status = lac_pretokenize(&tokenizer->pretokenizer, scratch, &budget, error);
    for (size_t i = 0; !status && i < scratch->pieces.n; i++) {
        struct lac_piece piece = scratch->pieces.at[i];
        size_t n_before = tokens->n;
        const uint8_t *added = NULL;
        if (piece.id < 0) {
            status = encode_word(tokenizer, scratch, piece, tokens, error);
        } else {
            added = scratch->text.bytes + piece.begin;
            struct lac_span from = lac_origin(&scratch->text, piece.begin, piece.end);
            if (!lac_token_push(scratch->host, tokens, piece.id, from))
                status = lac_fail(error, LAC_E_MEMORY, "no memory for the tokens of a text");
        }
        if (tokenizer->post.trim_offsets)
            trim(tokenizer, tokens, n_before, added, piece.end - piece.begin, text);
    }
    return status;
}

static enum lac_status check_text(const char *text, size_t size, const char *name,
                                  struct lac_error *error)
{
    if (!text && size)
        return lac_fail(error, LAC_E_ARGUMENT, "%s is NULL but has %zu bytes", name, size);
    if (size > MAX_TEXT_BYTES)
        return lac_fail(error, LAC_E_LIMIT, "%s has %zu bytes, more than %d", name, size,
                        MAX_TEXT_BYTES);
    size_t bad = lac_utf8_check(text, size);
    if (bad < size)
        return lac_fail(error, LAC_E_FORMAT, "%s is not UTF-8 at byte %zu", name, bad);
    return LAC_OK;
}

enum lac_status lac_tokenizer_encode_text(const struct lac_tokenizer *tokenizer, const char *text,
                                          size_t size, const char *pair, size_t pair_size,
                                          size_t max_tokens, enum lac_truncate truncate,
                                          struct lac_encoding *encoding, struct lac_error *error)
{
    if (truncate < LAC_TRUNCATE_LONGEST || truncate > LAC_TRUNCATE_ERROR)
        return lac_fail(error, LAC_E_ARGUMENT, "there is no truncation %d", (int)truncate);
    enum lac_status status = check_text(text, size, "the text", error);
    if (!status && pair)
        status = check_text(pair, pair_size, "the second text", error);
    if (status)
        return status;
    struct lac_scratch scratch = {.host = tokenizer->host};
    struct lac_tokens *tokens = scratch.tokens;
    status = encode_one(tokenizer, &scratch, (const uint8_t *)text, size, &tokens[0], error);
    if (!status && pair)
        status =
            encode_one(tokenizer, &scratch, (const uint8_t *)pair, pair_size, &tokens[1], error);
    if (!status)
        status = lac_post_assemble(&tokenizer->post, tokenizer->host, &tokens[0],
                                   pair ? &tokens[1] : NULL, max_tokens, truncate, encoding, error);
    lac_scratch_free(&scratch);
    return status;
}

enum lac_status lac_tokenizer_encode(const struct lac_tokenizer *tokenizer, const char *text,
                                     size_t size, const char *pair, size_t pair_size,
                                     size_t max_tokens, enum lac_truncate truncate,
                                     struct lac_encoding *encoding)
{
    return lac_tokenizer_encode_text(tokenizer, text, size, pair, pair_size, max_tokens, truncate,
                                     encoding, NULL);
}

void lac_encoding_clear(struct lac_encoding *encoding)
{
    const struct lac_host *host = encoding->host;
    if (host) {
        lac_free(host, encoding->ids);
        lac_free(host, encoding->type_ids);
        lac_free(host, encoding->sequence);
        lac_free(host, encoding->begin);
        lac_free(host, encoding->end);
    }
    *encoding = (struct lac_encoding){0};
}
