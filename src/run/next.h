/* SPDX-License-Identifier: Apache-2.0 */
/* What a decoder says of the token after one: a summary of its logits.
 *
 * The head has a row for every word.  It is computed LAC_HEAD_ROWS words at a time, and only what
 * is asked for is kept: the best few, the sum of all, one word's. */
#ifndef LACUNA_RUN_NEXT_H
#define LACUNA_RUN_NEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LAC_MAX_TOP = 64, LAC_HEAD_ROWS = 512 };

struct lac_logit {
    int32_t id;
    float logit;
};

/* log(sum e^x) = max + log(sum) of some words. */
struct lac_log_sum {
    float max, sum;
};

struct lac_next {
    /* Asked for. */
    size_t n_top;   /* best words, at most LAC_MAX_TOP and the vocabulary */
    float *logits;  /* of all words [vocab_size], or NULL */
    int32_t target; /* a word whose logit is wanted, or -1 */
    bool wants_sum;
    /* Found. */
    struct lac_logit top[LAC_MAX_TOP]; /* best first; of equals the one with the lower id */
    float target_logit;
    double log_sum; /* log of the sum of e^logit: log-probability = logit - log_sum */
};

#endif
