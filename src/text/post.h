/* SPDX-License-Identifier: Apache-2.0 */
/* Post-processors: truncation, special tokens, types. */
#ifndef LACUNA_TEXT_POST_H
#define LACUNA_TEXT_POST_H

#include <lacuna/tokenizer.h>

#include "src/base/error.h"
#include "src/text/scratch.h"

enum lac_part_kind { LAC_PART_FIRST, LAC_PART_SECOND, LAC_PART_SPECIAL };

struct lac_template_part {
    enum lac_part_kind kind;
    uint8_t type_id;
    const int32_t *ids; /* SPECIAL */
    size_t n_ids;
};

/* The first text occurs once; in a pair's template the second one too. */
struct lac_template {
    struct lac_template_part *parts;
    size_t n_parts;
    size_t n_special; /* tokens of the special parts */
};

struct lac_post {
    struct lac_template single, pair;
    bool trim_offsets; /* byte level: ranges leave out white space at the ends of tokens, */
    bool prefix_space; /* but not a first space that may have been put there */
};

/* Cuts the tokens to max_tokens (0: no bound) and writes them to encoding by the template.
 * second is NULL for a single text.  On failure encoding keeps its contents. */
enum lac_status lac_post_assemble(const struct lac_post *post, const struct lac_host *host,
                                  const struct lac_tokens *first, const struct lac_tokens *second,
                                  size_t max_tokens, enum lac_truncate truncate,
                                  struct lac_encoding *encoding, struct lac_error *error);

/* Takes as many characters off the ends of a range of text as the token's text has spaces there.
 * first: is it the first token of its text? */
void lac_post_trim(const struct lac_post *post, const uint8_t *token, size_t token_size,
                   const uint8_t *text, bool first, struct lac_span *span);

#endif
