/* SPDX-License-Identifier: Apache-2.0 */
/* Byte pair encoding: neighbours merge by rank. */
#include "src/text/wordmodel.h"

#include <string.h>

#include "src/text/unicode.h"

enum { NONE = UINT32_MAX };

/* Words up to this many characters merge by scanning, which beats a heap that small. */
enum { SHORT_WORD = 24 };

static enum lac_status no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for the tokens of a text");
}

void lac_bpe_prepare(struct lac_bpe *bpe, const struct lac_vocab *vocab)
{
    for (uint32_t c = 0; c < 512; c++) {
        uint8_t bytes[4];
        bpe->char_ids[c] = lac_vocab_find(vocab, bytes, lac_utf8_put(c, bytes));
    }
}

/* The token of the character text[begin, end) with the affixes of its place in the word. */
static int32_t char_token(const struct lac_word_model *model, const uint8_t *at, size_t size,
                          bool first, bool last)
{
    const struct lac_bpe *bpe = &model->bpe;
    size_t n_head = first ? 0 : bpe->prefix.size, n_tail = last ? bpe->suffix.size : 0;
    if (!n_head && !n_tail) {
        uint32_t c;
        lac_utf8_get(at, &c);
        return c < 512 ? bpe->char_ids[c] : lac_vocab_find(&model->vocab, at, size);
    }
    char whole[2 * LAC_MAX_AFFIX_BYTES + 4];
    memcpy(whole, bpe->prefix.text, n_head);
    memcpy(whole + n_head, at, size);
    memcpy(whole + n_head + size, bpe->suffix.text, n_tail);
    return lac_vocab_find(&model->vocab, whole, n_head + size + n_tail);
}

static void push_symbol(struct lac_symbols *symbols, int32_t id, size_t begin, size_t end)
{
    uint32_t i = (uint32_t)symbols->n;
    if (i)
        symbols->at[i - 1].next = i;
    symbols->at[symbols->n++] =
        (struct lac_symbol){id, (uint32_t)begin, (uint32_t)end, i ? i - 1 : NONE, NONE};
}

/* A character without a token; was the one before it, too? */
static void push_unknown(const struct lac_unknown *unknown, size_t begin, size_t end,
                         bool after_unknown, struct lac_symbols *symbols)
{
    if (after_unknown && unknown->fuse)
        symbols->at[symbols->n - 1].end = (uint32_t)end;
    else if (unknown->id >= 0)
        push_symbol(symbols, unknown->id, begin, end);
}

/* The word's characters as symbols. */
static bool read_symbols(const struct lac_word_model *model, struct lac_scratch *scratch,
                         size_t begin, size_t end)
{
    const struct lac_unknown *unknown = &model->unknown;
    const uint8_t *text = scratch->text.bytes;
    struct lac_symbols *symbols = &scratch->symbols;
    bool after_unknown = false;
    symbols->n = 0;
    if (!lac_symbols_reserve(scratch->host, symbols, end - begin))
        return false;
    for (size_t i = begin; i < end;) {
        size_t stop = i + lac_utf8_size(text[i]);
        int32_t id = char_token(model, text + i, stop - i, i == begin, stop == end);
        bool is_unknown = id < 0;
        if (!is_unknown) {
            push_symbol(symbols, id, i, stop);
        } else if (lac_unknown_has_bytes(unknown, text + i, stop - i)) {
            is_unknown = false;
            for (size_t k = i; k < stop; k++)
                push_symbol(symbols, unknown->byte_ids[text[k]], k, k + 1);
        } else {
            push_unknown(unknown, i, stop, after_unknown, symbols);
        }
        after_unknown = is_unknown && unknown->id >= 0;
        i = stop;
    }
    return true;
}

/* The merge of two symbols, or NULL. */
static const struct lac_map_slot *find_merge(const struct lac_bpe *bpe, int32_t left, int32_t right)
{
    const struct lac_map_slot *slot =
        lac_map_find(&bpe->merges, (uint64_t)(uint32_t)left << 32 | (uint32_t)right);
    return slot->key == UINT64_MAX ? NULL : slot;
}

/* Merges by looking through the ranks of all neighbours each time. */
static void merge_short(const struct lac_bpe *bpe, struct lac_symbols *symbols)
{
    struct lac_symbol *at = symbols->at;
    size_t n = symbols->n;
    const struct lac_map_slot *merges[SHORT_WORD]; /* of symbol i with symbol i + 1 */
    for (size_t i = 0; i + 1 < n; i++)
        merges[i] = find_merge(bpe, at[i].id, at[i + 1].id);
    for (;;) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i + 1 < n; i++)
            if (merges[i] && (best == SIZE_MAX || merges[i]->first < merges[best]->first))
                best = i;
        if (best == SIZE_MAX)
            break;
        at[best].id = (int32_t)merges[best]->second;
        at[best].end = at[best + 1].end;
        n--;
        memmove(at + best + 1, at + best + 2, (n - best - 1) * sizeof *at);
        memmove(merges + best, merges + best + 1, (n - best - 1) * sizeof *merges);
        if (best)
            merges[best - 1] = find_merge(bpe, at[best - 1].id, at[best].id);
        if (best + 1 < n)
            merges[best] = find_merge(bpe, at[best].id, at[best + 1].id);
    }
    symbols->n = n;
}

static bool before(const struct lac_candidate_merge *a, const struct lac_candidate_merge *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

/* Puts the merge of symbol `at` with its successor into the heap, if there is one. */
static bool queue_merge(const struct lac_bpe *bpe, struct lac_scratch *scratch, uint32_t at)
{
    const struct lac_symbol *symbols = scratch->symbols.at;
    struct lac_merge_queue *queue = &scratch->queue;
    if (at == NONE || symbols[at].next == NONE)
        return true;
    const struct lac_map_slot *merge =
        find_merge(bpe, symbols[at].id, symbols[symbols[at].next].id);
    if (!merge)
        return true;
    if (queue->n == queue->capacity && !lac_queue_reserve(scratch->host, queue, 1))
        return false;
    struct lac_candidate_merge added = {merge->first, at, (int32_t)merge->second};
    size_t i = queue->n++;
    for (; i && before(&added, &queue->at[(i - 1) / 2]); i = (i - 1) / 2)
        queue->at[i] = queue->at[(i - 1) / 2];
    queue->at[i] = added;
    return true;
}

static struct lac_candidate_merge pop_merge(struct lac_merge_queue *queue)
{
    struct lac_candidate_merge top = queue->at[0], last = queue->at[--queue->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= queue->n)
            break;
        if (child + 1 < queue->n && before(&queue->at[child + 1], &queue->at[child]))
            child++;
        if (!before(&queue->at[child], &last))
            break;
        queue->at[i] = queue->at[child];
        i = child;
    }
    queue->at[i] = last;
    return top;
}

/* Is a popped entry still what it was when it was queued? */
static bool is_due(const struct lac_bpe *bpe, const struct lac_symbol *symbols,
                   const struct lac_candidate_merge *entry)
{
    const struct lac_symbol *left = &symbols[entry->at];
    if (left->id < 0 || left->next == NONE)
        return false;
    const struct lac_map_slot *merge = find_merge(bpe, left->id, symbols[left->next].id);
    return merge && merge->first == entry->rank;
}

/* Merges through a heap of candidates: each merge takes one symbol away and adds two candidates
 * at most, so n characters take O(n log n) steps. */
static bool merge_long(const struct lac_bpe *bpe, struct lac_scratch *scratch)
{
    struct lac_symbols *symbols = &scratch->symbols;
    struct lac_symbol *at = symbols->at;
    scratch->queue.n = 0;
    for (size_t i = 0; i < symbols->n; i++)
        if (!queue_merge(bpe, scratch, (uint32_t)i))
            return false;
    while (scratch->queue.n) {
        struct lac_candidate_merge top = pop_merge(&scratch->queue);
        if (!is_due(bpe, at, &top))
            continue;
        struct lac_symbol *left = &at[top.at], *right = &at[left->next];
        left->id = top.id;
        left->end = right->end;
        left->next = right->next;
        right->id = -1;
        if (left->next != NONE)
            at[left->next].previous = top.at;
        if (!queue_merge(bpe, scratch, left->previous) || !queue_merge(bpe, scratch, top.at))
            return false;
    }
    size_t n = 0;
    for (size_t i = 0; i < symbols->n; i++)
        if (at[i].id >= 0)
            at[n++] = at[i];
    symbols->n = n;
    return true;
}

enum lac_status lac_bpe_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                               size_t begin, size_t end, struct lac_tokens *tokens,
                               struct lac_error *error)
{
    const struct lac_bpe *bpe = &model->bpe;
    const struct lac_aligned *text = &scratch->text;
    if (bpe->whole_words && end - begin <= model->vocab.max_bytes) {
        int32_t id = lac_vocab_find(&model->vocab, text->bytes + begin, end - begin);
        if (id >= 0)
            return lac_token_push(scratch->host, tokens, id, lac_origin(text, begin, end))
                       ? LAC_OK
                       : no_memory(error);
    }
    if (!read_symbols(model, scratch, begin, end))
        return no_memory(error);
    const struct lac_symbols *symbols = &scratch->symbols;
    if (symbols->n <= SHORT_WORD)
        merge_short(bpe, &scratch->symbols);
    else if (!merge_long(bpe, scratch))
        return no_memory(error);
    if (!lac_tokens_reserve(scratch->host, tokens, symbols->n))
        return no_memory(error);
    for (size_t i = 0; i < symbols->n; i++)
        tokens->at[tokens->n++] = (struct lac_token){
            symbols->at[i].id, lac_origin(text, symbols->at[i].begin, symbols->at[i].end)};
    return LAC_OK;
}
