/* SPDX-License-Identifier: Apache-2.0 */
/* How each family names its tensors: one table. */
#include "src/model/names.h"

#include <stdio.h>
#include <string.h>

/* In a name '@' stands for the prefix and '#' for the layer's number. */
struct role_names {
    const char *names[LAC_N_ALTERNATIVES];
    const char *bias; /* where the bias may lie instead of beside the weight */
};

struct family_names {
    const char *prefix;
    struct role_names roles[LAC_N_ROLES];
};

/* RoBERTa's encoder is BERT's. */
#define BERT_ENCODER                                                                               \
    [LAC_ROLE_WORD_EMBEDDING] = {{"@embeddings.word_embeddings"}, NULL},                           \
    [LAC_ROLE_POSITION_EMBEDDING] = {{"@embeddings.position_embeddings"}, NULL},                   \
    [LAC_ROLE_TYPE_EMBEDDING] = {{"@embeddings.token_type_embeddings"}, NULL},                     \
    [LAC_ROLE_EMBEDDING_NORM] = {{"@embeddings.LayerNorm"}, NULL},                                 \
    [LAC_ROLE_QUERY] = {{"@encoder.layer.#.attention.self.query"}, NULL},                          \
    [LAC_ROLE_KEY] = {{"@encoder.layer.#.attention.self.key"}, NULL},                              \
    [LAC_ROLE_VALUE] = {{"@encoder.layer.#.attention.self.value"}, NULL},                          \
    [LAC_ROLE_ATTENTION_OUTPUT] = {{"@encoder.layer.#.attention.output.dense"}, NULL},             \
    [LAC_ROLE_ATTENTION_NORM] = {{"@encoder.layer.#.attention.output.LayerNorm"}, NULL},           \
    [LAC_ROLE_FFN_UP] = {{"@encoder.layer.#.intermediate.dense"}, NULL},                           \
    [LAC_ROLE_FFN_DOWN] = {{"@encoder.layer.#.output.dense"}, NULL},                               \
    [LAC_ROLE_FFN_NORM] = {{"@encoder.layer.#.output.LayerNorm"}, NULL},                           \
    [LAC_ROLE_POOLER] = {{"@pooler.dense"}, NULL}, [LAC_ROLE_ANSWER] = {{"qa_outputs"}, NULL}

static const struct family_names families[] = {
    [LAC_FAMILY_BERT] = {"bert.",
                         {BERT_ENCODER, [LAC_ROLE_CLASSIFIER] = {{"classifier"}, NULL},
                          [LAC_ROLE_FILL_DENSE] = {{"cls.predictions.transform.dense"}, NULL},
                          [LAC_ROLE_FILL_NORM] = {{"cls.predictions.transform.LayerNorm"}, NULL},
                          [LAC_ROLE_FILL_DECODER] = {{"cls.predictions.decoder"},
                                                     "cls.predictions.bias"}}},
    [LAC_FAMILY_ROBERTA] =
        {"roberta.",
         {BERT_ENCODER, [LAC_ROLE_CLASSIFIER_DENSE] = {{"classifier.dense"}, NULL},
          [LAC_ROLE_CLASSIFIER] = {{"classifier.out_proj", "classifier"}, NULL},
          [LAC_ROLE_FILL_DENSE] = {{"lm_head.dense"}, NULL},
          [LAC_ROLE_FILL_NORM] = {{"lm_head.layer_norm"}, NULL},
          [LAC_ROLE_FILL_DECODER] = {{"lm_head.decoder"}, "lm_head.bias"}}},
    [LAC_FAMILY_DISTILBERT] =
        {"distilbert.",
         {[LAC_ROLE_WORD_EMBEDDING] = {{"@embeddings.word_embeddings"}, NULL},
          [LAC_ROLE_POSITION_EMBEDDING] = {{"@embeddings.position_embeddings"}, NULL},
          [LAC_ROLE_EMBEDDING_NORM] = {{"@embeddings.LayerNorm"}, NULL},
          [LAC_ROLE_QUERY] = {{"@transformer.layer.#.attention.q_lin"}, NULL},
          [LAC_ROLE_KEY] = {{"@transformer.layer.#.attention.k_lin"}, NULL},
          [LAC_ROLE_VALUE] = {{"@transformer.layer.#.attention.v_lin"}, NULL},
          [LAC_ROLE_ATTENTION_OUTPUT] = {{"@transformer.layer.#.attention.out_lin"}, NULL},
          [LAC_ROLE_ATTENTION_NORM] = {{"@transformer.layer.#.sa_layer_norm"}, NULL},
          [LAC_ROLE_FFN_UP] = {{"@transformer.layer.#.ffn.lin1"}, NULL},
          [LAC_ROLE_FFN_DOWN] = {{"@transformer.layer.#.ffn.lin2"}, NULL},
          [LAC_ROLE_FFN_NORM] = {{"@transformer.layer.#.output_layer_norm"}, NULL},
          [LAC_ROLE_CLASSIFIER_DENSE] = {{"pre_classifier"}, NULL},
          [LAC_ROLE_CLASSIFIER] = {{"classifier"}, NULL},
          [LAC_ROLE_ANSWER] = {{"qa_outputs"}, NULL},
          [LAC_ROLE_FILL_DENSE] = {{"vocab_transform"}, NULL},
          [LAC_ROLE_FILL_NORM] = {{"vocab_layer_norm"}, NULL},
          [LAC_ROLE_FILL_DECODER] = {{"vocab_projector"}, NULL}}},
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
    [LAC_ROLE_ATTENTION_OUTPUT] = {"attention output", LINEAR},
    [LAC_ROLE_ATTENTION_NORM] = {"attention norm", NORM},
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

bool lac_role_name(const struct lac_config *config, enum lac_role role, size_t layer,
                   size_t alternative, char name[LAC_NAME_SIZE])
{
    if (alternative >= LAC_N_ALTERNATIVES)
        return false;
    const char *template = families[config->family].roles[role].names[alternative];
    if (!template)
        return false;
    expand(template, config->prefix, layer, name);
    return true;
}

const char *lac_role_bias(enum lac_family family, enum lac_role role)
{
    return families[family].roles[role].bias;
}

const char *lac_family_prefix(enum lac_family family)
{
    return families[family].prefix;
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
