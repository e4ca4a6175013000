/* SPDX-License-Identifier: Apache-2.0 */
/* What config.json says of a model, in one vocabulary for all families. */
#ifndef LACUNA_MODEL_CONFIG_H
#define LACUNA_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/error.h"

enum lac_family {
    LAC_FAMILY_BERT,
    LAC_FAMILY_ROBERTA,
    LAC_FAMILY_DISTILBERT,
    /* decoders */
    LAC_FAMILY_LLAMA,
    LAC_FAMILY_MISTRAL,
    LAC_FAMILY_QWEN2,
    LAC_FAMILY_GPT2,
    LAC_FAMILY_OPT,
    LAC_N_FAMILIES,
};

static inline bool lac_family_is_decoder(enum lac_family family)
{
    return family >= LAC_FAMILY_LLAMA;
}

enum lac_hidden_act {
    LAC_HIDDEN_GELU,      /* by erf */
    LAC_HIDDEN_GELU_TANH, /* gelu_new, gelu_pytorch_tanh */
    LAC_HIDDEN_RELU,
    LAC_HIDDEN_SILU, /* silu, swish; decoders only */
};

enum lac_norm_kind {
    LAC_NORM_LAYER, /* (x - mean) / sqrt(variance + eps) * gamma + beta */
    LAC_NORM_RMS,   /* x / sqrt(mean of squares + eps) * gamma */
};

enum lac_position_kind {
    LAC_POSITION_LEARNED, /* a table, added to the embeddings */
    LAC_POSITION_ROPE,    /* queries and keys are rotated (struct lac_rope) */
};

/* How the angles of rotary positions are made (Su et al., RoFormer, 2021).  A head's d features are
 * rotated in pairs (i, i + d/2), i < d/2, by position * frequency[i], where frequency[i] is
 * theta^(-2i/d) changed in one of these ways. */
enum lac_rope_kind {
    LAC_ROPE_PLAIN,
    LAC_ROPE_LINEAR,   /* divided by factor */
    LAC_ROPE_DYNAMIC,  /* theta grows with the sequence once it is longer than original_positions:
                          theta * (factor * n / original - (factor - 1)) ^ (d / (d - 2)) */
    LAC_ROPE_LLAMA3,   /* wavelengths over original / low_freq_factor divided by factor, those under
                          original / high_freq_factor kept, between them interpolated */
    LAC_ROPE_YARN,     /* Peng et al., YaRN, 2023: by beta_fast and beta_slow */
    LAC_ROPE_DIVISORS, /* frequency[i] divided by divisors[i] */
};

/* Every number is finite and positive and factor at least 1; what the kind does not use is 0. */
struct lac_rope {
    enum lac_rope_kind kind;
    double theta;
    double factor;
    size_t original_positions;                /* dynamic, llama3, yarn */
    double low_freq_factor, high_freq_factor; /* llama3: low < high */
    double beta_fast, beta_slow;              /* yarn: slow <= fast; 32 and 1 unless given */
    unsigned truncate;                        /* yarn: 1 when the bounds of the ramp are rounded
                                                 outwards to whole pairs, as they are by default */
    double attention_factor; /* multiplies cosines and sines: always set, 1 but for yarn, where it
                                is what the file says or what its mscale and mscale_all_dim, or
                                factor alone, imply */
    const float *divisors;   /* [head_dim / 2] */
};

/* Learnt gates (Gao et al., SeerAttention: Learning Intrinsic Sparse Attention in Your LLMs, 2024):
 * a head's queries of a block and its keys of each block, both before their rotation, are pooled
 * feature by feature, each projected to `width` features and rotated by the position of its block's
 * first token; softmax over blocks of their products says which blocks of keys the queries need.
 * Blocks are of LAC_GATE_BLOCK tokens. */
enum { LAC_GATE_BLOCK = 64 };

enum lac_pooling_kind { LAC_POOLED_MAX, LAC_POOLED_MIN, LAC_POOLED_MEAN, LAC_N_POOLED };

struct lac_gates {
    size_t width;                    /* 0: the model has none */
    unsigned query_pools, key_pools; /* sets of 1 << enum lac_pooling_kind, side by side in its
                                        order */
    unsigned has_query; /* 1: each head's queries and each key/value head's keys are projected; 0:
                           keys alone are, for each head in its own way */
    double threshold;   /* blocks with more weight are asked for, or ... */
    double share;       /* ... this share of them; both 0: the model does not say */
};

/* How tensors are named. */
enum lac_naming { LAC_NAMES_TRANSFORMERS, LAC_NAMES_GGUF };

/* The architecture of a family with the head of one task (LAC_TASK_EMBED: none), for example
 * "BertForMaskedLM". */
const char *lac_architecture_name(enum lac_family family, unsigned task);

enum lac_problem { LAC_PROBLEM_SINGLE_LABEL, LAC_PROBLEM_MULTI_LABEL, LAC_PROBLEM_REGRESSION };

enum lac_config_pooling { LAC_CONFIG_POOL_MEAN, LAC_CONFIG_POOL_CLS, LAC_CONFIG_POOL_POOLER };

/* Sequence lengths that files may ask for: some say "no bound" with a large number. */
#define LAC_MAX_TEXT_TOKENS ((size_t)1 << 62)

/* Ends of a generated text that a file may name. */
enum { LAC_MAX_END_IDS = 64 };

/* Strings and arrays belong to the arena the configuration was read into. */
struct lac_config {
    enum lac_family family;
    const char *model_type;   /* "bert", "xlm-roberta", "llama", ...: as the file spells it */
    const char *architecture; /* "BertForSequenceClassification", or "" when not given */
    const char *prefix;       /* before tensors: "bert.", "model.", "transformer.", ..., or ""
                                 (set when the tensors are seen) */
    enum lac_naming naming;   /* (set when the tensors are seen) */
    size_t vocab_size, hidden_size, n_layers, n_heads, intermediate_size;
    size_t n_kv_heads;     /* divides n_heads, which it is without grouped queries */
    size_t head_dim;       /* features of a head; n_heads * head_dim need not be hidden_size */
    size_t embedding_size; /* columns of the word embedding: hidden_size unless OPT projects */
    enum lac_position_kind position_kind;
    size_t max_positions;   /* rows of the position table; with ROPE what the file names */
    size_t position_offset; /* of the first token: pad + 1 for RoBERTa, 2 for OPT, else 0 */
    size_t max_tokens;      /* max_positions - position_offset; with ROPE scaled up by its factor */
    size_t n_token_types;   /* 0 for DistilBERT and decoders */
    int32_t pad_token_id;
    enum lac_hidden_act hidden_act;
    enum lac_norm_kind norm_kind;
    float norm_eps;

    /* Decoders; encoders have all biases and neither of the others. */
    unsigned is_gated;     /* 1: down(act(gate(x)) * up(x)) */
    unsigned has_qkv_bias; /* of queries, keys and values */
    unsigned has_mix_bias; /* of the attention's output */
    unsigned has_ffn_bias;
    unsigned norms_before;       /* 1: a norm before each half of a layer, whose result is added to
                                    what it read; 0: after the addition, as in encoders */
    unsigned has_final_norm;     /* after the last layer */
    unsigned has_tied_head;      /* 1: the head is the word embedding */
    unsigned unscaled_attention; /* 1: scores are not divided by sqrt(head_dim) */
    unsigned attention_by_inverse_layer; /* 1: they are divided by (layer + 1) */
    const size_t *reach; /* [n_layers]: tokens that an encoder's token sees on each side of it;
                            NULL: all */
    unsigned has_global; /* 1: global tokens have queries, keys and values of their own (Longformer)
                          */
    int32_t sep_token_id; /* of such a model: what ends a question */
    size_t block_tokens;  /* BigBird's blocks, of which a token sees its own, one on each side, the
                             first and the last; 0: it is none, or sees all */
    size_t n_random_blocks;        /* of such a model */
    unsigned has_classifier_dense; /* 1: texts are classified from the first token by a layer of
                                      the head's own, 0: by the pooler */
    const size_t *windows; /* [n_layers]: keys that a token sees, itself and those right before
                              it; 0: all.  NULL: 0 in all layers */
    struct lac_rope rope;
    struct lac_gates gates;
    int32_t bos_token_id;   /* -1: none */
    const int32_t *end_ids; /* [n_end_ids], each below vocab_size: tokens that end a text */
    size_t n_end_ids;

    size_t n_labels;     /* 0 unless tasks has CLASSIFY or TAG */
    const char **labels; /* [n_labels]; "LABEL_3" where the file names none */
    enum lac_problem problem;
    enum lac_config_pooling pooling; /* from sentence-transformers' 1_Pooling/config.json: mean
                                        unless it says otherwise */
    size_t text_tokens;              /* what sentence_bert_config.json cuts texts to; 0: nothing */
    unsigned normalize;              /* 1 when modules.json has a Normalize module */
    unsigned tasks; /* set of enum lac_task, from the architecture: encoders EMBED always, decoders
                       GENERATE alone */
};

/* What the scores of a layer are multiplied by before softmax. */
float lac_config_attention_scale(const struct lac_config *config, size_t layer);

/* Features that gates pool queries or keys into. */
size_t lac_gates_inputs(unsigned pools, size_t head_dim);

/* Reads one JSON text; name is for messages.  Sizes are bounded (hidden size to 65,536, layers to
 * 1,024, vocabulary to 2^24, ...) and must fit each other.
 * Takes config.json as it is and lac_checkpoint's config_text, whose "lacuna_pooling" ("mean",
 * "cls", "pooler"), "lacuna_normalize", "lacuna_text_tokens" and "lacuna_rope_divisors" no
 * config.json has.
 * LAC_E_UNSUPPORTED names what we cannot run: a model type, architecture, activation, kind of
 * positions.  On failure config is untouched; what the arena got stays there. */
enum lac_status lac_config_parse(const char *name, const void *json, size_t size,
                                 struct lac_arena *arena, struct lac_config *config,
                                 struct lac_error *error);

#endif
