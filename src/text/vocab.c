/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary: token spellings to ids and back. */
#include "src/text/vocab.h"

#include <string.h>

#include "src/base/checked.h"

enum { PREFIX = sizeof(uint16_t) };

bool lac_vocab_make(struct lac_vocab *vocab, size_t n_tokens, size_t spelling_bytes, size_t n_ids,
                    struct lac_arena *arena)
{
    size_t pool;
    /* Place 0 means none, so the pool begins with an unused byte. */
    if (n_tokens > LAC_MAX_VOCAB || n_ids > LAC_MAX_VOCAB ||
        !lac_mul_size(n_tokens, PREFIX + 1, &pool) || !lac_add_size(pool, spelling_bytes, &pool) ||
        !lac_add_size(pool, 1, &pool) || pool > UINT32_MAX)
        return false;
    unsigned bits = 1;
    while (((size_t)1 << bits) < 2 * n_tokens + 2)
        bits++;
    *vocab = (struct lac_vocab){
        .pool = lac_arena_alloc(arena, pool, 1),
        .pool_size = 1,
        .pool_capacity = pool,
        .places = lac_arena_alloc_zero(arena, n_ids, sizeof *vocab->places),
        .n_ids = n_ids,
        .slots = lac_arena_alloc_zero(arena, (size_t)1 << bits, sizeof *vocab->slots),
        .shift = 64 - bits,
    };
    return vocab->pool && vocab->places && vocab->slots;
}

const char *lac_vocab_spelling(const struct lac_vocab *vocab, int32_t id, size_t *size)
{
    if (id < 0 || (size_t)id >= vocab->n_ids || !vocab->places[id])
        return NULL;
    const char *at = vocab->pool + vocab->places[id];
    if (size) {
        uint16_t stored;
        memcpy(&stored, at - PREFIX, PREFIX);
        *size = stored;
    }
    return at;
}

/* The slot of head + tail, or the empty slot where it belongs. */
static struct lac_vocab_slot *locate(const struct lac_vocab *vocab, uint64_t hash, const void *head,
                                     size_t head_size, const void *tail, size_t tail_size)
{
    size_t mask = ((size_t)1 << (64 - vocab->shift)) - 1;
    uint32_t tag = (uint32_t)(hash >> 16);
    for (size_t i = (size_t)(hash >> vocab->shift);; i = (i + 1) & mask) {
        struct lac_vocab_slot *slot = &vocab->slots[i];
        if (!slot->id_plus_1)
            return slot;
        if (slot->hash != tag)
            continue;
        size_t size = 0;
        const char *spelling = lac_vocab_spelling(vocab, (int32_t)(slot->id_plus_1 - 1), &size);
        if (size == head_size + tail_size && !memcmp(spelling, head, head_size) &&
            !memcmp(spelling + head_size, tail, tail_size))
            return slot;
    }
}

int32_t lac_vocab_find_hashed(const struct lac_vocab *vocab, uint64_t hash, const void *head,
                              size_t head_size, const void *tail, size_t tail_size)
{
    return (int32_t)locate(vocab, hash, head, head_size, tail, tail_size)->id_plus_1 - 1;
}

enum lac_status lac_vocab_add(struct lac_vocab *vocab, const char *spelling, size_t size,
                              int32_t id, struct lac_error *error)
{
    if (size > LAC_MAX_TOKEN_BYTES)
        return lac_fail(error, LAC_E_FORMAT, "the token of id %d has %zu bytes, more than %d", id,
                        size, LAC_MAX_TOKEN_BYTES);
    if (memchr(spelling, 0, size))
        return lac_fail(error, LAC_E_FORMAT, "the token of id %d holds a NUL", id);
    if (vocab->places[id])
        return lac_fail(error, LAC_E_FORMAT, "id %d is given to both \"%s\" and \"%.*s\"", id,
                        lac_vocab_spelling(vocab, id, NULL), (int)size, spelling);
    uint64_t hash = lac_hash_bytes(LAC_HASH_START, spelling, size);
    struct lac_vocab_slot *slot = locate(vocab, hash, "", 0, spelling, size);
    slot->hash = (uint32_t)(hash >> 16);
    slot->id_plus_1 = (uint32_t)id + 1;

    uint16_t stored = (uint16_t)size;
    char *at = vocab->pool + vocab->pool_size;
    memcpy(at, &stored, PREFIX);
    memcpy(at + PREFIX, spelling, size);
    at[PREFIX + size] = '\0';
    vocab->places[id] = (uint32_t)(vocab->pool_size + PREFIX);
    vocab->pool_size += PREFIX + size + 1;
    vocab->max_bytes = lac_max_size(vocab->max_bytes, size);
    return LAC_OK;
}
