/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of the BERT family. */
#include <stdio.h>
#include <string.h>

#include <lacuna/model.h>

#include "src/base/json.h"
#include "src/model/config_parts.h"

enum { MAX_LABELS = 65536, MOST_RANDOM_BLOCKS = 32 };

static const struct {
    const char *name;
    enum lac_problem problem;
} problems[] = {
    {"single_label_classification", LAC_PROBLEM_SINGLE_LABEL},
    {"multi_label_classification", LAC_PROBLEM_MULTI_LABEL},
    {"regression", LAC_PROBLEM_REGRESSION},
};

static const char *const poolings[] = {
    [LAC_CONFIG_POOL_MEAN] = "mean",
    [LAC_CONFIG_POOL_CLS] = "cls",
    [LAC_CONFIG_POOL_POOLER] = "pooler",
};

/* One row a size: DistilBERT spells most of them its own way. */
static const struct {
    const char *key, *distilbert_key;
    size_t offset, lowest, highest;
} sizes[] = {
    {"vocab_size", "vocab_size", offsetof(struct lac_config, vocab_size), 1, 1 << 24},
    {"hidden_size", "dim", offsetof(struct lac_config, hidden_size), 1, 65536},
    {"num_hidden_layers", "n_layers", offsetof(struct lac_config, n_layers), 1, 1024},
    {"num_attention_heads", "n_heads", offsetof(struct lac_config, n_heads), 1, 4096},
    {"intermediate_size", "hidden_dim", offsetof(struct lac_config, intermediate_size), 1, 1 << 20},
    {"max_position_embeddings", "max_position_embeddings",
     offsetof(struct lac_config, max_positions), 1, 1 << 20},
};

static bool is_big_bird(const struct lac_config *config)
{
    return !strcmp(config->model_type, "big_bird");
}

/* Switches that change the computation into one that we do not have. */
static enum lac_status check_switches(const json_t *root, struct lac_error *error)
{
    static const char *const off[] = {"is_decoder", "add_cross_attention", "is_encoder_decoder"};
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        bool on = false;
        enum lac_status status = lac_json_bool(root, off[i], false, &on, error);
        if (status)
            return status;
        if (on)
            return lac_fail(error, LAC_E_UNSUPPORTED, "%s: only plain encoders can be run", off[i]);
    }
    if (json_object_size(json_object_get(root, "pruned_heads")))
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "pruned_heads: layers with fewer heads cannot "
                        "be run");
    const char *positions = NULL;
    enum lac_status status =
        lac_json_string(root, "position_embedding_type", "absolute", &positions, error);
    if (!status && strcmp(positions, "absolute"))
        status =
            lac_fail(error, LAC_E_UNSUPPORTED,
                     "position_embedding_type \"%.100s\" cannot be run (absolute can)", positions);
    return status;
}

static enum lac_status read_sizes(const json_t *root, struct lac_config *config,
                                  struct lac_error *error)
{
    enum lac_status status;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *key =
            config->family == LAC_FAMILY_DISTILBERT ? sizes[i].distilbert_key : sizes[i].key;
        size_t value = 0;
        status = lac_json_size(root, key, 0, sizes[i].lowest, sizes[i].highest, &value, error);
        if (status)
            return status;
        if (!value)
            return lac_fail(error, LAC_E_FORMAT, "%s is missing", key);
        memcpy((char *)config + sizes[i].offset, &value, sizeof value);
    }
    status = lac_config_divide_heads(config, error);
    if (status)
        return status;
    config->n_kv_heads = config->n_heads;
    config->embedding_size = config->hidden_size;
    config->has_qkv_bias = config->has_mix_bias = config->has_ffn_bias = 1;
    config->has_classifier_dense = config->family != LAC_FAMILY_BERT || is_big_bird(config);
    if (config->family == LAC_FAMILY_DISTILBERT)
        return LAC_OK;
    return lac_json_size(root, "type_vocab_size", 2, 1, 256, &config->n_token_types, error);
}

/* RoBERTa's positions begin after the padding token's id. */
static enum lac_status read_positions(const json_t *root, struct lac_config *config,
                                      struct lac_error *error)
{
    bool is_roberta = config->family == LAC_FAMILY_ROBERTA;
    size_t pad = 0;
    enum lac_status status =
        lac_json_size(root, "pad_token_id", is_roberta, 0, config->vocab_size - 1, &pad, error);
    if (status)
        return status;
    config->pad_token_id = (int32_t)pad;
    config->position_offset = is_roberta ? pad + 1 : 0;
    if (config->position_offset >= config->max_positions)
        return lac_fail(error, LAC_E_FORMAT,
                        "max_position_embeddings %zu leaves none from position %zu on",
                        config->max_positions, config->position_offset);
    config->max_tokens = config->max_positions - config->position_offset;
    return LAC_OK;
}

static enum lac_status read_arithmetic(const json_t *root, struct lac_config *config,
                                       struct lac_error *error)
{
    bool is_distilbert = config->family == LAC_FAMILY_DISTILBERT;
    enum lac_status status =
        lac_config_read_act(root, is_distilbert ? "activation" : "hidden_act",
                            is_big_bird(config) ? "gelu_new" : "gelu", config, error);
    /* DistilBERT's epsilon is fixed, and the others' default is the same. */
    return status ? status
                  : lac_config_read_eps(is_distilbert ? NULL : root, "layer_norm_eps", 1e-12,
                                        config, error);
}

/* attention_window: keys that a token sees, half of them on each side, of all layers or of each. */
static enum lac_status read_reach(const json_t *root, struct lac_arena *arena,
                                  struct lac_config *config, struct lac_error *error)
{
    const json_t *window = json_object_get(root, "attention_window");
    if (strcmp(config->model_type, "longformer"))
        return LAC_OK;
    size_t sep = 2, *reach = lac_arena_alloc(arena, config->n_layers, sizeof *reach);
    if (!reach)
        return lac_config_no_memory(error);
    if (json_is_array(window) && json_array_size(window) != config->n_layers)
        return lac_fail(error, LAC_E_FORMAT, "attention_window: %zu items for %zu layers",
                        json_array_size(window), config->n_layers);
    for (size_t i = 0; i < config->n_layers; i++) {
        const json_t *own = json_is_array(window) ? json_array_get(window, i) : window;
        json_int_t n = own ? json_integer_value(own) : 512;
        if ((own && !json_is_integer(own)) || n < 2 || n > 1 << 20 || n % 2)
            return lac_fail(error, LAC_E_FORMAT,
                            "attention_window: expected even numbers between 2 and %d", 1 << 20);
        reach[i] = (size_t)n / 2;
    }
    config->reach = reach;
    config->has_global = 1;
    enum lac_status status =
        lac_json_size(root, "sep_token_id", sep, 0, config->vocab_size - 1, &sep, error);
    config->sep_token_id = (int32_t)sep;
    return status;
}

/* BigBird (Zaheer et al. 2020).  Its random blocks are for training: transformers draws none when a
 * model is used, and takes the first block in their place (version 4.30 and later). */
static enum lac_status read_blocks(const json_t *root, struct lac_config *config,
                                   struct lac_error *error)
{
    const char *attention = NULL;
    bool has_bias = true, rescales = false;
    if (!is_big_bird(config))
        return LAC_OK;
    if (config->tasks & LAC_TASK_ANSWER)
        return lac_fail(error, LAC_E_UNSUPPORTED, "%s: its head cannot be run",
                        config->architecture);
    enum lac_status status =
        lac_json_string(root, "attention_type", "block_sparse", &attention, error);
    if (!status)
        status = lac_json_bool(root, "use_bias", true, &has_bias, error);
    if (!status)
        status = lac_json_bool(root, "rescale_embeddings", false, &rescales, error);
    if (status)
        return status;
    config->has_qkv_bias = has_bias;
    if (rescales)
        return lac_fail(error, LAC_E_UNSUPPORTED, "rescale_embeddings: cannot be run");
    if (!strcmp(attention, "original_full"))
        return LAC_OK;
    if (strcmp(attention, "block_sparse"))
        return lac_fail(
            error, LAC_E_UNSUPPORTED,
            "attention_type \"%.100s\" cannot be run (block_sparse and original_full can)",
            attention);
    status = lac_json_size(root, "block_size", 64, 1, 1024, &config->block_tokens, error);
    return status ? status
                  : lac_json_size(root, "num_random_blocks", 3, 0, MOST_RANDOM_BLOCKS,
                                  &config->n_random_blocks, error);
}

/* id2label's keys are "0" to "n-1", in any order; since no key comes twice, n keys below n are
 * all of them. */
static enum lac_status read_label(const char *key, const json_t *value, struct lac_arena *arena,
                                  struct lac_config *config, struct lac_error *error)
{
    char canonical[24];
    size_t id = 0;
    for (const char *c = key; *c >= '0' && *c <= '9' && id < MAX_LABELS; c++)
        id = 10 * id + (size_t)(*c - '0');
    snprintf(canonical, sizeof canonical, "%zu", id);
    if (strcmp(key, canonical) || id >= config->n_labels)
        return lac_fail(error, LAC_E_FORMAT, "id2label: key \"%.40s\" is not between 0 and %zu",
                        key, config->n_labels - 1);
    if (!json_is_string(value) && !json_is_integer(value))
        return lac_fail(error, LAC_E_FORMAT, "id2label: %s: expected a string, found %s", key,
                        lac_json_kind(value));
    if (json_is_integer(value))
        snprintf(canonical, sizeof canonical, "%lld", (long long)json_integer_value(value));
    config->labels[id] =
        lac_config_keep(arena, json_is_string(value) ? json_string_value(value) : canonical);
    return config->labels[id] ? LAC_OK : lac_config_no_memory(error);
}

static enum lac_status number_labels(struct lac_arena *arena, struct lac_config *config,
                                     struct lac_error *error)
{
    for (size_t i = 0; i < config->n_labels; i++) {
        char text[32];
        snprintf(text, sizeof text, "LABEL_%zu", i);
        config->labels[i] = lac_config_keep(arena, text);
        if (!config->labels[i])
            return lac_config_no_memory(error);
    }
    return LAC_OK;
}

/* num_labels and id2label must agree; without either there are two labels. */
static enum lac_status read_labels(const json_t *root, struct lac_arena *arena,
                                   struct lac_config *config, struct lac_error *error)
{
    json_t *names = json_object_get(root, "id2label");
    size_t n_names = json_object_size(names);
    if (names && !json_is_null(names) && !json_is_object(names))
        return lac_fail(error, LAC_E_FORMAT, "id2label: expected an object, found %s",
                        lac_json_kind(names));
    enum lac_status status = lac_json_size(root, "num_labels", n_names ? n_names : 2, 1, MAX_LABELS,
                                           &config->n_labels, error);
    if (status)
        return status;
    if (n_names && n_names != config->n_labels)
        return lac_fail(error, LAC_E_FORMAT, "num_labels is %zu, but id2label names %zu",
                        config->n_labels, n_names);
    if (config->n_labels > MAX_LABELS)
        return lac_fail(error, LAC_E_LIMIT, "id2label: %zu labels, more than %d", config->n_labels,
                        MAX_LABELS);
    config->labels = lac_arena_alloc(arena, config->n_labels, sizeof *config->labels);
    if (!config->labels)
        return lac_config_no_memory(error);
    if (!n_names)
        return number_labels(arena, config, error);
    const char *key;
    json_t *value;
    json_object_foreach(names, key, value)
    {
        status = read_label(key, value, arena, config, error);
        if (status)
            return status;
    }
    return LAC_OK;
}

/* A single output without a problem type is a score. */
static enum lac_status read_problem(const json_t *root, struct lac_config *config,
                                    struct lac_error *error)
{
    const char *name = NULL;
    enum lac_status status = lac_json_string(root, "problem_type", NULL, &name, error);
    if (status)
        return status;
    config->problem = config->n_labels == 1 ? LAC_PROBLEM_REGRESSION : LAC_PROBLEM_SINGLE_LABEL;
    if (!name)
        return LAC_OK;
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++)
        if (!strcmp(name, problems[i].name)) {
            config->problem = problems[i].problem;
            return LAC_OK;
        }
    return lac_fail(error, LAC_E_UNSUPPORTED, "problem_type \"%.100s\" is not known", name);
}

static enum lac_status read_pooling(const json_t *root, struct lac_config *config,
                                    struct lac_error *error)
{
    const char *name = NULL;
    bool normalize = false;
    enum lac_status status = lac_json_string(root, "lacuna_pooling", "mean", &name, error);
    if (!status)
        status = lac_json_bool(root, "lacuna_normalize", false, &normalize, error);
    if (!status)
        status = lac_json_size(root, "lacuna_text_tokens", 0, 1, LAC_MAX_TEXT_TOKENS,
                               &config->text_tokens, error);
    if (status)
        return status;
    config->normalize = normalize;
    for (size_t i = 0; i < sizeof poolings / sizeof poolings[0]; i++)
        if (!strcmp(name, poolings[i])) {
            config->pooling = (enum lac_config_pooling)i;
            return LAC_OK;
        }
    return lac_fail(error, LAC_E_UNSUPPORTED, "lacuna_pooling \"%.100s\" is not known", name);
}

enum lac_status lac_config_read_encoder(const json_t *root, struct lac_arena *arena,
                                        struct lac_config *config, struct lac_error *error)
{
    enum lac_status status = check_switches(root, error);
    if (!status)
        status = read_sizes(root, config, error);
    if (!status)
        status = read_positions(root, config, error);
    if (!status)
        status = read_arithmetic(root, config, error);
    if (!status)
        status = read_reach(root, arena, config, error);
    if (!status)
        status = read_blocks(root, config, error);
    if (!status && config->tasks & (LAC_TASK_CLASSIFY | LAC_TASK_TAG))
        status = read_labels(root, arena, config, error);
    if (!status)
        status = read_problem(root, config, error);
    if (!status)
        status = read_pooling(root, config, error);
    return status;
}
