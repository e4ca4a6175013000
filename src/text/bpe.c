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

/* The bit of two neighbouring characters. */
static size_t neighbour_bit(uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (size_t)(hash >> (64 - LAC_NEIGHBOUR_BITS));
}

static bool are_neighbours(const struct lac_bpe *bpe, uint32_t left, uint32_t right)
{
    size_t bit = neighbour_bit(left, right);
    return bpe->neighbours[bit / 64] >> bit % 64 & 1;
}

/* Does a token stand for its own characters wherever it occurs in a word? */
static bool is_plain(const struct lac_word_model *model, int32_t id)
{
    const struct lac_unknown *unknown = &model->unknown;
    size_t size;
    const char *spelling = lac_vocab_spelling(&model->vocab, id, &size);
    bool byte = unknown->byte_fallback && size == 6 && !memcmp(spelling, "<0x", 3);
    return id != unknown->id && !byte;
}

static bool merges_are_plain(const struct lac_word_model *model)
{
    const struct lac_map *merges = &model->bpe.merges;
    size_t n_slots = (size_t)1 << (64 - merges->shift);
    for (size_t i = 0; i < n_slots; i++) {
        uint64_t key = merges->slots[i].key;
        if (key != UINT64_MAX &&
            (!is_plain(model, (int32_t)(key >> 32)) || !is_plain(model, (int32_t)(uint32_t)key)))
            return false;
    }
    return true;
}

static void add_neighbours(struct lac_bpe *bpe, const uint8_t *spelling, size_t size)
{
    uint32_t left = 0, right;
    for (size_t i = 0; i < size; left = right) {
        size_t at = i;
        i += lac_utf8_get(spelling + i, &right);
        size_t bit = neighbour_bit(left, right);
        if (at)
            bpe->neighbours[bit / 64] |= (uint64_t)1 << bit % 64;
    }
}

bool lac_bpe_prepare(struct lac_word_model *model, struct lac_arena *arena)
{
    struct lac_bpe *bpe = &model->bpe;
    for (uint32_t c = 0; c < 512; c++) {
        uint8_t bytes[4];
        bpe->char_ids[c] = lac_vocab_find(&model->vocab, bytes, lac_utf8_put(c, bytes));
    }
    if (bpe->prefix.size || bpe->suffix.size || !merges_are_plain(model))
        return true;
    bpe->neighbours =
        lac_arena_alloc_zero(arena, (size_t)1 << (LAC_NEIGHBOUR_BITS - 6), sizeof *bpe->neighbours);
    if (!bpe->neighbours)
        return false;
    for (int32_t id = 0; (size_t)id < model->vocab.n_ids; id++) {
        size_t size;
        const char *spelling = lac_vocab_spelling(&model->vocab, id, &size);
        if (spelling)
            add_neighbours(bpe, (const uint8_t *)spelling, size);
    }
    return true;
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

/* The first place behind begin that no merge can cross, or end.  Unknown characters that would
 * become one token stay together. */
static size_t next_cut(const struct lac_word_model *model, const uint8_t *text, size_t begin,
                       size_t end)
{
    const struct lac_bpe *bpe = &model->bpe;
    uint32_t left, right;
    if (!bpe->neighbours || end - begin <= SHORT_WORD)
        return end;
    size_t before = begin, i = begin + lac_utf8_get(text + begin, &left);
    for (; i < end; left = right) {
        size_t at = i;
        i += lac_utf8_get(text + i, &right);
        if (!are_neighbours(bpe, left, right) &&
            (!model->unknown.fuse || char_token(model, text + at, i - at, false, false) >= 0 ||
             char_token(model, text + before, at - before, false, false) >= 0))
            return at;
        before = at;
    }
    return end;
}

static enum lac_status encode_part(const struct lac_word_model *model, struct lac_scratch *scratch,
                                   size_t begin, size_t end, struct lac_tokens *tokens,
                                   struct lac_error *error)
{
    const struct lac_aligned *text = &scratch->text;
    if (!read_symbols(model, scratch, begin, end))
        return no_memory(error);
    const struct lac_symbols *symbols = &scratch->symbols;
    if (symbols->n <= SHORT_WORD)
        merge_short(&model->bpe, &scratch->symbols);
    else if (!merge_long(&model->bpe, scratch))
        return no_memory(error);
    if (!lac_tokens_reserve(scratch->host, tokens, symbols->n))
        return no_memory(error);
    for (size_t i = 0; i < symbols->n; i++)
        tokens->at[tokens->n++] = (struct lac_token){
            symbols->at[i].id, lac_origin(text, symbols->at[i].begin, symbols->at[i].end)};
    return LAC_OK;
}

enum lac_status lac_bpe_encode(const struct lac_word_model *model, struct lac_scratch *scratch,
                               size_t begin, size_t end, struct lac_tokens *tokens,
                               struct lac_error *error)
{
    const struct lac_aligned *text = &scratch->text;
    if (model->bpe.whole_words && end - begin <= model->vocab.max_bytes) {
        int32_t id = lac_vocab_find(&model->vocab, text->bytes + begin, end - begin);
        if (id >= 0)
            return lac_token_push(scratch->host, tokens, id, lac_origin(text, begin, end))
                       ? LAC_OK
                       : no_memory(error);
    }
    enum lac_status status = LAC_OK;
    while (!status && begin < end) {
        size_t stop = next_cut(model, text->bytes, begin, end);
        status = encode_part(model, scratch, begin, stop, tokens, error);
        begin = stop;
    }
    return status;
}
