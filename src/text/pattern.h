/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of tokenizer.json: a literal string or a regular expression. */
#ifndef LACUNA_TEXT_PATTERN_H
#define LACUNA_TEXT_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/error.h"
#include "src/base/host.h"

struct lac_text_pattern;

enum lac_text_pattern_kind { LAC_TEXT_LITERAL, LAC_TEXT_REGEX };

/* Regular expressions are PCRE2's with UTF and Unicode properties.  LAC_E_FORMAT with position
 * and reason when it does not compile. */
enum lac_status lac_text_pattern_new(const struct lac_host *host, enum lac_text_pattern_kind kind,
                                     const char *source, size_t size,
                                     struct lac_text_pattern **pattern, struct lac_error *error);
void lac_text_pattern_free(struct lac_text_pattern *pattern);

/* One walk over all matches in one text, left to right and without overlap.
 *
 * A pattern comes from a file and may backtrack exponentially.  Each match may take FREE_STEPS;
 * what takes more is tried again with twice the steps, paid from a budget that is proportional to
 * the text.  The total is therefore linear in the text, and ordinary patterns never notice. */
struct lac_matching {
    const struct lac_text_pattern *pattern;
    const uint8_t *text;
    size_t size;
    size_t next;      /* where the search goes on */
    size_t last_end;  /* of the last match; SIZE_MAX before the first */
    uint64_t *budget; /* steps left; shared by the texts of one encoding */
    void *match_data;
    void *match_context;
};

/* text is well-formed UTF-8 and stays where it is until lac_matching_end. */
enum lac_status lac_matching_begin(struct lac_matching *matching,
                                   const struct lac_text_pattern *pattern, const uint8_t *text,
                                   size_t size, uint64_t *budget, struct lac_error *error);
/* *found is false after the last match.  LAC_E_LIMIT when the budget is spent. */
enum lac_status lac_matching_next(struct lac_matching *matching, size_t *begin, size_t *end,
                                  bool *found, struct lac_error *error);
void lac_matching_end(struct lac_matching *matching);

uint64_t lac_matching_budget(size_t text_size);

#endif
