/* SPDX-License-Identifier: Apache-2.0 */
/* What sentence-transformers writes beside a checkpoint: pooling, normalising, lengths. */
#include <stdio.h>
#include <string.h>

#include "tests/model_specs.h"

#define MODULE(type, path)                                                                         \
    "{\"idx\":0,\"name\":\"0\",\"path\":\"" path                                                   \
    "\",\"type\":\"sentence_transformers.models." type "\"}"

START_TEST(sentence_transformers_files_are_merged)
{
    static const struct {
        const char *modules, *pooling; /* NULL: no such file */
        enum lac_status status;
        const char *error;
        enum lac_config_pooling expected;
        unsigned normalize;
    } cases[] = {
        {NULL, NULL, LAC_OK, NULL, LAC_CONFIG_POOL_MEAN, 0},
        {NULL, "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}", LAC_OK, NULL,
         LAC_CONFIG_POOL_CLS, 0},
        {"[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE(
             "Normalize", "2_Normalize") "]",
         "{\"word_embedding_dimension\":8,\"pooling_mode_mean_tokens\":true}", LAC_OK, NULL,
         LAC_CONFIG_POOL_MEAN, 1},
        {"[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "]",
         "{\"pooling_mode\":\"cls\"}", LAC_OK, NULL, LAC_CONFIG_POOL_CLS, 0},
        {NULL, "{\"pooling_mode_max_tokens\":true}", LAC_E_UNSUPPORTED,
         "1_Pooling/config.json: pooling_mode_max_tokens cannot be run", 0, 0},
        {NULL, "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}",
         LAC_E_UNSUPPORTED, "pooling_mode_cls_token beside another mode", 0, 0},
        {NULL, "{\"pooling_mode\":\"lasttoken\"}", LAC_E_UNSUPPORTED, "\"lasttoken\"", 0, 0},
        {NULL, "{}", LAC_E_FORMAT, "no pooling mode is true", 0, 0},
        {"[" MODULE("Transformer", "") "," MODULE("Pooling", "../x") "]", NULL, LAC_E_FORMAT,
         "modules.json: path: \"../x\" is no folder", 0, 0},
        {"[" MODULE("Pooling", "1_Pooling") "," MODULE("Dense", "2_Dense") "]", NULL,
         LAC_E_UNSUPPORTED, "models.Dense", 0, 0},
        {"[" MODULE("Normalize", "") "]", NULL, LAC_E_UNSUPPORTED, "models.Normalize", 0, 0},
        {"{}", NULL, LAC_E_FORMAT, "modules.json: expected an array", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char directory[10], name[100];
        snprintf(directory, sizeof directory, "p%zu", i);
        make(directory, BERT_CONFIG("Model"), bert_bare, "", NULL);
        snprintf(name, sizeof name, "%s/modules.json", directory);
        if (cases[i].modules)
            write_text(name, cases[i].modules);
        snprintf(name, sizeof name, "%s/1_Pooling/config.json", directory);
        if (cases[i].pooling)
            write_text(name, cases[i].pooling);
        if (cases[i].status) {
            open_bad(directory, cases[i].status, cases[i].error);
            continue;
        }
        struct lac_checkpoint *checkpoint = open_good(directory);
        ck_assert_int_eq(checkpoint->config.pooling, cases[i].expected);
        ck_assert_uint_eq(checkpoint->config.normalize, cases[i].normalize);

        /* The merged text alone gives the same configuration. */
        struct lac_arena arena = {.host = &lac_default_host};
        struct lac_config again;
        struct lac_error error;
        ck_assert_int_eq(lac_config_parse("text", checkpoint->config_text,
                                          strlen(checkpoint->config_text), &arena, &again, &error),
                         LAC_OK);
        ck_assert_int_eq(again.pooling, cases[i].expected);
        ck_assert_uint_eq(again.normalize, cases[i].normalize);
        ck_assert_uint_eq(again.text_tokens, 0);
        ck_assert_uint_eq(again.hidden_size, HIDDEN);
        ck_assert(again.norm_eps == checkpoint->config.norm_eps);
        lac_arena_clear(&arena);
        lac_checkpoint_close(checkpoint);
    }
}
END_TEST

START_TEST(sentence_lengths_are_read)
{
    static const struct {
        const char *text;
        size_t n_tokens;
        const char *error;
    } cases[] = {
        {"{\"max_seq_length\":6,\"do_lower_case\":false}", 6, NULL},
        {"{\"max_seq_length\":null}", 0, NULL},
        {"{}", 0, NULL},
        {"{\"max_seq_length\":0}", 0,
         "sentence_bert_config.json: max_seq_length: 0 is not between"},
        {"{\"max_seq_length\":\"6\"}", 0, "sentence_bert_config.json: max_seq_length: expected"},
        {"[]", 0, "sentence_bert_config.json: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char directory[10], name[100];
        snprintf(directory, sizeof directory, "l%zu", i);
        make(directory, BERT_CONFIG("Model"), bert_bare, "", NULL);
        snprintf(name, sizeof name, "%s/sentence_bert_config.json", directory);
        write_text(name, cases[i].text);
        if (cases[i].error) {
            open_bad(directory, LAC_E_FORMAT, cases[i].error);
            continue;
        }
        struct lac_checkpoint *checkpoint = open_good(directory);
        ck_assert_uint_eq(checkpoint->config.text_tokens, cases[i].n_tokens);
        lac_checkpoint_close(checkpoint);
    }
}
END_TEST

void add_sentence_tests(Suite *suite)
{
    add_test(suite, "pooling", sentence_transformers_files_are_merged);
    add_test(suite, "sentence lengths", sentence_lengths_are_read);
}
