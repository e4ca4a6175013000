/* SPDX-License-Identifier: Apache-2.0 */
/* config.json. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include <lacuna/session.h>

#include "src/model/config.h"
#include "src/model/quantization.h"
#include "tests/model_suite.h"

#define BERT_SIZES                                                                                 \
    "\"vocab_size\":100,\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"     \
    "\"intermediate_size\":32,\"max_position_embeddings\":20"
#define BERT    "\"model_type\":\"bert\"," BERT_SIZES
#define ROBERTA "\"model_type\":\"roberta\"," BERT_SIZES
#define BIRD    "\"model_type\":\"big_bird\"," BERT_SIZES
#define DISTIL                                                                                     \
    "\"model_type\":\"distilbert\",\"vocab_size\":100,\"dim\":16,\"n_layers\":2,\"n_heads\":4,"    \
    "\"hidden_dim\":32,\"max_position_embeddings\":20"
#define CLASSIFIER "\"architectures\":[\"BertForSequenceClassification\"],"

static struct lac_arena arena = {.host = &lac_default_host};

static enum lac_status parse(const char *text, struct lac_config *config, struct lac_error *error)
{
    return lac_config_parse("config.json", text, strlen(text), &arena, config, error);
}

static void accept(const char *text, struct lac_config *config)
{
    struct lac_error error = {0};
    ck_assert_msg(parse(text, config, &error) == LAC_OK, "%s: %s", text, error.text);
}

START_TEST(bert_is_read)
{
    struct lac_config config;
    accept("{" CLASSIFIER BERT ",\"type_vocab_size\":3,\"layer_norm_eps\":1e-5,"
           "\"pad_token_id\":7,\"hidden_act\":\"gelu_new\","
           "\"problem_type\":\"multi_label_classification\","
           "\"id2label\":{\"2\":\"c\",\"0\":\"a\",\"1\":5},\"unknown\":{\"x\":[1]}}",
           &config);
    ck_assert_int_eq(config.family, LAC_FAMILY_BERT);
    ck_assert_str_eq(config.model_type, "bert");
    ck_assert_str_eq(config.architecture, "BertForSequenceClassification");
    ck_assert_str_eq(config.prefix, "");
    ck_assert_uint_eq(config.vocab_size, 100);
    ck_assert_uint_eq(config.hidden_size, 16);
    ck_assert_uint_eq(config.n_layers, 2);
    ck_assert_uint_eq(config.n_heads, 4);
    ck_assert_uint_eq(config.intermediate_size, 32);
    ck_assert_uint_eq(config.max_positions, 20);
    ck_assert_uint_eq(config.position_offset, 0);
    ck_assert_uint_eq(config.max_tokens, 20);
    ck_assert_uint_eq(config.n_token_types, 3);
    ck_assert_int_eq(config.pad_token_id, 7);
    ck_assert_int_eq(config.hidden_act, LAC_HIDDEN_GELU_TANH);
    ck_assert(config.norm_eps == 1e-5f);
    ck_assert_int_eq(config.problem, LAC_PROBLEM_MULTI_LABEL);
    ck_assert_uint_eq(config.n_labels, 3);
    ck_assert_str_eq(config.labels[0], "a");
    ck_assert_str_eq(config.labels[1], "5");
    ck_assert_str_eq(config.labels[2], "c");
    ck_assert_uint_eq(config.tasks, LAC_TASK_EMBED | LAC_TASK_CLASSIFY);
    ck_assert_int_eq(config.pooling, LAC_CONFIG_POOL_MEAN);
    ck_assert_uint_eq(config.normalize, 0);
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(families_have_their_defaults)
{
    struct lac_config config;
    accept("{" ROBERTA ",\"architectures\":[\"RobertaForTokenClassification\"]}", &config);
    ck_assert_int_eq(config.family, LAC_FAMILY_ROBERTA);
    ck_assert_int_eq(config.pad_token_id, 1);
    ck_assert_uint_eq(config.position_offset, 2);
    ck_assert_uint_eq(config.max_tokens, 18);
    ck_assert_uint_eq(config.n_token_types, 2);
    ck_assert_uint_eq(config.tasks, LAC_TASK_EMBED | LAC_TASK_TAG);
    ck_assert_uint_eq(config.n_labels, 2);
    ck_assert_str_eq(config.labels[1], "LABEL_1");
    ck_assert(config.norm_eps == 1e-12f);
    ck_assert_int_eq(config.hidden_act, LAC_HIDDEN_GELU);

    accept("{" BIRD ",\"use_bias\":false,\"architectures\":[\"BigBirdForSequenceClassification\"]}",
           &config);
    ck_assert_int_eq(config.family, LAC_FAMILY_BERT);
    ck_assert_uint_eq(config.tasks, LAC_TASK_EMBED | LAC_TASK_CLASSIFY);
    ck_assert_int_eq(config.hidden_act, LAC_HIDDEN_GELU_TANH);
    ck_assert_uint_eq(config.block_tokens, 64);
    ck_assert_uint_eq(config.n_random_blocks, 3);
    ck_assert_uint_eq(config.has_classifier_dense, 1);
    ck_assert_uint_eq(config.has_qkv_bias, 0);
    accept("{" BIRD ",\"attention_type\":\"original_full\"}", &config);
    ck_assert_uint_eq(config.block_tokens, 0);

    accept("{" DISTIL ",\"activation\":\"relu\",\"architectures\":[\"DistilBertForMaskedLM\"],"
           "\"pad_token_id\":null,\"tie_weights_\":true}",
           &config);
    ck_assert_int_eq(config.family, LAC_FAMILY_DISTILBERT);
    ck_assert_uint_eq(config.hidden_size, 16);
    ck_assert_uint_eq(config.n_layers, 2);
    ck_assert_uint_eq(config.n_heads, 4);
    ck_assert_uint_eq(config.intermediate_size, 32);
    ck_assert_uint_eq(config.n_token_types, 0);
    ck_assert_int_eq(config.pad_token_id, 0);
    ck_assert_uint_eq(config.position_offset, 0);
    ck_assert_int_eq(config.hidden_act, LAC_HIDDEN_RELU);
    ck_assert_uint_eq(config.tasks, LAC_TASK_EMBED | LAC_TASK_FILL);
    ck_assert_uint_eq(config.n_labels, 0);

    accept("{\"model_type\":\"xlm-roberta\",\"architectures\":[\"XLMRobertaForQuestionAnswering\"]"
           ",\"pad_token_id\":3," BERT_SIZES "}",
           &config);
    ck_assert_int_eq(config.family, LAC_FAMILY_ROBERTA);
    ck_assert_str_eq(config.model_type, "xlm-roberta");
    ck_assert_uint_eq(config.position_offset, 4);
    ck_assert_uint_eq(config.tasks, LAC_TASK_EMBED | LAC_TASK_ANSWER);

    accept("{\"model_type\":\"camembert\",\"architectures\":[\"CamembertModel\"]," BERT_SIZES "}",
           &config);
    ck_assert_uint_eq(config.tasks, LAC_TASK_EMBED);

    accept("{" CLASSIFIER BERT ",\"num_labels\":1}", &config);
    ck_assert_int_eq(config.problem, LAC_PROBLEM_REGRESSION);
    accept("{" CLASSIFIER BERT ",\"num_labels\":3,\"problem_type\":null}", &config);
    ck_assert_int_eq(config.problem, LAC_PROBLEM_SINGLE_LABEL);
    ck_assert_str_eq(config.labels[2], "LABEL_2");
    accept("{" BERT ",\"lacuna_pooling\":\"cls\",\"lacuna_normalize\":true}", &config);
    ck_assert_int_eq(config.pooling, LAC_CONFIG_POOL_CLS);
    ck_assert_uint_eq(config.normalize, 1);
    ck_assert_str_eq(config.architecture, "");
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(bad_configs_are_named)
{
    static const struct {
        const char *text;
        enum lac_status status;
        const char *expected;
    } bad[] = {
        {"", LAC_E_FORMAT, "line 1"},
        {"[]", LAC_E_FORMAT, "expected an object, found array"},
        {"{}", LAC_E_FORMAT, "model_type is missing"},
        {"{\"model_type\":1}", LAC_E_FORMAT, "model_type: expected a string"},
        {"{\"model_type\":\"t5\"}", LAC_E_UNSUPPORTED, "model_type \"t5\" cannot be run (bert, "},
        {"{\"model_type\":\"bert\"}", LAC_E_FORMAT, "vocab_size is missing"},
        {"{" BERT "," BERT "}", LAC_E_FORMAT, "duplicate"},
        {"{" BERT ",\"architectures\":\"BertModel\"}", LAC_E_FORMAT, "architectures: expected"},
        {"{" BERT ",\"architectures\":[]}", LAC_E_FORMAT, "architectures: expected"},
        {"{" BERT ",\"architectures\":[\"RobertaModel\"]}", LAC_E_UNSUPPORTED,
         "architecture \"RobertaModel\" cannot be run with model_type \"bert\""},
        {"{" BERT ",\"architectures\":[\"BertForMultipleChoice\"]}", LAC_E_UNSUPPORTED,
         "BertForMultipleChoice"},
        {"{" BERT ",\"architectures\":[\"Bert\"]}", LAC_E_UNSUPPORTED, "\"Bert\""},
        {"{" BERT ",\"is_decoder\":true}", LAC_E_UNSUPPORTED, "is_decoder"},
        {"{" BERT ",\"is_decoder\":1}", LAC_E_FORMAT, "is_decoder: expected true or false"},
        {"{" BERT ",\"add_cross_attention\":true}", LAC_E_UNSUPPORTED, "add_cross_attention"},
        {"{" BERT ",\"pruned_heads\":{\"0\":[1]}}", LAC_E_UNSUPPORTED, "pruned_heads"},
        {"{" BERT ",\"position_embedding_type\":\"relative_key\"}", LAC_E_UNSUPPORTED,
         "position_embedding_type \"relative_key\""},
        {"{" BERT ",\"hidden_act\":\"swish\"}", LAC_E_UNSUPPORTED, "hidden_act \"swish\""},
        {"{" DISTIL ",\"activation\":\"mish\"}", LAC_E_UNSUPPORTED, "activation \"mish\""},
        {"{" BIRD ",\"architectures\":[\"BigBirdForQuestionAnswering\"]}", LAC_E_UNSUPPORTED,
         "BigBirdForQuestionAnswering: its head"},
        {"{" BIRD ",\"rescale_embeddings\":true}", LAC_E_UNSUPPORTED, "rescale_embeddings"},
        {"{" BIRD ",\"attention_type\":\"sparse\"}", LAC_E_UNSUPPORTED,
         "attention_type \"sparse\""},
        {"{" BIRD ",\"block_size\":0}", LAC_E_FORMAT, "block_size: 0"},
        {"{" BIRD ",\"num_random_blocks\":33}", LAC_E_FORMAT, "num_random_blocks: 33"},
        {"{" BERT ",\"layer_norm_eps\":0}", LAC_E_FORMAT, "layer_norm_eps: 0 is not"},
        {"{" BERT ",\"layer_norm_eps\":-1e-5}", LAC_E_FORMAT, "layer_norm_eps"},
        {"{" BERT ",\"type_vocab_size\":0}", LAC_E_FORMAT, "type_vocab_size: 0 is not between"},
        {"{" BERT ",\"type_vocab_size\":257}", LAC_E_FORMAT, "type_vocab_size: 257"},
        {"{" BERT ",\"pad_token_id\":100}", LAC_E_FORMAT, "pad_token_id: 100 is not between"},
        {"{" BERT ",\"pad_token_id\":-1}", LAC_E_FORMAT, "pad_token_id: -1"},
        {"{" ROBERTA ",\"pad_token_id\":19}", LAC_E_FORMAT, "leaves none from position 20"},
        {"{" BERT ",\"problem_type\":\"x\",\"num_labels\":1}", LAC_E_UNSUPPORTED, "problem_type"},
        {"{" BERT ",\"lacuna_pooling\":\"max\"}", LAC_E_UNSUPPORTED, "lacuna_pooling \"max\""},
        {"{" CLASSIFIER BERT ",\"num_labels\":0}", LAC_E_FORMAT, "num_labels: 0"},
        {"{" CLASSIFIER BERT ",\"num_labels\":99999999}", LAC_E_FORMAT, "num_labels: 99999999"},
        {"{" CLASSIFIER BERT ",\"num_labels\":2,\"id2label\":{\"0\":\"a\"}}", LAC_E_FORMAT,
         "num_labels is 2, but id2label names 1"},
        {"{" CLASSIFIER BERT ",\"id2label\":[]}", LAC_E_FORMAT, "id2label: expected an object"},
        {"{" CLASSIFIER BERT ",\"id2label\":{\"1\":\"a\"}}", LAC_E_FORMAT, "key \"1\" is not"},
        {"{" CLASSIFIER BERT ",\"id2label\":{\"0\":\"a\",\"00\":\"b\"}}", LAC_E_FORMAT, "\"00\""},
        {"{" CLASSIFIER BERT ",\"id2label\":{\"\":\"a\"}}", LAC_E_FORMAT, "key \"\""},
        {"{" CLASSIFIER BERT ",\"id2label\":{\"-0\":\"a\"}}", LAC_E_FORMAT, "key \"-0\""},
        {"{" CLASSIFIER BERT ",\"id2label\":{\"18446744073709551616\":\"a\"}}", LAC_E_FORMAT,
         "key \"18446744073709551616\""},
        {"{" CLASSIFIER BERT ",\"id2label\":{\"0\":null}}", LAC_E_FORMAT, "0: expected a string"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct lac_error error = {0};
        struct lac_config config = {.n_layers = 77};
        enum lac_status status = parse(bad[i].text, &config, &error);
        ck_assert_msg(status == bad[i].status, "%d: %s: %s", status, bad[i].text, error.text);
        ck_assert_msg(strncmp(error.text, "config.json: ", 13) == 0, "%s", error.text);
        ck_assert_msg(strstr(error.text, bad[i].expected) != NULL, "\"%s\" not in: %s",
                      bad[i].expected, error.text);
        ck_assert_uint_eq(config.n_layers, 77);
    }
    lac_arena_clear(&arena);
}
END_TEST

START_TEST(sizes_are_bounded_and_fit)
{
    static const struct {
        const char *key;
        const char *value, *expected;
    } bad[] = {
        {"vocab_size", "0", "vocab_size: 0 is not between 1 and 16777216"},
        {"vocab_size", "16777217", "vocab_size: 16777217"},
        {"vocab_size", "\"9\"", "vocab_size: expected an integer, found string"},
        {"vocab_size", "9.0", "vocab_size: expected an integer, found real"},
        {"vocab_size", "null", "vocab_size is missing"},
        {"hidden_size", "65537", "hidden_size: 65537"},
        {"hidden_size", "-16", "hidden_size: -16"},
        {"hidden_size", "18", "4 attention heads do not divide hidden size 18"},
        {"num_hidden_layers", "1025", "num_hidden_layers: 1025"},
        {"num_hidden_layers", "0", "num_hidden_layers: 0"},
        {"num_attention_heads", "0", "num_attention_heads: 0"},
        {"num_attention_heads", "5", "5 attention heads do not divide"},
        {"intermediate_size", "9223372036854775807", "intermediate_size: 9223372036854775807"},
        {"max_position_embeddings", "0", "max_position_embeddings: 0"},
        {"max_position_embeddings", "true", "max_position_embeddings: expected an integer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[1000] = "{\"model_type\":\"bert\"," BERT_SIZES "}", rest[1000];
        char *at = strstr(strstr(text, bad[i].key), ":") + 1;
        size_t digits = strspn(at, "0123456789");
        snprintf(rest, sizeof rest, "%s%s", bad[i].value, at + digits);
        memcpy(at, rest, strlen(rest) + 1);
        struct lac_error error = {0};
        struct lac_config config;
        ck_assert_int_eq(parse(text, &config, &error), LAC_E_FORMAT);
        ck_assert_msg(strstr(error.text, bad[i].expected) != NULL, "\"%s\" not in: %s",
                      bad[i].expected, error.text);
    }
    lac_arena_clear(&arena);
}
END_TEST

#define QUANT(rest) "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\"" rest "}}"
#define WEIGHTS(members)                                                                           \
    QUANT(",\"format\":\"int-quantized\",\"config_groups\":{\"g\":{\"weights\":{" members "}}}")

START_TEST(quantizations_are_named)
{
    static const struct {
        const char *text;
        const char *expected; /* NULL: good */
    } cases[] = {
        {"{}", NULL},
        {"{\"quantization_config\":null}", NULL},
        {QUANT(""), NULL},
        {WEIGHTS("\"num_bits\":8,\"type\":\"int\",\"symmetric\":true,\"strategy\":\"channel\""),
         NULL},
        {WEIGHTS("\"strategy\":\"tensor\""), NULL},
        {QUANT(",\"config_groups\":{},\"sparsity_config\":{\"format\":\"sparse-bitmask\"}"), NULL},
        {QUANT(",\"format\":\"dense\",\"sparsity_config\":{\"format\":\"dense\"}"), NULL},
        {"{\"compression_config\":{\"format\":\"sparse-bitmask\"}}", NULL},
        {"{\"quantization_config\":[]}", "quantization_config: expected an object"},
        {"{\"quantization_config\":{\"quant_method\":\"gptq\"}}", "quant_method \"gptq\""},
        {QUANT(",\"format\":\"pack-quantized\""), NULL},
        {QUANT(",\"format\":\"float-quantized\""), "format \"float-quantized\""},
        {QUANT(",\"sparsity_config\":{\"format\":\"sparse-24-bitmask\"}"), NULL},
        {QUANT(",\"sparsity_config\":{\"format\":\"sparse-34-bitmask\"}"),
         "sparsity_config: format \"sparse-34-bitmask\""},
        {QUANT(",\"config_groups\":{\"g\":{\"format\":\"marlin-24\"}}"),
         "config_groups.g: format \"marlin-24\""},
        {QUANT(",\"config_groups\":{\"g\":1}"), "config_groups.g: expected an object"},
        {WEIGHTS("\"num_bits\":4"), NULL},
        {WEIGHTS("\"num_bits\":2"), "num_bits 2 cannot be read"},
        {WEIGHTS("\"type\":\"float\""), "type \"float\""},
        {WEIGHTS("\"strategy\":\"group\""), NULL},
        {WEIGHTS("\"strategy\":\"block\""), "strategy \"block\""},
        {WEIGHTS("\"symmetric\":false"), "asymmetric"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lac_error error = {0};
        json_t *json = json_loads(cases[i].text, 0, NULL);
        ck_assert_msg(json != NULL, "%s", cases[i].text);
        enum lac_status status = lac_quantization_check(json, &error);
        ck_assert_msg(!status == !cases[i].expected, "%s: %s", cases[i].text, error.text);
        if (cases[i].expected)
            ck_assert_msg(strstr(error.text, cases[i].expected) != NULL, "\"%s\" not in: %s",
                          cases[i].expected, error.text);
        json_decref(json);
    }
}
END_TEST

void add_config_tests(Suite *suite)
{
    add_test(suite, "bert", bert_is_read);
    add_test(suite, "families", families_have_their_defaults);
    add_test(suite, "bad configs", bad_configs_are_named);
    add_test(suite, "sizes", sizes_are_bounded_and_fit);
    add_test(suite, "quantization", quantizations_are_named);
}
