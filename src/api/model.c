/* SPDX-License-Identifier: Apache-2.0 */
/* Models: opening, packing, and what there is to know of them. */
#include "src/api/internal.h"
#include "src/base/checked.h"
#include "src/base/file.h"
#include "src/run/gguf_tokenizer.h"
#include "src/run/plan.h"
#include "src/text/tokenizer.h"

struct lac_model_options {
    enum lac_dtype dtype; /* 0: the model's */
    int pattern;          /* -1: the plan's */
    double outliers;
    enum lac_activations_rule activations;
};

enum lac_status lac_model_options_new(struct lac_model_options **options)
{
    if (!options)
        return LAC_E_ARGUMENT;
    struct lac_model_options *o = lac_alloc_zero(&lac_default_host, 1, sizeof *o);
    if (!o)
        return LAC_E_MEMORY;
    o->pattern = -1;
    *options = o;
    return LAC_OK;
}

void lac_model_options_free(struct lac_model_options *options)
{
    lac_free(&lac_default_host, options);
}

void lac_model_options_set_dtype(struct lac_model_options *options, enum lac_dtype dtype)
{
    options->dtype = dtype;
}

void lac_model_options_set_pattern(struct lac_model_options *options, enum lac_pattern pattern)
{
    options->pattern = (int)pattern;
}

void lac_model_options_set_outliers(struct lac_model_options *options, double share)
{
    options->outliers = share;
}

void lac_model_options_set_activations(struct lac_model_options *options,
                                       enum lac_activations_rule rule)
{
    options->activations = rule;
}

static enum lac_status read_options(const struct lac_model_options *options,
                                    const struct lac_engine *engine,
                                    struct lac_network_options *read, struct lac_error *error)
{
    *read = (struct lac_network_options){
        .pattern = -1,
        .features = engine->features,
        .plan_table = engine->plan_table,
        .cache_bytes = lac_topology_l2_bytes(engine->topology),
    };
    if (!options)
        return LAC_OK;
    if ((int)options->dtype < 0 || options->dtype >= LAC_N_DTYPES)
        return lac_fail(error, LAC_E_ARGUMENT, "unknown dtype %d", (int)options->dtype);
    if (options->pattern < -1 || options->pattern >= LAC_N_PATTERNS)
        return lac_fail(error, LAC_E_ARGUMENT, "unknown pattern %d", options->pattern);
    if ((int)options->activations < 0 || options->activations > LAC_ACTIVATIONS_CORE)
        return lac_fail(error, LAC_E_ARGUMENT, "unknown rule of activations %d",
                        (int)options->activations);
    if (!(options->outliers >= 0 && options->outliers <= LAC_MOST_OUTLIERS))
        return lac_fail(error, LAC_E_ARGUMENT, "outliers: %g is not a share from 0 to %g",
                        options->outliers, LAC_MOST_OUTLIERS);
    read->outliers = options->outliers;
    read->activations = options->activations;
    read->dtype = options->dtype;
    read->pattern = options->pattern;
    return LAC_OK;
}

static enum lac_status has_tokenizer(const struct lac_host *host, const char *directory, bool *has,
                                     struct lac_error *error)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt", "vocab.json"};
    *has = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0] && !*has; i++) {
        char *path = lac_path_join(host, directory, names[i]);
        if (!path)
            return lac_fail(error, LAC_E_MEMORY, "%s: no memory for a path", directory);
        *has = lac_path_is_file(path);
        lac_free(host, path);
    }
    return LAC_OK;
}

/* A model without tokenizer files still takes token ids. */
static enum lac_status open_tokenizer(struct lac_model *m, const char *path,
                                      struct lac_error *error)
{
    const struct lac_host *host = &m->engine->host;
    const struct lac_tokenizer_texts *texts = &m->network->texts;
    const struct lac_checkpoint *checkpoint = m->network->checkpoint;
    if (texts->kind)
        return lac_tokenizer_open_texts(host, path, texts, &m->tokenizer, error);
    if (checkpoint && checkpoint->gguf)
        return lac_gguf_tokenizer_open(host, path, checkpoint->gguf, &m->tokenizer, error);
    bool has = false;
    enum lac_status status = checkpoint ? has_tokenizer(host, path, &has, error) : LAC_OK;
    return has ? lac_tokenizer_open_path(host, path, &m->tokenizer, error) : status;
}

static enum lac_status open_model(struct lac_model *m, const char *path,
                                  const struct lac_model_options *options, struct lac_error *error)
{
    struct lac_network_options read;
    enum lac_status status = read_options(options, m->engine, &read, error);
    if (!status)
        status = lac_network_open(&m->engine->host, path, &read, &m->network, error);
    if (!status)
        status = open_tokenizer(m, path, error);
    m->mask_id = m->tokenizer ? lac_tokenizer_mask_id(m->tokenizer) : -1;
    return status;
}

enum lac_status lac_model_open(struct lac_engine *engine, const char *path,
                               const struct lac_model_options *options, struct lac_model **model)
{
    struct lac_error error = {0};
    if (!path || !model) {
        lac_fail(&error, LAC_E_ARGUMENT, "lac_model_open: %s is NULL", path ? "model" : "path");
        return lac_engine_fail(engine, &error);
    }
    struct lac_model *m = lac_alloc_zero(&engine->host, 1, sizeof *m);
    if (!m) {
        lac_fail(&error, LAC_E_MEMORY, "%s: no memory for a model", path);
        return lac_engine_fail(engine, &error);
    }
    m->engine = engine;
    if (open_model(m, path, options, &error)) {
        lac_model_free(m);
        return lac_engine_fail(engine, &error);
    }
    *model = m;
    return LAC_OK;
}

void lac_model_free(struct lac_model *model)
{
    if (!model)
        return;
    lac_tokenizer_free(model->tokenizer);
    lac_network_free(model->network);
    lac_free(&model->engine->host, model);
}

enum lac_status lac_model_pack(const struct lac_model *model, const char *path)
{
    struct lac_error error = {0};
    if (!path)
        lac_fail(&error, LAC_E_ARGUMENT, "lac_model_pack: path is NULL");
    else
        lac_network_pack(model->network,
                         model->tokenizer ? lac_tokenizer_texts(model->tokenizer) : NULL, path,
                         &error);
    return error.status ? lac_engine_fail(model->engine, &error) : LAC_OK;
}

const char *lac_model_architecture(const struct lac_model *model)
{
    return model->network->config.model_type;
}

unsigned lac_model_tasks(const struct lac_model *model)
{
    return model->network->config.tasks;
}

enum lac_dtype lac_model_dtype(const struct lac_model *model)
{
    return model->network->dtype;
}

size_t lac_model_hidden_size(const struct lac_model *model)
{
    return model->network->config.hidden_size;
}

size_t lac_model_layers(const struct lac_model *model)
{
    return model->network->config.n_layers;
}

size_t lac_model_heads(const struct lac_model *model)
{
    return model->network->config.n_heads;
}

size_t lac_model_intermediate_size(const struct lac_model *model)
{
    return model->network->config.intermediate_size;
}

size_t lac_model_max_tokens(const struct lac_model *model)
{
    return model->network->config.max_tokens;
}

size_t lac_model_text_tokens(const struct lac_model *model)
{
    const struct lac_config *config = &model->network->config;
    size_t n = config->text_tokens;
    if (!n && model->tokenizer)
        n = lac_tokenizer_truncation(model->tokenizer);
    return n ? lac_min_size(n, config->max_tokens) : config->max_tokens;
}

size_t lac_model_parameters(const struct lac_model *model)
{
    return model->network->n_parameters;
}

size_t lac_model_labels(const struct lac_model *model)
{
    return model->network->config.n_labels;
}

const char *lac_model_label(const struct lac_model *model, size_t label)
{
    const struct lac_config *config = &model->network->config;
    return label < config->n_labels ? config->labels[label] : NULL;
}

const struct lac_tokenizer *lac_model_tokenizer(const struct lac_model *model)
{
    return model->tokenizer;
}

size_t lac_model_weights(const struct lac_model *model)
{
    return model->network->n_linears;
}

enum lac_status lac_model_weight_info(const struct lac_model *model, size_t index,
                                      struct lac_weight_info *info)
{
    const struct lac_network *network = model->network;
    if (index >= network->n_linears || !info) {
        struct lac_error error;
        lac_fail(&error, LAC_E_ARGUMENT, "weight %zu of %zu", index, network->n_linears);
        return lac_engine_fail(model->engine, &error);
    }
    const struct lac_linear *l = network->linears[index];
    const struct lac_weight *w = &l->weight;
    size_t n_elements = w->n_out * w->n_in;
    *info = (struct lac_weight_info){
        .name = l->name,
        .n_out = w->n_out,
        .n_in = w->n_in,
        .zeros = (double)l->n_zeros / (double)n_elements,
        .pattern = w->pattern,
        .pattern_name = lac_pattern_name(w->pattern, w->dtype),
        .kernel = l->many->name,
        .kernel_few = l->few->name,
        .bytes_dense = n_elements * sizeof(float) / lac_dword_inputs(w->dtype),
        .bytes_stored = lac_weight_bytes(w),
        .n_outliers = w->outliers.n,
    };
    for (size_t p = 0; p < LAC_N_PATTERNS; p++) {
        info->predicted_cost[p] = l->cost[p];
        if (p != LAC_PATTERN_DENSE)
            info->zero_blocks[p] = 1 - (double)l->n_nonzero[p] / (double)l->n_blocks[p];
    }
    return LAC_OK;
}

enum lac_status lac_model_weight_plan(const struct lac_model *model, size_t index, size_t n_tokens,
                                      struct lac_weight_plan *plan)
{
    const struct lac_network *network = model->network;
    if (index >= network->n_linears || !n_tokens || !plan) {
        struct lac_error error;
        lac_fail(&error, LAC_E_ARGUMENT, "weight %zu of %zu with %zu tokens", index,
                 network->n_linears, n_tokens);
        return lac_engine_fail(model->engine, &error);
    }
    const struct lac_linear *l = network->linears[index];
    struct lac_plan_prediction p = {
        .kernel = n_tokens < l->few_below ? l->few : l->many,
    };
    bool is_measured = lac_plan_predict(network, l, n_tokens, &p);
    *plan = (struct lac_weight_plan){
        .kernel = p.kernel->name,
        .dense_kernel = is_measured ? p.dense_kernel->name : NULL,
        .predicted_us = is_measured ? p.ns / 1e3 : 0,
        .dense_us = is_measured ? p.dense_ns / 1e3 : 0,
    };
    return LAC_OK;
}
