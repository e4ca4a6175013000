/* SPDX-License-Identifier: Apache-2.0 */
/* Which token comes next: from what a decoder says of it to one choice. */
#ifndef LACUNA_RUN_SAMPLE_H
#define LACUNA_RUN_SAMPLE_H

#include <lacuna/generate.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "src/run/next.h"

/* LAC_E_ARGUMENT, naming the number, for what is not a sampling. */
enum lac_status lac_sampling_check(const struct lac_sampling *sampling, struct lac_error *error);

/* What must be asked of a decoder: words, and whether all logits (then n_top is 0). */
size_t lac_sampling_top(const struct lac_sampling *sampling, size_t vocab_size);
bool lac_sampling_needs_logits(const struct lac_sampling *sampling);

/* Room to work in, for one thread. */
struct lac_sampler {
    const struct lac_host *host;
    size_t vocab_size;
    struct lac_logit *words; /* [vocab_size] */
    uint64_t *seen;          /* a bit for each word, all 0 between calls */
};

enum lac_status lac_sampler_open(struct lac_sampler *sampler, const struct lac_host *host,
                                 size_t vocab_size, struct lac_error *error);
void lac_sampler_close(struct lac_sampler *sampler);

/* The token after ids, of which next says what was asked for as above; the logit is the decoder's,
 * before any step of sampling.  Cannot fail. */
struct lac_logit lac_sample(struct lac_sampler *sampler, const struct lac_sampling *sampling,
                            const struct lac_next *next, const int32_t *ids, size_t n_ids);

#endif
