/* SPDX-License-Identifier: Apache-2.0 */
/* A model ready to run: its parts by role, opening and freeing. */
#include "src/run/network.h"

#include <string.h>

#include <lacuna/model.h>

#include "simd/attention.h"
#include "src/base/checked.h"
#include "src/run/activations.h"
#include "src/run/gate_turns.h"
#include "src/run/plan.h"
#include "src/run/rope.h"

const struct lac_slot lac_layer_linears[LAC_N_LAYER_LINEARS] = {
    {LAC_ROLE_QUERY, "query"},
    {LAC_ROLE_KEY, "key"},
    {LAC_ROLE_VALUE, "value"},
    {LAC_ROLE_GLOBAL_QUERY, "global_query"},
    {LAC_ROLE_GLOBAL_KEY, "global_key"},
    {LAC_ROLE_GLOBAL_VALUE, "global_value"},
    {LAC_ROLE_POOLED_QUERY, "pooled_query"},
    {LAC_ROLE_POOLED_KEY, "pooled_key"},
    {LAC_ROLE_ATTENTION_OUTPUT, "attention_output"},
    {LAC_ROLE_FFN_GATE, "ffn_gate"},
    {LAC_ROLE_FFN_UP, "ffn_up"},
    {LAC_ROLE_FFN_DOWN, "ffn_down"},
};

const struct lac_slot lac_layer_norms[LAC_N_LAYER_NORMS] = {
    {LAC_ROLE_ATTENTION_NORM, "attention_norm"},
    {LAC_ROLE_FFN_NORM, "ffn_norm"},
};

const struct lac_slot lac_head_linears[LAC_N_HEAD_LINEARS] = {
    {LAC_ROLE_POOLER, "pooler"},         {LAC_ROLE_CLASSIFIER_DENSE, "classifier_dense"},
    {LAC_ROLE_CLASSIFIER, "classifier"}, {LAC_ROLE_ANSWER, "answer"},
    {LAC_ROLE_FILL_DENSE, "fill_dense"}, {LAC_ROLE_FILL_DECODER, "fill_decoder"},
    {LAC_ROLE_PROJECT_IN, "project_in"}, {LAC_ROLE_PROJECT_OUT, "project_out"},
    {LAC_ROLE_LM_HEAD, "lm_head"},
};

const struct lac_slot lac_head_norms[LAC_N_HEAD_NORMS] = {
    {LAC_ROLE_EMBEDDING_NORM, "embedding_norm"},
    {LAC_ROLE_FILL_NORM, "fill_norm"},
    {LAC_ROLE_FINAL_NORM, "final_norm"},
};

struct lac_linear *lac_network_linear(struct lac_network *network, enum lac_role role, size_t layer)
{
    struct lac_layer *l = &network->layers[layer]; /* of a head's role: unused */
    switch (role) {
    case LAC_ROLE_QUERY:
        return &l->query;
    case LAC_ROLE_KEY:
        return &l->key;
    case LAC_ROLE_VALUE:
        return &l->value;
    case LAC_ROLE_GLOBAL_QUERY:
        return &l->global_query;
    case LAC_ROLE_GLOBAL_KEY:
        return &l->global_key;
    case LAC_ROLE_GLOBAL_VALUE:
        return &l->global_value;
    case LAC_ROLE_POOLED_QUERY:
        return &l->pooled_query;
    case LAC_ROLE_POOLED_KEY:
        return &l->pooled_key;
    case LAC_ROLE_ATTENTION_OUTPUT:
        return &l->mix;
    case LAC_ROLE_FFN_GATE:
        return &l->gate;
    case LAC_ROLE_FFN_UP:
        return &l->up;
    case LAC_ROLE_FFN_DOWN:
        return &l->down;
    case LAC_ROLE_POOLER:
        return &network->pooler;
    case LAC_ROLE_CLASSIFIER_DENSE:
        return &network->classifier_dense;
    case LAC_ROLE_CLASSIFIER:
        return &network->classifier;
    case LAC_ROLE_ANSWER:
        return &network->answer;
    case LAC_ROLE_FILL_DENSE:
        return &network->fill_dense;
    case LAC_ROLE_FILL_DECODER:
        return &network->fill_decoder;
    case LAC_ROLE_PROJECT_IN:
        return &network->project_in;
    case LAC_ROLE_PROJECT_OUT:
        return &network->project_out;
    case LAC_ROLE_LM_HEAD:
        return &network->lm_head;
    default:
        return NULL;
    }
}

struct lac_norm *lac_network_norm(struct lac_network *network, enum lac_role role, size_t layer)
{
    switch (role) {
    case LAC_ROLE_EMBEDDING_NORM:
        return &network->embedding_norm;
    case LAC_ROLE_ATTENTION_NORM:
        return &network->layers[layer].attention_norm;
    case LAC_ROLE_FFN_NORM:
        return &network->layers[layer].ffn_norm;
    case LAC_ROLE_FILL_NORM:
        return &network->fill_norm;
    case LAC_ROLE_FINAL_NORM:
        return &network->final_norm;
    default:
        return NULL;
    }
}

static enum lac_need always_if(bool condition)
{
    return condition ? LAC_NEED_ALWAYS : LAC_NEED_NONE;
}

enum lac_need lac_role_need(const struct lac_config *config, enum lac_role role)
{
    unsigned tasks = config->tasks;
    bool is_decoder = lac_family_is_decoder(config->family);
    switch (role) {
    case LAC_ROLE_EMBEDDING_NORM:
        return always_if(!is_decoder);
    case LAC_ROLE_GLOBAL_QUERY:
    case LAC_ROLE_GLOBAL_KEY:
    case LAC_ROLE_GLOBAL_VALUE:
        return always_if(config->has_global);
    case LAC_ROLE_POOLED_QUERY:
        return always_if(config->gates.width && config->gates.has_query);
    case LAC_ROLE_POOLED_KEY:
        return always_if(config->gates.width);
    case LAC_ROLE_FFN_GATE:
        return always_if(config->is_gated);
    case LAC_ROLE_POOLER: /* embeddings may ask for it */
        if (!config->has_classifier_dense && (tasks & LAC_TASK_CLASSIFY))
            return LAC_NEED_ALWAYS;
        return is_decoder || config->family == LAC_FAMILY_DISTILBERT ? LAC_NEED_NONE
                                                                     : LAC_NEED_IF_THERE;
    case LAC_ROLE_CLASSIFIER_DENSE:
        return always_if(config->has_classifier_dense && (tasks & LAC_TASK_CLASSIFY));
    case LAC_ROLE_CLASSIFIER:
        return always_if(tasks & (LAC_TASK_CLASSIFY | LAC_TASK_TAG));
    case LAC_ROLE_ANSWER:
        return always_if(tasks & LAC_TASK_ANSWER);
    case LAC_ROLE_FILL_DENSE:
    case LAC_ROLE_FILL_NORM:
    case LAC_ROLE_FILL_DECODER:
        return always_if(tasks & LAC_TASK_FILL);
    case LAC_ROLE_PROJECT_IN:
    case LAC_ROLE_PROJECT_OUT:
        return always_if(config->embedding_size != config->hidden_size);
    case LAC_ROLE_FINAL_NORM:
        return always_if(config->has_final_norm);
    case LAC_ROLE_LM_HEAD:
        return always_if(is_decoder);
    default: /* what every layer has */
        return LAC_NEED_ALWAYS;
    }
}

void lac_linear_shape(const struct lac_config *config, enum lac_role role, size_t *n_out,
                      size_t *n_in)
{
    const struct lac_gates *gates = &config->gates;
    *n_out = *n_in = config->hidden_size;
    switch (role) {
    case LAC_ROLE_QUERY:
    case LAC_ROLE_GLOBAL_QUERY:
        *n_out = lac_query_size(config);
        break;
    case LAC_ROLE_KEY:
    case LAC_ROLE_VALUE:
    case LAC_ROLE_GLOBAL_KEY:
    case LAC_ROLE_GLOBAL_VALUE:
        *n_out = lac_key_size(config);
        break;
    case LAC_ROLE_POOLED_QUERY:
        *n_out = config->n_heads * gates->width;
        *n_in = lac_gates_inputs(gates->query_pools, config->head_dim);
        break;
    case LAC_ROLE_POOLED_KEY:
        *n_out = (gates->has_query ? config->n_kv_heads : config->n_heads) * gates->width;
        *n_in = lac_gates_inputs(gates->key_pools, config->head_dim);
        break;
    case LAC_ROLE_ATTENTION_OUTPUT:
        *n_in = lac_query_size(config);
        break;
    case LAC_ROLE_FFN_GATE:
    case LAC_ROLE_FFN_UP:
        *n_out = config->intermediate_size;
        break;
    case LAC_ROLE_FFN_DOWN:
        *n_in = config->intermediate_size;
        break;
    case LAC_ROLE_CLASSIFIER:
        *n_out = config->n_labels;
        break;
    case LAC_ROLE_ANSWER:
        *n_out = 2;
        break;
    case LAC_ROLE_FILL_DECODER:
        *n_out = config->vocab_size;
        break;
    case LAC_ROLE_PROJECT_IN:
        *n_in = config->embedding_size;
        break;
    case LAC_ROLE_PROJECT_OUT:
        *n_out = config->embedding_size;
        break;
    case LAC_ROLE_LM_HEAD:
        *n_out = config->vocab_size;
        *n_in = config->embedding_size;
        break;
    default:
        break;
    }
}

static enum lac_status prepare_rope(struct lac_network *network, struct lac_error *error)
{
    const struct lac_config *c = &network->config;
    float *frequencies = lac_arena_alloc(&network->arena, c->head_dim / 2, sizeof *frequencies);
    if (!frequencies)
        return lac_fail(error, LAC_E_MEMORY, "no memory for rotary positions");
    lac_rope_frequencies(&c->rope, c->head_dim, 0, frequencies);
    network->rope_frequencies = frequencies;
    if (!c->gates.width)
        return LAC_OK;
    return lac_gate_turns_make(c, &network->arena, &network->gate_turns, error);
}

enum lac_status lac_network_prepare(struct lac_network *network, struct lac_error *error)
{
    const struct lac_config *c = &network->config;
    if (!c->n_layers)
        return lac_fail(error, LAC_E_UNSUPPORTED, "a model without layers");
    if (c->head_dim > LAC_MAX_HEAD_DIM)
        return lac_fail(error, LAC_E_UNSUPPORTED, "attention heads of %zu features; at most %d",
                        c->head_dim, (int)LAC_MAX_HEAD_DIM);
    if (c->gates.width > LAC_MAX_HEAD_DIM)
        return lac_fail(error, LAC_E_UNSUPPORTED, "attention gates of %zu features; at most %d",
                        c->gates.width, (int)LAC_MAX_HEAD_DIM);
    size_t most = c->n_layers * LAC_N_LAYER_LINEARS + LAC_N_HEAD_LINEARS;
    network->layers = lac_arena_alloc_zero(&network->arena, c->n_layers, sizeof *network->layers);
    network->linears = lac_arena_alloc_zero(&network->arena, most, sizeof *network->linears);
    if (!network->layers || !network->linears)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %zu layers", c->n_layers);
    lac_plan_shared(&network->kernels, network->features);
    enum lac_status status = lac_sights_make(network, &network->arena, &network->sights, error);
    if (status)
        return status;
    return c->position_kind == LAC_POSITION_ROPE ? prepare_rope(network, error) : LAC_OK;
}

static void list_linear(struct lac_network *network, const struct lac_linear *linear)
{
    if (!linear->name)
        return;
    network->linears[network->n_linears++] = linear;
    network->n_parameters += linear->weight.n_out * (linear->weight.n_in + 1);
}

/* A bias that is all zeros because there is none counts as one all the same. */
static void list_linears(struct lac_network *network)
{
    const struct lac_config *c = &network->config;
    for (size_t i = 0; i < c->n_layers; i++)
        for (size_t k = 0; k < LAC_N_LAYER_LINEARS; k++)
            list_linear(network, lac_network_linear(network, lac_layer_linears[k].role, i));
    for (size_t k = 0; k < LAC_N_HEAD_LINEARS; k++)
        list_linear(network, lac_network_linear(network, lac_head_linears[k].role, 0));
    size_t n_norms = c->n_layers * LAC_N_LAYER_NORMS;
    for (size_t k = 0; k < LAC_N_HEAD_NORMS; k++)
        n_norms += lac_role_need(c, lac_head_norms[k].role) != LAC_NEED_NONE;
    size_t norm_rows = c->norm_kind == LAC_NORM_RMS ? n_norms : 2 * n_norms;
    size_t n_positions = network->position.weight ? c->max_positions : 0;
    network->n_parameters += (n_positions + c->n_token_types + norm_rows) * c->hidden_size;
    if (!c->has_tied_head)
        network->n_parameters += c->vocab_size * c->embedding_size;
}

/* Has every linear layer a kernel that takes one token alone? */
static bool takes_rows(const struct lac_network *network)
{
    bool takes = lac_family_is_decoder(network->config.family);
    for (size_t i = 0; i < network->n_linears; i++)
        takes = takes && network->linears[i]->few->op == LAC_OP_LINEAR_OUTPUT &&
                network->linears[i]->few_below > 1;
    return takes;
}

void lac_network_complete(struct lac_network *network, size_t cache_bytes)
{
    list_linears(network);
    network->takes_rows = takes_rows(network);
    network->batch_tokens = lac_plan_batch_tokens(network, cache_bytes);
}

enum lac_status lac_network_open(const struct lac_host *host, const char *path,
                                 const struct lac_network_options *options,
                                 struct lac_network **network, struct lac_error *error)
{
    struct lac_network *n = lac_alloc_zero(host, 1, sizeof *n);
    if (!n)
        return lac_fail(error, LAC_E_MEMORY, "%s: no memory for a model", path);
    n->host = host;
    n->features = options->features;
    n->plan_table = options->plan_table;
    n->arena.host = host;
    enum lac_status status = lac_is_checkpoint(path) ? lac_network_load(n, path, options, error)
                                                     : lac_network_unpack(n, path, options, error);
    if (!status)
        status = lac_activations_bundle(n, options->activations, error);
    if (status) {
        lac_network_free(n);
        return status;
    }
    lac_network_complete(n, options->cache_bytes);
    *network = n;
    return LAC_OK;
}

void lac_network_free(struct lac_network *network)
{
    if (!network)
        return;
    lac_checkpoint_close(network->checkpoint);
    lac_tensors_close(network->tensors);
    lac_arena_clear(&network->arena);
    lac_free(network->host, network);
}
