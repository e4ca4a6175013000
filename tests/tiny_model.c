/* SPDX-License-Identifier: Apache-2.0 */
/* Small random BERT models in Hugging Face's files. */
#include "tests/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

enum { HIDDEN = 32, INNER = 64, N_LAYERS = 2, N_LABELS = 3, N_VOCAB = 5 + 14 + 26 + 26 };

static const char *const special_and_words[] = {
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "dog",   "sat", "on",
    "mat",   "in",    "sun",   "big",   "is",     "who", ".",   "where", "?",
};
enum { N_WORDS = sizeof special_and_words / sizeof *special_and_words };
_Static_assert(N_WORDS + 26 + 26 == N_VOCAB, "vocabulary");

static const char *const architectures[] = {
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMaskedLM",
};

struct tensor {
    char name[96];
    size_t rows, columns; /* columns 0: a vector */
};

enum { MAX_TENSORS = 64 };

struct tensors {
    struct tensor all[MAX_TENSORS];
    size_t n;
};

static void add(struct tensors *t, size_t rows, size_t columns, const char *prefix,
                const char *name)
{
    if (t->n == MAX_TENSORS)
        abort();
    struct tensor *tensor = &t->all[t->n++];
    snprintf(tensor->name, sizeof tensor->name, "%s%s", prefix, name);
    tensor->rows = rows;
    tensor->columns = columns;
}

static void add_linear(struct tensors *t, size_t rows, size_t columns, const char *prefix,
                       const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    add(t, rows, columns, full, ".weight");
    add(t, rows, 0, full, ".bias");
}

static void add_norm(struct tensors *t, const char *prefix, const char *name)
{
    add_linear(t, HIDDEN, 0, prefix, name);
}

static void add_layer(struct tensors *t, size_t layer)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "bert.encoder.layer.%zu.", layer);
    add_linear(t, HIDDEN, HIDDEN, prefix, "attention.self.query");
    add_linear(t, HIDDEN, HIDDEN, prefix, "attention.self.key");
    add_linear(t, HIDDEN, HIDDEN, prefix, "attention.self.value");
    add_linear(t, HIDDEN, HIDDEN, prefix, "attention.output.dense");
    add_norm(t, prefix, "attention.output.LayerNorm");
    add_linear(t, INNER, HIDDEN, prefix, "intermediate.dense");
    add_linear(t, HIDDEN, INNER, prefix, "output.dense");
    add_norm(t, prefix, "output.LayerNorm");
}

static void add_head(struct tensors *t, enum tiny_head head)
{
    switch (head) {
    case TINY_CLASSIFY:
        add_linear(t, HIDDEN, HIDDEN, "bert.pooler.", "dense");
        add_linear(t, N_LABELS, HIDDEN, "", "classifier");
        break;
    case TINY_TAG:
        add_linear(t, N_LABELS, HIDDEN, "", "classifier");
        break;
    case TINY_ANSWER:
        add_linear(t, 2, HIDDEN, "", "qa_outputs");
        break;
    case TINY_FILL:
        add_linear(t, HIDDEN, HIDDEN, "cls.predictions.transform.", "dense");
        add_norm(t, "cls.predictions.transform.", "LayerNorm");
        add(t, N_VOCAB, 0, "cls.predictions.", "bias");
        break;
    }
}

static FILE *create(const char *directory, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    if (!file)
        abort();
    return file;
}

static void finish(FILE *file)
{
    if (ferror(file) | fclose(file))
        abort();
}

static size_t n_elements(const struct tensor *t)
{
    return t->rows * (t->columns ? t->columns : 1);
}

/* Half of the 4x4 blocks of a matrix are zero, so that sparse layouts are chosen and run. */
static void draw(const struct tensor *t, uint64_t *state, float *values)
{
    int is_norm = strstr(t->name, "LayerNorm.weight") != NULL;
    float scale = t->columns ? 3.0f / sqrtf((float)t->columns) : 0.1f;
    for (size_t i = 0; i < n_elements(t); i++)
        values[i] = random_float(state) * scale + (is_norm ? 1.0f : 0.0f);
    if (!t->columns || !strstr(t->name, "dense"))
        return;
    for (size_t row = 0; row < t->rows; row += 4)
        for (size_t column = 0; column < t->columns; column += 4)
            if (random_below(state, 2))
                for (size_t i = row; i < row + 4; i++)
                    memset(values + i * t->columns + column, 0, 4 * sizeof *values);
}

static void write_weights(const char *directory, const struct tensors *t)
{
    char *header = NULL;
    size_t header_size = 0, offset = 0;
    FILE *text = open_memstream(&header, &header_size);
    for (size_t i = 0; i < t->n; i++) {
        const struct tensor *tensor = &t->all[i];
        fprintf(text, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%zu", i ? ',' : '{', tensor->name,
                tensor->rows);
        if (tensor->columns)
            fprintf(text, ",%zu", tensor->columns);
        fprintf(text, "],\"data_offsets\":[%zu,%zu]}", offset, offset + 4 * n_elements(tensor));
        offset += 4 * n_elements(tensor);
    }
    fputc('}', text);
    finish(text);

    FILE *file = create(directory, "model.safetensors");
    for (int i = 0; i < 8; i++)
        fputc((int)((uint64_t)header_size >> 8 * i & 255), file);
    fwrite(header, 1, header_size, file);
    free(header);
    uint64_t state = test_seed();
    for (size_t i = 0; i < t->n; i++) {
        float *values = malloc(n_elements(&t->all[i]) * sizeof *values);
        if (!values)
            abort();
        draw(&t->all[i], &state, values);
        fwrite(values, sizeof *values, n_elements(&t->all[i]), file); /* little-endian hosts */
        free(values);
    }
    finish(file);
}

static void write_vocabulary(const char *directory)
{
    FILE *file = create(directory, "vocab.txt");
    for (int i = 0; i < N_WORDS; i++)
        fprintf(file, "%s\n", special_and_words[i]);
    for (char c = 'a'; c <= 'z'; c++)
        fprintf(file, "%c\n", c);
    for (char c = 'a'; c <= 'z'; c++)
        fprintf(file, "##%c\n", c);
    finish(file);
}

static void write_config(const char *directory, enum tiny_head head)
{
    FILE *file = create(directory, "config.json");
    fprintf(file,
            "{\"model_type\":\"bert\",\"architectures\":[\"%s\"],\"vocab_size\":%d,"
            "\"hidden_size\":%d,\"num_hidden_layers\":%d,\"num_attention_heads\":2,"
            "\"intermediate_size\":%d,\"hidden_act\":\"gelu\",\"max_position_embeddings\":%d,"
            "\"type_vocab_size\":2,\"layer_norm_eps\":1e-12,\"pad_token_id\":0,"
            "\"id2label\":{\"0\":\"LOW\",\"1\":\"MID\",\"2\":\"HIGH\"},"
            "\"problem_type\":\"single_label_classification\"}\n",
            architectures[head], N_VOCAB, HIDDEN, N_LAYERS, INNER, TINY_MAX_TOKENS);
    finish(file);
}

void tiny_model_write(const char *directory, enum tiny_head head)
{
    struct tensors tensors = {.n = 0};
    add(&tensors, N_VOCAB, HIDDEN, "bert.embeddings.", "word_embeddings.weight");
    add(&tensors, TINY_MAX_TOKENS, HIDDEN, "bert.embeddings.", "position_embeddings.weight");
    add(&tensors, 2, HIDDEN, "bert.embeddings.", "token_type_embeddings.weight");
    add_norm(&tensors, "bert.embeddings.", "LayerNorm");
    for (size_t i = 0; i < N_LAYERS; i++)
        add_layer(&tensors, i);
    add_head(&tensors, head);
    write_config(directory, head);
    write_vocabulary(directory);
    write_weights(directory, &tensors);
}
