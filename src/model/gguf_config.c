/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF's keys in the words of config.json, so that one reader checks both and a packed model can
 * keep the result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/model/gguf.h"

/* How a number is written. */
enum number_kind { SIZE, REAL };

/* One row a number: what follows "ARCHITECTURE.", and what config.json calls it.  Missing ones stay
 * missing. */
struct number {
    const char *key, *name;
    enum number_kind kind;
};

static const struct number llama_numbers[] = {
    {"context_length", "max_position_embeddings", SIZE},
    {"embedding_length", "hidden_size", SIZE},
    {"block_count", "num_hidden_layers", SIZE},
    {"feed_forward_length", "intermediate_size", SIZE},
    {"attention.head_count", "num_attention_heads", SIZE},
    {"attention.head_count_kv", "num_key_value_heads", SIZE},
    {"attention.key_length", "head_dim", SIZE},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", REAL},
    {"rope.freq_base", "rope_theta", REAL},
    {NULL, NULL, SIZE},
};

static const struct number gpt2_numbers[] = {
    {"context_length", "n_positions", SIZE},
    {"embedding_length", "n_embd", SIZE},
    {"block_count", "n_layer", SIZE},
    {"feed_forward_length", "n_inner", SIZE},
    {"attention.head_count", "n_head", SIZE},
    {"attention.layer_norm_epsilon", "layer_norm_epsilon", REAL},
    {NULL, NULL, SIZE},
};

static const struct architecture {
    const char *name, *class_name;
    const struct number *numbers;
    bool has_rope;
} architectures[] = {
    {"llama", "LlamaForCausalLM", llama_numbers, true},
    {"qwen2", "Qwen2ForCausalLM", llama_numbers, true},
    {"gpt2", "GPT2LMHeadModel", gpt2_numbers, false},
};

enum { N_ARCHITECTURES = sizeof architectures / sizeof architectures[0], KEY_SIZE = 96 };

struct writer {
    const struct lac_gguf *gguf;
    const struct architecture *architecture;
    json_t *config;
    struct lac_error *error;
};

static const char *full_key(const struct writer *w, const char *key, char text[KEY_SIZE])
{
    snprintf(text, KEY_SIZE, "%s.%s", w->architecture->name, key);
    return text;
}

static enum lac_status put(struct writer *w, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value))
        return lac_fail(w->error, LAC_E_MEMORY, "no memory for a configuration");
    return LAC_OK;
}

static enum lac_status get_size(const struct writer *w, const char *key, size_t *value)
{
    char text[KEY_SIZE];
    return lac_gguf_size(w->gguf, full_key(w, key, text), 0, value, w->error);
}

static enum lac_status get_real(const struct writer *w, const char *key, double fallback,
                                double *value)
{
    char text[KEY_SIZE];
    return lac_gguf_real(w->gguf, full_key(w, key, text), fallback, value, w->error);
}

static enum lac_status put_numbers(struct writer *w)
{
    enum lac_status status = LAC_OK;
    for (const struct number *number = w->architecture->numbers; number->key && !status; number++) {
        char key[KEY_SIZE];
        size_t size;
        double real;
        if (!lac_gguf_find(w->gguf, full_key(w, number->key, key)))
            continue;
        if (number->kind == SIZE) {
            status = lac_gguf_size(w->gguf, key, 0, &size, w->error);
            if (!status)
                status = put(w, w->config, number->name, json_integer((json_int_t)size));
        } else {
            status = lac_gguf_real(w->gguf, key, 0, &real, w->error);
            if (!status)
                status = put(w, w->config, number->name, json_real(real));
        }
    }
    return status;
}

/* Settings that would change the computation into one that we do not have. */
static enum lac_status check_settings(struct writer *w)
{
    size_t n_experts, key_length, value_length, rotated, n_heads, hidden;
    enum lac_status status = get_size(w, "expert_count", &n_experts);
    if (!status)
        status = get_size(w, "attention.key_length", &key_length);
    if (!status)
        status = get_size(w, "attention.value_length", &value_length);
    if (!status)
        status = get_size(w, "rope.dimension_count", &rotated);
    if (!status)
        status = get_size(w, "attention.head_count", &n_heads);
    if (!status)
        status = get_size(w, "embedding_length", &hidden);
    if (status)
        return status;
    size_t head_dim = key_length ? key_length : n_heads ? hidden / n_heads : 0;
    const char *name = w->architecture->name;
    if (n_experts)
        return lac_fail(w->error, LAC_E_UNSUPPORTED, "%s.expert_count: %zu experts cannot be run",
                        name, n_experts);
    if (value_length && value_length != head_dim)
        return lac_fail(w->error, LAC_E_UNSUPPORTED,
                        "%s.attention.value_length: %zu beside keys of %zu cannot be run", name,
                        value_length, head_dim);
    if (rotated && rotated != head_dim)
        return lac_fail(w->error, LAC_E_UNSUPPORTED,
                        "%s.rope.dimension_count: %zu of %zu features cannot be run", name, rotated,
                        head_dim);
    return LAC_OK;
}

static bool is_text(const char *text, size_t size, const char *expected)
{
    return size == strlen(expected) && !memcmp(text, expected, size);
}

/* ggml multiplies cosines and sines of yarn by attn_factor * (0.1 ln(factor) + 1). */
static enum lac_status put_yarn(struct writer *w, json_t *scaling, double factor)
{
    double attention, fast, slow;
    size_t original;
    enum lac_status status = get_real(w, "rope.scaling.attn_factor", 1, &attention);
    if (!status)
        status = get_real(w, "rope.scaling.yarn_beta_fast", 32, &fast);
    if (!status)
        status = get_real(w, "rope.scaling.yarn_beta_slow", 1, &slow);
    if (!status)
        status = get_size(w, "rope.scaling.original_context_length", &original);
    if (!status && original)
        status =
            put(w, scaling, "original_max_position_embeddings", json_integer((json_int_t)original));
    if (!status)
        status = put(w, scaling, "attention_factor",
                     json_real(attention * (factor > 1 ? 0.1 * log(factor) + 1 : 1)));
    if (!status)
        status = put(w, scaling, "beta_fast", json_real(fast));
    return status ? status : put(w, scaling, "beta_slow", json_real(slow));
}

/* Files made before there were kinds have scale_linear alone. */
static enum lac_status put_scaling(struct writer *w)
{
    char key[KEY_SIZE];
    const char *kind;
    size_t size;
    double factor, old_factor;
    enum lac_status status =
        lac_gguf_string(w->gguf, full_key(w, "rope.scaling.type", key), &kind, &size, w->error);
    if (!status)
        status = get_real(w, "rope.scale_linear", 1, &old_factor);
    if (!status)
        status = get_real(w, "rope.scaling.factor", old_factor, &factor);
    if (status)
        return status;
    bool is_yarn = kind && is_text(kind, size, "yarn");
    bool is_linear = kind ? is_text(kind, size, "linear") : old_factor != 1;
    if (kind && !is_yarn && !is_linear && !is_text(kind, size, "none"))
        return lac_fail(w->error, LAC_E_UNSUPPORTED,
                        "%s \"%.*s\" cannot be run (none, linear and yarn can)", key,
                        (int)(size < 100 ? size : 100), kind);
    if (!is_yarn && !is_linear)
        return LAC_OK;
    json_t *scaling = json_object();
    status = put(w, w->config, "rope_scaling", scaling);
    if (!status)
        status = put(w, scaling, "rope_type", json_string(is_yarn ? "yarn" : "linear"));
    if (!status)
        status = put(w, scaling, "factor", json_real(factor));
    return status || !is_yarn ? status : put_yarn(w, scaling, factor);
}

/* What LLaMA 3.1 and later divide their frequencies by is a tensor. */
static enum lac_status put_divisors(struct writer *w)
{
    enum { MOST = 32768 };
    const struct lac_tensor *tensor =
        lac_tensors_find(lac_gguf_tensors(w->gguf), "rope_freqs.weight");
    if (!tensor)
        return LAC_OK;
    if (tensor->rank != 1 || tensor->shape[0] > MOST)
        return lac_fail(w->error, LAC_E_FORMAT, "tensor %s: expected a vector of at most %d",
                        tensor->name, (int)MOST);
    json_t *divisors = json_array();
    enum lac_status status = put(w, w->config, "lacuna_rope_divisors", divisors);
    for (size_t i = 0; i < tensor->shape[0] && !status; i++) {
        float value;
        lac_tensor_to_f32(tensor, i, 1, &value);
        if (!isfinite(value))
            return lac_fail(w->error, LAC_E_FORMAT, "tensor %s: element %zu is %g", tensor->name, i,
                            (double)value);
        if (json_array_append_new(divisors, json_real((double)value)))
            status =
                lac_fail(w->error, LAC_E_MEMORY, "no memory for %zu divisors", tensor->shape[0]);
    }
    return status;
}

static enum lac_status put_rope(struct writer *w)
{
    size_t window;
    enum lac_status status = put_scaling(w);
    if (!status)
        status = put_divisors(w);
    if (!status)
        status = get_size(w, "attention.sliding_window", &window);
    /* Windows in all layers are Mistral's, whose files are LLaMA's otherwise. */
    if (!status && window && !strcmp(w->architecture->name, "llama")) {
        status = put(w, w->config, "sliding_window", json_integer((json_int_t)window));
        if (!status)
            status = put(w, w->config, "model_type", json_string("mistral"));
        if (!status)
            status = put(w, w->config, "architectures", json_pack("[s]", "MistralForCausalLM"));
    }
    return status;
}

/* What config.json says of tensors, the tensors themselves say here. */
static enum lac_status put_tensor_facts(struct writer *w)
{
    const struct lac_tensors *tensors = lac_gguf_tensors(w->gguf);
    const struct lac_tensor *words = lac_tensors_find(tensors, "token_embd.weight");
    if (!words || words->rank != 2)
        return lac_fail(w->error, LAC_E_FORMAT, "tensor token_embd.weight is missing or no matrix");
    enum lac_status status =
        put(w, w->config, "vocab_size", json_integer((json_int_t)words->shape[0]));
    if (!status)
        status = put(w, w->config, "tie_word_embeddings",
                     json_boolean(!lac_tensors_find(tensors, "output.weight")));
    if (!status)
        status = put(w, w->config, "attention_bias",
                     json_boolean(lac_tensors_find(tensors, "blk.0.attn_q.bias") != NULL));
    if (!status)
        status = put(w, w->config, "mlp_bias",
                     json_boolean(lac_tensors_find(tensors, "blk.0.ffn_up.bias") != NULL));
    return status;
}

/* Several tokens may end a text. */
static enum lac_status put_ids(struct writer *w)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char bos[] = "tokenizer.ggml.bos_token_id";
    size_t id;
    json_t *list = json_array();
    enum lac_status status = put(w, w->config, "eos_token_id", list);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0] && !status; i++) {
        status = lac_gguf_size(w->gguf, ends[i], SIZE_MAX, &id, w->error);
        if (!status && id != SIZE_MAX && json_array_append_new(list, json_integer((json_int_t)id)))
            status = lac_fail(w->error, LAC_E_MEMORY, "no memory for a configuration");
    }
    if (!status)
        status = lac_gguf_size(w->gguf, bos, SIZE_MAX, &id, w->error);
    if (!status && id != SIZE_MAX)
        status = put(w, w->config, "bos_token_id", json_integer((json_int_t)id));
    return status;
}

static enum lac_status find_architecture(struct writer *w)
{
    static const char key[] = "general.architecture";
    const char *name;
    size_t size, n_files;
    enum lac_status status = lac_gguf_size(w->gguf, "split.count", 1, &n_files, w->error);
    if (!status && n_files > 1)
        return lac_fail(w->error, LAC_E_UNSUPPORTED,
                        "split.count: models in %zu files cannot be run; merge them", n_files);
    if (!status)
        status = lac_gguf_string(w->gguf, key, &name, &size, w->error);
    if (status)
        return status;
    if (!name)
        return lac_fail(w->error, LAC_E_FORMAT, "%s is missing", key);
    for (size_t i = 0; i < N_ARCHITECTURES; i++)
        if (is_text(name, size, architectures[i].name)) {
            w->architecture = &architectures[i];
            return LAC_OK;
        }
    return lac_fail(w->error, LAC_E_UNSUPPORTED,
                    "%s \"%.*s\" cannot be run (llama, qwen2 and gpt2 can)", key,
                    (int)(size < 100 ? size : 100), name);
}

enum lac_status lac_gguf_config(const struct lac_gguf *gguf, json_t **config,
                                struct lac_error *error)
{
    struct lac_error own;
    struct writer w = {.gguf = gguf, .error = error ? error : &own, .config = json_object()};
    enum lac_status status =
        w.config ? find_architecture(&w) : lac_fail(w.error, LAC_E_MEMORY, "no memory");
    if (!status)
        status = put(&w, w.config, "model_type", json_string(w.architecture->name));
    if (!status)
        status = put(&w, w.config, "architectures", json_pack("[s]", w.architecture->class_name));
    if (!status)
        status = check_settings(&w);
    if (!status)
        status = put_numbers(&w);
    if (!status && w.architecture->has_rope)
        status = put_rope(&w);
    if (!status)
        status = put_tensor_facts(&w);
    if (!status)
        status = put_ids(&w);
    if (status)
        json_decref(w.config);
    else
        *config = w.config;
    return status;
}
