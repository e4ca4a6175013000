/* SPDX-License-Identifier: Apache-2.0 */
/* config.json: which model it is, and what all families share. */
#include "src/model/config.h"

#include <math.h>
#include <string.h>

#include <lacuna/model.h>

#include "src/base/json.h"
#include "src/model/config_parts.h"

/* Types that differ in nothing but their name share a family. */
static const struct model_type {
    const char *model_type;
    enum lac_family family;
    const char *class_prefix; /* of architecture names */
} types[] = {
    {"bert", LAC_FAMILY_BERT, "Bert"},
    {"roberta", LAC_FAMILY_ROBERTA, "Roberta"},
    {"xlm-roberta", LAC_FAMILY_ROBERTA, "XLMRoberta"},
    {"camembert", LAC_FAMILY_ROBERTA, "Camembert"},
    {"longformer", LAC_FAMILY_ROBERTA, "Longformer"},
    {"big_bird", LAC_FAMILY_BERT, "BigBird"},
    {"distilbert", LAC_FAMILY_DISTILBERT, "DistilBert"},
    {"llama", LAC_FAMILY_LLAMA, "Llama"},
    {"mistral", LAC_FAMILY_MISTRAL, "Mistral"},
    {"qwen2", LAC_FAMILY_QWEN2, "Qwen2"},
    {"gpt2", LAC_FAMILY_GPT2, "GPT2"},
    {"opt", LAC_FAMILY_OPT, "OPT"},
};

enum { N_TYPES = sizeof types / sizeof types[0] };

/* What follows the prefix.  names[] is by family, for lac_architecture_name. */
static const struct {
    const char *suffix;
    unsigned task;
    const char *names[LAC_N_FAMILIES];
} heads[] = {
    {"Model", LAC_TASK_EMBED, {"BertModel", "RobertaModel", "DistilBertModel"}},
    {"ForSequenceClassification",
     LAC_TASK_CLASSIFY,
     {"BertForSequenceClassification", "RobertaForSequenceClassification",
      "DistilBertForSequenceClassification"}},
    {"ForTokenClassification",
     LAC_TASK_TAG,
     {"BertForTokenClassification", "RobertaForTokenClassification",
      "DistilBertForTokenClassification"}},
    {"ForQuestionAnswering",
     LAC_TASK_ANSWER,
     {"BertForQuestionAnswering", "RobertaForQuestionAnswering", "DistilBertForQuestionAnswering"}},
    {"ForMaskedLM",
     LAC_TASK_FILL,
     {"BertForMaskedLM", "RobertaForMaskedLM", "DistilBertForMaskedLM"}},
    {"ForPreTraining", LAC_TASK_FILL, {NULL}},
    {"ForCausalLM",
     LAC_TASK_GENERATE,
     {[LAC_FAMILY_LLAMA] = "LlamaForCausalLM",
      [LAC_FAMILY_MISTRAL] = "MistralForCausalLM",
      [LAC_FAMILY_QWEN2] = "Qwen2ForCausalLM",
      [LAC_FAMILY_GPT2] = "GPT2LMHeadModel",
      [LAC_FAMILY_OPT] = "OPTForCausalLM"}},
    {"LMHeadModel", LAC_TASK_GENERATE, {NULL}},
    /* A decoder saved without its head can still have it: the word embedding. */
    {"Model", LAC_TASK_GENERATE, {NULL}},
};

enum { N_HEADS = sizeof heads / sizeof heads[0] };

static const struct {
    const char *name;
    enum lac_hidden_act act;
} activations[] = {
    {"gelu", LAC_HIDDEN_GELU},
    {"gelu_python", LAC_HIDDEN_GELU},
    {"gelu_new", LAC_HIDDEN_GELU_TANH},
    {"gelu_fast", LAC_HIDDEN_GELU_TANH}, /* the same formula, multiplied out */
    {"gelu_pytorch_tanh", LAC_HIDDEN_GELU_TANH},
    {"relu", LAC_HIDDEN_RELU},
    {"silu", LAC_HIDDEN_SILU},
    {"swish", LAC_HIDDEN_SILU},
};

const char *lac_architecture_name(enum lac_family family, unsigned task)
{
    for (size_t i = 0; i < N_HEADS; i++)
        if (heads[i].task == task && heads[i].names[family])
            return heads[i].names[family];
    return heads[0].names[family];
}

float lac_config_attention_scale(const struct lac_config *config, size_t layer)
{
    double scale = config->unscaled_attention ? 1 : 1 / sqrt((double)config->head_dim);
    return (float)(config->attention_by_inverse_layer ? scale / (double)(layer + 1) : scale);
}

const char *lac_config_keep(struct lac_arena *arena, const char *text)
{
    return lac_arena_strndup(arena, text, strlen(text));
}

enum lac_status lac_config_no_memory(struct lac_error *error)
{
    return lac_fail(error, LAC_E_MEMORY, "no memory for the configuration");
}

enum lac_status lac_config_divide_heads(struct lac_config *config, struct lac_error *error)
{
    if (config->hidden_size % config->n_heads)
        return lac_fail(error, LAC_E_FORMAT, "%zu attention heads do not divide hidden size %zu",
                        config->n_heads, config->hidden_size);
    config->head_dim = config->hidden_size / config->n_heads;
    return LAC_OK;
}

enum lac_status lac_config_read_act(const json_t *root, const char *key, const char *fallback,
                                    struct lac_config *config, struct lac_error *error)
{
    const char *act = NULL;
    bool is_decoder = lac_family_is_decoder(config->family);
    enum lac_status status = lac_json_string(root, key, fallback, &act, error);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof activations / sizeof activations[0]; i++)
        if (!strcmp(act, activations[i].name) &&
            (is_decoder || activations[i].act != LAC_HIDDEN_SILU)) {
            config->hidden_act = activations[i].act;
            return LAC_OK;
        }
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "%s \"%.100s\" cannot be run (gelu, gelu_new, gelu_fast, gelu_pytorch_tanh%s "
                    "and relu can)",
                    key, act, is_decoder ? ", silu" : "");
}

enum lac_status lac_config_read_eps(const json_t *root, const char *key, double fallback,
                                    struct lac_config *config, struct lac_error *error)
{
    double eps = fallback;
    enum lac_status status = root ? lac_json_real(root, key, fallback, &eps, error) : LAC_OK;
    if (status)
        return status;
    if (!(eps >= 1e-30 && eps <= 1))
        return lac_fail(error, LAC_E_FORMAT, "%s: %g is not between 1e-30 and 1", key, eps);
    config->norm_eps = (float)eps;
    return LAC_OK;
}

/* Architectures of decoders whose attention has gates: they come before the family's prefix. */
#define GATED_PREFIX "SeerAttn"

/* The task of an architecture of this type; 0 when it is none that we know. */
static unsigned task_of(const struct model_type *type, const char *architecture)
{
    size_t n = strlen(type->class_prefix);
    if (lac_family_is_decoder(type->family) &&
        !strncmp(architecture, GATED_PREFIX, strlen(GATED_PREFIX)))
        architecture += strlen(GATED_PREFIX);
    if (strncmp(architecture, type->class_prefix, n))
        return 0;
    for (size_t h = 0; h < N_HEADS; h++)
        if (!strcmp(architecture + n, heads[h].suffix) &&
            (heads[h].task == LAC_TASK_GENERATE) == lac_family_is_decoder(type->family))
            return heads[h].task;
    return 0;
}

/* Finds the head's name after one of the family's prefixes. */
static enum lac_status read_head(const char *architecture, struct lac_config *config,
                                 struct lac_error *error)
{
    for (size_t t = 0; t < N_TYPES; t++) {
        unsigned task = types[t].family == config->family ? task_of(&types[t], architecture) : 0;
        config->tasks |= task;
        if (task)
            return LAC_OK;
    }
    return lac_fail(error, LAC_E_UNSUPPORTED,
                    "architecture \"%.100s\" cannot be run with model_type \"%s\"", architecture,
                    config->model_type);
}

/* "" when there is none. */
static enum lac_status first_architecture(const json_t *root, const char **architecture,
                                          struct lac_error *error)
{
    const json_t *list = json_object_get(root, "architectures");
    *architecture = "";
    if (!list || json_is_null(list))
        return LAC_OK;
    *architecture = json_string_value(json_array_get(list, 0));
    if (!*architecture)
        return lac_fail(error, LAC_E_FORMAT, "architectures: expected an array of strings");
    return LAC_OK;
}

static enum lac_status unknown_type(const char *type, struct lac_error *error)
{
    char known[200];
    size_t used = 0;
    for (size_t i = 0; i < N_TYPES; i++) {
        const char *const parts[] = {i == 0            ? ""
                                     : i + 1 < N_TYPES ? ", "
                                                       : " and ",
                                     types[i].model_type};
        for (size_t k = 0; k < 2; k++)
            for (const char *c = parts[k]; *c && used + 1 < sizeof known; c++)
                known[used++] = *c;
    }
    known[used] = '\0';
    return lac_fail(error, LAC_E_UNSUPPORTED, "model_type \"%.100s\" cannot be run (%s can)", type,
                    known);
}

/* Very old files name no type, but an architecture of it. */
static enum lac_status read_type(const json_t *root, const char *architecture,
                                 struct lac_config *config, struct lac_error *error)
{
    const char *type = NULL;
    enum lac_status status = lac_json_string(root, "model_type", NULL, &type, error);
    if (status)
        return status;
    for (size_t i = 0; i < N_TYPES; i++)
        if (type ? !strcmp(type, types[i].model_type) : task_of(&types[i], architecture) != 0) {
            config->family = types[i].family;
            config->model_type = types[i].model_type;
            return LAC_OK;
        }
    return type ? unknown_type(type, error)
                : lac_fail(error, LAC_E_FORMAT, "model_type is missing");
}

static enum lac_status read_config(const json_t *root, struct lac_arena *arena,
                                   struct lac_config *config, struct lac_error *error)
{
    const char *architecture = "";
    if (!json_is_object(root))
        return lac_fail(error, LAC_E_FORMAT, "expected an object, found %s", lac_json_kind(root));
    enum lac_status status = first_architecture(root, &architecture, error);
    if (!status)
        status = read_type(root, architecture, config, error);
    if (status)
        return status;
    bool is_decoder = lac_family_is_decoder(config->family);
    config->tasks = is_decoder ? LAC_TASK_GENERATE : LAC_TASK_EMBED;
    if (architecture[0])
        status = read_head(architecture, config, error);
    config->architecture = lac_config_keep(arena, architecture);
    if (!status && !config->architecture)
        status = lac_config_no_memory(error);
    if (status)
        return status;
    return is_decoder ? lac_config_read_decoder(root, arena, config, error)
                      : lac_config_read_encoder(root, arena, config, error);
}

enum lac_status lac_config_parse(const char *name, const void *json, size_t size,
                                 struct lac_arena *arena, struct lac_config *config,
                                 struct lac_error *error)
{
    json_t *root = NULL;
    struct lac_config read = {.prefix = "", .bos_token_id = -1};
    enum lac_status status = lac_json_parse(name, json, size, &root, error);
    if (status)
        return status;
    status = read_config(root, arena, &read, error);
    if (status)
        lac_fail_in(error, status, "%s", name);
    else
        *config = read;
    json_decref(root);
    return status;
}
