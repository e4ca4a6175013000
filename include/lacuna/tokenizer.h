/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers: UTF-8 text to token ids and back. */
#ifndef LACUNA_TOKENIZER_H
#define LACUNA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include <lacuna/engine.h>
#include <lacuna/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lac_tokenizer;

/* The tokens of one text or pair of texts, special tokens included.  Arrays have n entries and
 * belong to the encoding. */
struct lac_encoding {
    size_t n;
    int32_t *ids;
    uint8_t *type_ids; /* 0 for the first text, 1 for the second */
    uint8_t *sequence; /* 0 first text, 1 second text, 255 a special token */
    uint32_t *begin;   /* byte range in the text the token came from; empty for special tokens */
    uint32_t *end;
    size_t n_dropped; /* tokens cut off to respect the maximum */
    size_t capacity;  /* private */
    const void *host; /* private */
};

/* Which side of a pair gives way when the tokens are too many. */
enum lac_truncate {
    LAC_TRUNCATE_LONGEST = 0, /* one token at a time from the longer text */
    LAC_TRUNCATE_SECOND = 1,  /* only the second text */
    LAC_TRUNCATE_ERROR = 2,   /* LAC_E_LIMIT instead */
};

/* Opens tokenizer.json, vocab.txt (BERT WordPiece), a GGUF file with a tokenizer inside, or a
 * directory that holds one of the first two (tokenizer.json first).  Errors name the file and the part that is wrong. */
LAC_API enum lac_status lac_tokenizer_open(struct lac_engine *engine, const char *path,
                                           struct lac_tokenizer **tokenizer);
LAC_API void lac_tokenizer_free(struct lac_tokenizer *tokenizer);

/* Encodes size bytes of UTF-8 (and, when pair is not NULL, pair_size bytes more as a second text)
 * with the special tokens of the tokenizer's post-processor; at most max_tokens in all, 0 for no
 * bound.  Text that is not UTF-8: LAC_E_FORMAT; of more than 64 MiB: LAC_E_LIMIT.  encoding starts
 * as all zeros and is reused by later calls; a call that fails leaves it as it was;
 * lac_encoding_clear frees its arrays.  Any number of threads may share a tokenizer. */
LAC_API enum lac_status lac_tokenizer_encode(const struct lac_tokenizer *tokenizer,
                                             const char *text, size_t size, const char *pair,
                                             size_t pair_size, size_t max_tokens,
                                             enum lac_truncate truncate,
                                             struct lac_encoding *encoding);
LAC_API void lac_encoding_clear(struct lac_encoding *encoding);

/* Writes the text of ids into text (at most size bytes with the final 0) and returns the full
 * length in bytes, as snprintf does.  Special tokens are left out.  Unknown ids are skipped. */
LAC_API size_t lac_tokenizer_decode(const struct lac_tokenizer *tokenizer, const int32_t *ids,
                                    size_t n, char *text, size_t size);

/* Decoding token by token, as a model writes them.  All zeros before the first token; a copy goes
 * on from where it was made; nothing is to be freed. */
enum { LAC_DECODE_TEXT_STEPS = 4 };
struct lac_decode_state {
    uint32_t n_tokens; /* all of it is private */
    uint8_t pending[4];
    uint32_t n_pending;
    uint32_t taken[LAC_DECODE_TEXT_STEPS], held[LAC_DECODE_TEXT_STEPS];
};

/* Writes what one more token adds to the text, with a final 0, and returns its length.  The text
 * never ends inside a character: what may still change waits in *state.  All that is written, and
 * what lac_tokenizer_decode_end writes at last, is together what lac_tokenizer_decode makes of the
 * same ids.  When size is not more than the length, the text is cut and *state is as before: call
 * again with more room; lac_tokenizer_decode_room bytes suffice for any token. */
LAC_API size_t lac_tokenizer_decode_next(const struct lac_tokenizer *tokenizer,
                                         struct lac_decode_state *state, int32_t id, char *text,
                                         size_t size);
/* Writes what still waits; *state is ready for another text. */
LAC_API size_t lac_tokenizer_decode_end(const struct lac_tokenizer *tokenizer,
                                        struct lac_decode_state *state, char *text, size_t size);
LAC_API size_t lac_tokenizer_decode_room(const struct lac_tokenizer *tokenizer);

/* Number of ids: one more than the largest. */
LAC_API size_t lac_tokenizer_vocab_size(const struct lac_tokenizer *tokenizer);

/* The token's own spelling ("##ing", "Ġthe"), or NULL for an id without one. */
LAC_API const char *lac_tokenizer_token(const struct lac_tokenizer *tokenizer, int32_t id);

/* The id of a spelling, or -1. */
LAC_API int32_t lac_tokenizer_id(const struct lac_tokenizer *tokenizer, const char *token);

#ifdef __cplusplus
}
#endif
#endif
