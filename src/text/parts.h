/* SPDX-License-Identifier: Apache-2.0 */
/* What a tokenizer consists of, and the readers that put it together. */
#ifndef LACUNA_TEXT_PARTS_H
#define LACUNA_TEXT_PARTS_H

#include "src/base/arena.h"
#include "src/base/json.h"
#include "src/text/added.h"
#include "src/text/decode.h"
#include "src/text/normalize.h"
#include "src/text/post.h"
#include "src/text/pretokenize.h"
#include "src/text/tokenizer.h"
#include "src/text/wordmodel.h"

/* Text runs through the members from top to bottom.  Nothing changes after opening. */
struct lac_tokenizer {
    const struct lac_host *host;
    struct lac_arena arena; /* all memory but that of patterns */
    struct lac_tokenizer_texts texts;
    struct lac_added *added;
    size_t n_added;
    struct lac_vocab added_names; /* all added tokens, in the model's vocabulary or not */
    struct lac_finder raw_finder; /* added tokens in the text as it is */
    struct lac_normalizer normalizer;
    struct lac_finder normalized_finder;
    struct lac_pretokenizer pretokenizer;
    struct lac_word_model model;
    struct lac_post post;
    struct lac_decoder decoder;
    size_t n_ids;
    uint8_t *special; /* [n_ids] */
    int32_t mask_id;
    size_t truncation; /* tokens that the file cuts texts to, unless told otherwise; 0: none */
};

/* What messages call the files. */
struct lac_tokenizer_names {
    const char *main, *merges, *config;
};

/* The readers fill in an empty tokenizer that has host, arena and texts; the caller frees it when
 * they fail.  Messages begin with the key that is wrong. */

/* tokenizer.json. */
enum lac_status lac_read_json(struct lac_tokenizer *tokenizer,
                              const struct lac_tokenizer_names *names, struct lac_error *error);
/* vocab.txt with its configuration. */
enum lac_status lac_read_vocab_txt(struct lac_tokenizer *tokenizer,
                                   const struct lac_tokenizer_names *names,
                                   struct lac_error *error);
/* vocab.json and merges.txt with their configuration. */
enum lac_status lac_read_vocab_merges(struct lac_tokenizer *tokenizer,
                                      const struct lac_tokenizer_names *names,
                                      struct lac_error *error);

/* Parts of tokenizer.json; json may be NULL or null. */
enum lac_status lac_read_normalizer(struct lac_tokenizer *tokenizer, const json_t *json,
                                    struct lac_error *error);
enum lac_status lac_read_pretokenizer(struct lac_tokenizer *tokenizer, const json_t *json,
                                      struct lac_error *error);
enum lac_status lac_read_model(struct lac_tokenizer *tokenizer, const json_t *json,
                               struct lac_error *error);
enum lac_status lac_read_post(struct lac_tokenizer *tokenizer, const json_t *json,
                              struct lac_error *error);
enum lac_status lac_read_decoder(struct lac_tokenizer *tokenizer, const json_t *json,
                                 struct lac_error *error);

/* Pieces that the readers share. */

/* {"token": id, ...} */
enum lac_status lac_read_vocab(struct lac_tokenizer *tokenizer, const json_t *json,
                               struct lac_error *error);
/* Adds a merge of rank `rank` of two spellings. */
enum lac_status lac_add_merge(struct lac_tokenizer *tokenizer, struct lac_slice left,
                              struct lac_slice right, uint32_t rank, struct lac_error *error);
/* One entry of added_tokens with the id that is given elsewhere. */
enum lac_status lac_read_added(struct lac_tokenizer *tokenizer, const json_t *json, int64_t id,
                               struct lac_added *added, struct lac_error *error);
/* The "type" of an object. */
enum lac_status lac_read_type(const json_t *json, const char **type, struct lac_error *error);
/* Calls read for each item of the array json[key], with a depth of one more. */
typedef enum lac_status lac_read_item(void *context, const json_t *json, unsigned depth,
                                      struct lac_error *error);
enum lac_status lac_read_sequence(void *context, const json_t *json, const char *key,
                                  unsigned depth, lac_read_item *read, struct lac_error *error);
enum lac_status lac_read_metaspace(const json_t *json, struct lac_metaspace *metaspace,
                                   struct lac_error *error);
/* Zeroed room for LAC_MAX_STEPS steps of which there are n; steps is NULL or what was returned
 * before.  NULL when there are too many or without memory, with a message. */
void *lac_steps_with_room(struct lac_tokenizer *tokenizer, void *steps, size_t n, size_t size,
                          struct lac_error *error);
/* Appends a step; NULL as above. */
struct lac_normal_step *lac_add_normal_step(struct lac_tokenizer *tokenizer,
                                            enum lac_normal_kind kind, struct lac_error *error);
struct lac_split_step *lac_add_split_step(struct lac_tokenizer *tokenizer, enum lac_split_kind kind,
                                          struct lac_error *error);
/* The steps of BertNormalizer. */
enum lac_status lac_add_bert_steps(struct lac_tokenizer *tokenizer, bool clean, bool cjk,
                                   bool strip_accents, bool lower, struct lac_error *error);
/* Decoding of WordPiece. */
enum lac_status lac_add_wordpiece_decoding(struct lac_tokenizer *tokenizer, struct lac_slice prefix,
                                           bool cleanup, struct lac_error *error);
/* Templates from cls and sep: "cls first sep", then for pairs "second sep" of type 1 or, in the
 * manner of RoBERTa, "sep second sep" of type 0.  Negative ids: no special tokens. */
enum lac_part_style { LAC_STYLE_BERT, LAC_STYLE_ROBERTA };
enum lac_status lac_make_templates(struct lac_tokenizer *tokenizer, enum lac_part_style style,
                                   int32_t cls, int32_t sep, struct lac_error *error);

/* Checks the added tokens against the vocabulary and prepares all look-ups. */
enum lac_status lac_finish_tokenizer(struct lac_tokenizer *tokenizer, struct lac_error *error);

static inline enum lac_status lac_no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for a tokenizer");
}

#endif
