/* SPDX-License-Identifier: Apache-2.0 */
/* Models: how a word becomes tokens of the vocabulary. */
#ifndef LACUNA_TEXT_WORDMODEL_H
#define LACUNA_TEXT_WORDMODEL_H

#include "src/base/error.h"
#include "src/text/map.h"
#include "src/text/scratch.h"
#include "src/text/trie.h"
#include "src/text/vocab.h"

enum { LAC_MAX_AFFIX_BYTES = 64 };

/* The longest token that begins the rest of the word, again and again (devlin2018).  A word of
 * more than max_chars characters, or with a rest that no token begins, is one unknown token. */
struct lac_wordpiece {
    struct lac_slice prefix; /* of tokens that continue a word: "##" */
    size_t max_chars;
    int32_t unknown;
};

/* What becomes of characters without a token. */
struct lac_unknown {
    int32_t id;            /* -1: none; they are left out */
    bool fuse;             /* neighbours become one token */
    bool byte_fallback;    /* they become their bytes where all of these have tokens */
    int32_t byte_ids[256]; /* of "<0x00>" to "<0xFF>", or -1 */
};

/* Byte pair encoding (sennrich2016): of all neighbours that merge, those of the lowest rank merge
 * first, the leftmost of them before the others. */
struct lac_bpe {
    struct lac_map merges;   /* left id << 32 | right id -> rank, id of the two together */
    struct lac_slice prefix; /* of the characters after the first */
    struct lac_slice suffix; /* of the last character */
    bool whole_words;        /* ignore_merges: a word that is a token is that token */
    int32_t char_ids[512];   /* of one-character tokens, or -1; without affixes */
    /* Neighbours that stand side by side in some token, as a set of hashes; NULL where that does
     * not say what can merge.  No merge crosses a place between others, so that a long word is cut
     * there: the result is the same, and a text without words is no longer one of its own size. */
    uint64_t *neighbours;
};

enum { LAC_NEIGHBOUR_BITS = 18 };

/* Of all ways to cut a word into tokens, the one with the greatest sum of scores (kudo2018). */
struct lac_unigram {
    struct lac_trie trie;
    double *scores;       /* [n_ids] */
    double unknown_score; /* of one character without a token */
};

enum lac_model_kind { LAC_MODEL_WORDPIECE, LAC_MODEL_BPE, LAC_MODEL_UNIGRAM };

struct lac_word_model {
    enum lac_model_kind kind;
    struct lac_vocab vocab;
    struct lac_unknown unknown; /* BPE, UNIGRAM */
    struct lac_wordpiece wordpiece;
    struct lac_bpe bpe;
    struct lac_unigram unigram;
};

/* Fills in the look-ups that follow from the rest; false without memory. */
bool lac_word_model_prepare(struct lac_word_model *model, struct lac_arena *arena);
bool lac_bpe_prepare(struct lac_word_model *model, struct lac_arena *arena);
bool lac_unigram_prepare(struct lac_unigram *unigram, const struct lac_vocab *vocab,
                         struct lac_arena *arena);

/* Have all of these bytes tokens, and is it allowed to use them? */
bool lac_unknown_has_bytes(const struct lac_unknown *unknown, const uint8_t *bytes, size_t size);

/* Appends the tokens of scratch->text[begin, end) to tokens. */
enum lac_status lac_wordpiece_encode(const struct lac_word_model *model,
                                     struct lac_scratch *scratch, size_t begin, size_t end,
                                     struct lac_tokens *tokens, struct lac_error *error);
enum lac_status lac_bpe_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                               size_t begin, size_t end, struct lac_tokens *tokens,
                               struct lac_error *error);
enum lac_status lac_unigram_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                                   size_t begin, size_t end, struct lac_tokens *tokens,
                                   struct lac_error *error);
/* Calls the one of the model's kind; begin < end. */
enum lac_status lac_word_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                                size_t begin, size_t end, struct lac_tokens *tokens,
                                struct lac_error *error);

/* Where text[begin, end) lies in the original. */
static inline struct lac_span lac_origin(const struct lac_aligned *text, size_t begin, size_t end)
{
    return (struct lac_span){text->from[begin].begin, text->from[end - 1].end};
}

#endif
