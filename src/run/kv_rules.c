/* SPDX-License-Identifier: Apache-2.0 */
/* What each key/value head of a network keeps of a text. */
#include "src/run/kv_rules.h"

#include <math.h>
#include <string.h>

#include "simd/attention.h"
#include "src/base/checked.h"
#include "src/run/rope.h"

static void *copy_array(const struct lac_host *host, const void *array, size_t n, size_t size)
{
    void *copy = n ? lac_alloc(host, n, size) : NULL;
    if (copy)
        memcpy(copy, array, n * size);
    return copy;
}

enum lac_status lac_kv_policy_copy(const struct lac_host *host, const struct lac_kv_policy *policy,
                                   struct lac_kv_policy *copy, struct lac_error *error)
{
    struct lac_kv_policy made = *policy;
    made.full_heads =
        copy_array(host, policy->full_heads, policy->n_full_heads, sizeof *made.full_heads);
    made.layer_budgets = copy_array(host, policy->layer_budgets, policy->n_layer_budgets,
                                    sizeof *made.layer_budgets);
    if ((made.n_full_heads && !made.full_heads) || (made.n_layer_budgets && !made.layer_budgets)) {
        lac_kv_policy_clear(host, &made);
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu key/value heads, %zu layers",
                        policy->n_full_heads, policy->n_layer_budgets);
    }
    *copy = made;
    return LAC_OK;
}

void lac_kv_policy_clear(const struct lac_host *host, struct lac_kv_policy *policy)
{
    lac_free(host, (struct lac_kv_head *)policy->full_heads);
    lac_free(host, (size_t *)policy->layer_budgets);
    *policy = (struct lac_kv_policy){0};
}

static size_t window_of(const struct lac_config *config, size_t layer)
{
    return config->windows ? config->windows[layer] : 0;
}

enum { USUALLY_OBSERVED = 32 };

static size_t budget_of(const struct lac_kv_policy *policy, size_t layer)
{
    return policy->n_layer_budgets ? policy->layer_budgets[layer] : policy->n_budget;
}

static struct lac_kv_rule voted_rule(const struct lac_kv_policy *policy, size_t layer)
{
    struct lac_kv_rule rule = {
        .kind = policy->kind,
        .budget = budget_of(policy, layer),
        .n_observed = policy->n_observed,
    };
    if (!rule.n_observed)
        rule.n_observed = policy->kind == LAC_KV_SNAP ? USUALLY_OBSERVED : SIZE_MAX;
    rule.n_last = policy->kind == LAC_KV_SNAP ? rule.n_observed
                  : policy->n_window          ? policy->n_window
                                              : rule.budget - rule.budget / 2;
    return rule;
}

static enum lac_status check_voted(const struct lac_kv_policy *policy,
                                   const struct lac_config *config, struct lac_error *error)
{
    if (policy->n_layer_budgets && policy->n_layer_budgets != config->n_layers)
        return lac_fail(error, LAC_E_ARGUMENT, "budgets for %zu layers; the model has %zu",
                        policy->n_layer_budgets, config->n_layers);
    if (policy->deal != LAC_KV_EVEN &&
        (policy->deal != LAC_KV_BY_MASS || policy->n_layer_budgets || policy->kind != LAC_KV_SNAP))
        return lac_fail(error, LAC_E_ARGUMENT, "budgets of policy %d are not dealt in way %d",
                        (int)policy->kind, (int)policy->deal);
    for (size_t i = 0; i < config->n_layers; i++) {
        struct lac_kv_rule rule = voted_rule(policy, i);
        if (!rule.budget || rule.budget < rule.n_last || rule.budget > LAC_KV_MOST)
            return lac_fail(error, LAC_E_ARGUMENT,
                            "layer %zu: a budget of %zu keys; from %zu, the last, to %d", i,
                            rule.budget, lac_max_size(rule.n_last, 1), LAC_KV_MOST);
    }
    return LAC_OK;
}

static enum lac_status check_share(const struct lac_kv_policy *policy, struct lac_error *error)
{
    if (!(policy->share > 0 && policy->share <= 1) || policy->n_observed > LAC_KV_MOST)
        return lac_fail(error, LAC_E_ARGUMENT,
                        "a share of %g, of which %zu tokens decide; expected more than 0 to 1, and "
                        "at most %d",
                        policy->share, policy->n_observed, LAC_KV_MOST);
    return LAC_OK;
}

/* Keys of a memory have one position, so that there must be positions that queries and keys are
 * turned by, and the same ones whatever the length of a text. */
static enum lac_status check_memory(const struct lac_kv_policy *policy,
                                    const struct lac_config *config, struct lac_error *error)
{
    if (!policy->n_window || policy->n_window > LAC_KV_MOST || policy->n_sinks > LAC_KV_MOST ||
        !policy->n_budget || policy->n_budget > LAC_KV_MOST || policy->n_layer_budgets)
        return lac_fail(error, LAC_E_ARGUMENT,
                        "a memory of which the first %zu and %zu other keys are read, and a window "
                        "of %zu; the latter from 1, all to %d",
                        policy->n_sinks, policy->n_budget, policy->n_window, LAC_KV_MOST);
    if (config->position_kind != LAC_POSITION_ROPE || config->rope.kind == LAC_ROPE_DYNAMIC)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "keys are looked up at one position; the model's are not rotary ones that "
                        "are the same for all texts");
    return LAC_OK;
}

static enum lac_status check_choice(const struct lac_kv_policy *policy,
                                    const struct lac_config *config, struct lac_error *error)
{
    if (policy->n_part > LAC_KV_MOST || (policy->n_part && policy->n_layer_budgets))
        return lac_fail(error, LAC_E_ARGUMENT, "one key of %zu, with budgets for %zu layers",
                        policy->n_part, policy->n_layer_budgets);
    if (policy->n_layer_budgets && policy->n_layer_budgets != config->n_layers)
        return lac_fail(error, LAC_E_ARGUMENT, "budgets for %zu layers; the model has %zu",
                        policy->n_layer_budgets, config->n_layers);
    for (size_t i = 0; i < config->n_layers && !policy->n_part; i++)
        if (!budget_of(policy, i) || budget_of(policy, i) > LAC_KV_MOST)
            return lac_fail(error, LAC_E_ARGUMENT, "layer %zu: a budget of %zu keys; from 1 to %d",
                            i, budget_of(policy, i), LAC_KV_MOST);
    return LAC_OK;
}

enum lac_status lac_kv_policy_check(const struct lac_kv_policy *policy,
                                    const struct lac_config *config, struct lac_error *error)
{
    enum lac_status status = LAC_OK;
    switch (policy->kind) {
    case LAC_KV_FULL:
        break;
    case LAC_KV_SNAP:
    case LAC_KV_HEAVY:
        status = check_voted(policy, config, error);
        break;
    case LAC_KV_STREAM:
        if (!policy->n_window || policy->n_window > LAC_KV_MOST || policy->n_sinks > LAC_KV_MOST)
            return lac_fail(error, LAC_E_ARGUMENT,
                            "a cache of the first %zu and the last %zu keys; a window of 1 to %d "
                            "is needed",
                            policy->n_sinks, policy->n_window, LAC_KV_MOST);
        break;
    case LAC_KV_MEMORY:
        status = check_memory(policy, config, error);
        break;
    case LAC_KV_THIN:
    case LAC_KV_ZIP:
        status = check_share(policy, error);
        break;
    case LAC_KV_QUEST:
    case LAC_KV_CHANNELS:
        status = check_choice(policy, config, error);
        break;
    default:
        return lac_fail(error, LAC_E_ARGUMENT, "no cache follows policy %d", (int)policy->kind);
    }
    if (!status && policy->rest != LAC_KV_FORGET &&
        (policy->rest != LAC_KV_MEAN || policy->kind != LAC_KV_STREAM))
        return lac_fail(error, LAC_E_ARGUMENT, "policy %d does not remember in way %d",
                        (int)policy->kind, (int)policy->rest);
    for (size_t i = 0; i < policy->n_full_heads && !status; i++) {
        const struct lac_kv_head *head = &policy->full_heads[i];
        if (head->layer >= config->n_layers || head->head >= config->n_kv_heads)
            return lac_fail(error, LAC_E_ARGUMENT,
                            "key/value head %zu of layer %zu keeps all; the model has %zu in each "
                            "of %zu layers",
                            head->head, head->layer, config->n_kv_heads, config->n_layers);
    }
    return status;
}

/* A query that is the last of its block sees the whole block, one that is the first only itself. */
static size_t blocks_left(size_t window)
{
    return lac_ceil_div(window - 1, LAC_KEY_BLOCK);
}

/* Layers with a window of their own give up what they do not see any more, under any policy that
 * gives up something. */
static struct lac_kv_rule windowed(const struct lac_kv_rules *rules,
                                   const struct lac_kv_policy *policy, size_t window)
{
    struct lac_kv_rule rule = {.kind = LAC_KV_STREAM, .n_left = blocks_left(window)};
    if (policy->kind == LAC_KV_QUEST || policy->kind == LAC_KV_CHANNELS)
        return (struct lac_kv_rule){0};
    size_t n_left = policy->kind == LAC_KV_STREAM ? blocks_left(policy->n_window) : rule.n_left;
    if ((n_left + 1) * LAC_KEY_BLOCK <= window) {
        rule.n_left = n_left;
        rule.sight = &rules->windowed;
    }
    return rule;
}

static struct lac_kv_rule compact_rule(const struct lac_kv_policy *policy)
{
    size_t n = policy->n_observed ? policy->n_observed : USUALLY_OBSERVED;
    return (struct lac_kv_rule){.kind = policy->kind, .n_observed = n, .n_last = n};
}

static struct lac_kv_rule usual(const struct lac_kv_rules *rules,
                                const struct lac_kv_policy *policy, size_t layer)
{
    if (policy->kind == LAC_KV_QUEST || policy->kind == LAC_KV_CHANNELS)
        return (struct lac_kv_rule){
            .kind = policy->kind,
            .budget = budget_of(policy, layer),
            .part = policy->n_part,
        };
    if (policy->kind == LAC_KV_THIN || policy->kind == LAC_KV_ZIP)
        return compact_rule(policy);
    if (policy->kind == LAC_KV_MEMORY)
        return (struct lac_kv_rule){
            .kind = policy->kind,
            .n_memory = lac_ceil_div(policy->n_sinks, LAC_KEY_BLOCK),
            .n_left = blocks_left(policy->n_window),
            .budget = lac_ceil_div(policy->n_budget, LAC_KEY_BLOCK),
            .sight = &rules->windowed,
        };
    if (policy->kind != LAC_KV_STREAM)
        return voted_rule(policy, layer);
    return (struct lac_kv_rule){
        .kind = LAC_KV_STREAM,
        .n_sinks = lac_ceil_div(policy->n_sinks, LAC_KEY_BLOCK),
        .n_left = blocks_left(policy->n_window),
        .remembers = policy->rest == LAC_KV_MEAN,
        .sight = &rules->streaming,
    };
}

/* What streaming heads keep is what they see. */
static void make_sights(struct lac_kv_rules *rules, const struct lac_kv_policy *policy)
{
    rules->terms[0] = (struct lac_sight_term){
        .kind = LAC_SIGHT_WINDOW,
        .as.window = {.left = blocks_left(policy->n_window), .dilation = 1, .block = LAC_KEY_BLOCK},
    };
    rules->terms[1] = (struct lac_sight_term){
        .kind = LAC_SIGHT_GLOBAL,
        .as.global = {.block = LAC_KEY_BLOCK,
                      .n_first = lac_ceil_div(policy->n_sinks, LAC_KEY_BLOCK),
                      .parts = LAC_SIGHT_COLUMNS},
    };
    rules->streaming = (struct lac_sight){true, rules->terms, policy->n_sinks ? 2 : 1, 0};
    rules->windowed = (struct lac_sight){true, rules->terms, 1, 0};
}

/* Sizes of labels: the largest and the least of each feature of a page, or some features of each
 * key. */
static void make_labels(struct lac_kv_rules *rules, const struct lac_kv_policy *policy,
                        const struct lac_config *config)
{
    if (policy->kind == LAC_KV_QUEST || policy->kind == LAC_KV_MEMORY) {
        rules->n_labels = 1;
        rules->n_dwords = 2 * lac_ceil_div(config->head_dim, 4);
    } else if (policy->kind == LAC_KV_CHANNELS) {
        size_t n = lac_round_up(lac_ceil_div(config->head_dim, 16), 4);
        rules->n_channels = lac_min_size(n, config->head_dim);
        rules->n_labels = LAC_LANES;
        rules->n_dwords = lac_ceil_div(rules->n_channels, 4);
    }
}

/* Of a position behind the window of every query, for keys at position 0. */
static void make_edge(struct lac_kv_rules *rules, const struct lac_kv_policy *policy,
                      const struct lac_config *config)
{
    float frequencies[LAC_MAX_HEAD_DIM / 2];
    struct lac_rope rope = config->rope;
    size_t edge = (blocks_left(policy->n_window) + 1) * LAC_KEY_BLOCK;
    rope.attention_factor = 1; /* queries have it already */
    lac_rope_frequencies(&rope, config->head_dim, 0, frequencies);
    lac_rope_angles(&rope, frequencies, config->head_dim / 2, edge, 1, rules->edge_cos,
                    rules->edge_sin);
}

/* Of a key's features at least four stay. */
static void make_form(struct lac_kv_rules *rules, const struct lac_kv_policy *policy,
                      const struct lac_config *config)
{
    if (policy->kind == LAC_KV_THIN) {
        rules->form = LAC_COMPACT_FEATURES;
        rules->n_key_dwords =
            (size_t)ceil(policy->share * (double)lac_ceil_div(config->head_dim, 4));
    } else if (policy->kind == LAC_KV_ZIP) {
        rules->form = LAC_COMPACT_BITS;
        rules->share = policy->share;
    }
}

enum lac_status lac_kv_rules_make(const struct lac_host *host, const struct lac_kv_policy *policy,
                                  const struct lac_config *config, struct lac_kv_rules **rules,
                                  struct lac_error *error)
{
    size_t n_heads = config->n_kv_heads, n = config->n_layers * n_heads;
    *rules = NULL;
    if (policy->kind == LAC_KV_FULL)
        return LAC_OK;
    struct lac_kv_rules *made = lac_alloc_zero(host, 1, sizeof *made + n * sizeof *made->of);
    if (!made)
        return lac_fail(error, LAC_E_MEMORY, "no memory for the rules of %zu layers",
                        config->n_layers);
    made->deal = policy->deal;
    made->rest = policy->rest;
    if (policy->kind == LAC_KV_STREAM || policy->kind == LAC_KV_MEMORY)
        make_sights(made, policy);
    made->has_memory = policy->kind == LAC_KV_MEMORY;
    if (made->has_memory)
        make_edge(made, policy, config);
    make_labels(made, policy, config);
    make_form(made, policy, config);
    for (size_t i = 0; i < n; i++) {
        size_t window = window_of(config, i / n_heads);
        made->of[i] = window ? windowed(made, policy, window) : usual(made, policy, i / n_heads);
    }
    for (size_t i = 0; i < policy->n_full_heads; i++) {
        const struct lac_kv_head *head = &policy->full_heads[i];
        if (!window_of(config, head->layer))
            made->of[head->layer * n_heads + head->head] = (struct lac_kv_rule){0};
    }
    *rules = made;
    return LAC_OK;
}
