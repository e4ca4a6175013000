/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the parts of a tokenizer against each other and prepares its look-ups. */
#include <string.h>

#include "src/base/checked.h"
#include "src/text/parts.h"

/* All added tokens into a vocabulary of their own: the model must not find them in words. */
static enum lac_status name_added(struct lac_tokenizer *tokenizer, struct lac_error *error)
{
    struct lac_vocab *names = &tokenizer->added_names;
    size_t bytes = 0, n_ids = 0;
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        bytes += tokenizer->added[i].size;
        n_ids = lac_max_size(n_ids, (size_t)tokenizer->added[i].id + 1);
    }
    if (!lac_vocab_make(names, tokenizer->n_added, bytes, n_ids, &tokenizer->arena))
        return lac_no_memory(error);
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        const struct lac_added *added = &tokenizer->added[i];
        enum lac_status status = LAC_OK;
        if (lac_vocab_find(names, added->content, added->size) >= 0)
            status = lac_fail(error, LAC_E_FORMAT, "\"%s\" comes twice", added->content);
        else
            status = lac_vocab_add(names, added->content, added->size, added->id, error);
        if (status)
            return lac_fail_in(error, status, "added_tokens[%zu]", i);
    }
    return LAC_OK;
}

/* An added token that the model knows has the same id there. */
static enum lac_status check_added(const struct lac_tokenizer *tokenizer, struct lac_error *error)
{
    const struct lac_vocab *vocab = &tokenizer->model.vocab;
    for (size_t i = 0; i < tokenizer->n_added; i++) {
        const struct lac_added *added = &tokenizer->added[i];
        size_t size;
        const char *known = lac_vocab_spelling(vocab, added->id, &size);
        int32_t id = lac_vocab_find(vocab, added->content, added->size);
        if (known && (size != added->size || memcmp(known, added->content, size)))
            return lac_fail(error, LAC_E_FORMAT,
                            "added_tokens[%zu]: id %d is \"%s\" in the vocabulary, not \"%s\"", i,
                            added->id, known, added->content);
        if (!known && id >= 0)
            return lac_fail(error, LAC_E_FORMAT,
                            "added_tokens[%zu]: \"%s\" is %d in the vocabulary, not %d", i,
                            added->content, id, added->id);
    }
    return LAC_OK;
}

static enum lac_status mark_special(struct lac_tokenizer *tokenizer, struct lac_error *error)
{
    tokenizer->n_ids = lac_max_size(tokenizer->model.vocab.n_ids, tokenizer->added_names.n_ids);
    tokenizer->special = lac_arena_alloc_zero(&tokenizer->arena, tokenizer->n_ids, 1);
    if (!tokenizer->special)
        return lac_no_memory(error);
    for (size_t i = 0; i < tokenizer->n_added; i++)
        tokenizer->special[tokenizer->added[i].id] =
            (tokenizer->added[i].flags & LAC_ADDED_SPECIAL) != 0;
    return LAC_OK;
}

/* The token's spelling as the normalizer leaves it, on the arena. */
static enum lac_status normalized_spelling(struct lac_tokenizer *tokenizer,
                                           const struct lac_added *added,
                                           struct lac_scratch *scratch, struct lac_slice *spelling,
                                           struct lac_error *error)
{
    uint64_t budget = lac_matching_budget(added->size);
    scratch->text.n = 0;
    enum lac_status status = lac_normalize(&tokenizer->normalizer, (const uint8_t *)added->content,
                                           0, added->size, scratch, &scratch->text, &budget, error);
    if (status)
        return status;
    spelling->size = scratch->text.n;
    spelling->text =
        lac_arena_strndup(&tokenizer->arena, (const char *)scratch->text.bytes, spelling->size);
    return spelling->text ? LAC_OK : lac_no_memory(error);
}

static enum lac_status make_finders(struct lac_tokenizer *tokenizer, struct lac_scratch *scratch,
                                    struct lac_error *error)
{
    size_t n = tokenizer->n_added;
    struct lac_arena *arena = &tokenizer->arena;
    struct lac_slice *raw = lac_arena_alloc_zero(arena, n, sizeof *raw);
    struct lac_slice *normalized = lac_arena_alloc_zero(arena, n, sizeof *normalized);
    if (!raw || !normalized)
        return lac_no_memory(error);
    for (size_t i = 0; i < n; i++) {
        const struct lac_added *added = &tokenizer->added[i];
        enum lac_status status = LAC_OK;
        if (added->flags & LAC_ADDED_NORMALIZED)
            status = normalized_spelling(tokenizer, added, scratch, &normalized[i], error);
        else
            raw[i] = (struct lac_slice){added->content, added->size};
        if (status)
            return lac_fail_in(error, status, "added_tokens[%zu]", i);
    }
    enum lac_status status =
        lac_finder_make(&tokenizer->raw_finder, tokenizer->added, raw, n, arena, error);
    if (!status)
        status = lac_finder_make(&tokenizer->normalized_finder, tokenizer->added, normalized, n,
                                 arena, error);
    return status;
}

static int32_t find_mask(const struct lac_tokenizer *tokenizer)
{
    int32_t id = lac_tokenizer_id(tokenizer, "[MASK]");
    return id >= 0 ? id : lac_tokenizer_id(tokenizer, "<mask>");
}

enum lac_status lac_finish_tokenizer(struct lac_tokenizer *tokenizer, struct lac_error *error)
{
    struct lac_scratch scratch = {.host = tokenizer->host};
    lac_normalizer_prepare(&tokenizer->normalizer);
    enum lac_status status = lac_word_model_prepare(&tokenizer->model, &tokenizer->arena)
                                 ? name_added(tokenizer, error)
                                 : lac_no_memory(error);
    if (!status)
        status = check_added(tokenizer, error);
    if (!status &&
        !lac_decoder_prepare(&tokenizer->decoder, lac_max_size(tokenizer->model.vocab.max_bytes,
                                                               tokenizer->added_names.max_bytes)))
        status = lac_fail(error, LAC_E_LIMIT, "a token may become longer than %d bytes of text",
                          LAC_MAX_DECODED_BYTES);
    if (!status)
        status = mark_special(tokenizer, error);
    if (!status)
        status = make_finders(tokenizer, &scratch, error);
    if (!status && tokenizer->mask_id < 0)
        tokenizer->mask_id = find_mask(tokenizer);
    lac_scratch_free(&scratch);
    return status;
}
