/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders: config.json of each family, and checkpoints under all their names. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <lacuna/model.h>

#include "src/model/checkpoint.h"
#include "tests/model_suite.h"

#define LLAMA_SIZES                                                                                \
    "\"vocab_size\":100,\"hidden_size\":16,\"num_hidden_layers\":3,\"num_attention_heads\":4,"     \
    "\"intermediate_size\":24,\"max_position_embeddings\":64"
#define LLAMA   "\"model_type\":\"llama\"," LLAMA_SIZES
#define MISTRAL "\"model_type\":\"mistral\"," LLAMA_SIZES
#define QWEN2   "\"model_type\":\"qwen2\"," LLAMA_SIZES
#define GPT2                                                                                       \
    "\"model_type\":\"gpt2\",\"vocab_size\":100,\"n_embd\":16,\"n_layer\":3,\"n_head\":4,"         \
    "\"n_positions\":64"
#define OPT                                                                                        \
    "\"model_type\":\"opt\",\"vocab_size\":100,\"hidden_size\":16,\"num_hidden_layers\":3,"        \
    "\"num_attention_heads\":4,\"ffn_dim\":24,\"max_position_embeddings\":64"

static struct lac_arena arena = {.host = &lac_default_host};

static enum lac_status parse(const char *text, struct lac_config *config, struct lac_error *error)
{
    return lac_config_parse("config.json", text, strlen(text), &arena, config, error);
}

static struct lac_config accept(const char *text)
{
    struct lac_error error = {0};
    struct lac_config config;
    ck_assert_msg(parse(text, &config, &error) == LAC_OK, "%s: %s", text, error.text);
    return config;
}

START_TEST(llama_is_read)
{
    struct lac_config c = accept("{" LLAMA "}");
    ck_assert_int_eq(c.family, LAC_FAMILY_LLAMA);
    ck_assert(lac_family_is_decoder(c.family) && !lac_family_is_decoder(LAC_FAMILY_DISTILBERT));
    ck_assert_uint_eq(c.tasks, LAC_TASK_GENERATE);
    ck_assert_uint_eq(c.n_layers, 3);
    ck_assert_uint_eq(c.n_kv_heads, 4);
    ck_assert_uint_eq(c.head_dim, 4);
    ck_assert_uint_eq(c.embedding_size, 16);
    ck_assert_int_eq(c.position_kind, LAC_POSITION_ROPE);
    ck_assert_uint_eq(c.max_tokens, 64);
    ck_assert_uint_eq(c.position_offset, 0);
    ck_assert_uint_eq(c.n_token_types, 0);
    ck_assert_int_eq(c.hidden_act, LAC_HIDDEN_SILU);
    ck_assert_int_eq(c.norm_kind, LAC_NORM_RMS);
    ck_assert(c.norm_eps == 1e-6f);
    ck_assert(c.is_gated && c.norms_before && c.has_final_norm);
    ck_assert(!c.has_qkv_bias && !c.has_mix_bias && !c.has_ffn_bias && !c.has_tied_head);
    ck_assert(!c.windows && !c.end_ids && c.bos_token_id == -1 && c.n_end_ids == 0);
    ck_assert_int_eq(c.rope.kind, LAC_ROPE_PLAIN);
    ck_assert(c.rope.theta == 10000 && c.rope.factor == 1 && c.rope.attention_factor == 1);
    ck_assert(lac_config_attention_scale(&c, 2) == 0.5f);

    c = accept("{" LLAMA ",\"architectures\":[\"LlamaForCausalLM\"],\"num_key_value_heads\":2,"
               "\"head_dim\":6,\"rms_norm_eps\":1e-5,\"rope_theta\":500000,\"hidden_act\":\"relu\","
               "\"attention_bias\":true,\"mlp_bias\":true,\"tie_word_embeddings\":true,"
               "\"bos_token_id\":98,\"eos_token_id\":[99,3],\"pad_token_id\":-1,"
               "\"sliding_window\":8}");
    ck_assert_str_eq(c.architecture, "LlamaForCausalLM");
    ck_assert_uint_eq(c.n_kv_heads, 2);
    ck_assert_uint_eq(c.head_dim, 6);
    ck_assert(c.norm_eps == 1e-5f && c.rope.theta == 500000);
    ck_assert_int_eq(c.hidden_act, LAC_HIDDEN_RELU);
    ck_assert(c.has_qkv_bias && c.has_mix_bias && c.has_ffn_bias && c.has_tied_head);
    ck_assert_int_eq(c.bos_token_id, 98);
    ck_assert_uint_eq(c.n_end_ids, 2);
    ck_assert(c.end_ids[0] == 99 && c.end_ids[1] == 3);
    ck_assert_ptr_null(c.windows); /* a key that is not LLaMA's */

    c = accept("{\"architectures\":[\"LlamaForCausalLM\"]," LLAMA_SIZES "}");
    ck_assert_str_eq(c.model_type, "llama");
    c = accept("{" LLAMA ",\"eos_token_id\":7,\"num_key_value_heads\":null,\"rope_scaling\":null}");
    ck_assert(c.n_end_ids == 1 && c.end_ids[0] == 7 && c.n_kv_heads == 4);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(gpt2_and_opt_are_read)
{
    struct lac_config c = accept("{" GPT2 ",\"architectures\":[\"GPT2LMHeadModel\"]}");
    ck_assert_int_eq(c.family, LAC_FAMILY_GPT2);
    ck_assert_uint_eq(c.intermediate_size, 64);
    ck_assert_uint_eq(c.max_positions, 64);
    ck_assert_uint_eq(c.position_offset, 0);
    ck_assert_int_eq(c.position_kind, LAC_POSITION_LEARNED);
    ck_assert_int_eq(c.hidden_act, LAC_HIDDEN_GELU_TANH);
    ck_assert_int_eq(c.norm_kind, LAC_NORM_LAYER);
    ck_assert(c.norm_eps == 1e-5f);
    ck_assert(!c.is_gated && c.norms_before && c.has_final_norm && c.has_tied_head);
    ck_assert(c.has_qkv_bias && c.has_mix_bias && c.has_ffn_bias);
    ck_assert(lac_config_attention_scale(&c, 2) == 0.5f);
    c = accept("{" GPT2 ",\"n_inner\":40,\"layer_norm_epsilon\":1e-3,\"tie_word_embeddings\":false,"
               "\"scale_attn_by_inverse_layer_idx\":true,\"activation_function\":\"gelu\"}");
    ck_assert_uint_eq(c.intermediate_size, 40);
    ck_assert(c.norm_eps == 1e-3f && !c.has_tied_head);
    ck_assert_int_eq(c.hidden_act, LAC_HIDDEN_GELU);
    ck_assert(lac_config_attention_scale(&c, 0) == 0.5f);
    ck_assert(lac_config_attention_scale(&c, 1) == 0.25f);
    c = accept("{" GPT2 ",\"scale_attn_weights\":false}");
    ck_assert(lac_config_attention_scale(&c, 1) == 1);

    c = accept("{" OPT ",\"architectures\":[\"OPTForCausalLM\"]}");
    ck_assert_int_eq(c.family, LAC_FAMILY_OPT);
    ck_assert_uint_eq(c.max_positions, 66);
    ck_assert_uint_eq(c.position_offset, 2);
    ck_assert_uint_eq(c.max_tokens, 64);
    ck_assert_int_eq(c.hidden_act, LAC_HIDDEN_RELU);
    ck_assert_uint_eq(c.embedding_size, 16);
    ck_assert(c.norms_before && c.has_final_norm && c.has_tied_head && c.norm_eps == 1e-5f);
    ck_assert(c.has_qkv_bias && c.has_mix_bias && c.has_ffn_bias);
    c = accept("{" OPT ",\"word_embed_proj_dim\":8,\"do_layer_norm_before\":false}");
    ck_assert(c.embedding_size == 8 && !c.norms_before && !c.has_final_norm);
    c = accept("{" OPT ",\"_remove_final_layer_norm\":true,\"enable_bias\":false}");
    ck_assert(c.norms_before && !c.has_final_norm);
    ck_assert(!c.has_qkv_bias && !c.has_mix_bias && !c.has_ffn_bias);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(windows_are_by_layer)
{
    static const struct {
        const char *text;
        size_t windows[3]; /* all 0: no list at all */
    } cases[] = {
        {"{" MISTRAL "}", {4096, 4096, 4096}},
        {"{" MISTRAL ",\"sliding_window\":null}", {0, 0, 0}},
        {"{" MISTRAL ",\"sliding_window\":8}", {8, 8, 8}},
        {"{" QWEN2 ",\"sliding_window\":8}", {0, 0, 0}},
        {"{" QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":8,\"max_window_layers\":1}",
         {0, 8, 8}},
        {"{" QWEN2 ",\"use_sliding_window\":true,\"sliding_window\":8,\"layer_types\":["
         "\"sliding_attention\",\"full_attention\",\"sliding_attention\"]}",
         {8, 0, 8}},
        {"{" QWEN2 ",\"use_sliding_window\":false,\"sliding_window\":8,\"max_window_layers\":0}",
         {0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lac_config c = accept(cases[i].text);
        bool any = cases[i].windows[0] || cases[i].windows[1] || cases[i].windows[2];
        ck_assert_int_eq(c.windows != NULL, any);
        for (size_t layer = 0; any && layer < 3; layer++)
            ck_assert_uint_eq(c.windows[layer], cases[i].windows[layer]);
        ck_assert_int_eq(c.has_qkv_bias, c.family == LAC_FAMILY_QWEN2);
        ck_assert(!c.has_mix_bias && !c.has_ffn_bias);
    }
    lac_arena_clear(&arena);
}
END_TEST

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fabs(b);
}

START_TEST(rotations_are_read)
{
    struct lac_rope r =
        accept("{" LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}}").rope;
    ck_assert(r.kind == LAC_ROPE_LINEAR && r.factor == 4 && r.attention_factor == 1);
    struct lac_config c =
        accept("{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2.5}}");
    ck_assert(c.rope.kind == LAC_ROPE_DYNAMIC && c.rope.factor == 2.5);
    ck_assert_uint_eq(c.rope.original_positions, 64);
    ck_assert_uint_eq(c.max_tokens, 160);
    c = accept("{" LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"type\":\"x\",\"factor\":8,"
               "\"original_max_position_embeddings\":8,\"low_freq_factor\":1,"
               "\"high_freq_factor\":4}}");
    ck_assert(c.rope.kind == LAC_ROPE_LLAMA3 && c.rope.original_positions == 8);
    ck_assert(c.rope.low_freq_factor == 1 && c.rope.high_freq_factor == 4);
    ck_assert_uint_eq(c.max_tokens, 64);

    c = accept("{" QWEN2 ",\"rope_theta\":1e6,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,"
               "\"original_max_position_embeddings\":32}}");
    ck_assert(c.rope.kind == LAC_ROPE_YARN && c.rope.theta == 1e6 && c.rope.factor == 4);
    ck_assert(c.rope.beta_fast == 32 && c.rope.beta_slow == 1 && c.rope.truncate);
    ck_assert(near(c.rope.attention_factor, 0.1 * log(4) + 1));
    ck_assert_uint_eq(c.max_tokens, 128);
    r = accept("{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"mscale\":2,"
               "\"mscale_all_dim\":0.5,\"beta_fast\":16,\"beta_slow\":2,\"truncate\":false}}")
            .rope;
    ck_assert(near(r.attention_factor, (0.2 * log(4) + 1) / (0.05 * log(4) + 1)));
    ck_assert(r.beta_fast == 16 && r.beta_slow == 2 && !r.truncate);
    ck_assert_uint_eq(r.original_positions, 64);
    r = accept("{" LLAMA ",\"rope_scaling\":{\"type\":\"yarn\",\"attention_factor\":0.75,"
               "\"original_max_position_embeddings\":16}}")
            .rope;
    ck_assert(r.factor == 4 && r.attention_factor == 0.75);

    r = accept("{" LLAMA ",\"rope_parameters\":{\"rope_theta\":77,\"rope_type\":\"linear\","
               "\"factor\":2},\"rope_scaling\":{\"type\":\"longrope\"}}")
            .rope;
    ck_assert(r.kind == LAC_ROPE_LINEAR && r.theta == 77 && r.factor == 2);
    r = accept("{" LLAMA ",\"rope_parameters\":{\"rope_theta\":77}}").rope;
    ck_assert(r.kind == LAC_ROPE_PLAIN && r.theta == 77);
    r = accept("{" LLAMA ",\"rope_theta\":5,\"rope_scaling\":{\"rope_type\":\"default\"}}").rope;
    ck_assert(r.kind == LAC_ROPE_PLAIN && r.theta == 5);
    r = accept("{" LLAMA ",\"lacuna_rope_divisors\":[1,2.5]}").rope;
    ck_assert(r.kind == LAC_ROPE_DIVISORS && r.divisors[0] == 1 && r.divisors[1] == 2.5f);
    lac_arena_clear(&arena);
}
END_TEST

#define GATED LLAMA ",\"seerattn_gate_type\":"

START_TEST(gates_are_read)
{
    struct lac_config c = accept("{" LLAMA "}");
    ck_assert_uint_eq(c.gates.width, 0);
    c = accept("{" GATED "\"Qavg_Kmaxminavg\",\"architectures\":[\"SeerAttnLlamaForCausalLM\"]}");
    ck_assert_uint_eq(c.tasks, LAC_TASK_GENERATE);
    ck_assert_uint_eq(c.gates.width, 128);
    ck_assert_uint_eq(c.gates.query_pools, 1u << LAC_POOLED_MEAN);
    ck_assert_uint_eq(c.gates.key_pools, (1u << LAC_N_POOLED) - 1);
    ck_assert_uint_eq(c.gates.has_query, 1);
    ck_assert(!(c.gates.threshold > 0) && !(c.gates.share > 0));
    /* What a gate of a head's own width does without. */
    c = accept("{" GATED "\"Qavg_Kmin\",\"head_dim\":32,\"seerattn_gate_hidden_size\":32,"
               "\"seerattn_threshold\":0.25,\"seerattn_nz_ratio\":0.5}");
    ck_assert_uint_eq(c.gates.has_query, 0);
    ck_assert_double_eq(c.gates.threshold, 0.25);
    ck_assert_double_eq(c.gates.share, 0);
    c = accept("{" GATED "\"Qavg_Kmin\",\"head_dim\":32,\"seerattn_gate_hidden_size\":32,"
               "\"seerattn_gate_force_double\":true,\"seerattn_sparsity_method\":\"nz_ratio\","
               "\"seerattn_threshold\":0.25,\"seerattn_nz_ratio\":0.5}");
    ck_assert_uint_eq(c.gates.has_query, 1);
    ck_assert_double_eq(c.gates.threshold, 0);
    ck_assert_double_eq(c.gates.share, 0.5);
}
END_TEST

#define SCALING(members) "{" LLAMA ",\"rope_scaling\":{" members "}}"

START_TEST(bad_configs_are_named)
{
    static const struct {
        const char *text;
        enum lac_status status;
        const char *expected;
    } bad[] = {
        {"{\"model_type\":\"llama\"}", LAC_E_FORMAT, "vocab_size is missing"},
        {"{\"model_type\":\"gpt2\",\"vocab_size\":9}", LAC_E_FORMAT, "n_embd is missing"},
        {"{\"model_type\":\"mixtral\"}", LAC_E_UNSUPPORTED, "model_type \"mixtral\" cannot be run"},
        {"{" LLAMA ",\"architectures\":[\"LlamaForSequenceClassification\"]}", LAC_E_UNSUPPORTED,
         "\"LlamaForSequenceClassification\" cannot be run with model_type \"llama\""},
        {"{" LLAMA ",\"architectures\":[\"MistralForCausalLM\"]}", LAC_E_UNSUPPORTED, "Mistral"},
        {"{" GATED "\"Qsum_Kavg\"}", LAC_E_UNSUPPORTED, "seerattn_gate_type \"Qsum_Kavg\""},
        {"{" GATED "\"Qavg\"}", LAC_E_UNSUPPORTED, "seerattn_gate_type \"Qavg\" cannot"},
        {"{" GATED "\"Qavg_Kavgmax\"}", LAC_E_UNSUPPORTED, "\"Qavg_Kavgmax\" cannot"},
        {"{" GATED "7}", LAC_E_FORMAT, "seerattn_gate_type: expected a string"},
        {"{" GATED "\"Qavg_Kavg\",\"seerattn_gate_block_size\":32}", LAC_E_UNSUPPORTED,
         "seerattn_gate_block_size: 32 cannot"},
        {"{" GATED "\"Qavg_Kavg\",\"seerattn_gate_hidden_size\":40}", LAC_E_UNSUPPORTED,
         "seerattn_gate_hidden_size: 40 cannot"},
        {"{" GATED "\"Qavg_Kavg\",\"seerattn_threshold\":2}", LAC_E_FORMAT,
         "seerattn_threshold: 2 is not between"},
        {"{" GATED "\"Qavg_Kavg\",\"seerattn_nz_ratio\":0}", LAC_E_FORMAT,
         "seerattn_nz_ratio: 0 is not between"},
        {"{" GATED "\"Qavg_Kavg\",\"seerattn_sparsity_method\":\"top\"}", LAC_E_UNSUPPORTED,
         "seerattn_sparsity_method \"top\" cannot"},
        {"{" OPT ",\"seerattn_gate_type\":\"Qavg_Kavg\"}", LAC_E_UNSUPPORTED,
         "only models with rotary positions"},
        {"{" LLAMA ",\"num_key_value_heads\":3}", LAC_E_FORMAT,
         "num_key_value_heads: 3 does not divide 4"},
        {"{" LLAMA ",\"num_key_value_heads\":8}", LAC_E_FORMAT, "8 is not between 1 and 4"},
        {"{" LLAMA ",\"head_dim\":5}", LAC_E_FORMAT, "head_dim: 5 is odd"},
        {"{" LLAMA ",\"head_dim\":0}", LAC_E_FORMAT, "head_dim: 0 is not between"},
        {"{" LLAMA ",\"hidden_act\":\"xielu\"}", LAC_E_UNSUPPORTED, "hidden_act \"xielu\" cannot"},
        {"{" LLAMA ",\"rms_norm_eps\":0}", LAC_E_FORMAT, "rms_norm_eps: 0 is not between"},
        {"{" LLAMA ",\"attention_bias\":1}", LAC_E_FORMAT, "attention_bias: expected true"},
        {"{" LLAMA ",\"partial_rotary_factor\":0.5}", LAC_E_UNSUPPORTED,
         "partial_rotary_factor: 0.5 cannot be run"},
        {"{" LLAMA ",\"rope_theta\":-1}", LAC_E_FORMAT, "rope_theta: -1 is not between"},
        {"{" LLAMA ",\"rope_theta\":\"x\"}", LAC_E_FORMAT, "rope_theta: expected a number"},
        {"{" LLAMA ",\"eos_token_id\":100}", LAC_E_FORMAT, "eos_token_id: 100 is not between 0"},
        {"{" LLAMA ",\"eos_token_id\":[1,-1]}", LAC_E_FORMAT, "eos_token_id: -1 is not"},
        {"{" LLAMA ",\"eos_token_id\":\"x\"}", LAC_E_FORMAT, "eos_token_id: expected an integer"},
        {"{" LLAMA ",\"bos_token_id\":1e0}", LAC_E_FORMAT, "bos_token_id: expected an integer"},
        {"{" LLAMA ",\"pruned_heads\":{\"0\":[1]}}", LAC_E_UNSUPPORTED, "pruned_heads"},
        {"{" LLAMA ",\"rope_scaling\":[]}", LAC_E_FORMAT, "rope_scaling: expected an object"},
        {SCALING("\"factor\":2"), LAC_E_FORMAT, "rope_scaling: rope_type is missing"},
        {SCALING("\"type\":\"longrope\""), LAC_E_UNSUPPORTED,
         "rope_scaling: rope_type \"longrope\" cannot be run"},
        {SCALING("\"type\":\"linear\""), LAC_E_FORMAT, "factor is missing"},
        {SCALING("\"type\":\"linear\",\"factor\":0.5"), LAC_E_FORMAT, "factor: 0.5 is not between"},
        {SCALING("\"type\":\"dynamic\",\"factor\":null"), LAC_E_FORMAT, "factor is missing"},
        {SCALING("\"type\":\"llama3\",\"factor\":2"), LAC_E_FORMAT,
         "original_max_position_embeddings is missing"},
        {SCALING("\"type\":\"llama3\",\"factor\":2,\"original_max_position_embeddings\":8,"
                 "\"low_freq_factor\":4,\"high_freq_factor\":4"),
         LAC_E_FORMAT, "high_freq_factor: 4 is not over low_freq_factor, 4"},
        {SCALING("\"type\":\"yarn\",\"factor\":2,\"beta_fast\":1,\"beta_slow\":2"), LAC_E_FORMAT,
         "beta_fast: 1 is less than beta_slow, 2"},
        {SCALING("\"type\":\"yarn\",\"factor\":2,\"attention_factor\":-1"), LAC_E_FORMAT,
         "attention_factor: -1 is not between"},
        {SCALING("\"type\":\"yarn\",\"factor\":8,\"mscale\":1,\"mscale_all_dim\":-9"), LAC_E_FORMAT,
         "make a factor of -"},
        {SCALING("\"full_attention\":{\"rope_type\":\"default\"}"), LAC_E_UNSUPPORTED,
         "rope_scaling: full_attention: positions that differ between layers"},
        {"{" LLAMA ",\"lacuna_rope_divisors\":[1]}", LAC_E_FORMAT,
         "expected an array of 2 numbers, found array of 1"},
        {"{" LLAMA ",\"lacuna_rope_divisors\":[1,0]}", LAC_E_FORMAT, "1: 0 is not between"},
        {"{" LLAMA ",\"lacuna_rope_divisors\":[1,1],\"rope_scaling\":{\"type\":\"linear\","
         "\"factor\":2}}",
         LAC_E_UNSUPPORTED, "lacuna_rope_divisors beside a rope_type"},
        {"{" MISTRAL ",\"sliding_window\":0}", LAC_E_FORMAT, "sliding_window: 0 is not between"},
        {"{" QWEN2 ",\"use_sliding_window\":true,\"layer_types\":[\"full_attention\"]}",
         LAC_E_FORMAT, "layer_types: expected an array of 3 strings, found array of 1"},
        {"{" QWEN2 ",\"use_sliding_window\":true,\"layer_types\":[\"full_attention\",1,2]}",
         LAC_E_FORMAT, "layer_types: 1: expected a string, found integer"},
        {"{" QWEN2 ",\"use_sliding_window\":true,\"layer_types\":[\"full_attention\",\"linear\","
         "\"x\"]}",
         LAC_E_UNSUPPORTED, "layer_types \"linear\" cannot be run"},
        {"{" QWEN2 ",\"use_mrope\":true}", LAC_E_UNSUPPORTED, "use_mrope: true cannot be run"},
        {"{" GPT2 ",\"add_cross_attention\":true}", LAC_E_UNSUPPORTED, "add_cross_attention: true"},
        {"{" GPT2 ",\"n_head\":5}", LAC_E_FORMAT, "duplicate"},
        {"{" OPT ",\"layer_norm_elementwise_affine\":false}", LAC_E_UNSUPPORTED,
         "layer_norm_elementwise_affine: false cannot be run"},
        {"{" OPT ",\"word_embed_proj_dim\":0}", LAC_E_FORMAT, "word_embed_proj_dim: 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lac_error error = {0};
        struct lac_config config = {.n_layers = 77};
        enum lac_status status = parse(bad[i].text, &config, &error);
        ck_assert_msg(status == bad[i].status, "%d: %s: %s", status, bad[i].text, error.text);
        ck_assert_msg(strstr(error.text, bad[i].expected) != NULL, "\"%s\" not in: %s",
                      bad[i].expected, error.text);
        ck_assert_uint_eq(config.n_layers, 77);
    }
    char text[2000] = "{" LLAMA ",\"eos_token_id\":[0";
    for (size_t i = 0; i < 64; i++)
        strcat(text, ",0");
    strcat(text, "]}");
    struct lac_error error = {0};
    struct lac_config config;
    ck_assert_int_eq(parse(text, &config, &error), LAC_E_LIMIT);
    ck_assert_msg(strstr(error.text, "65 ids, more than 64") != NULL, "%s", error.text);
    lac_arena_clear(&arena);
}
END_TEST

/* ---- Checkpoints ---- */

enum { VOCAB = 10, HIDDEN = 8, HEAD = 6, INNER = 12, POSITIONS = 16, EMBEDDING = 4 };

#define SMALL_SIZES                                                                                \
    "\"vocab_size\":10,\"num_attention_heads\":2,\"hidden_size\":8,\"num_hidden_layers\":1,"
#define SMALL_LLAMA                                                                                \
    "{\"model_type\":\"llama\"," SMALL_SIZES                                                       \
    "\"intermediate_size\":12,\"max_position_embeddings\":16,\"num_key_value_heads\":1,"           \
    "\"head_dim\":6"
#define SMALL_OPT                                                                                  \
    "{\"model_type\":\"opt\"," SMALL_SIZES                                                         \
    "\"ffn_dim\":12,\"max_position_embeddings\":14,\"word_embed_proj_dim\":4"

struct spec {
    const char *name;  /* '@': the prefix */
    size_t rows, cols; /* cols 0: a vector */
};

static const struct spec llama[] = {{"@embed_tokens.weight", VOCAB, HIDDEN},
                                    {"@layers.0.input_layernorm.weight", HIDDEN, 0},
                                    {"@layers.0.self_attn.q_proj.weight", 2 * HEAD, HIDDEN},
                                    {"@layers.0.self_attn.k_proj.weight", HEAD, HIDDEN},
                                    {"@layers.0.self_attn.v_proj.weight", HEAD, HIDDEN},
                                    {"@layers.0.self_attn.o_proj.weight", HIDDEN, 2 * HEAD},
                                    {"@layers.0.post_attention_layernorm.weight", HIDDEN, 0},
                                    {"@layers.0.mlp.gate_proj.weight", INNER, HIDDEN},
                                    {"@layers.0.mlp.up_proj.weight", INNER, HIDDEN},
                                    {"@layers.0.mlp.down_proj.weight", HIDDEN, INNER},
                                    {"@norm.weight", HIDDEN, 0},
                                    {"lm_head.weight", VOCAB, HIDDEN},
                                    {NULL, 0, 0}};

#define PAIR(stem, rows, cols)                                                                     \
    {stem ".weight", rows, cols},                                                                  \
    {                                                                                              \
        stem ".bias", rows, 0                                                                      \
    }

static const struct spec opt[] = {{"@embed_tokens.weight", VOCAB, EMBEDDING},
                                  {"@embed_positions.weight", POSITIONS, HIDDEN},
                                  {"@project_in.weight", HIDDEN, EMBEDDING},
                                  {"@project_out.weight", EMBEDDING, HIDDEN},
                                  PAIR("@layers.0.self_attn_layer_norm", HIDDEN, 0),
                                  PAIR("@layers.0.self_attn.q_proj", HIDDEN, HIDDEN),
                                  PAIR("@layers.0.self_attn.k_proj", HIDDEN, HIDDEN),
                                  PAIR("@layers.0.self_attn.v_proj", HIDDEN, HIDDEN),
                                  PAIR("@layers.0.self_attn.out_proj", HIDDEN, HIDDEN),
                                  PAIR("@layers.0.final_layer_norm", HIDDEN, 0),
                                  PAIR("@layers.0.fc1", INNER, HIDDEN),
                                  PAIR("@layers.0.fc2", HIDDEN, INNER),
                                  PAIR("@final_layer_norm", HIDDEN, 0),
                                  {NULL, 0, 0}};

/* Writes the tensors but those whose name holds `without`, and `more` (a vector of HIDDEN). */
static void make(const char *directory, const char *config, const struct spec *specs,
                 const char *prefix, const char *without, const char *more)
{
    static const float values[VOCAB * 2 * INNER] = {1, 2, 3};
    char name[200];
    struct lac_error error;
    struct lac_tensor_writer *writer = NULL;
    snprintf(name, sizeof name, "%s/config.json", directory);
    write_text(name, config);
    snprintf(name, sizeof name, "%s/model.safetensors", directory);
    ck_assert(!lac_tensor_writer_open(&lac_default_host, scratch_path(name), &writer, &error));
    for (const struct spec *spec = specs; spec->name; spec++) {
        bool has_prefix = spec->name[0] == '@';
        snprintf(name, sizeof name, "%s%s", has_prefix ? prefix : "", spec->name + has_prefix);
        if (!without || !strstr(name, without))
            ck_assert(!lac_tensor_writer_add(writer, name, LAC_STORE_F32, spec->cols ? 2 : 1,
                                             (size_t[]){spec->rows, spec->cols}, values, &error));
    }
    if (more)
        ck_assert(!lac_tensor_writer_add(writer, more, LAC_STORE_F32, 1, (size_t[]){HIDDEN}, values,
                                         &error));
    ck_assert(!lac_tensor_writer_commit(writer, &error));
}

static struct lac_checkpoint *open_good(const char *directory)
{
    struct lac_error error = {0};
    struct lac_checkpoint *checkpoint = NULL;
    enum lac_status status =
        lac_checkpoint_open(&lac_default_host, scratch_path(directory), &checkpoint, &error);
    ck_assert_msg(status == LAC_OK, "%s: %s", directory, error.text);
    return checkpoint;
}

static void open_bad(const char *directory, const char *expected)
{
    struct lac_error error = {0};
    struct lac_checkpoint *checkpoint = NULL;
    enum lac_status status =
        lac_checkpoint_open(&lac_default_host, scratch_path(directory), &checkpoint, &error);
    ck_assert_int_eq(status, LAC_E_FORMAT);
    ck_assert_msg(strstr(error.text, expected) != NULL, "\"%s\" not in: %s", expected, error.text);
}

/* How many roles can be asked for; each must be readable. */
static size_t count_roles(const struct lac_checkpoint *checkpoint)
{
    size_t n = 0;
    for (int role = 0; role < LAC_N_ROLES; role++) {
        struct lac_error error = {0};
        struct lac_matrix matrix;
        struct lac_norm_tensors norm;
        if (!lac_checkpoint_has(checkpoint, (enum lac_role)role, 0))
            continue;
        n++;
        if (!lac_checkpoint_norm(checkpoint, (enum lac_role)role, 0, &norm, &error)) {
            ck_assert_int_eq(norm.beta == NULL, checkpoint->config.norm_kind == LAC_NORM_RMS);
            continue;
        }
        ck_assert_msg(!lac_checkpoint_matrix(checkpoint, (enum lac_role)role, 0, &matrix, &error),
                      "%s", error.text);
    }
    return n;
}

START_TEST(names_have_prefixes_or_not)
{
    static const char *const llama_prefixes[] = {"model.", ""};
    static const char *const opt_prefixes[] = {"model.decoder.", "decoder.", ""};
    for (size_t i = 0; i < 2; i++) {
        make("l", SMALL_LLAMA "}", llama, llama_prefixes[i], NULL, NULL);
        struct lac_checkpoint *checkpoint = open_good("l");
        ck_assert_str_eq(checkpoint->config.prefix, llama_prefixes[i]);
        ck_assert_str_eq(checkpoint->config.architecture, "LlamaForCausalLM");
        ck_assert_ptr_nonnull(strstr(checkpoint->config_text, "LlamaForCausalLM"));
        ck_assert_uint_eq(count_roles(checkpoint), 12);
        lac_checkpoint_close(checkpoint);
    }
    for (size_t i = 0; i < 3; i++) {
        make("o", SMALL_OPT "}", opt, opt_prefixes[i], NULL, NULL);
        struct lac_checkpoint *checkpoint = open_good("o");
        ck_assert_str_eq(checkpoint->config.prefix, opt_prefixes[i]);
        ck_assert_uint_eq(count_roles(checkpoint), 14);
        struct lac_matrix head, words;
        struct lac_error error;
        ck_assert(!lac_checkpoint_matrix(checkpoint, LAC_ROLE_LM_HEAD, 0, &head, &error));
        ck_assert(!lac_checkpoint_matrix(checkpoint, LAC_ROLE_WORD_EMBEDDING, 0, &words, &error));
        ck_assert_ptr_eq(head.weight, words.weight);
        ck_assert_uint_eq(head.n_in, EMBEDDING);
        lac_checkpoint_close(checkpoint);
    }
}
END_TEST

START_TEST(what_is_missing_or_too_much_is_named)
{
    struct lac_error error = {0};
    struct lac_matrix matrix;
    struct lac_norm_tensors norm;
    make("m", SMALL_LLAMA "}", llama, "model.", "lm_head", NULL);
    open_bad("m", "LlamaForCausalLM needs a tensor lm_head.weight, which is missing");
    make("m", SMALL_LLAMA ",\"tie_word_embeddings\":true}", llama, "model.", "lm_head", NULL);
    lac_checkpoint_close(open_good("m"));
    make("m", SMALL_LLAMA "}", llama, "model.", "embed_tokens", NULL);
    open_bad("m", "no tensor embed_tokens.weight, with or without \"model.\"");
    make("m", SMALL_LLAMA "}", llama, "model.", NULL, "model.layers.0.self_attn.o_proj.bias");
    struct lac_checkpoint *checkpoint = open_good("m");
    ck_assert_int_eq(
        lac_checkpoint_matrix(checkpoint, LAC_ROLE_ATTENTION_OUTPUT, 0, &matrix, &error),
        LAC_E_FORMAT);
    ck_assert_msg(
        strstr(error.text, "o_proj.bias is there, but the configuration has no such bias"), "%s",
        error.text);
    lac_checkpoint_close(checkpoint);
    make("m", SMALL_LLAMA ",\"mlp_bias\":true}", llama, "model.", NULL,
         "model.layers.0.input_layernorm.bias");
    checkpoint = open_good("m");
    ck_assert_int_eq(lac_checkpoint_matrix(checkpoint, LAC_ROLE_FFN_UP, 0, &matrix, &error),
                     LAC_E_FORMAT);
    ck_assert_msg(strstr(error.text, "up_proj.bias is missing"), "%s", error.text);
    ck_assert_int_eq(lac_checkpoint_norm(checkpoint, LAC_ROLE_ATTENTION_NORM, 0, &norm, &error),
                     LAC_E_FORMAT);
    ck_assert_msg(strstr(error.text, "RMS norms have no bias"), "%s", error.text);
    lac_checkpoint_close(checkpoint);
}
END_TEST

START_TEST(generation_config_names_ends)
{
    make("g", SMALL_LLAMA ",\"eos_token_id\":2,\"bos_token_id\":1}", llama, "", NULL, NULL);
    write_text("g/generation_config.json", "{\"eos_token_id\":[2,7],\"bos_token_id\":null}");
    struct lac_checkpoint *checkpoint = open_good("g");
    ck_assert_uint_eq(checkpoint->config.n_end_ids, 2);
    ck_assert_int_eq(checkpoint->config.end_ids[1], 7);
    ck_assert_int_eq(checkpoint->config.bos_token_id, 1);
    ck_assert_ptr_nonnull(strstr(checkpoint->config_text, "\"eos_token_id\":[2,7]"));
    lac_checkpoint_close(checkpoint);
    write_text("g/generation_config.json", "[]");
    open_bad("g", "generation_config.json: expected an object, found array");
    write_text("g/generation_config.json", "{\"eos_token_id\":10}");
    open_bad("g", "eos_token_id: 10 is not between 0 and 9");
}
END_TEST

void add_decoder_tests(Suite *suite)
{
    add_test(suite, "llama", llama_is_read);
    add_test(suite, "gpt2 and opt", gpt2_and_opt_are_read);
    add_test(suite, "windows", windows_are_by_layer);
    add_test(suite, "rotations", rotations_are_read);
    add_test(suite, "gates", gates_are_read);
    add_test(suite, "bad decoders", bad_configs_are_named);
    add_test(suite, "decoder names", names_have_prefixes_or_not);
    add_test(suite, "decoder tensors", what_is_missing_or_too_much_is_named);
    add_test(suite, "generation config", generation_config_names_ends);
}
