/* SPDX-License-Identifier: Apache-2.0 */
/* Small models with random weights, and the forward pass of encoders straight from the definition.
 */
#include "tests/tiny.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support.h"

/* ---- Making ---- */

static float *add_tensor(struct tiny *t, size_t rank, size_t rows, size_t columns,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

static float *add_tensor(struct tiny *t, size_t rank, size_t rows, size_t columns,
                         const char *format, ...)
{
    t->tensors = realloc(t->tensors, (t->n_tensors + 1) * sizeof *t->tensors);
    struct tiny_tensor *tensor = &t->tensors[t->n_tensors++];
    va_list args;
    va_start(args, format);
    vsnprintf(tensor->name, sizeof tensor->name, format, args);
    va_end(args);
    tensor->rank = rank;
    tensor->shape[0] = rows;
    tensor->shape[1] = columns;
    tensor->data = calloc(rows * (rank == 2 ? columns : 1), sizeof *tensor->data);
    return tensor->data;
}

static void add_matrix(struct tiny *t, uint64_t *state, const char *name, size_t out, size_t in)
{
    static const size_t heights[] = {1, 4, 8, 16};
    float *w = add_tensor(t, 2, out, in, "%s.weight", name);
    size_t height = heights[random_below(state, 4)];
    float size = 2.0f / sqrtf((float)in);
    for (size_t i = 0; i < out * in; i++)
        w[i] = size * random_float(state);
    for (size_t o = 0; o < out; o += height)
        for (size_t i = 0; i < in; i += 4)
            if (random_below(state, 2))
                for (size_t r = o; r < o + height && r < out; r++)
                    for (size_t c = i; c < i + 4 && c < in; c++)
                        w[r * in + c] = 0;
    float *b = add_tensor(t, 1, out, 0, "%s.bias", name);
    for (size_t i = 0; i < out; i++)
        b[i] = 0.2f * random_float(state);
}

static void add_norm(struct tiny *t, uint64_t *state, const char *name)
{
    float *gamma = add_tensor(t, 1, t->hidden, 0, "%s.weight", name);
    float *beta = add_tensor(t, 1, t->hidden, 0, "%s.bias", name);
    for (size_t i = 0; i < t->hidden; i++) {
        gamma[i] = 1 + 0.3f * random_float(state);
        beta[i] = 0.3f * random_float(state);
    }
}

static void add_table(struct tiny *t, uint64_t *state, const char *name, size_t rows)
{
    float *w = add_tensor(t, 2, rows, t->hidden, "%s.weight", name);
    for (size_t i = 0; i < rows * t->hidden; i++)
        w[i] = random_float(state);
}

static const char *const prefixes[] = {"bert.", "roberta.", "distilbert."};

/* Names of the parts of a layer, as the families spell them. */
enum part { QUERY, KEY, VALUE, MIX, MIX_NORM, UP, DOWN, DOWN_NORM, N_PARTS };

static const char *const bert_parts[N_PARTS] = {
    "attention.self.query",   "attention.self.key",         "attention.self.value",
    "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
    "output.dense",           "output.LayerNorm",
};

static const char *const distilbert_parts[N_PARTS] = {
    "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
    "sa_layer_norm",   "ffn.lin1",        "ffn.lin2",        "output_layer_norm",
};

static const char *part_name(const struct tiny *t, size_t layer, enum part part)
{
    static char name[96];
    bool is_distilbert = t->family == TINY_DISTILBERT;
    snprintf(name, sizeof name, "%s%s.layer.%zu.%s", prefixes[t->family],
             is_distilbert ? "transformer" : "encoder", layer,
             (is_distilbert ? distilbert_parts : bert_parts)[part]);
    return name;
}

static const char *embedding_name(const struct tiny *t, const char *table)
{
    static char name[96];
    snprintf(name, sizeof name, "%sembeddings.%s", prefixes[t->family], table);
    return name;
}

static size_t position_offset(const struct tiny *t)
{
    return t->family == TINY_ROBERTA ? TINY_PAD + 1 : 0;
}

/* Dense layer and norm of the masked language model head; the decoder's bias. */
static const char *const fill_dense[] = {"cls.predictions.transform.dense", "lm_head.dense",
                                         "vocab_transform"};
static const char *const fill_norm[] = {"cls.predictions.transform.LayerNorm", "lm_head.layer_norm",
                                        "vocab_layer_norm"};
static const char *const fill_bias[] = {"cls.predictions.bias", "lm_head.bias",
                                        "vocab_projector.bias"};

static bool has_pooler(const struct tiny *t)
{
    return t->family == TINY_BERT ? t->head == TINY_BARE || t->head == TINY_CLASSIFY
                                  : t->family == TINY_ROBERTA && t->head == TINY_BARE;
}

static void add_head(struct tiny *t, uint64_t *state)
{
    char name[96];
    size_t h = t->hidden;
    snprintf(name, sizeof name, "%spooler.dense", prefixes[t->family]);
    if (has_pooler(t))
        add_matrix(t, state, name, h, h);
    if (t->head == TINY_CLASSIFY && t->family == TINY_ROBERTA) {
        add_matrix(t, state, "classifier.dense", h, h);
        add_matrix(t, state, "classifier.out_proj", t->labels, h);
    } else if (t->head == TINY_CLASSIFY || t->head == TINY_TAG) {
        if (t->head == TINY_CLASSIFY && t->family == TINY_DISTILBERT)
            add_matrix(t, state, "pre_classifier", h, h);
        add_matrix(t, state, "classifier", t->labels, h);
    }
    if (t->head == TINY_ANSWER)
        add_matrix(t, state, "qa_outputs", 2, h);
    if (t->head == TINY_FILL) {
        add_matrix(t, state, fill_dense[t->family], h, h);
        add_norm(t, state, fill_norm[t->family]);
        float *bias = add_tensor(t, 1, t->vocab, 0, "%s", fill_bias[t->family]);
        for (size_t i = 0; i < t->vocab; i++)
            bias[i] = random_float(state);
    }
}

static void set_default(size_t *size, size_t value)
{
    if (!*size)
        *size = value;
}

static void make_llama(struct tiny *t, uint64_t *state);

void tiny_make(struct tiny *t, uint64_t seed)
{
    uint64_t state = seed;
    bool is_llama = t->family == TINY_LLAMA;
    set_default(&t->vocab, is_llama ? TINY_LLAMA_WORDS : 50);
    set_default(&t->hidden, 24);
    set_default(&t->layers, 2);
    set_default(&t->heads, is_llama ? 2 : 3);
    set_default(&t->ffn, 40);
    set_default(&t->max_tokens, 200);
    set_default(&t->labels, 5);
    t->types = t->family == TINY_BERT ? 2 : t->family == TINY_ROBERTA;
    t->act = t->act ? t->act : "gelu";
    t->eps = t->eps > 0 ? t->eps : 1e-12;
    if (is_llama) {
        set_default(&t->end, TINY_LLAMA_END);
        make_llama(t, &state);
        return;
    }
    add_table(t, &state, embedding_name(t, "word_embeddings"), t->vocab);
    add_table(t, &state, embedding_name(t, "position_embeddings"),
              t->max_tokens + position_offset(t));
    if (t->types)
        add_table(t, &state, embedding_name(t, "token_type_embeddings"), t->types);
    add_norm(t, &state, embedding_name(t, "LayerNorm"));
    for (size_t i = 0; i < t->layers; i++)
        for (int part = 0; part < N_PARTS; part++) {
            const char *name = part_name(t, i, (enum part)part);
            if (part == MIX_NORM || part == DOWN_NORM)
                add_norm(t, &state, name);
            else
                add_matrix(t, &state, name, part == UP ? t->ffn : t->hidden,
                           part == DOWN ? t->ffn : t->hidden);
        }
    add_head(t, &state);
}

static void round_row(float *row, size_t n)
{
    float most = 0;
    int exponent;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(row[i]));
    frexpf(most, &exponent);
    for (size_t i = 0; i < n && most > 0; i++)
        row[i] = ldexpf(rintf(7 * row[i] / most), exponent - 3);
}

void tiny_round(struct tiny *t)
{
    for (size_t i = 0; i < t->n_tensors; i++) {
        struct tiny_tensor *tensor = &t->tensors[i];
        for (size_t row = 0; tensor->rank == 2 && row < tensor->shape[0]; row++)
            round_row(tensor->data + row * tensor->shape[1], tensor->shape[1]);
    }
}

void tiny_free(struct tiny *t)
{
    for (size_t i = 0; i < t->n_tensors; i++)
        free(t->tensors[i].data);
    free(t->tensors);
    t->tensors = NULL;
    t->n_tensors = 0;
}

/* ---- A decoder ---- */

static void add_weight(struct tiny *t, uint64_t *state, size_t out, size_t in, float size,
                       const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Of a linear layer without a bias; a third of its dwords is zero. */
static void add_weight(struct tiny *t, uint64_t *state, size_t out, size_t in, float size,
                       const char *format, ...)
{
    char name[96];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    float *w = add_tensor(t, in ? 2 : 1, out, in, "%s.weight", name);
    for (size_t i = 0; i < out * (in ? in : 1); i++)
        w[i] = in ? size * random_float(state) : 1 + size * random_float(state);
    for (size_t i = 0; in && i < out * in; i += 4)
        if (!random_below(state, 3))
            memset(w + i, 0, sizeof *w * (out * in - i < 4 ? out * in - i : 4));
}

static void make_llama(struct tiny *t, uint64_t *state)
{
    size_t hidden = t->hidden, kv = hidden / 2;
    float size = 3.0f / sqrtf((float)hidden);
    add_weight(t, state, t->vocab, hidden, 1, "model.embed_tokens");
    for (size_t i = 0; i < t->layers; i++) {
        add_weight(t, state, hidden, hidden, size, "model.layers.%zu.self_attn.q_proj", i);
        add_weight(t, state, kv, hidden, size, "model.layers.%zu.self_attn.k_proj", i);
        add_weight(t, state, kv, hidden, size, "model.layers.%zu.self_attn.v_proj", i);
        add_weight(t, state, hidden, hidden, size, "model.layers.%zu.self_attn.o_proj", i);
        add_weight(t, state, t->ffn, hidden, size, "model.layers.%zu.mlp.gate_proj", i);
        add_weight(t, state, t->ffn, hidden, size, "model.layers.%zu.mlp.up_proj", i);
        add_weight(t, state, hidden, t->ffn, size, "model.layers.%zu.mlp.down_proj", i);
        add_weight(t, state, hidden, 0, 0.3f, "model.layers.%zu.input_layernorm", i);
        add_weight(t, state, hidden, 0, 0.3f, "model.layers.%zu.post_attention_layernorm", i);
    }
    add_weight(t, state, hidden, 0, 0.3f, "model.norm");
    add_weight(t, state, t->vocab, hidden, size, "lm_head");
}

/* ---- Writing ---- */

static FILE *create(const char *directory, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    return file;
}

static void write_llama_config(const struct tiny *t, const char *directory)
{
    FILE *f = create(directory, "config.json");
    fprintf(f,
            "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"],\n"
            "\"vocab_size\": %zu, \"hidden_size\": %zu, \"num_hidden_layers\": %zu,\n"
            "\"num_attention_heads\": %zu, \"num_key_value_heads\": %zu,\n"
            "\"intermediate_size\": %zu, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-6,\n"
            "\"max_position_embeddings\": %zu, \"rope_theta\": 10000.0,\n"
            "\"rope_scaling\": %s,\n"
            "\"tie_word_embeddings\": false, \"bos_token_id\": 1, \"eos_token_id\": %zu}\n",
            t->vocab, t->hidden, t->layers, t->heads, t->heads / 2, t->ffn, t->max_tokens,
            t->rope ? t->rope : "null", t->end);
    fclose(f);
}

static void copy_tokenizer(const char *directory)
{
    char buffer[4096];
    FILE *from = fopen(source_path("tests/data/text/families/llama2.json"), "rb");
    FILE *to = create(directory, "tokenizer.json");
    ck_assert_ptr_nonnull(from);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, from)) > 0;)
        fwrite(buffer, 1, n, to);
    fclose(from);
    fclose(to);
}

static void write_config(const struct tiny *t, const char *directory)
{
    static const char *const types[] = {"bert", "roberta", "distilbert"};
    static const char *const families[] = {"Bert", "Roberta", "DistilBert"};
    static const char *const heads[] = {"Model", "ForSequenceClassification",
                                        "ForTokenClassification", "ForQuestionAnswering",
                                        "ForMaskedLM"};
    bool is_distilbert = t->family == TINY_DISTILBERT;
    FILE *f = create(directory, "config.json");
    fprintf(f, "{\"model_type\": \"%s\", \"architectures\": [\"%s%s\"],\n", types[t->family],
            families[t->family], heads[t->head]);
    fprintf(f, "\"vocab_size\": %zu, \"max_position_embeddings\": %zu, \"pad_token_id\": %d,\n",
            t->vocab, t->max_tokens + position_offset(t), TINY_PAD);
    fprintf(f,
            is_distilbert ? "\"dim\": %zu, \"n_layers\": %zu, \"n_heads\": %zu, "
                            "\"hidden_dim\": %zu, \"activation\": \"%s\",\n"
                          : "\"hidden_size\": %zu, \"num_hidden_layers\": %zu, "
                            "\"num_attention_heads\": %zu, \"intermediate_size\": %zu, "
                            "\"hidden_act\": \"%s\",\n",
            t->hidden, t->layers, t->heads, t->ffn, t->act);
    if (!is_distilbert)
        fprintf(f, "\"type_vocab_size\": %zu, \"layer_norm_eps\": %g,\n", t->types, t->eps);
    if (t->problem)
        fprintf(f, "\"problem_type\": \"%s\",\n", t->problem);
    fprintf(f, "\"id2label\": {");
    for (size_t i = 0; i < t->labels; i++)
        fprintf(f, "%s\"%zu\": \"L%zu\"", i ? ", " : "", i, i);
    fprintf(f, "}}\n");
    fclose(f);
}

static size_t count(const struct tiny_tensor *tensor)
{
    return tensor->shape[0] * (tensor->rank == 2 ? tensor->shape[1] : 1);
}

static void write_tensors(const struct tiny *t, const char *directory)
{
    char *header = NULL;
    size_t size = 0, offset = 0;
    FILE *text = open_memstream(&header, &size);
    for (size_t i = 0; i < t->n_tensors; i++) {
        const struct tiny_tensor *tensor = &t->tensors[i];
        size_t end = offset + count(tensor) * sizeof(float);
        fprintf(text, "%s\"%s\": {\"dtype\": \"F32\", \"shape\": [%zu", i ? ", " : "{",
                tensor->name, tensor->shape[0]);
        if (tensor->rank == 2)
            fprintf(text, ", %zu", tensor->shape[1]);
        fprintf(text, "], \"data_offsets\": [%zu, %zu]}", offset, end);
        offset = end;
    }
    fprintf(text, "}");
    fclose(text);
    FILE *f = create(directory, "model.safetensors");
    for (int i = 0; i < 8; i++)
        fputc((int)(size >> 8 * i & 255), f);
    fwrite(header, 1, size, f);
    for (size_t i = 0; i < t->n_tensors; i++)
        fwrite(t->tensors[i].data, sizeof(float), count(&t->tensors[i]), f);
    fclose(f);
    free(header);
}

static void write_vocab(const struct tiny *t, const char *directory)
{
    FILE *f = create(directory, "vocab.txt");
    fprintf(f, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n");
    for (size_t i = TINY_FIRST_WORD; i < t->vocab; i++)
        fprintf(f, "w%zu\n", i);
    fclose(f);
}

const char *tiny_write(const struct tiny *t)
{
    static char paths[256][320];
    static size_t n;
    char *path = paths[n++ % 256];
    snprintf(path, sizeof paths[0], "%s/tiny%zu", scratch_directory(), n);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_tensors(t, path);
    if (t->family == TINY_LLAMA) {
        write_llama_config(t, path);
        copy_tokenizer(path);
    } else {
        write_config(t, path);
        write_vocab(t, path);
    }
    return path;
}

/* ---- The forward pass ---- */

static const float *find(const struct tiny *t, const char *name, const char *suffix)
{
    char full[128];
    snprintf(full, sizeof full, "%s%s", name, suffix);
    for (size_t i = 0; i < t->n_tensors; i++)
        if (!strcmp(t->tensors[i].name, full))
            return t->tensors[i].data;
    ck_abort_msg("no tensor %s", full);
    return NULL;
}

/* The int8 values of a row: scale = max / 127, ties to even. */
static double quantize_row(const double *x, size_t n, double *q)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    double scale = most / 127;
    for (size_t i = 0; i < n; i++)
        q[i] = scale > 0 ? rint(x[i] / scale) : 0;
    return scale;
}

/* y[n, out] = x[n, in] W^T + b. */
static void multiply(bool quantized, const float *w, const float *b, size_t n, size_t in,
                     size_t out, const double *x, double *y)
{
    double *row = malloc(in * sizeof *row), *wq = malloc(out * in * sizeof *wq);
    double *scales = malloc(out * sizeof *scales), *xq = malloc(in * sizeof *xq);
    for (size_t o = 0; o < out; o++) {
        for (size_t i = 0; i < in; i++)
            row[i] = (double)w[o * in + i];
        scales[o] = 1;
        if (quantized)
            scales[o] = quantize_row(row, in, wq + o * in);
        else
            memcpy(wq + o * in, row, in * sizeof *row);
    }
    for (size_t t = 0; t < n; t++) {
        double scale = 1;
        if (quantized)
            scale = quantize_row(x + t * in, in, xq);
        else
            memcpy(xq, x + t * in, in * sizeof *xq);
        for (size_t o = 0; o < out; o++) {
            double sum = 0;
            for (size_t i = 0; i < in; i++)
                sum += wq[o * in + i] * xq[i];
            y[t * out + o] = sum * scale * scales[o] + (b ? (double)b[o] : 0);
        }
    }
    free(row);
    free(wq);
    free(scales);
    free(xq);
}

static void linear(const struct tiny *t, bool quantized, const char *name, size_t n, size_t in,
                   size_t out, const double *x, double *y)
{
    multiply(quantized, find(t, name, ".weight"), find(t, name, ".bias"), n, in, out, x, y);
}

static void norm(const struct tiny *t, const char *name, size_t n, double *x)
{
    const float *gamma = find(t, name, ".weight"), *beta = find(t, name, ".bias");
    double eps = t->family == TINY_DISTILBERT ? 1e-12 : t->eps;
    for (size_t i = 0; i < n; i++) {
        double *row = x + i * t->hidden, mean = 0, variance = 0;
        for (size_t f = 0; f < t->hidden; f++)
            mean += row[f] / (double)t->hidden;
        for (size_t f = 0; f < t->hidden; f++)
            variance += (row[f] - mean) * (row[f] - mean) / (double)t->hidden;
        for (size_t f = 0; f < t->hidden; f++)
            row[f] = (row[f] - mean) / sqrt(variance + eps) * (double)gamma[f] + (double)beta[f];
    }
}

static void activate(const char *act, size_t n, double *x)
{
    for (size_t i = 0; i < n; i++) {
        double v = x[i];
        if (!strcmp(act, "relu"))
            x[i] = v > 0 ? v : 0;
        else if (!strcmp(act, "gelu"))
            x[i] = v * 0.5 * (1 + erf(v / sqrt(2)));
        else if (!strcmp(act, "gelu_new"))
            x[i] = v * 0.5 * (1 + tanh(sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v)));
        else
            x[i] = tanh(v);
    }
}

static void embed(const struct tiny *t, const int32_t *ids, const uint8_t *type_ids, size_t n,
                  double *h)
{
    const float *word = find(t, embedding_name(t, "word_embeddings"), ".weight");
    const float *position = find(t, embedding_name(t, "position_embeddings"), ".weight");
    const float *type =
        t->types ? find(t, embedding_name(t, "token_type_embeddings"), ".weight") : NULL;
    for (size_t i = 0; i < n; i++)
        for (size_t f = 0; f < t->hidden; f++) {
            size_t kind = type_ids ? type_ids[i] : 0;
            h[i * t->hidden + f] = (double)word[(size_t)ids[i] * t->hidden + f] +
                                   (double)position[(i + position_offset(t)) * t->hidden + f] +
                                   (type ? (double)type[kind * t->hidden + f] : 0);
        }
    norm(t, embedding_name(t, "LayerNorm"), n, h);
}

static void attend(const struct tiny *t, size_t n, const double *q, const double *k,
                   const double *v, double *a)
{
    size_t hidden = t->hidden, dim = hidden / t->heads;
    double *p = malloc(n * sizeof *p);
    for (size_t head = 0; head < t->heads; head++)
        for (size_t i = 0; i < n; i++) {
            double most = -INFINITY, sum = 0;
            for (size_t j = 0; j < n; j++) {
                p[j] = 0;
                for (size_t d = head * dim; d < (head + 1) * dim; d++)
                    p[j] += q[i * hidden + d] * k[j * hidden + d] / sqrt((double)dim);
                most = fmax(most, p[j]);
            }
            for (size_t j = 0; j < n; j++)
                sum += p[j] = exp(p[j] - most);
            for (size_t d = head * dim; d < (head + 1) * dim; d++) {
                a[i * hidden + d] = 0;
                for (size_t j = 0; j < n; j++)
                    a[i * hidden + d] += p[j] / sum * v[j * hidden + d];
            }
        }
    free(p);
}

/* Rounds each head of each token to the 255 numbers that a scale of its own allows. */
static void round_heads(const struct tiny *t, size_t n, double *x)
{
    size_t dim = t->hidden / t->heads;
    double *rounded = malloc(dim * sizeof *rounded);
    for (size_t i = 0; i < n * t->heads; i++, x += dim) {
        double scale = quantize_row(x, dim, rounded);
        for (size_t d = 0; d < dim; d++)
            x[d] = rounded[d] * scale;
    }
    free(rounded);
}

static void layer(const struct tiny *t, bool quantized, size_t index, size_t n, double *h)
{
    size_t hidden = t->hidden, size = n * hidden * sizeof(double);
    double *q = malloc(size), *k = malloc(size), *v = malloc(size), *a = malloc(size);
    double *wide = malloc(n * t->ffn * sizeof *wide);
    linear(t, quantized, part_name(t, index, QUERY), n, hidden, hidden, h, q);
    linear(t, quantized, part_name(t, index, KEY), n, hidden, hidden, h, k);
    linear(t, quantized, part_name(t, index, VALUE), n, hidden, hidden, h, v);
    for (size_t i = 0; quantized && i < 3; i++)
        round_heads(t, n, (double *[]){q, k, v}[i]);
    attend(t, n, q, k, v, a);
    linear(t, quantized, part_name(t, index, MIX), n, hidden, hidden, a, q);
    for (size_t i = 0; i < n * hidden; i++)
        h[i] += q[i];
    norm(t, part_name(t, index, MIX_NORM), n, h);
    linear(t, quantized, part_name(t, index, UP), n, hidden, t->ffn, h, wide);
    activate(t->act, n * t->ffn, wide);
    linear(t, quantized, part_name(t, index, DOWN), n, t->ffn, hidden, wide, q);
    for (size_t i = 0; i < n * hidden; i++)
        h[i] += q[i];
    norm(t, part_name(t, index, DOWN_NORM), n, h);
    free(q);
    free(k);
    free(v);
    free(a);
    free(wide);
}

static void classify(const struct tiny *t, bool quantized, const double *h, double *out)
{
    static const char *const dense[] = {"bert.pooler.dense", "classifier.dense", "pre_classifier"};
    static const char *const last[] = {"classifier", "classifier.out_proj", "classifier"};
    double *x = malloc(t->hidden * sizeof *x);
    linear(t, quantized, dense[t->family], 1, t->hidden, t->hidden, h, x);
    activate(t->family == TINY_DISTILBERT ? "relu" : "tanh", t->hidden, x);
    linear(t, quantized, last[t->family], 1, t->hidden, t->labels, x, out);
    free(x);
}

static void fill(const struct tiny *t, bool quantized, size_t n, const double *h, double *out)
{
    double *x = malloc(n * t->hidden * sizeof *x);
    linear(t, quantized, fill_dense[t->family], n, t->hidden, t->hidden, h, x);
    activate(t->family == TINY_ROBERTA ? "gelu" : t->act, n * t->hidden, x);
    norm(t, fill_norm[t->family], n, x);
    multiply(quantized, find(t, embedding_name(t, "word_embeddings"), ".weight"),
             find(t, fill_bias[t->family], ""), n, t->hidden, t->vocab, x, out);
    free(x);
}

static void head(const struct tiny *t, bool quantized, size_t n, const double *h, double *out)
{
    switch (t->head) {
    case TINY_CLASSIFY:
        classify(t, quantized, h, out);
        break;
    case TINY_TAG:
        linear(t, quantized, "classifier", n, t->hidden, t->labels, h, out);
        break;
    case TINY_ANSWER:
        linear(t, quantized, "qa_outputs", n, t->hidden, 2, h, out);
        break;
    case TINY_FILL:
        fill(t, quantized, n, h, out);
        break;
    default:
        ck_abort_msg("no head");
    }
}

size_t tiny_width(const struct tiny *t, enum tiny_output output)
{
    if (output != TINY_OUT_HEAD)
        return t->hidden;
    return t->head == TINY_ANSWER ? 2 : t->head == TINY_FILL ? t->vocab : t->labels;
}

size_t tiny_rows(const struct tiny *t, enum tiny_output output, size_t n_tokens)
{
    return output == TINY_OUT_HEAD && t->head != TINY_CLASSIFY ? n_tokens : 1;
}

void tiny_forward(const struct tiny *t, bool quantized, enum tiny_output output, const int32_t *ids,
                  const uint8_t *type_ids, size_t n, double *out)
{
    size_t hidden = t->hidden;
    char name[96];
    double *h = malloc(n * hidden * sizeof *h);
    embed(t, ids, type_ids, n, h);
    for (size_t i = 0; i < t->layers; i++)
        layer(t, quantized, i, n, h);
    switch (output) {
    case TINY_OUT_HEAD:
        head(t, quantized, n, h, out);
        break;
    case TINY_OUT_MEAN:
        for (size_t f = 0; f < hidden; f++) {
            out[f] = 0;
            for (size_t i = 0; i < n; i++)
                out[f] += h[i * hidden + f] / (double)n;
        }
        break;
    case TINY_OUT_CLS:
        memcpy(out, h, hidden * sizeof *h);
        break;
    case TINY_OUT_POOLER:
        snprintf(name, sizeof name, "%spooler.dense", prefixes[t->family]);
        linear(t, quantized, name, 1, hidden, hidden, h, out);
        activate("tanh", hidden, out);
        break;
    }
    free(h);
}

void tiny_ids(const struct tiny *t, uint64_t *state, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(TINY_FIRST_WORD + random_below(state, t->vocab - TINY_FIRST_WORD));
    ids[0] = TINY_CLS;
    if (n > 1)
        ids[n - 1] = TINY_SEP;
}
