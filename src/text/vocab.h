/* SPDX-License-Identifier: Apache-2.0 */
/* A vocabulary: token spellings to ids and back. */
#ifndef LACUNA_TEXT_VOCAB_H
#define LACUNA_TEXT_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/error.h"

enum {
    LAC_MAX_TOKEN_BYTES = 4096, /* of one spelling */
    LAC_MAX_VOCAB = 1 << 24,    /* ids */
};

/* Bytes of a text that need no final 0. */
struct lac_slice {
    const char *text;
    size_t size;
};

/*   pool    [u16 size | spelling | 0] [u16 size | spelling | 0] ...
 *   places  id -> where its spelling begins in the pool, 0 for an id without one
 *   slots   hash of a spelling -> id + 1, open addressing, at most half full */
struct lac_vocab {
    char *pool;
    size_t pool_size, pool_capacity;
    uint32_t *places;
    size_t n_ids;
    struct lac_vocab_slot {
        uint32_t hash, id_plus_1;
    } * slots;
    unsigned shift;   /* 64 - log2 of the slots */
    size_t max_bytes; /* of the longest spelling */
};

/* The hash of a spelling, byte by byte from LAC_HASH_START, so that all prefixes of a word are
 * hashed in one pass. */
#define LAC_HASH_START 0x243f6a8885a308d3u
static inline uint64_t lac_hash_byte(uint64_t hash, uint8_t byte)
{
    return (hash ^ byte) * 0x9e3779b97f4a7c15u;
}

static inline uint64_t lac_hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = lac_hash_byte(hash, ((const uint8_t *)bytes)[i]);
    return hash;
}

/* Room for n_tokens spellings of spelling_bytes in all, ids below n_ids. */
bool lac_vocab_make(struct lac_vocab *vocab, size_t n_tokens, size_t spelling_bytes, size_t n_ids,
                    struct lac_arena *arena);

/* Adds a spelling; id is below n_ids.  LAC_E_FORMAT when the spelling is too long or holds a NUL,
 * or the id is taken.  A spelling that is there already is found under the new id from now on;
 * the old id keeps it too. */
enum lac_status lac_vocab_add(struct lac_vocab *vocab, const char *spelling, size_t size,
                              int32_t id, struct lac_error *error);

/* The id of head followed by tail, whose hash is given; -1 when there is none. */
int32_t lac_vocab_find_hashed(const struct lac_vocab *vocab, uint64_t hash, const void *head,
                              size_t head_size, const void *tail, size_t tail_size);

static inline int32_t lac_vocab_find(const struct lac_vocab *vocab, const void *spelling,
                                     size_t size)
{
    return lac_vocab_find_hashed(vocab, lac_hash_bytes(LAC_HASH_START, spelling, size), "", 0,
                                 spelling, size);
}

/* The spelling of an id, with a final 0, or NULL; size may be NULL. */
const char *lac_vocab_spelling(const struct lac_vocab *vocab, int32_t id, size_t *size);

#endif
