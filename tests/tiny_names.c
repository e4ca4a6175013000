/* SPDX-License-Identifier: Apache-2.0 */
/* What the families of small encoders call their tensors. */
#include "tests/tiny_names.h"

#include <stdio.h>

const char *const tiny_prefixes[TINY_N_FAMILIES] = {"bert.", "roberta.", "distilbert."};

static const char *const bert_parts[N_PARTS] = {
    "attention.self.query",   "attention.self.key",         "attention.self.value",
    "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
    "output.dense",           "output.LayerNorm",
};

static const char *const distilbert_parts[N_PARTS] = {
    "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
    "sa_layer_norm",   "ffn.lin1",        "ffn.lin2",        "output_layer_norm",
};

const char *tiny_part_name(const struct tiny *t, size_t layer, enum tiny_part part)
{
    static char name[96];
    bool is_distilbert = t->family == TINY_DISTILBERT;
    snprintf(name, sizeof name, "%s%s.layer.%zu.%s", tiny_prefixes[t->family],
             is_distilbert ? "transformer" : "encoder", layer,
             (is_distilbert ? distilbert_parts : bert_parts)[part]);
    return name;
}

const char *tiny_embedding_name(const struct tiny *t, const char *table)
{
    static char name[96];
    snprintf(name, sizeof name, "%sembeddings.%s", tiny_prefixes[t->family], table);
    return name;
}

size_t tiny_position_offset(const struct tiny *t)
{
    return t->family == TINY_ROBERTA ? TINY_PAD + 1 : 0;
}

const char *const tiny_fill_dense[TINY_N_FAMILIES] = {"cls.predictions.transform.dense",
                                                      "lm_head.dense", "vocab_transform"};
const char *const tiny_fill_norm[TINY_N_FAMILIES] = {"cls.predictions.transform.LayerNorm",
                                                     "lm_head.layer_norm", "vocab_layer_norm"};
const char *const tiny_fill_bias[TINY_N_FAMILIES] = {"cls.predictions.bias", "lm_head.bias",
                                                     "vocab_projector.bias"};
