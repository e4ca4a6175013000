/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles of a network's layers, and thresholds from what was counted. */
#include "src/run/activations.h"

#include <string.h>

#include "src/run/core.h"

enum lac_status lac_activations_policy_copy(const struct lac_host *host,
                                            const struct lac_activations_policy *policy,
                                            struct lac_activations_policy *copy,
                                            struct lac_error *error)
{
    size_t n = policy->n_thresholds;
    float *thresholds = n ? lac_alloc(host, n, sizeof *thresholds) : NULL;
    if (n && !thresholds)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu thresholds", n);
    if (n)
        memcpy(thresholds, policy->thresholds, n * sizeof *thresholds);
    *copy = *policy;
    copy->thresholds = thresholds;
    return LAC_OK;
}

void lac_activations_policy_clear(const struct lac_host *host,
                                  struct lac_activations_policy *policy)
{
    lac_free(host, (float *)policy->thresholds);
    *policy = (struct lac_activations_policy){0};
}

static enum lac_status check_thresholds(const struct lac_activations_policy *policy,
                                        const struct lac_network *network, struct lac_error *error)
{
    if (policy->n_thresholds != network->config.n_layers)
        return lac_fail(error, LAC_E_ARGUMENT, "%zu thresholds; the model has %zu layers",
                        policy->n_thresholds, network->config.n_layers);
    for (size_t i = 0; i < policy->n_thresholds; i++)
        if (!(policy->thresholds[i] >= 0))
            return lac_fail(error, LAC_E_ARGUMENT, "layer %zu: a threshold of %g", i,
                            (double)policy->thresholds[i]);
    return LAC_OK;
}

static enum lac_status check_shares(const struct lac_activations_policy *policy,
                                    const struct lac_network *network, struct lac_error *error)
{
    if (!(policy->core_share > 0 && policy->core_share <= 1))
        return lac_fail(error, LAC_E_ARGUMENT, "a core of %g of the neurons", policy->core_share);
    if (!(policy->token_share >= 0 && policy->token_share <= 1))
        return lac_fail(error, LAC_E_ARGUMENT, "a token's share of %g of the neurons",
                        policy->token_share);
    return lac_core_check(network, error);
}

enum lac_status lac_activations_policy_check(const struct lac_activations_policy *policy,
                                             const struct lac_network *network,
                                             struct lac_error *error)
{
    if (policy->rule == LAC_ACTIVATIONS_ALL)
        return LAC_OK;
    enum lac_status status = lac_activations_fit(network, error);
    if (status)
        return status;
    switch (policy->rule) {
    case LAC_ACTIVATIONS_CATS:
        return check_thresholds(policy, network, error);
    case LAC_ACTIVATIONS_CORE:
        return check_shares(policy, network, error);
    default:
        return lac_fail(error, LAC_E_ARGUMENT, "no neurons are left out by rule %d",
                        (int)policy->rule);
    }
}

enum lac_status lac_activations_fit(const struct lac_network *network, struct lac_error *error)
{
    const struct lac_config *c = &network->config;
    if (lac_family_is_decoder(c->family) && c->is_gated && c->norms_before)
        return LAC_OK;
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "the model's feed-forward layers have no gate: no neuron can be left out");
}

/* Have the layer's kernels the order of sums that those of neurons have? */
static bool has_usual_order(const struct lac_linear *linear)
{
    return lac_dtype_is_quantized(linear->weight.dtype) || linear->few != linear->many;
}

/* A bundle keeps zeros.  Of weights that keep less than a quarter of their elements it would be
 * read sooner only below a fifth of the neurons, with which texts make little sense. */
enum { LEAST_KEPT = 4 };

/* NULL: a bundle is of use. */
static const char *why_no_bundle(const struct lac_layer *layer)
{
    const struct lac_weight *up = &layer->up.weight, *down = &layer->down.weight;
    if (!lac_bundle_fits(up, down))
        return "they are neither int8 without outliers nor fp32";
    if (!has_usual_order(&layer->up) || !has_usual_order(&layer->down))
        return "they are fp32 blocks whose sums have an order of their own";
    size_t n_elements = 2 * up->n_out * up->n_in; /* of matrices in memory */
    if ((lac_weight_bytes(up) + lac_weight_bytes(down)) * LEAST_KEPT <
        n_elements * lac_element_bytes(up->dtype))
        return "most of them are zeros that are not stored, and of a neuron all would be";
    return NULL;
}

enum lac_status lac_activations_bundle(struct lac_network *network, enum lac_activations_rule rule,
                                       struct lac_error *error)
{
    if (rule != LAC_ACTIVATIONS_CATS)
        return LAC_OK;
    enum lac_status status = lac_activations_fit(network, error);
    const char *why = NULL;
    size_t n_bundles = 0;
    for (size_t i = 0; i < network->config.n_layers && !status; i++) {
        struct lac_layer *layer = &network->layers[i];
        const char *why_not = why_no_bundle(layer);
        why = why_not ? why_not : why;
        n_bundles += !why_not;
        if (!why_not)
            status = lac_bundle_make(&layer->up.weight, &layer->down.weight, network->host,
                                     &network->arena, &layer->bundle, error);
    }
    if (!status && !n_bundles)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "no neuron's feed-forward weights can be skipped: %s", why);
    return status;
}

float lac_histogram_threshold(const _Atomic uint32_t *histogram, double share)
{
    uint64_t total = 0, above = 0;
    for (size_t i = 0; i < LAC_HISTOGRAM_BINS; i++)
        total += atomic_load_explicit(&histogram[i], memory_order_relaxed);
    size_t bin = LAC_HISTOGRAM_BINS;
    while (bin && (double)above < share * (double)total)
        above += atomic_load_explicit(&histogram[--bin], memory_order_relaxed);
    if (bin == LAC_HISTOGRAM_BINS)
        bin = 0;
    uint32_t bits = (uint32_t)bin << 16;
    float threshold;
    memcpy(&threshold, &bits, sizeof threshold);
    return threshold;
}
