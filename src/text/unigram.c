/* SPDX-License-Identifier: Apache-2.0 */
/* Unigram: the most probable cut of a word. */
#include "src/text/wordmodel.h"

#include "src/text/unicode.h"

/* An unknown character costs this much more than the worst token (SentencePiece). */
static const double unknown_penalty = 10;

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for the tokens of a text");
}

bool lac_unigram_prepare(struct lac_unigram *unigram, const struct lac_vocab *vocab,
                         struct lac_arena *arena)
{
    struct lac_trie_key *keys = lac_alloc(arena->host, vocab->n_ids, sizeof *keys);
    double least = 0;
    size_t n = 0;
    if (!keys)
        return false;
    for (int32_t id = 0; (size_t)id < vocab->n_ids; id++) {
        struct lac_slice text;
        text.text = lac_vocab_spelling(vocab, id, &text.size);
        if (!text.text)
            continue;
        least = n == 0 || unigram->scores[id] < least ? unigram->scores[id] : least;
        /* A spelling that comes twice is found under its last id. */
        keys[n++] = (struct lac_trie_key){text, lac_vocab_find(vocab, text.text, text.size)};
    }
    unigram->unknown_score = least - unknown_penalty;
    bool made = lac_trie_make(&unigram->trie, keys, n, arena);
    lac_free(arena->host, keys);
    return made;
}

static void offer(struct lac_best_cut *cut, double score, size_t begin, int32_t id)
{
    if (cut->begin == UINT32_MAX || score > cut->score)
        *cut = (struct lac_best_cut){score, (uint32_t)begin, id};
}

/* cuts[i] becomes the best way to cut the first i bytes (viterbi1967): a token ends no later than
 * the trie does, so the work is linear in the text. */
static void find_cuts(const struct lac_word_model *model, const uint8_t *text, size_t size,
                      struct lac_best_cut *cuts)
{
    const struct lac_unigram *unigram = &model->unigram;
    const struct lac_trie *trie = &unigram->trie;
    cuts[0] = (struct lac_best_cut){0, 0, -1};
    for (size_t i = 1; i <= size; i++)
        cuts[i].begin = UINT32_MAX;
    for (size_t begin = 0; begin < size;) {
        size_t next = begin + lac_utf8_size(text[begin]);
        double score = cuts[begin].score;
        uint32_t node = 0;
        bool has_character = false;
        for (size_t i = begin; i < size; i++) {
            node = lac_trie_child(trie, node, text[i]);
            if (!node)
                break;
            int32_t id = trie->values[node];
            if (id < 0)
                continue;
            offer(&cuts[i + 1], score + unigram->scores[id], begin, id);
            has_character |= i + 1 == next;
        }
        if (!has_character)
            offer(&cuts[next], score + unigram->unknown_score, begin, model->unknown.id);
        begin = next;
    }
}

/* Appends what is unknown: one token, or one for each byte. */
static bool push_unknown(const struct lac_word_model *model, struct lac_scratch *scratch,
                         size_t begin, size_t end, struct lac_tokens *tokens)
{
    const struct lac_unknown *unknown = &model->unknown;
    const uint8_t *text = scratch->text.bytes;
    struct lac_span from = lac_origin(&scratch->text, begin, end);
    int32_t known = lac_vocab_find(&model->vocab, text + begin, end - begin);
    if (known >= 0 || !lac_unknown_has_bytes(unknown, text + begin, end - begin)) {
        int32_t id = known >= 0 ? known : unknown->id;
        return id < 0 || lac_token_push(scratch->host, tokens, id, from);
    }
    for (size_t i = begin; i < end; i++)
        if (!lac_token_push(scratch->host, tokens, unknown->byte_ids[text[i]], from))
            return false;
    return true;
}

/* The tokens of the best way, last one first. */
static size_t collect(struct lac_best_cut *cuts, size_t size, struct lac_symbols *symbols)
{
    size_t n = 0;
    for (size_t end = size; end; end = cuts[end].begin)
        symbols->at[n++] = (struct lac_symbol){cuts[end].id, cuts[end].begin, (uint32_t)end, 0, 0};
    return n;
}

enum lac_status lac_unigram_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                                   size_t begin, size_t end, struct lac_tokens *tokens,
                                   struct lac_error *error)
{
    size_t size = end - begin;
    struct lac_symbols *symbols = &scratch->symbols;
    scratch->cuts.n = symbols->n = 0;
    if (!lac_cuts_reserve(scratch->host, &scratch->cuts, size + 1) ||
        !lac_symbols_reserve(scratch->host, symbols, size))
        return no_memory(error);
    find_cuts(model, scratch->text.bytes + begin, size, scratch->cuts.at);
    for (size_t n = collect(scratch->cuts.at, size, symbols); n;) {
        struct lac_symbol first = symbols->at[--n];
        bool is_unknown = first.id == model->unknown.id;
        while (is_unknown && model->unknown.fuse && n && symbols->at[n - 1].id == first.id)
            first.end = symbols->at[--n].end;
        struct lac_span from = lac_origin(&scratch->text, begin + first.begin, begin + first.end);
        bool good = is_unknown ? push_unknown(model, scratch, begin + first.begin,
                                              begin + first.end, tokens)
                               : lac_token_push(scratch->host, tokens, first.id, from);
        if (!good)
            return no_memory(error);
    }
    return LAC_OK;
}
