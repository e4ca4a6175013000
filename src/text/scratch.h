/* SPDX-License-Identifier: Apache-2.0 */
/* The working memory of one encoding: growing arrays of characters, bytes, pieces and tokens. */
#ifndef LACUNA_TEXT_SCRATCH_H
#define LACUNA_TEXT_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/host.h"

/* Offsets are 32 bits. */
enum { LAC_MAX_NORMALIZED_BYTES = 1 << 30 };

/* A byte range of the original text. */
struct lac_span {
    uint32_t begin, end;
};

/* A code point and where it came from; what normalizers work on. */
struct lac_char {
    uint32_t c;
    struct lac_span from;
};

struct lac_chars {
    struct lac_char *at;
    size_t n, capacity;
};

/* UTF-8 with the origin of each byte (all bytes of a character have the same). */
struct lac_aligned {
    uint8_t *bytes;
    struct lac_span *from;
    size_t n, capacity;
};

/* A range of the aligned text: a word for the model, or an added token found in the text. */
struct lac_piece {
    uint32_t begin, end;
    int32_t id; /* -1 for text that has no token yet */
};

struct lac_pieces {
    struct lac_piece *at;
    size_t n, capacity;
};

struct lac_token {
    int32_t id;
    struct lac_span from;
};

struct lac_tokens {
    struct lac_token *at;
    size_t n, capacity;
};

/* A node of the doubly linked list that byte pair encoding merges in place. */
struct lac_symbol {
    int32_t id; /* -1: swallowed by its left neighbour */
    uint32_t begin, end;
    uint32_t previous, next; /* UINT32_MAX: none */
};

struct lac_symbols {
    struct lac_symbol *at;
    size_t n, capacity;
};

/* A merge that may be due: entries of a binary heap, least (rank, at) first. */
struct lac_candidate_merge {
    uint32_t rank, at;
    int32_t id;
};

struct lac_merge_queue {
    struct lac_candidate_merge *at;
    size_t n, capacity;
};

/* The best way to cut a word up to one of its bytes: its last token, and where that begins. */
struct lac_best_cut {
    double score;
    uint32_t begin; /* UINT32_MAX: no way ends here */
    int32_t id;
};

struct lac_best_cuts {
    struct lac_best_cut *at;
    size_t n, capacity;
};

struct lac_scratch {
    const struct lac_host *host;
    struct lac_chars chars, spare;
    struct lac_aligned text, mapped;
    struct lac_pieces pieces, split;
    struct lac_tokens tokens[2]; /* of the first and the second text */
    struct lac_symbols symbols;
    struct lac_merge_queue queue;
    struct lac_best_cuts cuts;
    uint64_t *hashes; /* of the prefixes of a word */
    size_t n_hashes;
};

void lac_scratch_free(struct lac_scratch *scratch);

/* Each makes room for `more` items beyond n; false without memory, and nothing is changed. */
bool lac_chars_reserve(const struct lac_host *host, struct lac_chars *chars, size_t more);
bool lac_aligned_reserve(const struct lac_host *host, struct lac_aligned *text, size_t more);
bool lac_pieces_reserve(const struct lac_host *host, struct lac_pieces *pieces, size_t more);
bool lac_tokens_reserve(const struct lac_host *host, struct lac_tokens *tokens, size_t more);
bool lac_symbols_reserve(const struct lac_host *host, struct lac_symbols *symbols, size_t more);
bool lac_queue_reserve(const struct lac_host *host, struct lac_merge_queue *queue, size_t more);
bool lac_cuts_reserve(const struct lac_host *host, struct lac_best_cuts *cuts, size_t more);

static inline bool lac_piece_push(const struct lac_host *host, struct lac_pieces *pieces,
                                  size_t begin, size_t end, int32_t id)
{
    if (pieces->n == pieces->capacity && !lac_pieces_reserve(host, pieces, 1))
        return false;
    pieces->at[pieces->n++] = (struct lac_piece){(uint32_t)begin, (uint32_t)end, id};
    return true;
}

static inline bool lac_char_push(const struct lac_host *host, struct lac_chars *chars, uint32_t c,
                                 struct lac_span from)
{
    if (chars->n == chars->capacity && !lac_chars_reserve(host, chars, 1))
        return false;
    chars->at[chars->n++] = (struct lac_char){c, from};
    return true;
}

static inline bool lac_token_push(const struct lac_host *host, struct lac_tokens *tokens,
                                  int32_t id, struct lac_span from)
{
    if (tokens->n == tokens->capacity && !lac_tokens_reserve(host, tokens, 1))
        return false;
    tokens->at[tokens->n++] = (struct lac_token){id, from};
    return true;
}

#endif
