/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: each family's names, heads, int8, sparse-bitmask, pooling. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lacuna/session.h>

#include "src/model/checkpoint.h"
#include "tests/model_suite.h"

enum { VOCAB = 11, HIDDEN = 8, LAYERS = 2, INNER = 12, POSITIONS = 10, TYPES = 2, N_LABELS = 3 };

#define COMMON                                                                                     \
    "\"vocab_size\":11,\"max_position_embeddings\":10,\"type_vocab_size\":2,"                      \
    "\"num_labels\":3,\"pad_token_id\":1"
#define SIZES                                                                                      \
    COMMON ",\"hidden_size\":8,\"num_hidden_layers\":2,\"num_attention_heads\":2,"                 \
           "\"intermediate_size\":12"
#define BERT_CONFIG(head) "{\"model_type\":\"bert\",\"architectures\":[\"Bert" head "\"]," SIZES "}"
#define ROBERTA_CONFIG(head)                                                                       \
    "{\"model_type\":\"roberta\",\"architectures\":[\"Roberta" head "\"]," SIZES "}"
#define DISTIL_CONFIG(head)                                                                        \
    "{\"model_type\":\"distilbert\",\"architectures\":[\"DistilBert" head "\"]," COMMON            \
    ",\"dim\":8,\"n_layers\":2,\"n_heads\":2,\"hidden_dim\":12}"

/* A tensor to write: '@' in a name is the model's prefix, '#' each layer's number. */
struct spec {
    const char *name;
    size_t rows, cols; /* cols 0: a vector */
};

#define BERT_NORM(stem, gamma, beta)                                                               \
    {stem gamma, HIDDEN, 0},                                                                       \
    {                                                                                              \
        stem beta, HIDDEN, 0                                                                       \
    }
#define LINEAR(stem, out, in)                                                                      \
    {stem ".weight", out, in},                                                                     \
    {                                                                                              \
        stem ".bias", out, 0                                                                       \
    }
#define BERT_ENCODER(gamma, beta)                                                                  \
    {"@embeddings.word_embeddings.weight", VOCAB, HIDDEN},                                         \
        {"@embeddings.position_embeddings.weight", POSITIONS, HIDDEN},                             \
        {"@embeddings.token_type_embeddings.weight", TYPES, HIDDEN},                               \
        BERT_NORM("@embeddings.LayerNorm", gamma, beta),                                           \
        LINEAR("@encoder.layer.#.attention.self.query", HIDDEN, HIDDEN),                           \
        LINEAR("@encoder.layer.#.attention.self.key", HIDDEN, HIDDEN),                             \
        LINEAR("@encoder.layer.#.attention.self.value", HIDDEN, HIDDEN),                           \
        LINEAR("@encoder.layer.#.attention.output.dense", HIDDEN, HIDDEN),                         \
        BERT_NORM("@encoder.layer.#.attention.output.LayerNorm", gamma, beta),                     \
        LINEAR("@encoder.layer.#.intermediate.dense", INNER, HIDDEN),                              \
        LINEAR("@encoder.layer.#.output.dense", HIDDEN, INNER),                                    \
        BERT_NORM("@encoder.layer.#.output.LayerNorm", gamma, beta)
#define DISTIL_ENCODER                                                                             \
    {"@embeddings.word_embeddings.weight", VOCAB, HIDDEN},                                         \
        {"@embeddings.position_embeddings.weight", POSITIONS, HIDDEN},                             \
        BERT_NORM("@embeddings.LayerNorm", ".weight", ".bias"),                                    \
        LINEAR("@transformer.layer.#.attention.q_lin", HIDDEN, HIDDEN),                            \
        LINEAR("@transformer.layer.#.attention.k_lin", HIDDEN, HIDDEN),                            \
        LINEAR("@transformer.layer.#.attention.v_lin", HIDDEN, HIDDEN),                            \
        LINEAR("@transformer.layer.#.attention.out_lin", HIDDEN, HIDDEN),                          \
        BERT_NORM("@transformer.layer.#.sa_layer_norm", ".weight", ".bias"),                       \
        LINEAR("@transformer.layer.#.ffn.lin1", INNER, HIDDEN),                                    \
        LINEAR("@transformer.layer.#.ffn.lin2", HIDDEN, INNER),                                    \
        BERT_NORM("@transformer.layer.#.output_layer_norm", ".weight", ".bias")

static const struct spec bert_classify[] = {BERT_ENCODER(".weight", ".bias"),
                                            LINEAR("@pooler.dense", HIDDEN, HIDDEN),
                                            LINEAR("classifier", N_LABELS, HIDDEN),
                                            {NULL, 0, 0}};
static const struct spec bert_bare[] = {BERT_ENCODER(".gamma", ".beta"), {NULL, 0, 0}};
static const struct spec bert_fill[] = {
    BERT_ENCODER(".weight", ".bias"),
    {"cls.predictions.bias", VOCAB, 0},
    LINEAR("cls.predictions.transform.dense", HIDDEN, HIDDEN),
    BERT_NORM("cls.predictions.transform.LayerNorm", ".gamma", ".beta"),
    {NULL, 0, 0}};
static const struct spec bert_answer[] = {
    BERT_ENCODER(".weight", ".bias"), LINEAR("qa_outputs", 2, HIDDEN), {NULL, 0, 0}};
static const struct spec roberta_classify[] = {BERT_ENCODER(".weight", ".bias"),
                                               LINEAR("classifier.dense", HIDDEN, HIDDEN),
                                               LINEAR("classifier.out_proj", N_LABELS, HIDDEN),
                                               {NULL, 0, 0}};
static const struct spec roberta_tag[] = {
    BERT_ENCODER(".weight", ".bias"), LINEAR("classifier", N_LABELS, HIDDEN), {NULL, 0, 0}};
static const struct spec roberta_fill[] = {BERT_ENCODER(".weight", ".bias"),
                                           LINEAR("lm_head.dense", HIDDEN, HIDDEN),
                                           BERT_NORM("lm_head.layer_norm", ".weight", ".bias"),
                                           {"lm_head.decoder.weight", VOCAB, HIDDEN},
                                           {"lm_head.bias", VOCAB, 0},
                                           {NULL, 0, 0}};
static const struct spec distil_classify[] = {DISTIL_ENCODER,
                                              LINEAR("pre_classifier", HIDDEN, HIDDEN),
                                              LINEAR("classifier", N_LABELS, HIDDEN),
                                              {NULL, 0, 0}};
static const struct spec distil_fill[] = {DISTIL_ENCODER,
                                          LINEAR("vocab_transform", HIDDEN, HIDDEN),
                                          BERT_NORM("vocab_layer_norm", ".weight", ".bias"),
                                          LINEAR("vocab_projector", VOCAB, HIDDEN),
                                          {NULL, 0, 0}};

static struct lac_tensor_writer *open_writer(const char *directory)
{
    char name[100];
    struct lac_error error;
    struct lac_tensor_writer *writer = NULL;
    snprintf(name, sizeof name, "%s/model.safetensors", directory);
    ck_assert_int_eq(
        lac_tensor_writer_open(&lac_default_host, write_text(name, ""), &writer, &error), LAC_OK);
    return writer;
}

static void add(struct lac_tensor_writer *writer, const char *name, enum lac_storage storage,
                size_t rows, size_t cols, const void *data)
{
    struct lac_error error;
    ck_assert_int_eq(lac_tensor_writer_add(writer, name, storage, cols ? 2 : 1,
                                           (size_t[]){rows, cols}, data, &error),
                     LAC_OK);
}

/* Element i of any tensor of a made checkpoint, so that rows differ. */
static float element(size_t i)
{
    return (float)i * 0.5f - 7;
}

static const float *elements(void)
{
    static float values[VOCAB * INNER];
    for (size_t i = 0; i < VOCAB * INNER; i++)
        values[i] = element(i);
    return values;
}

/* Writes the tensors except those whose name holds `without`. */
static void add_specs(struct lac_tensor_writer *writer, const struct spec *specs,
                      const char *prefix, const char *without)
{
    for (const struct spec *spec = specs; spec->name; spec++)
        for (int layer = 0; layer < (strchr(spec->name, '#') ? LAYERS : 1); layer++) {
            char name[200];
            size_t n = 0;
            for (const char *c = spec->name; *c; c++)
                n += (size_t)(*c == '@'   ? snprintf(name + n, sizeof name - n, "%s", prefix)
                              : *c == '#' ? snprintf(name + n, sizeof name - n, "%d", layer)
                                          : snprintf(name + n, sizeof name - n, "%c", *c));
            if (!without || !strstr(name, without))
                add(writer, name, LAC_STORE_F32, spec->rows, spec->cols, elements());
        }
}

static void commit(struct lac_tensor_writer *writer)
{
    struct lac_error error;
    ck_assert_int_eq(lac_tensor_writer_commit(writer, &error), LAC_OK);
}

static void write_config(const char *directory, const char *config)
{
    char name[100];
    snprintf(name, sizeof name, "%s/config.json", directory);
    write_text(name, config);
}

static void make(const char *directory, const char *config, const struct spec *specs,
                 const char *prefix, const char *without)
{
    struct lac_tensor_writer *writer = open_writer(directory);
    add_specs(writer, specs, prefix, without);
    commit(writer);
    write_config(directory, config);
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

static void expect_text(const struct lac_error *error, const char *expected)
{
    ck_assert_msg(strstr(error->text, expected) != NULL, "\"%s\" not in: %s", expected,
                  error->text);
}

static void open_bad(const char *directory, enum lac_status expected_status, const char *expected)
{
    struct lac_error error = {0};
    struct lac_checkpoint *checkpoint = NULL;
    enum lac_status status =
        lac_checkpoint_open(&lac_default_host, scratch_path(directory), &checkpoint, &error);
    ck_assert_msg(status == expected_status, "%d: %s", status, error.text);
    ck_assert_ptr_null(checkpoint);
    expect_text(&error, expected);
}

static void matrix_bad(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer,
                       enum lac_status expected_status, const char *expected)
{
    struct lac_error error = {0};
    struct lac_matrix matrix = {.n_in = 77};
    enum lac_status status = lac_checkpoint_matrix(checkpoint, role, layer, &matrix, &error);
    ck_assert_msg(status == expected_status, "%d: %s", status, error.text);
    ck_assert_uint_eq(matrix.n_in, 77);
    expect_text(&error, expected);
}

static struct lac_matrix matrix_good(const struct lac_checkpoint *checkpoint, enum lac_role role,
                                     size_t layer)
{
    struct lac_error error = {0};
    struct lac_matrix matrix;
    enum lac_status status = lac_checkpoint_matrix(checkpoint, role, layer, &matrix, &error);
    ck_assert_msg(status == LAC_OK, "%s", error.text);
    return matrix;
}

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
    matrix_bad(checkpoint, LAC_ROLE_CLASSIFIER_DENSE, 0, LAC_E_FORMAT,
               "bert models have no classifier dense");
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
    add_test(suite, "pooling", sentence_transformers_files_are_merged);
    add_test(suite, "sentence lengths", sentence_lengths_are_read);
    add_test(suite, "formats", unreadable_formats_are_named_at_once);
    add_test(suite, "checkpoint memory", running_out_of_memory_is_an_error);
}
