/* SPDX-License-Identifier: Apache-2.0 */
/* WordPiece: the longest token first. */
#include "src/text/wordmodel.h"

#include "src/base/checked.h"
#include "src/text/unicode.h"

static size_t count_chars(const uint8_t *word, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += (word[i] & 0xc0) != 0x80;
    return n;
}

/* End of the longest token that begins word at begin, or begin.  Prefixes are hashed once, short
 * to long, then looked up long to short; none is longer than the longest token. */
static size_t longest_token(const struct lac_word_model *model, uint64_t *hashes,
                            const uint8_t *word, size_t begin, size_t size, int32_t *id)
{
    struct lac_slice head = {"", 0};
    if (begin)
        head = model->wordpiece.prefix;
    uint64_t hash = lac_hash_bytes(LAC_HASH_START, head.text, head.size);
    size_t most = lac_min_size(size - begin, model->vocab.max_bytes);
    for (size_t i = 0; i < most; i++) {
        hash = lac_hash_byte(hash, word[begin + i]);
        hashes[i] = hash;
    }
    for (size_t n = most; n > 0; n--) {
        if (begin + n < size && (word[begin + n] & 0xc0) == 0x80)
            continue;
        *id = lac_vocab_find_hashed(&model->vocab, hashes[n - 1], head.text, head.size,
                                    word + begin, n);
        if (*id >= 0)
            return begin + n;
    }
    return begin;
}

enum lac_status lac_wordpiece_encode(const struct lac_word_model *model,
                                     struct lac_scratch *scratch, size_t begin, size_t end,
                                     struct lac_tokens *tokens, struct lac_error *error)
{
    const uint8_t *word = scratch->text.bytes + begin;
    size_t size = end - begin, n_before = tokens->n;
    if (!scratch->hashes) {
        scratch->hashes = lac_alloc(scratch->host, model->vocab.max_bytes, sizeof(uint64_t));
        if (!scratch->hashes)
            return lac_fail(error, LAC_E_MEMORY, "no memory for the tokens of a text");
    }
    bool known =
        size <= model->wordpiece.max_chars || count_chars(word, size) <= model->wordpiece.max_chars;
    for (size_t at = 0; known && at < size;) {
        int32_t id;
        size_t stop = longest_token(model, scratch->hashes, word, at, size, &id);
        known = stop > at;
        if (known && !lac_token_push(scratch->host, tokens, id,
                                     lac_origin(&scratch->text, begin + at, begin + stop)))
            return lac_fail(error, LAC_E_MEMORY, "no memory for the tokens of a text");
        at = stop;
    }
    if (known)
        return LAC_OK;
    tokens->n = n_before;
    if (!lac_token_push(scratch->host, tokens, model->wordpiece.unknown,
                        lac_origin(&scratch->text, begin, end)))
        return lac_fail(error, LAC_E_MEMORY, "no memory for the tokens of a text");
    return LAC_OK;
}
