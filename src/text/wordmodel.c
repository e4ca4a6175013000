/* SPDX-License-Identifier: Apache-2.0 */
/* What the models have in common. */
#include "src/text/wordmodel.h"

#include <stdio.h>

bool lac_word_model_prepare(struct lac_word_model *model, struct lac_arena *arena)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        int size = snprintf(name, sizeof name, "<0x%02X>", byte);
        model->unknown.byte_ids[byte] = lac_vocab_find(&model->vocab, name, (size_t)size);
    }
    switch (model->kind) {
    case LAC_MODEL_WORDPIECE:
        return true;
    case LAC_MODEL_BPE:
        return lac_bpe_prepare(model, arena);
    case LAC_MODEL_UNIGRAM:
        return lac_unigram_prepare(&model->unigram, &model->vocab, arena);
    }
    return false;
}

bool lac_unknown_has_bytes(const struct lac_unknown *unknown, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (unknown->byte_ids[bytes[i]] < 0)
            return false;
    return unknown->byte_fallback;
}

enum lac_status lac_word_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                                size_t begin, size_t end, struct lac_tokens *tokens,
                                struct lac_error *error)
{
    switch (model->kind) {
    case LAC_MODEL_WORDPIECE:
        return lac_wordpiece_encode(model, scratch, begin, end, tokens, error);
    case LAC_MODEL_BPE:
        return lac_bpe_encode(model, scratch, begin, end, tokens, error);
    case LAC_MODEL_UNIGRAM:
        return lac_unigram_encode(model, scratch, begin, end, tokens, error);
    }
    return LAC_OK;
}
