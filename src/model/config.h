/* SPDX-License-Identifier: Apache-2.0 */
/* What config.json says of an encoder, in one vocabulary for all families. */
#ifndef LACUNA_MODEL_CONFIG_H
#define LACUNA_MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "src/base/arena.h"
#include "src/base/error.h"

enum lac_family { LAC_FAMILY_BERT, LAC_FAMILY_ROBERTA, LAC_FAMILY_DISTILBERT };

enum lac_hidden_act {
    LAC_HIDDEN_GELU,      /* by erf */
    LAC_HIDDEN_GELU_TANH, /* gelu_new, gelu_pytorch_tanh */
    LAC_HIDDEN_RELU,
};

/* The architecture of a family with the head of one task (LAC_TASK_EMBED: none), for example
 * "BertForMaskedLM". */
const char *lac_architecture_name(enum lac_family family, unsigned task);

enum lac_problem { LAC_PROBLEM_SINGLE_LABEL, LAC_PROBLEM_MULTI_LABEL, LAC_PROBLEM_REGRESSION };

enum lac_config_pooling { LAC_CONFIG_POOL_MEAN, LAC_CONFIG_POOL_CLS, LAC_CONFIG_POOL_POOLER };

/* Sequence lengths that files may ask for: some say "no bound" with a large number. */
#define LAC_MAX_TEXT_TOKENS ((size_t)1 << 62)

/* Strings belong to the arena the configuration was read into. */
struct lac_config {
    enum lac_family family;
    const char *model_type;   /* "bert", "roberta", "xlm-roberta", "camembert", "distilbert" */
    const char *architecture; /* "BertForSequenceClassification", or "" when not given */
    const char *prefix;       /* before encoder tensors: "bert.", "roberta.", "distilbert.", or ""
                                 (set when the tensors are seen) */
    size_t vocab_size, hidden_size, n_layers, n_heads, intermediate_size;
    size_t max_positions;   /* rows of the position table */
    size_t position_offset; /* position of the first token: pad + 1 for RoBERTa, else 0 */
    size_t max_tokens;      /* max_positions - position_offset */
    size_t n_token_types;   /* 0 for DistilBERT */
    int32_t pad_token_id;
    enum lac_hidden_act hidden_act;
    float layer_norm_eps;
    size_t n_labels;     /* 0 unless tasks has CLASSIFY or TAG */
    const char **labels; /* [n_labels]; "LABEL_3" where the file names none */
    enum lac_problem problem;
    enum lac_config_pooling pooling; /* from sentence-transformers' 1_Pooling/config.json: mean
                                        unless it says otherwise */
    size_t text_tokens;              /* what sentence_bert_config.json cuts texts to; 0: nothing */
    unsigned normalize;              /* 1 when modules.json has a Normalize module */
    unsigned tasks;                  /* set of enum lac_task, from the architecture; EMBED always */
};

/* Reads one JSON text; name is for messages.  Sizes are bounded (hidden size to 65,536, layers to
 * 1,024, vocabulary to 2^24, ...) and must fit each other: heads divide hidden.
 * Takes config.json as it is and lac_checkpoint's config_text, whose "lacuna_pooling" ("mean",
 * "cls", "pooler"), "lacuna_normalize" and "lacuna_text_tokens" no config.json has.
 * LAC_E_UNSUPPORTED names what we cannot run: a model type, architecture, activation, relative
 * positions, decoders. On failure config is untouched; what the arena got stays there. */
enum lac_status lac_config_parse(const char *name, const void *json, size_t size,
                                 struct lac_arena *arena, struct lac_config *config,
                                 struct lac_error *error);

#endif
