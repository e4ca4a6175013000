/* SPDX-License-Identifier: Apache-2.0 */
/* How each family names its tensors: one table. */
#include "src/model/names.h"

#include <stdio.h>
#include <string.h>

/* In a name '@' stands for the prefix and '#' for the layer's number. */
struct role_names {
    const char *names[LAC_N_ALTERNATIVES];
    const char *bias; /* where the bias may lie instead of beside the weight */
    enum lac_matrix_order order;
    enum third { WHOLE, FIRST, SECOND, THIRD } third; /* of a fused tensor */
};

struct family_names {
    const char *prefixes[LAC_N_PREFIXES];
    struct role_names roles[LAC_N_ROLES];
};

/* RoBERTa's encoder is BERT's. */
#define BERT_ENCODER                                                                               \
    [LAC_ROLE_WORD_EMBEDDING] = {.names = {"@embeddings.word_embeddings"}},                        \
    [LAC_ROLE_POSITION_EMBEDDING] = {.names = {"@embeddings.position_embeddings"}},                \
    [LAC_ROLE_TYPE_EMBEDDING] = {.names = {"@embeddings.token_type_embeddings"}},                  \
    [LAC_ROLE_EMBEDDING_NORM] = {.names = {"@embeddings.LayerNorm"}},                              \
    [LAC_ROLE_QUERY] = {.names = {"@encoder.layer.#.attention.self.query"}},                       \
    [LAC_ROLE_KEY] = {.names = {"@encoder.layer.#.attention.self.key"}},                           \
    [LAC_ROLE_VALUE] = {.names = {"@encoder.layer.#.attention.self.value"}},                       \
    [LAC_ROLE_ATTENTION_OUTPUT] = {.names = {"@encoder.layer.#.attention.output.dense"}},          \
    [LAC_ROLE_ATTENTION_NORM] = {.names = {"@encoder.layer.#.attention.output.LayerNorm"}},        \
    [LAC_ROLE_FFN_UP] = {.names = {"@encoder.layer.#.intermediate.dense"}},                        \
    [LAC_ROLE_FFN_DOWN] = {.names = {"@encoder.layer.#.output.dense"}},                            \
    [LAC_ROLE_FFN_NORM] = {.names = {"@encoder.layer.#.output.LayerNorm"}},                        \
    [LAC_ROLE_POOLER] = {.names = {"@pooler.dense", "@pooler"}},                                   \
    [LAC_ROLE_ANSWER] = {.names = {"qa_outputs"}}

/* LLaMA's names are Mistral's and Qwen2's. */
#define LLAMA_DECODER                                                                              \
    [LAC_ROLE_WORD_EMBEDDING] = {.names = {"@embed_tokens"}},                                      \
    [LAC_ROLE_QUERY] = {.names = {"@layers.#.self_attn.q_proj"}},                                  \
    [LAC_ROLE_KEY] = {.names = {"@layers.#.self_attn.k_proj"}},                                    \
    [LAC_ROLE_VALUE] = {.names = {"@layers.#.self_attn.v_proj"}},                                  \
    [LAC_ROLE_POOLED_QUERY] = {.names = {"@layers.#.self_attn.attn_gate.mask_linear_q"},           \
                               .order = LAC_ORDER_HEADS},                                          \
    [LAC_ROLE_POOLED_KEY] = {.names = {"@layers.#.self_attn.attn_gate.mask_linear_k"},             \
                             .order = LAC_ORDER_HEADS},                                            \
    [LAC_ROLE_ATTENTION_OUTPUT] = {.names = {"@layers.#.self_attn.o_proj"}},                       \
    [LAC_ROLE_ATTENTION_NORM] = {.names = {"@layers.#.input_layernorm"}},                          \
    [LAC_ROLE_FFN_GATE] = {.names = {"@layers.#.mlp.gate_proj"}},                                  \
    [LAC_ROLE_FFN_UP] = {.names = {"@layers.#.mlp.up_proj"}},                                      \
    [LAC_ROLE_FFN_DOWN] = {.names = {"@layers.#.mlp.down_proj"}},                                  \
    [LAC_ROLE_FFN_NORM] = {.names = {"@layers.#.post_attention_layernorm"}},                       \
    [LAC_ROLE_FINAL_NORM] = {.names = {"@norm"}}, [LAC_ROLE_LM_HEAD] = {.names = {"lm_head"}}

/* The same for all architectures in GGUF, but for queries, keys and values. */
#define GGUF_DECODER                                                                               \
    [LAC_ROLE_WORD_EMBEDDING] = {.names = {"token_embd"}},                                         \
    [LAC_ROLE_ATTENTION_OUTPUT] = {.names = {"blk.#.attn_output"}},                                \
    [LAC_ROLE_ATTENTION_NORM] = {.names = {"blk.#.attn_norm"}},                                    \
    [LAC_ROLE_FFN_UP] = {.names = {"blk.#.ffn_up"}},                                               \
    [LAC_ROLE_FFN_DOWN] = {.names = {"blk.#.ffn_down"}},                                           \
    [LAC_ROLE_FFN_NORM] = {.names = {"blk.#.ffn_norm"}},                                           \
    [LAC_ROLE_FINAL_NORM] = {.names = {"output_norm"}}, [LAC_ROLE_LM_HEAD] = {.names = {"output"}}

static const struct family_names families[LAC_N_FAMILIES] = {
    [LAC_FAMILY_BERT] =
        {{"bert.", ""},
         {BERT_ENCODER, [LAC_ROLE_CLASSIFIER_DENSE] = {.names = {"classifier.dense"}},
          [LAC_ROLE_CLASSIFIER] = {.names = {"classifier", "classifier.out_proj"}},
          [LAC_ROLE_FILL_DENSE] = {.names = {"cls.predictions.transform.dense"}},
          [LAC_ROLE_FILL_NORM] = {.names = {"cls.predictions.transform.LayerNorm"}},
          [LAC_ROLE_FILL_DECODER] = {.names = {"cls.predictions.decoder"},
                                     .bias = "cls.predictions.bias"}}},
    [LAC_FAMILY_ROBERTA] =
        {{"roberta.", "longformer.", ""},
         {BERT_ENCODER,
          [LAC_ROLE_GLOBAL_QUERY] = {.names = {"@encoder.layer.#.attention.self.query_global"}},
          [LAC_ROLE_GLOBAL_KEY] = {.names = {"@encoder.layer.#.attention.self.key_global"}},
          [LAC_ROLE_GLOBAL_VALUE] = {.names = {"@encoder.layer.#.attention.self.value_global"}},
          [LAC_ROLE_CLASSIFIER_DENSE] = {.names = {"classifier.dense"}},
          [LAC_ROLE_CLASSIFIER] = {.names = {"classifier.out_proj", "classifier"}},
          [LAC_ROLE_FILL_DENSE] = {.names = {"lm_head.dense"}},
          [LAC_ROLE_FILL_NORM] = {.names = {"lm_head.layer_norm"}},
          [LAC_ROLE_FILL_DECODER] = {.names = {"lm_head.decoder"}, .bias = "lm_head.bias"}}},
    [LAC_FAMILY_DISTILBERT] =
        {{"distilbert.", ""},
         {[LAC_ROLE_WORD_EMBEDDING] = {.names = {"@embeddings.word_embeddings"}},
          [LAC_ROLE_POSITION_EMBEDDING] = {.names = {"@embeddings.position_embeddings"}},
          [LAC_ROLE_EMBEDDING_NORM] = {.names = {"@embeddings.LayerNorm"}},
          [LAC_ROLE_QUERY] = {.names = {"@transformer.layer.#.attention.q_lin"}},
          [LAC_ROLE_KEY] = {.names = {"@transformer.layer.#.attention.k_lin"}},
          [LAC_ROLE_VALUE] = {.names = {"@transformer.layer.#.attention.v_lin"}},
          [LAC_ROLE_ATTENTION_OUTPUT] = {.names = {"@transformer.layer.#.attention.out_lin"}},
          [LAC_ROLE_ATTENTION_NORM] = {.names = {"@transformer.layer.#.sa_layer_norm"}},
          [LAC_ROLE_FFN_UP] = {.names = {"@transformer.layer.#.ffn.lin1"}},
          [LAC_ROLE_FFN_DOWN] = {.names = {"@transformer.layer.#.ffn.lin2"}},
          [LAC_ROLE_FFN_NORM] = {.names = {"@transformer.layer.#.output_layer_norm"}},
          [LAC_ROLE_CLASSIFIER_DENSE] = {.names = {"pre_classifier"}},
          [LAC_ROLE_CLASSIFIER] = {.names = {"classifier"}},
          [LAC_ROLE_ANSWER] = {.names = {"qa_outputs"}},
          [LAC_ROLE_FILL_DENSE] = {.names = {"vocab_transform"}},
          [LAC_ROLE_FILL_NORM] = {.names = {"vocab_layer_norm"}},
          [LAC_ROLE_FILL_DECODER] = {.names = {"vocab_projector"}}}},
    [LAC_FAMILY_LLAMA] = {{"model.", ""}, {LLAMA_DECODER}},
    [LAC_FAMILY_MISTRAL] = {{"model.", ""}, {LLAMA_DECODER}},
    [LAC_FAMILY_QWEN2] = {{"model.", ""}, {LLAMA_DECODER}},
    [LAC_FAMILY_GPT2] =
        {{"transformer.", ""},
         {[LAC_ROLE_WORD_EMBEDDING] = {.names = {"@wte"}},
          [LAC_ROLE_POSITION_EMBEDDING] = {.names = {"@wpe"}},
          [LAC_ROLE_QUERY] =
              {.names = {"@h.#.attn.c_attn"}, .order = LAC_ORDER_COLUMNS, .third = FIRST},
          [LAC_ROLE_KEY] = {.names = {"@h.#.attn.c_attn"},
                            .order = LAC_ORDER_COLUMNS,
                            .third = SECOND},
          [LAC_ROLE_VALUE] =
              {.names = {"@h.#.attn.c_attn"}, .order = LAC_ORDER_COLUMNS, .third = THIRD},
          [LAC_ROLE_ATTENTION_OUTPUT] = {.names = {"@h.#.attn.c_proj"}, .order = LAC_ORDER_COLUMNS},
          [LAC_ROLE_ATTENTION_NORM] = {.names = {"@h.#.ln_1"}},
          [LAC_ROLE_FFN_UP] = {.names = {"@h.#.mlp.c_fc"}, .order = LAC_ORDER_COLUMNS},
          [LAC_ROLE_FFN_DOWN] = {.names = {"@h.#.mlp.c_proj"}, .order = LAC_ORDER_COLUMNS},
          [LAC_ROLE_FFN_NORM] = {.names = {"@h.#.ln_2"}},
          [LAC_ROLE_FINAL_NORM] = {.names = {"@ln_f"}},
          [LAC_ROLE_LM_HEAD] = {.names = {"lm_head"}}}},
    [LAC_FAMILY_OPT] = {{"model.decoder.", "decoder.", ""},
                        {[LAC_ROLE_WORD_EMBEDDING] = {.names = {"@embed_tokens"}},
                         [LAC_ROLE_POSITION_EMBEDDING] = {.names = {"@embed_positions"}},
                         [LAC_ROLE_QUERY] = {.names = {"@layers.#.self_attn.q_proj"}},
                         [LAC_ROLE_KEY] = {.names = {"@layers.#.self_attn.k_proj"}},
                         [LAC_ROLE_VALUE] = {.names = {"@layers.#.self_attn.v_proj"}},
                         [LAC_ROLE_ATTENTION_OUTPUT] = {.names = {"@layers.#.self_attn.out_proj"}},
                         [LAC_ROLE_ATTENTION_NORM] = {.names = {"@layers.#.self_attn_layer_norm"}},
                         [LAC_ROLE_FFN_UP] = {.names = {"@layers.#.fc1"}},
                         [LAC_ROLE_FFN_DOWN] = {.names = {"@layers.#.fc2"}},
                         [LAC_ROLE_FFN_NORM] = {.names = {"@layers.#.final_layer_norm"}},
                         [LAC_ROLE_PROJECT_IN] = {.names = {"@project_in"}},
                         [LAC_ROLE_FINAL_NORM] = {.names = {"@final_layer_norm"}},
                         [LAC_ROLE_PROJECT_OUT] = {.names = {"@project_out"}},
                         [LAC_ROLE_LM_HEAD] = {.names = {"lm_head"}}}},
};

/* Converters put the queries and keys of LLaMA into the order of their rotation. */
#define GGUF_LLAMA                                                                                 \
    GGUF_DECODER, [LAC_ROLE_QUERY] = {.names = {"blk.#.attn_q"}, .order = LAC_ORDER_PAIRS},        \
                  [LAC_ROLE_KEY] = {.names = {"blk.#.attn_k"}, .order = LAC_ORDER_PAIRS},          \
                  [LAC_ROLE_VALUE] = {.names = {"blk.#.attn_v"}},                                  \
                  [LAC_ROLE_FFN_GATE] = {.names = {"blk.#.ffn_gate"}}

static const struct family_names gguf_families[LAC_N_FAMILIES] = {
    [LAC_FAMILY_LLAMA] = {{""}, {GGUF_LLAMA}},
    [LAC_FAMILY_MISTRAL] = {{""}, {GGUF_LLAMA}},
    [LAC_FAMILY_QWEN2] = {{""},
                          {GGUF_DECODER, [LAC_ROLE_QUERY] = {.names = {"blk.#.attn_q"}},
                           [LAC_ROLE_KEY] = {.names = {"blk.#.attn_k"}},
                           [LAC_ROLE_VALUE] = {.names = {"blk.#.attn_v"}},
                           [LAC_ROLE_FFN_GATE] = {.names = {"blk.#.ffn_gate"}}}},
    [LAC_FAMILY_GPT2] =
        {{""},
         {GGUF_DECODER, [LAC_ROLE_POSITION_EMBEDDING] = {.names = {"position_embd"}},
          [LAC_ROLE_QUERY] = {.names = {"blk.#.attn_qkv"}, .third = FIRST},
          [LAC_ROLE_KEY] = {.names = {"blk.#.attn_qkv"}, .third = SECOND},
          [LAC_ROLE_VALUE] = {.names = {"blk.#.attn_qkv"}, .third = THIRD}}},
};

enum role_kind { LINEAR, TABLE, NORM };

static const struct {
    const char *text;
    enum role_kind kind;
} roles[LAC_N_ROLES] = {
    [LAC_ROLE_WORD_EMBEDDING] = {"word embedding", TABLE},
    [LAC_ROLE_POSITION_EMBEDDING] = {"position embedding", TABLE},
    [LAC_ROLE_TYPE_EMBEDDING] = {"token type embedding", TABLE},
    [LAC_ROLE_EMBEDDING_NORM] = {"embedding norm", NORM},
    [LAC_ROLE_QUERY] = {"query", LINEAR},
    [LAC_ROLE_KEY] = {"key", LINEAR},
    [LAC_ROLE_VALUE] = {"value", LINEAR},
    [LAC_ROLE_GLOBAL_QUERY] = {"global query", LINEAR},
    [LAC_ROLE_GLOBAL_KEY] = {"global key", LINEAR},
    [LAC_ROLE_GLOBAL_VALUE] = {"global value", LINEAR},
    [LAC_ROLE_POOLED_QUERY] = {"pooled query", LINEAR},
    [LAC_ROLE_POOLED_KEY] = {"pooled key", LINEAR},
    [LAC_ROLE_ATTENTION_OUTPUT] = {"attention output", LINEAR},
    [LAC_ROLE_ATTENTION_NORM] = {"attention norm", NORM},
    [LAC_ROLE_FFN_GATE] = {"ffn gate", LINEAR},
    [LAC_ROLE_FFN_UP] = {"ffn up", LINEAR},
    [LAC_ROLE_FFN_DOWN] = {"ffn down", LINEAR},
    [LAC_ROLE_FFN_NORM] = {"ffn norm", NORM},
    [LAC_ROLE_POOLER] = {"pooler", LINEAR},
    [LAC_ROLE_CLASSIFIER_DENSE] = {"classifier dense", LINEAR},
    [LAC_ROLE_CLASSIFIER] = {"classifier", LINEAR},
    [LAC_ROLE_ANSWER] = {"answer head", LINEAR},
    [LAC_ROLE_FILL_DENSE] = {"fill dense", LINEAR},
    [LAC_ROLE_FILL_NORM] = {"fill norm", NORM},
    [LAC_ROLE_FILL_DECODER] = {"fill decoder", LINEAR},
    [LAC_ROLE_PROJECT_IN] = {"project in", LINEAR},
    [LAC_ROLE_FINAL_NORM] = {"final norm", NORM},
    [LAC_ROLE_PROJECT_OUT] = {"project out", LINEAR},
    [LAC_ROLE_LM_HEAD] = {"lm head", LINEAR},
};

/* LAC_NAME_SIZE holds every template with a prefix and 20 digits; what does not fit is cut. */
static void expand(const char *template, const char *prefix, size_t layer, char name[LAC_NAME_SIZE])
{
    char number[24];
    size_t used = 0;
    snprintf(number, sizeof number, "%zu", layer);
    for (const char *c = template; *c; c++) {
        const char literal[] = {*c, '\0'};
        const char *part = *c == '@' ? prefix : *c == '#' ? number : literal;
        while (*part && used + 1 < LAC_NAME_SIZE)
            name[used++] = *part++;
    }
    name[used] = '\0';
}

static const struct role_names *names_of(const struct lac_config *config, enum lac_role role)
{
    const struct family_names *names = config->naming == LAC_NAMES_GGUF ? gguf_families : families;
    return &names[config->family].roles[role];
}

bool lac_role_name(const struct lac_config *config, enum lac_role role, size_t layer,
                   size_t alternative, char name[LAC_NAME_SIZE])
{
    if (alternative >= LAC_N_ALTERNATIVES)
        return false;
    const char *template = names_of(config, role)->names[alternative];
    if (!template)
        return false;
    expand(template, config->prefix, layer, name);
    return true;
}

const char *lac_role_bias(const struct lac_config *config, enum lac_role role)
{
    return names_of(config, role)->bias;
}

enum lac_matrix_order lac_role_order(const struct lac_config *config, enum lac_role role)
{
    return names_of(config, role)->order;
}

int lac_role_third(const struct lac_config *config, enum lac_role role)
{
    return (int)names_of(config, role)->third - FIRST;
}

const char *const *lac_family_prefixes(enum lac_family family)
{
    return families[family].prefixes;
}

bool lac_role_is_norm(enum lac_role role)
{
    return roles[role].kind == NORM;
}

bool lac_role_is_table(enum lac_role role)
{
    return roles[role].kind == TABLE;
}

bool lac_role_is_of_layer(enum lac_role role)
{
    return role >= LAC_ROLE_QUERY && role <= LAC_ROLE_FFN_NORM;
}

const char *lac_role_text(enum lac_role role, size_t layer, char name[LAC_NAME_SIZE])
{
    if (lac_role_is_of_layer(role))
        snprintf(name, LAC_NAME_SIZE, "layer %zu %s", layer, roles[role].text);
    else
        snprintf(name, LAC_NAME_SIZE, "%s", roles[role].text);
    return name;
}
