/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: each family's names, heads, int8, sparse-bitmask. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/session.h>

#include "tests/model_specs.h"

/* Asks for every role that the checkpoint has, in every layer; returns how many there were. */
static size_t check_roles(const struct lac_checkpoint *checkpoint)
{
    size_t n = 0;
    for (int role = 0; role < LAC_N_ROLES; role++)
        for (size_t layer = 0; layer < LAYERS; layer++) {
            if (!lac_checkpoint_has(checkpoint, (enum lac_role)role, layer)) {
                matrix_bad(checkpoint, (enum lac_role)role, layer, LAC_E_FORMAT, checkpoint->path);
                continue;
            }
            n++;
            struct lac_error error = {0};
            struct lac_norm_tensors norm;
            if (!lac_checkpoint_norm(checkpoint, (enum lac_role)role, layer, &norm, &error)) {
                ck_assert_uint_eq(norm.gamma->shape[0], HIDDEN);
                ck_assert_uint_eq(norm.beta->shape[0], HIDDEN);
                ck_assert_ptr_ne(norm.beta, norm.gamma);
                continue;
            }
            struct lac_matrix matrix = matrix_good(checkpoint, (enum lac_role)role, layer);
            ck_assert(!lac_matrix_is_int8(&matrix));
            ck_assert_int_eq(matrix.bias == NULL, role <= LAC_ROLE_TYPE_EMBEDDING);
            if (matrix.bias)
                ck_assert_uint_eq(matrix.bias->shape[0], matrix.n_out);
            float *row = guarded_alloc(matrix.n_in * sizeof *row);
            lac_matrix_row(&matrix, matrix.n_out - 1, row);
            for (size_t i = 0; i < matrix.n_in; i++)
                ck_assert(row[i] == element((matrix.n_out - 1) * matrix.n_in + i));
            guarded_free(row, matrix.n_in * sizeof *row);
        }
    ck_assert(!lac_checkpoint_has(checkpoint, LAC_ROLE_QUERY, LAYERS));
    return n;
}

START_TEST(each_family_is_read)
{
    /* The embeddings and norms of BERT: 4, DistilBERT: 3; 8 roles a layer.  Heads count twice
     * because they are asked for in both layers. */
    enum { BERT = 2 * (4 + 8), DISTIL = 2 * (3 + 8) };
    static const struct {
        const char *config;
        const struct spec *specs;
        const char *prefix;
        size_t n_roles;
        unsigned tasks;
        const char *name; /* of some tensor of the head */
        enum lac_role role;
    } cases[] = {
        {BERT_CONFIG("ForSequenceClassification"), bert_classify, "bert.", BERT + 4,
         LAC_TASK_CLASSIFY, "classifier.weight", LAC_ROLE_CLASSIFIER},
        {BERT_CONFIG("Model"), bert_bare, "", BERT, 0, "embeddings.word_embeddings.weight",
         LAC_ROLE_WORD_EMBEDDING},
        {BERT_CONFIG("ForMaskedLM"), bert_fill, "bert.", BERT + 6, LAC_TASK_FILL,
         "bert.embeddings.word_embeddings.weight", LAC_ROLE_FILL_DECODER},
        {BERT_CONFIG("ForQuestionAnswering"), bert_answer, "bert.", BERT + 2, LAC_TASK_ANSWER,
         "qa_outputs.weight", LAC_ROLE_ANSWER},
        {ROBERTA_CONFIG("ForSequenceClassification"), roberta_classify, "roberta.", BERT + 4,
         LAC_TASK_CLASSIFY, "classifier.out_proj.weight", LAC_ROLE_CLASSIFIER},
        {ROBERTA_CONFIG("ForTokenClassification"), roberta_tag, "roberta.", BERT + 2, LAC_TASK_TAG,
         "classifier.weight", LAC_ROLE_CLASSIFIER},
        {ROBERTA_CONFIG("ForMaskedLM"), roberta_fill, "roberta.", BERT + 6, LAC_TASK_FILL,
         "lm_head.decoder.weight", LAC_ROLE_FILL_DECODER},
        {DISTIL_CONFIG("ForSequenceClassification"), distil_classify, "distilbert.", DISTIL + 4,
         LAC_TASK_CLASSIFY, "pre_classifier.weight", LAC_ROLE_CLASSIFIER_DENSE},
        {DISTIL_CONFIG("ForMaskedLM"), distil_fill, "distilbert.", DISTIL + 6, LAC_TASK_FILL,
         "vocab_projector.weight", LAC_ROLE_FILL_DECODER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make("f", cases[i].config, cases[i].specs, cases[i].prefix, NULL);
        struct lac_checkpoint *checkpoint = open_good("f");
        ck_assert_str_eq(checkpoint->config.prefix, cases[i].prefix);
        ck_assert_uint_eq(checkpoint->config.tasks, LAC_TASK_EMBED | cases[i].tasks);
        ck_assert_msg(check_roles(checkpoint) == cases[i].n_roles, "case %zu", i);
        ck_assert_str_eq(matrix_good(checkpoint, cases[i].role, 0).name, cases[i].name);
        lac_checkpoint_close(checkpoint);
    }
    lac_checkpoint_close(NULL);
}
END_TEST

START_TEST(missing_architectures_are_guessed)
{
    static const struct {
        const char *type;
        const struct spec *specs;
        const char *prefix, *expected;
        unsigned tasks;
    } cases[] = {
        {"bert", bert_classify, "bert.", "BertForSequenceClassification", LAC_TASK_CLASSIFY},
        {"bert", bert_bare, "", "BertModel", LAC_TASK_EMBED},
        {"bert", bert_fill, "bert.", "BertForMaskedLM", LAC_TASK_FILL},
        {"bert", bert_answer, "bert.", "BertForQuestionAnswering", LAC_TASK_ANSWER},
        {"roberta", roberta_classify, "roberta.", "RobertaForSequenceClassification",
         LAC_TASK_CLASSIFY},
        {"roberta", roberta_tag, "roberta.", "RobertaForTokenClassification", LAC_TASK_TAG},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char config[500];
        snprintf(config, sizeof config, "{\"model_type\":\"%s\",%s}", cases[i].type, SIZES);
        make("g", config, cases[i].specs, cases[i].prefix, NULL);
        struct lac_checkpoint *checkpoint = open_good("g");
        ck_assert_str_eq(checkpoint->config.architecture, cases[i].expected);
        ck_assert_uint_eq(checkpoint->config.tasks, LAC_TASK_EMBED | cases[i].tasks);
        ck_assert_str_eq(checkpoint->config.prefix, cases[i].prefix);
        ck_assert_ptr_nonnull(strstr(checkpoint->config_text, cases[i].expected));
        lac_checkpoint_close(checkpoint);
    }
}
END_TEST

START_TEST(missing_and_misshapen_tensors_are_named)
{
    const char *config = BERT_CONFIG("ForSequenceClassification");
    make("m", config, bert_classify, "bert.", "classifier.weight");
    open_bad("m", LAC_E_FORMAT, "needs a tensor classifier.weight, which is missing");
    make("m", config, bert_classify, "bert.", "pooler");
    open_bad("m", LAC_E_FORMAT, "needs a tensor bert.pooler.dense.weight");
    make("m", config, bert_classify, "other.", NULL);
    open_bad("m", LAC_E_FORMAT, "no tensor embeddings.word_embeddings.weight");
    make("m", "{}", bert_classify, "bert.", NULL);
    open_bad("m", LAC_E_FORMAT, "config.json: model_type is missing");
    make("m", "[1]", bert_classify, "bert.", NULL);
    open_bad("m", LAC_E_FORMAT, "config.json: expected an object");
    open_bad("nowhere", LAC_E_IO, "nowhere/config.json: No such file");

    make("m", config, bert_classify, "bert.", "1.attention.self.query.weight");
    struct lac_checkpoint *checkpoint = open_good("m");
    matrix_good(checkpoint, LAC_ROLE_QUERY, 0);
    matrix_bad(
        checkpoint, LAC_ROLE_QUERY, 1, LAC_E_FORMAT,
        "tensor bert.encoder.layer.1.attention.self.query.weight (layer 1 query) is missing");
    matrix_bad(checkpoint, LAC_ROLE_QUERY, 2, LAC_E_FORMAT, "layer 2 query");
    matrix_bad(checkpoint, LAC_ROLE_GLOBAL_KEY, 0, LAC_E_FORMAT,
               "bert models have no layer 0 global key");
    matrix_bad(checkpoint, LAC_ROLE_FFN_NORM, 0, LAC_E_FORMAT, "layer 0 ffn norm");
    struct lac_error error;
    struct lac_norm_tensors norm;
    ck_assert_int_eq(lac_checkpoint_norm(checkpoint, LAC_ROLE_QUERY, 0, &norm, &error),
                     LAC_E_FORMAT);
    lac_checkpoint_close(checkpoint);

    static const struct spec wrong[] = {
        {"bert.encoder.layer.0.attention.self.query.weight", HIDDEN, HIDDEN + 1},
        {"bert.encoder.layer.0.attention.self.key.weight", HIDDEN * HIDDEN, 0},
        {"bert.encoder.layer.0.attention.self.value.bias", HIDDEN + 1, 0},
        {"bert.encoder.layer.0.output.LayerNorm.weight", HIDDEN - 1, 0},
        {"bert.encoder.layer.0.output.LayerNorm.bias", HIDDEN, 0},
        {"bert.encoder.layer.1.output.LayerNorm.weight", HIDDEN, 0},
        {NULL, 0, 0}};
    struct lac_tensor_writer *writer = open_writer("m");
    add_specs(writer, bert_classify, "bert.", ".layer.");
    add_specs(writer, wrong, "", NULL);
    add(writer, "bert.encoder.layer.0.attention.self.value.weight", LAC_STORE_F32, HIDDEN, HIDDEN,
        elements());
    add(writer, "bert.encoder.layer.0.intermediate.dense.weight", LAC_STORE_I32, INNER, HIDDEN,
        elements());
    add(writer, "bert.encoder.layer.0.output.dense.weight", LAC_STORE_F32, HIDDEN, INNER,
        elements());
    commit(writer);
    checkpoint = open_good("m");
    matrix_bad(checkpoint, LAC_ROLE_QUERY, 0, LAC_E_FORMAT,
               "model.safetensors: bert.encoder.layer.0.attention.self.query.weight: shape [8, 9], "
               "expected [8, 8]");
    matrix_bad(checkpoint, LAC_ROLE_KEY, 0, LAC_E_FORMAT, "shape [64], expected [8, 8]");
    matrix_bad(checkpoint, LAC_ROLE_VALUE, 0, LAC_E_FORMAT, "shape [9], expected [8]");
    matrix_bad(checkpoint, LAC_ROLE_FFN_UP, 0, LAC_E_UNSUPPORTED,
               "intermediate.dense.weight: storage I32 cannot be used here");
    matrix_bad(checkpoint, LAC_ROLE_FFN_DOWN, 0, LAC_E_FORMAT,
               "tensor bert.encoder.layer.0.output.dense.bias is missing");
    ck_assert_int_eq(lac_checkpoint_norm(checkpoint, LAC_ROLE_FFN_NORM, 0, &norm, &error),
                     LAC_E_FORMAT);
    expect_text(&error, "shape [7], expected [8]");
    ck_assert_int_eq(lac_checkpoint_norm(checkpoint, LAC_ROLE_FFN_NORM, 1, &norm, &error),
                     LAC_E_FORMAT);
    expect_text(&error, "tensor bert.encoder.layer.1.output.LayerNorm.bias is missing");
    lac_checkpoint_close(checkpoint);
}
END_TEST

#define INT8 "bert.encoder.layer.0.attention."

/* A classifier with int8 weights for the query (a scale a row), key (one scale), word embedding
 * (BF16 scales) and broken scales elsewhere. */
static void make_int8(void)
{
    static int8_t weights[VOCAB * HIDDEN];
    static uint16_t bf16_scales[VOCAB];
    static const float scales[] = {1, 0.5f, 0.25f, 2, 4, 0, 8, 16}, one = 0.125f;
    static const float nans[HIDDEN] = {1, NAN}, negative[HIDDEN] = {1, 1, -1};
    static const int8_t zeros[HIDDEN], points[HIDDEN] = {0, 0, 3};
    for (size_t i = 0; i < sizeof weights; i++)
        weights[i] = (int8_t)(i * 37);
    for (size_t i = 0; i < VOCAB; i++)
        bf16_scales[i] = (uint16_t)(0x3f80 + 0x80 * i); /* 1, 2, 4, ... */
    struct lac_tensor_writer *writer = open_writer("i");
    add_specs(writer, bert_bare, "bert.", ".weight");
    add(writer, "bert.embeddings.word_embeddings.weight", LAC_STORE_I8, VOCAB, HIDDEN, weights);
    add(writer, "bert.embeddings.word_embeddings.weight_scale", LAC_STORE_BF16, VOCAB, 1,
        bf16_scales);
    add(writer, INT8 "self.query.weight", LAC_STORE_I8, HIDDEN, HIDDEN, weights);
    add(writer, INT8 "self.query.weight_scale", LAC_STORE_F32, HIDDEN, 1, scales);
    add(writer, INT8 "self.query.weight_zero_point", LAC_STORE_I8, HIDDEN, 1, zeros);
    add(writer, INT8 "self.key.weight", LAC_STORE_I8, HIDDEN, HIDDEN, weights);
    add(writer, INT8 "self.key.weight_scale", LAC_STORE_F32, 1, 0, &one);
    add(writer, INT8 "self.value.weight", LAC_STORE_I8, HIDDEN, HIDDEN, weights);
    add(writer, INT8 "output.dense.weight", LAC_STORE_I8, HIDDEN, HIDDEN, weights);
    add(writer, INT8 "output.dense.weight_scale", LAC_STORE_F32, 1, HIDDEN, scales);
    add(writer, "bert.encoder.layer.1.attention.self.query.weight", LAC_STORE_I8, HIDDEN, HIDDEN,
        weights);
    add(writer, "bert.encoder.layer.1.attention.self.query.weight_scale", LAC_STORE_F32, HIDDEN, 0,
        nans);
    add(writer, "bert.encoder.layer.1.attention.self.key.weight", LAC_STORE_I8, HIDDEN, HIDDEN,
        weights);
    add(writer, "bert.encoder.layer.1.attention.self.key.weight_scale", LAC_STORE_F32, HIDDEN, 0,
        negative);
    add(writer, "bert.encoder.layer.1.attention.self.value.weight", LAC_STORE_I8, HIDDEN, HIDDEN,
        weights);
    add(writer, "bert.encoder.layer.1.attention.self.value.weight_scale", LAC_STORE_F32, HIDDEN, 0,
        scales);
    add(writer, "bert.encoder.layer.1.attention.self.value.weight_zero_point", LAC_STORE_I8, HIDDEN,
        0, points);
    commit(writer);
    write_config("i", BERT_CONFIG("Model"));
}

START_TEST(int8_weights_have_scales)
{
    make_int8();
    struct lac_checkpoint *checkpoint = open_good("i");
    struct lac_matrix query = matrix_good(checkpoint, LAC_ROLE_QUERY, 0);
    float row[HIDDEN];
    ck_assert(lac_matrix_is_int8(&query));
    ck_assert(lac_matrix_row_scale(&query, 2) == 0.25f);
    ck_assert(lac_matrix_row_scale(&query, 7) == 16);
    lac_matrix_row(&query, 3, row);
    for (size_t i = 0; i < HIDDEN; i++)
        ck_assert(row[i] == 2.0f * (int8_t)((3 * HIDDEN + i) * 37));
    struct lac_matrix key = matrix_good(checkpoint, LAC_ROLE_KEY, 0);
    ck_assert(lac_matrix_row_scale(&key, 7) == 0.125f);
    struct lac_matrix words = matrix_good(checkpoint, LAC_ROLE_WORD_EMBEDDING, 0);
    ck_assert(lac_matrix_is_int8(&words) && !words.bias);
    ck_assert(lac_matrix_row_scale(&words, 10) == 1024);
    matrix_bad(checkpoint, LAC_ROLE_VALUE, 0, LAC_E_FORMAT, "self.value.weight_scale is missing");
    matrix_bad(checkpoint, LAC_ROLE_ATTENTION_OUTPUT, 0, LAC_E_FORMAT,
               "shape [1, 8], expected [1] or [8, 1]");
    matrix_bad(checkpoint, LAC_ROLE_QUERY, 1, LAC_E_FORMAT, "scale 1 is nan");
    matrix_bad(checkpoint, LAC_ROLE_KEY, 1, LAC_E_FORMAT, "scale 2 is -1");
    matrix_bad(checkpoint, LAC_ROLE_VALUE, 1, LAC_E_UNSUPPORTED, "zero point 2 is 3");
    lac_checkpoint_close(checkpoint);
}
END_TEST

/* Row r holds only the element of column r, under P = the module (query) and the weight (key). */
START_TEST(bitmasks_are_found_under_both_names)
{
    static const int64_t shape[2] = {HIDDEN, HIDDEN}, offsets[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const unsigned char bits[] = {1, 2, 4, 8, 16, 32, 64, 128};
    static const float values[] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const char *const stems[] = {INT8 "self.query", INT8 "self.key.weight"};
    struct lac_tensor_writer *writer = open_writer("k");
    add_specs(writer, bert_bare, "bert.", "0.attention.self.query.weight");
    commit(writer);
    writer = open_writer("k");
    add_specs(writer, bert_bare, "bert.", "0.attention.self");
    for (size_t i = 0; i < 2; i++) {
        char name[100];
        snprintf(name, sizeof name, "%s.shape", stems[i]);
        add(writer, name, LAC_STORE_I64, 2, 0, shape);
        snprintf(name, sizeof name, "%s.compressed", stems[i]);
        add(writer, name, LAC_STORE_F32, HIDDEN, 0, values);
        snprintf(name, sizeof name, "%s.bitmask", stems[i]);
        add(writer, name, LAC_STORE_U8, HIDDEN, 1, bits);
        snprintf(name, sizeof name, "%s.row_offsets", stems[i]);
        add(writer, name, LAC_STORE_I64, HIDDEN, 0, offsets);
    }
    add(writer, INT8 "self.query.bias", LAC_STORE_F32, HIDDEN, 0, elements());
    add(writer, INT8 "self.key.bias", LAC_STORE_F32, HIDDEN, 0, elements());
    commit(writer);
    write_config("k", BERT_CONFIG("Model"));
    struct lac_checkpoint *checkpoint = open_good("k");
    for (int role = LAC_ROLE_QUERY; role <= LAC_ROLE_KEY; role++) {
        struct lac_matrix matrix = matrix_good(checkpoint, (enum lac_role)role, 0);
        ck_assert_ptr_eq(matrix_good(checkpoint, (enum lac_role)role, 0).weight, matrix.weight);
        for (size_t r = 0; r < HIDDEN; r++) {
            float row[HIDDEN];
            lac_matrix_row(&matrix, r, row);
            for (size_t c = 0; c < HIDDEN; c++)
                ck_assert(row[c] == (c == r ? (float)(r + 1) : 0));
        }
    }
    lac_checkpoint_close(checkpoint);
}
END_TEST

START_TEST(unreadable_formats_are_named_at_once)
{
    make("q",
         "{\"model_type\":\"bert\"," SIZES
         ",\"quantization_config\":{\"quant_method\":\"bitsandbytes\"}}",
         bert_bare, "", NULL);
    open_bad("q", LAC_E_UNSUPPORTED,
             "config.json: quantization_config: quant_method "
             "\"bitsandbytes\" cannot be read");
}
END_TEST

START_TEST(running_out_of_memory_is_an_error)
{
    make("o", BERT_CONFIG("ForSequenceClassification"), bert_classify, "bert.", NULL);
    write_text("o/modules.json", "[]");
    write_text("o/sentence_bert_config.json", "{\"max_seq_length\":6}");
    write_text("o/1_Pooling/config.json", "{\"pooling_mode\":\"mean\"}");
    enum lac_status status = LAC_E_MEMORY;
    for (size_t n = 0; status; n++) {
        struct failing_host host;
        struct lac_error error = {0};
        struct lac_checkpoint *checkpoint = NULL;
        failing_host_init(&host, n);
        status = lac_checkpoint_open(&host.host, scratch_path("o"), &checkpoint, &error);
        if (!status)
            lac_checkpoint_close(checkpoint);
        ck_assert_msg(!status || status == LAC_E_MEMORY, "%zu: %s", n, error.text);
        ck_assert_uint_eq(host.n_live, 0);
    }
}
END_TEST

void add_checkpoint_tests(Suite *suite)
{
    add_test(suite, "each family", each_family_is_read);
    add_test(suite, "architectures", missing_architectures_are_guessed);
    add_test(suite, "missing tensors", missing_and_misshapen_tensors_are_named);
    add_test(suite, "int8", int8_weights_have_scales);
    add_test(suite, "bitmask names", bitmasks_are_found_under_both_names);
    add_test(suite, "formats", unreadable_formats_are_named_at_once);
    add_test(suite, "checkpoint memory", running_out_of_memory_is_an_error);
}
