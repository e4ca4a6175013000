/* SPDX-License-Identifier: Apache-2.0 */
/* Small checkpoints of every family of encoders, made of lists of their tensors. */
#include "tests/model_specs.h"

#include <stdio.h>
#include <string.h>

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

const struct spec bert_classify[] = {BERT_ENCODER(".weight", ".bias"),
                                     LINEAR("@pooler.dense", HIDDEN, HIDDEN),
                                     LINEAR("classifier", N_LABELS, HIDDEN),
                                     {NULL, 0, 0}};
const struct spec bert_bare[] = {BERT_ENCODER(".gamma", ".beta"), {NULL, 0, 0}};
const struct spec bert_fill[] = {
    BERT_ENCODER(".weight", ".bias"),
    {"cls.predictions.bias", VOCAB, 0},
    LINEAR("cls.predictions.transform.dense", HIDDEN, HIDDEN),
    BERT_NORM("cls.predictions.transform.LayerNorm", ".gamma", ".beta"),
    {NULL, 0, 0}};
const struct spec bert_answer[] = {
    BERT_ENCODER(".weight", ".bias"), LINEAR("qa_outputs", 2, HIDDEN), {NULL, 0, 0}};
const struct spec roberta_classify[] = {BERT_ENCODER(".weight", ".bias"),
                                        LINEAR("classifier.dense", HIDDEN, HIDDEN),
                                        LINEAR("classifier.out_proj", N_LABELS, HIDDEN),
                                        {NULL, 0, 0}};
const struct spec roberta_tag[] = {
    BERT_ENCODER(".weight", ".bias"), LINEAR("classifier", N_LABELS, HIDDEN), {NULL, 0, 0}};
const struct spec roberta_fill[] = {BERT_ENCODER(".weight", ".bias"),
                                    LINEAR("lm_head.dense", HIDDEN, HIDDEN),
                                    BERT_NORM("lm_head.layer_norm", ".weight", ".bias"),
                                    {"lm_head.decoder.weight", VOCAB, HIDDEN},
                                    {"lm_head.bias", VOCAB, 0},
                                    {NULL, 0, 0}};
const struct spec distil_classify[] = {DISTIL_ENCODER,
                                       LINEAR("pre_classifier", HIDDEN, HIDDEN),
                                       LINEAR("classifier", N_LABELS, HIDDEN),
                                       {NULL, 0, 0}};
const struct spec distil_fill[] = {DISTIL_ENCODER,
                                   LINEAR("vocab_transform", HIDDEN, HIDDEN),
                                   BERT_NORM("vocab_layer_norm", ".weight", ".bias"),
                                   LINEAR("vocab_projector", VOCAB, HIDDEN),
                                   {NULL, 0, 0}};

struct lac_tensor_writer *open_writer(const char *directory)
{
    char name[100];
    struct lac_error error;
    struct lac_tensor_writer *writer = NULL;
    snprintf(name, sizeof name, "%s/model.safetensors", directory);
    ck_assert_int_eq(
        lac_tensor_writer_open(&lac_default_host, write_text(name, ""), &writer, &error), LAC_OK);
    return writer;
}

void add(struct lac_tensor_writer *writer, const char *name, enum lac_storage storage, size_t rows,
         size_t cols, const void *data)
{
    struct lac_error error;
    ck_assert_int_eq(lac_tensor_writer_add(writer, name, storage, cols ? 2 : 1,
                                           (size_t[]){rows, cols}, data, &error),
                     LAC_OK);
}

/* Element i of any tensor of a made checkpoint, so that rows differ. */
float element(size_t i)
{
    return (float)i * 0.5f - 7;
}

const float *elements(void)
{
    static float values[VOCAB * INNER];
    for (size_t i = 0; i < VOCAB * INNER; i++)
        values[i] = element(i);
    return values;
}

/* Writes the tensors except those whose name holds `without`. */
void add_specs(struct lac_tensor_writer *writer, const struct spec *specs, const char *prefix,
               const char *without)
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

void commit(struct lac_tensor_writer *writer)
{
    struct lac_error error;
    ck_assert_int_eq(lac_tensor_writer_commit(writer, &error), LAC_OK);
}

void write_config(const char *directory, const char *config)
{
    char name[100];
    snprintf(name, sizeof name, "%s/config.json", directory);
    write_text(name, config);
}

void make(const char *directory, const char *config, const struct spec *specs, const char *prefix,
          const char *without)
{
    struct lac_tensor_writer *writer = open_writer(directory);
    add_specs(writer, specs, prefix, without);
    commit(writer);
    write_config(directory, config);
}

struct lac_checkpoint *open_good(const char *directory)
{
    struct lac_error error = {0};
    struct lac_checkpoint *checkpoint = NULL;
    enum lac_status status =
        lac_checkpoint_open(&lac_default_host, scratch_path(directory), &checkpoint, &error);
    ck_assert_msg(status == LAC_OK, "%s: %s", directory, error.text);
    return checkpoint;
}

void expect_text(const struct lac_error *error, const char *expected)
{
    ck_assert_msg(strstr(error->text, expected) != NULL, "\"%s\" not in: %s", expected,
                  error->text);
}

void open_bad(const char *directory, enum lac_status expected_status, const char *expected)
{
    struct lac_error error = {0};
    struct lac_checkpoint *checkpoint = NULL;
    enum lac_status status =
        lac_checkpoint_open(&lac_default_host, scratch_path(directory), &checkpoint, &error);
    ck_assert_msg(status == expected_status, "%d: %s", status, error.text);
    ck_assert_ptr_null(checkpoint);
    expect_text(&error, expected);
}

void matrix_bad(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer,
                enum lac_status expected_status, const char *expected)
{
    struct lac_error error = {0};
    struct lac_matrix matrix = {.n_in = 77};
    enum lac_status status = lac_checkpoint_matrix(checkpoint, role, layer, &matrix, &error);
    ck_assert_msg(status == expected_status, "%d: %s", status, error.text);
    ck_assert_uint_eq(matrix.n_in, 77);
    expect_text(&error, expected);
}

struct lac_matrix matrix_good(const struct lac_checkpoint *checkpoint, enum lac_role role,
                              size_t layer)
{
    struct lac_error error = {0};
    struct lac_matrix matrix;
    enum lac_status status = lac_checkpoint_matrix(checkpoint, role, layer, &matrix, &error);
    ck_assert_msg(status == LAC_OK, "%s", error.text);
    return matrix;
}
