/* SPDX-License-Identifier: Apache-2.0 */
/* config.json's words for SeerAttention's gates. */
#include <string.h>

#include "src/base/json.h"
#include "src/model/config_parts.h"

static const char *const pool_names[LAC_N_POOLED] = {
    [LAC_POOLED_MAX] = "max",
    [LAC_POOLED_MIN] = "min",
    [LAC_POOLED_MEAN] = "avg",
};

size_t lac_gates_inputs(unsigned pools, size_t head_dim)
{
    return (size_t)__builtin_popcount(pools) * head_dim;
}

/* Names of pools without anything between them, each at most once and in their order; moves *text
 * behind them. */
static unsigned read_pools(const char **text)
{
    unsigned pools = 0;
    for (size_t i = 0; i < LAC_N_POOLED; i++) {
        size_t n = strlen(pool_names[i]);
        if (strncmp(*text, pool_names[i], n))
            continue;
        pools |= 1u << i;
        *text += n;
    }
    return pools;
}

/* "Qavg_Kmaxminavg" */
static enum lac_status read_kind(const char *text, struct lac_gates *gates, struct lac_error *error)
{
    const char *rest = text;
    if (*rest == 'Q') {
        rest++;
        gates->query_pools = read_pools(&rest);
    }
    if (gates->query_pools && !strncmp(rest, "_K", 2)) {
        rest += 2;
        gates->key_pools = read_pools(&rest);
    }
    if (gates->key_pools && !*rest)
        return LAC_OK;
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "seerattn_gate_type \"%.100s\" cannot be run (such as \"Qavg_Kmaxminavg\" can)",
                    text);
}

static enum lac_status read_width(const json_t *root, struct lac_gates *gates,
                                  struct lac_error *error)
{
    enum lac_status status =
        lac_json_size(root, "seerattn_gate_hidden_size", 128, 1, 1 << 16, &gates->width, error);
    /* Heads are split between the rows of blocks of weights, whatever their pattern. */
    if (!status && gates->width % 32)
        status = lac_fail(error, LAC_E_UNSUPPORTED,
                          "seerattn_gate_hidden_size: %zu cannot be run (multiples of 32 can)",
                          gates->width);
    return status;
}

/* Which blocks are asked for. */
static enum lac_status read_method(const json_t *root, struct lac_gates *gates,
                                   struct lac_error *error)
{
    const char *method = "threshold";
    double threshold = 0, share = 1;
    enum lac_status status =
        lac_json_string(root, "seerattn_sparsity_method", method, &method, error);
    if (!status)
        status = lac_json_real(root, "seerattn_threshold", 0, &threshold, error);
    if (!status)
        status = lac_json_real(root, "seerattn_nz_ratio", 1, &share, error);
    if (status)
        return status;
    if (!(threshold >= 0 && threshold <= 1))
        return lac_fail(error, LAC_E_FORMAT, "seerattn_threshold: %g is not between 0 and 1",
                        threshold);
    if (!(share > 0 && share <= 1))
        return lac_fail(error, LAC_E_FORMAT, "seerattn_nz_ratio: %g is not between 0 and 1", share);
    if (!strcmp(method, "threshold"))
        gates->threshold = threshold;
    else if (strcmp(method, "nz_ratio"))
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "seerattn_sparsity_method \"%.100s\" cannot be run (threshold and nz_ratio "
                        "can)",
                        method);
    else if (share < 1)
        gates->share = share;
    return LAC_OK;
}

enum lac_status lac_config_read_gates(const json_t *root, struct lac_config *config,
                                      struct lac_error *error)
{
    struct lac_gates *gates = &config->gates;
    const char *kind = NULL;
    size_t block = LAC_GATE_BLOCK;
    bool is_double = false;
    enum lac_status status = lac_json_string(root, "seerattn_gate_type", NULL, &kind, error);
    if (status || !kind)
        return status;
    if (config->position_kind != LAC_POSITION_ROPE)
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "seerattn_gate_type: only models with rotary positions can have gates");
    status = read_kind(kind, gates, error);
    if (!status)
        status = lac_json_size(root, "seerattn_gate_block_size", LAC_GATE_BLOCK, 1, 1 << 20, &block,
                               error);
    if (!status && block != LAC_GATE_BLOCK)
        status = lac_fail(error, LAC_E_UNSUPPORTED,
                          "seerattn_gate_block_size: %zu cannot be run (%d can)", block,
                          (int)LAC_GATE_BLOCK);
    if (!status)
        status = read_width(root, gates, error);
    if (!status)
        status = lac_json_bool(root, "seerattn_gate_force_double", false, &is_double, error);
    if (!status)
        status = read_method(root, gates, error);
    bool is_plain =
        !(gates->query_pools & (gates->query_pools - 1)) && gates->width == config->head_dim;
    gates->has_query = is_double || !is_plain;
    return status;
}
