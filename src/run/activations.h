/* SPDX-License-Identifier: Apache-2.0 */
/* Activation sparsity: neurons of gated feed-forward layers that a token leaves out.
 *
 * Of down(act(gate(x)) * up(x)) a neuron whose |act(gate)| is below its layer's threshold counts as
 * 0 (CATS; Lee et al. 2024).  That alone is what a pass computes, and it is computed by the
 * ordinary kernels as well as by those of neurons (simd/neurons.h), with the same bits: which of
 * them run is a matter of bytes.  A tile of few tokens reads the neurons that any of its tokens
 * has, when the bundle's bytes of these are fewer than those of the weights; a neuron that another
 * token wanted adds 0.  So a token's result depends on its own text alone, as always.
 *
 * Tokens that were fed (lac_step_text.n_prompt) have all their neurons. */
#ifndef LACUNA_RUN_ACTIVATIONS_H
#define LACUNA_RUN_ACTIVATIONS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <lacuna/generate.h>

#include "src/base/error.h"
#include "src/base/host.h"
#include "src/run/network.h"

struct lac_activations {
    struct lac_activations_policy policy; /* borrowed, checked */
    /* Instead: counts every token's |act(gate)|, [n_layers][LAC_HISTOGRAM_BINS]. */
    _Atomic uint32_t *histogram;
};

/* Neurons, of the tokens that leave some out. */
struct lac_neuron_counts {
    size_t n_neurons, n_active; /* of all layers for each token; of these those not left out */
    size_t n_stored, n_read; /* of all layers for each pass; of these those whose weights it read */
};

/* The first 16 bits of |x| but for the sign: 8 of the exponent, 7 of the fraction. */
enum { LAC_HISTOGRAM_BINS = 1 << 15 };

/* The largest t for which at least `share` of what was counted is >= t; 0 if nothing was. */
float lac_histogram_threshold(const _Atomic uint32_t *histogram, double share);

/* A copy with arrays of its own, which lac_activations_policy_clear frees. */
enum lac_status lac_activations_policy_copy(const struct lac_host *host,
                                            const struct lac_activations_policy *policy,
                                            struct lac_activations_policy *copy,
                                            struct lac_error *error);
void lac_activations_policy_clear(const struct lac_host *host,
                                  struct lac_activations_policy *policy);
/* LAC_E_ARGUMENT when the policy cannot be had, LAC_E_UNSUPPORTED when not with this network. */
enum lac_status lac_activations_policy_check(const struct lac_activations_policy *policy,
                                             const struct lac_network *network,
                                             struct lac_error *error);

/* Of a token's neurons, those that count: what Wang et al. (2024) took. */
static inline double lac_token_share(const struct lac_activations_policy *policy)
{
    return policy->token_share > 0 ? policy->token_share : 0.4;
}

/* LAC_E_UNSUPPORTED unless the network has the layers for it: gated, norms first. */
enum lac_status lac_activations_fit(const struct lac_network *network, struct lac_error *error);

/* Makes the bundles (sparse/bundle.h) that the rule wants of all layers that can have one and gain
 * by it.  Those of other number formats, with outliers, mostly of zeros, or of fp32 blocks whose
 * kernels add up in an order of their own have none, and nothing of them is skipped.
 * LAC_E_UNSUPPORTED if that is so of all layers. */
enum lac_status lac_activations_bundle(struct lac_network *network, enum lac_activations_rule rule,
                                       struct lac_error *error);

#endif
