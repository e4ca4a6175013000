/* SPDX-License-Identifier: Apache-2.0 */
/* config.json of decoders: LLaMA, Mistral, Qwen2, GPT-2, OPT. */
#include <string.h>

#include <lacuna/model.h>

#include "src/base/json.h"
#include "src/model/config_parts.h"

/* Whose words a family uses for its sizes. */
enum spelling { LLAMA_WORDS, GPT2_WORDS, OPT_WORDS, N_SPELLINGS };

/* What tells the families apart; fallbacks are those of the classes that define the files. */
static const struct rules {
    enum spelling spelling;
    enum lac_norm_kind norm_kind;
    enum lac_position_kind position_kind;
    size_t position_offset;
    const char *act_key, *act;
    const char *eps_key; /* NULL: the files do not say */
    double eps;
    bool is_gated, has_tied_head;
} rules[LAC_N_FAMILIES] = {
    [LAC_FAMILY_LLAMA] = {LLAMA_WORDS, LAC_NORM_RMS, LAC_POSITION_ROPE, 0, "hidden_act", "silu",
                          "rms_norm_eps", 1e-6, true, false},
    [LAC_FAMILY_MISTRAL] = {LLAMA_WORDS, LAC_NORM_RMS, LAC_POSITION_ROPE, 0, "hidden_act", "silu",
                            "rms_norm_eps", 1e-6, true, false},
    [LAC_FAMILY_QWEN2] = {LLAMA_WORDS, LAC_NORM_RMS, LAC_POSITION_ROPE, 0, "hidden_act", "silu",
                          "rms_norm_eps", 1e-6, true, false},
    [LAC_FAMILY_GPT2] = {GPT2_WORDS, LAC_NORM_LAYER, LAC_POSITION_LEARNED, 0, "activation_function",
                         "gelu_new", "layer_norm_epsilon", 1e-5, false, true},
    [LAC_FAMILY_OPT] = {OPT_WORDS, LAC_NORM_LAYER, LAC_POSITION_LEARNED, 2, "activation_function",
                        "relu", NULL, 1e-5, false, true},
};

static const struct {
    const char *keys[N_SPELLINGS];
    size_t offset, lowest, highest;
} sizes[] = {
    {{"vocab_size", "vocab_size", "vocab_size"},
     offsetof(struct lac_config, vocab_size),
     1,
     1 << 24},
    {{"hidden_size", "n_embd", "hidden_size"}, offsetof(struct lac_config, hidden_size), 1, 65536},
    {{"num_hidden_layers", "n_layer", "num_hidden_layers"},
     offsetof(struct lac_config, n_layers),
     1,
     1024},
    {{"num_attention_heads", "n_head", "num_attention_heads"},
     offsetof(struct lac_config, n_heads),
     1,
     4096},
    {{"intermediate_size", "n_inner", "ffn_dim"},
     offsetof(struct lac_config, intermediate_size),
     1,
     1 << 20},
    {{"max_position_embeddings", "n_positions", "max_position_embeddings"},
     offsetof(struct lac_config, max_positions),
     1,
     1 << 24},
};

enum { MAX_HEAD_DIM = 65536, MAX_WINDOW = 1 << 30 };

/* A switch whose other position is a computation that we do not have. */
struct fixed_switch {
    const char *key;
    bool fallback, only;
};

static enum lac_status check_switches(const json_t *root, struct lac_error *error)
{
    static const struct fixed_switch switches[] = {
        {"is_encoder_decoder", false, false},
        {"add_cross_attention", false, false},
        {"use_mrope", false, false},
        {"layer_norm_elementwise_affine", true, true},
    };
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++) {
        bool on = false;
        enum lac_status status =
            lac_json_bool(root, switches[i].key, switches[i].fallback, &on, error);
        if (status)
            return status;
        if (on != switches[i].only)
            return lac_fail(error, LAC_E_UNSUPPORTED, "%s: %s cannot be run", switches[i].key,
                            on ? "true" : "false");
    }
    if (json_object_size(json_object_get(root, "pruned_heads")))
        return lac_fail(error, LAC_E_UNSUPPORTED,
                        "pruned_heads: layers with fewer heads cannot be run");
    return LAC_OK;
}

static enum lac_status read_sizes(const json_t *root, const struct rules *rule,
                                  struct lac_config *config, struct lac_error *error)
{
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *key = sizes[i].keys[rule->spelling];
        size_t value = 0;
        enum lac_status status =
            lac_json_size(root, key, 0, sizes[i].lowest, sizes[i].highest, &value, error);
        if (status)
            return status;
        /* GPT-2's inner size is four times the outer one unless given. */
        if (!value && !strcmp(key, "n_inner"))
            value = 4 * config->hidden_size;
        if (!value)
            return lac_fail(error, LAC_E_FORMAT, "%s is missing", key);
        memcpy((char *)config + sizes[i].offset, &value, sizeof value);
    }
    return LAC_OK;
}

/* Heads of a size of their own, and fewer of them for keys and values, are LLaMA's. */
static enum lac_status read_heads(const json_t *root, const struct rules *rule,
                                  struct lac_config *config, struct lac_error *error)
{
    config->n_kv_heads = config->n_heads;
    if (rule->spelling != LLAMA_WORDS)
        return lac_config_divide_heads(config, error);
    enum lac_status status = lac_json_size(root, "num_key_value_heads", config->n_heads, 1,
                                           config->n_heads, &config->n_kv_heads, error);
    if (!status)
        status = lac_json_size(root, "head_dim", 0, 1, MAX_HEAD_DIM, &config->head_dim, error);
    if (!status && !config->head_dim)
        status = lac_config_divide_heads(config, error);
    if (status)
        return status;
    if (config->n_heads % config->n_kv_heads)
        return lac_fail(error, LAC_E_FORMAT,
                        "num_key_value_heads: %zu does not divide %zu attention heads",
                        config->n_kv_heads, config->n_heads);
    if (config->head_dim % 2)
        return lac_fail(error, LAC_E_FORMAT,
                        "head_dim: %zu is odd, and features are rotated in pairs",
                        config->head_dim);
    return LAC_OK;
}

static enum lac_status read_positions(const json_t *root, const struct rules *rule,
                                      struct lac_arena *arena, struct lac_config *config,
                                      struct lac_error *error)
{
    config->position_kind = rule->position_kind;
    config->max_tokens = config->max_positions;
    if (rule->position_kind == LAC_POSITION_ROPE) {
        enum lac_status status = lac_config_read_rope(root, arena, config, error);
        /* What a scaling stretches may be named before or after stretching. */
        double stretched = config->rope.factor * (double)config->rope.original_positions;
        if (!status && stretched > (double)config->max_tokens)
            config->max_tokens = (size_t)stretched;
        return status;
    }
    config->position_offset = rule->position_offset;
    config->max_positions += rule->position_offset; /* its table has that many rows more */
    return LAC_OK;
}

static enum lac_status read_biases(const json_t *root, struct lac_config *config,
                                   struct lac_error *error)
{
    bool attention = false, ffn = false;
    enum lac_status status = LAC_OK;
    switch (config->family) {
    case LAC_FAMILY_LLAMA:
        status = lac_json_bool(root, "attention_bias", false, &attention, error);
        if (!status)
            status = lac_json_bool(root, "mlp_bias", false, &ffn, error);
        break;
    case LAC_FAMILY_OPT:
        status = lac_json_bool(root, "enable_bias", true, &attention, error);
        ffn = attention;
        break;
    default:
        attention = ffn = config->family == LAC_FAMILY_GPT2;
    }
    config->has_qkv_bias = attention || config->family == LAC_FAMILY_QWEN2;
    config->has_mix_bias = attention;
    config->has_ffn_bias = ffn;
    return status;
}

static enum lac_status read_gpt2(const json_t *root, struct lac_config *config,
                                 struct lac_error *error)
{
    bool is_scaled = true, by_layer = false;
    enum lac_status status = lac_json_bool(root, "scale_attn_weights", true, &is_scaled, error);
    if (!status)
        status = lac_json_bool(root, "scale_attn_by_inverse_layer_idx", false, &by_layer, error);
    config->unscaled_attention = !is_scaled;
    config->attention_by_inverse_layer = by_layer;
    return status;
}

static enum lac_status read_opt(const json_t *root, struct lac_config *config,
                                struct lac_error *error)
{
    bool norms_before = true, removed = false;
    enum lac_status status =
        lac_json_bool(root, "do_layer_norm_before", true, &norms_before, error);
    if (!status)
        status = lac_json_bool(root, "_remove_final_layer_norm", false, &removed, error);
    if (!status)
        status = lac_json_size(root, "word_embed_proj_dim", config->hidden_size, 1, 65536,
                               &config->embedding_size, error);
    config->norms_before = norms_before;
    config->has_final_norm = norms_before && !removed;
    return status;
}

/* One of "full_attention" and "sliding_attention" for each layer. */
static enum lac_status read_layer_types(const json_t *list, size_t window, size_t *windows,
                                        size_t n_layers, struct lac_error *error)
{
    if (!json_is_array(list) || json_array_size(list) != n_layers)
        return lac_fail(error, LAC_E_FORMAT,
                        "layer_types: expected an array of %zu strings, found %s of %zu", n_layers,
                        lac_json_kind(list), json_array_size(list));
    for (size_t i = 0; i < n_layers; i++) {
        const char *type = json_string_value(json_array_get(list, i));
        if (!type)
            return lac_fail(error, LAC_E_FORMAT, "layer_types: %zu: expected a string, found %s", i,
                            lac_json_kind(json_array_get(list, i)));
        bool is_sliding = !strcmp(type, "sliding_attention");
        if (!is_sliding && strcmp(type, "full_attention"))
            return lac_fail(error, LAC_E_UNSUPPORTED, "layer_types \"%.100s\" cannot be run", type);
        windows[i] = is_sliding ? window : 0;
    }
    return LAC_OK;
}

/* The size of the windows, 0 when there are none, and the first layer that has one unless
 * layer_types says it.  Mistral's stand in all layers, and a file without the key has those of its
 * first version; Qwen2's have a switch. */
static enum lac_status read_window(const json_t *root, const struct lac_config *config,
                                   size_t *window, size_t *first, struct lac_error *error)
{
    enum { USUAL_WINDOW = 4096, USUAL_FIRST = 28 };
    bool is_used = config->family == LAC_FAMILY_MISTRAL;
    enum lac_status status = LAC_OK;
    *window = *first = 0;
    if (config->family == LAC_FAMILY_QWEN2) {
        status = lac_json_bool(root, "use_sliding_window", false, &is_used, error);
        if (!status)
            status =
                lac_json_size(root, "max_window_layers", USUAL_FIRST, 0, 1 << 20, first, error);
    }
    if (status || !is_used || json_is_null(json_object_get(root, "sliding_window")))
        return status;
    return lac_json_size(root, "sliding_window", USUAL_WINDOW, 1, MAX_WINDOW, window, error);
}

static enum lac_status read_windows(const json_t *root, struct lac_arena *arena,
                                    struct lac_config *config, struct lac_error *error)
{
    size_t window, first;
    enum lac_status status = read_window(root, config, &window, &first, error);
    if (status || !window)
        return status;
    const json_t *types = json_object_get(root, "layer_types");
    size_t *windows = lac_arena_alloc(arena, config->n_layers, sizeof *windows);
    if (!windows)
        return lac_config_no_memory(error);
    config->windows = windows;
    if (types && !json_is_null(types))
        return read_layer_types(types, window, windows, config->n_layers, error);
    for (size_t i = 0; i < config->n_layers; i++)
        windows[i] = i < first ? 0 : window;
    return LAC_OK;
}

static enum lac_status read_id(const json_t *value, const char *key,
                               const struct lac_config *config, int32_t *id,
                               struct lac_error *error)
{
    if (!json_is_integer(value))
        return lac_fail(error, LAC_E_FORMAT, "%s: expected an integer, found %s", key,
                        lac_json_kind(value));
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number >= config->vocab_size)
        return lac_fail(error, LAC_E_FORMAT, "%s: %lld is not between 0 and %zu", key,
                        (long long)number, config->vocab_size - 1);
    *id = (int32_t)number;
    return LAC_OK;
}

/* eos_token_id is one id, a list or nothing. */
static enum lac_status read_ids(const json_t *root, struct lac_arena *arena,
                                struct lac_config *config, struct lac_error *error)
{
    const json_t *bos = json_object_get(root, "bos_token_id");
    const json_t *eos = json_object_get(root, "eos_token_id");
    enum lac_status status = LAC_OK;
    config->pad_token_id = -1; /* nothing is padded */
    if (bos && !json_is_null(bos))
        status = read_id(bos, "bos_token_id", config, &config->bos_token_id, error);
    if (status || !eos || json_is_null(eos))
        return status;
    size_t n = json_is_array(eos) ? json_array_size(eos) : 1;
    if (n > LAC_MAX_END_IDS)
        return lac_fail(error, LAC_E_LIMIT, "eos_token_id: %zu ids, more than %d", n,
                        (int)LAC_MAX_END_IDS);
    int32_t *ids = lac_arena_alloc(arena, n, sizeof *ids);
    if (!ids)
        return lac_config_no_memory(error);
    for (size_t i = 0; i < n && !status; i++)
        status = read_id(json_is_array(eos) ? json_array_get(eos, i) : eos, "eos_token_id", config,
                         &ids[i], error);
    config->end_ids = ids;
    config->n_end_ids = n;
    return status;
}

enum lac_status lac_config_read_decoder(const json_t *root, struct lac_arena *arena,
                                        struct lac_config *config, struct lac_error *error)
{
    const struct rules *rule = &rules[config->family];
    bool is_tied = rule->has_tied_head;
    config->norm_kind = rule->norm_kind;
    config->is_gated = rule->is_gated;
    config->norms_before = config->has_final_norm = 1;
    enum lac_status status = check_switches(root, error);
    if (!status)
        status = read_sizes(root, rule, config, error);
    if (!status)
        status = read_heads(root, rule, config, error);
    config->embedding_size = config->hidden_size;
    if (!status)
        status = read_positions(root, rule, arena, config, error);
    if (!status)
        status = lac_config_read_act(root, rule->act_key, rule->act, config, error);
    if (!status)
        status = lac_config_read_eps(rule->eps_key ? root : NULL,
                                     rule->eps_key ? rule->eps_key : "", rule->eps, config, error);
    if (!status)
        status = read_biases(root, config, error);
    if (!status)
        status = lac_json_bool(root, "tie_word_embeddings", is_tied, &is_tied, error);
    config->has_tied_head = is_tied;
    if (!status && config->family == LAC_FAMILY_GPT2)
        status = read_gpt2(root, config, error);
    if (!status && config->family == LAC_FAMILY_OPT)
        status = read_opt(root, config, error);
    if (!status)
        status = read_windows(root, arena, config, error);
    if (!status)
        status = lac_config_read_gates(root, config, error);
    if (!status)
        status = read_ids(root, arena, config, error);
    return status;
}
