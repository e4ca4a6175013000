/* SPDX-License-Identifier: Apache-2.0 */
/* Normalizers: what happens to text before it is split into words. */
#ifndef LACUNA_TEXT_NORMALIZE_H
#define LACUNA_TEXT_NORMALIZE_H

#include "src/base/error.h"
#include "src/text/charsmap.h"
#include "src/text/pattern.h"
#include "src/text/scratch.h"

enum lac_normal_kind {
    LAC_NORMAL_CLEAN,     /* drop U+0000, U+FFFD and controls but \t \n \r; spaces become ' ' */
    LAC_NORMAL_CJK,       /* spaces round ideographs */
    LAC_NORMAL_LOWERCASE, /* character by character, Unicode's full mapping */
    LAC_NORMAL_DROP_NONSPACING, /* category Mn */
    LAC_NORMAL_DROP_MARKS,      /* category M */
    LAC_NORMAL_NFC,
    LAC_NORMAL_NFD,
    LAC_NORMAL_NFKC,
    LAC_NORMAL_NFKD,
    LAC_NORMAL_STRIP_LEFT,
    LAC_NORMAL_STRIP_RIGHT,
    LAC_NORMAL_REPLACE, /* pattern -> content */
    LAC_NORMAL_PREPEND, /* content, unless the text is empty */
    LAC_NORMAL_CHARSMAP,
};

struct lac_normal_step {
    enum lac_normal_kind kind;
    struct lac_text_pattern *pattern;
    const char *content; /* well-formed UTF-8 */
    size_t content_size;
    const struct lac_charsmap *charsmap;
};

enum { LAC_MAX_STEPS = 64 };

/* Steps are run in order.  Where all of them act on ASCII character by character, ascii says what
 * each ASCII byte becomes (0xff: nothing), and ASCII text takes a short way. */
struct lac_normalizer {
    struct lac_normal_step *steps;
    size_t n_steps;
    bool ascii_table;
    uint8_t ascii[128];
};

/* Fills in the ASCII table from the steps. */
void lac_normalizer_prepare(struct lac_normalizer *normalizer);

/* Appends text[begin, end), normalized, to out.  The bytes are well-formed UTF-8; from tells
 * where they lie in the original.  Uses scratch->chars, spare and mapped. */
enum lac_status lac_normalize(const struct lac_normalizer *normalizer, const uint8_t *text,
                              size_t begin, size_t end, struct lac_scratch *scratch,
                              struct lac_aligned *out, uint64_t *budget, struct lac_error *error);

/* Appends text[begin, end) as it is. */
bool lac_copy_text(const struct lac_host *host, const uint8_t *text, size_t begin, size_t end,
                   struct lac_aligned *out);

#endif
