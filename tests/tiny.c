/* SPDX-License-Identifier: Apache-2.0 */
/* Small models with random weights: made and written to files. */
#include "tests/tiny.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/support.h"
#include "tests/tiny_names.h"

/* ---- Making ---- */

static float *add_tensor(struct tiny *t, size_t rank, size_t rows, size_t columns,
                         const char *format, ...) __attribute__((format(printf, 5, 6)));

static float *add_tensor(struct tiny *t, size_t rank, size_t rows, size_t columns,
                         const char *format, ...)
{
    t->tensors = realloc(t->tensors, (t->n_tensors + 1) * sizeof *t->tensors);
    struct tiny_tensor *tensor = &t->tensors[t->n_tensors++];
    memset(tensor, 0, sizeof *tensor);
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

static bool has_pooler(const struct tiny *t)
{
    return t->family == TINY_BERT ? t->head == TINY_BARE || t->head == TINY_CLASSIFY
                                  : t->family == TINY_ROBERTA && t->head == TINY_BARE;
}

static void add_head(struct tiny *t, uint64_t *state)
{
    char name[96];
    size_t h = t->hidden;
    snprintf(name, sizeof name, "%spooler.dense", tiny_prefixes[t->family]);
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
        add_matrix(t, state, tiny_fill_dense[t->family], h, h);
        add_norm(t, state, tiny_fill_norm[t->family]);
        float *bias = add_tensor(t, 1, t->vocab, 0, "%s", tiny_fill_bias[t->family]);
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
    add_table(t, &state, tiny_embedding_name(t, "word_embeddings"), t->vocab);
    add_table(t, &state, tiny_embedding_name(t, "position_embeddings"),
              t->max_tokens + tiny_position_offset(t));
    if (t->types)
        add_table(t, &state, tiny_embedding_name(t, "token_type_embeddings"), t->types);
    add_norm(t, &state, tiny_embedding_name(t, "LayerNorm"));
    for (size_t i = 0; i < t->layers; i++)
        for (int part = 0; part < N_PARTS; part++) {
            const char *name = tiny_part_name(t, i, (enum tiny_part)part);
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

/* Features that queries ("Q") or keys ("K") are pooled into. */
static size_t gate_inputs(const struct tiny *t, const char *part)
{
    static const char *const names[] = {"max", "min", "avg"};
    const char *own = strstr(t->gates, part), *end = strchr(own, '_');
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        const char *found = strstr(own, names[i]);
        n += found && (!end || found < end);
    }
    return n * t->hidden / t->heads;
}

static void add_gate(struct tiny *t, uint64_t *state, size_t layer, const char *name, size_t heads,
                     size_t in)
{
    float *w =
        add_tensor(t, 2, heads * in, t->gate_width,
                   "model.layers.%zu.self_attn.attn_gate.mask_linear_%s.weight", layer, name);
    for (size_t i = 0; i < heads * in * t->gate_width; i++)
        w[i] = 2.0f / sqrtf((float)in) * random_float(state);
    struct tiny_tensor *tensor = &t->tensors[t->n_tensors - 1];
    tensor->rank = 3;
    tensor->shape[0] = heads;
    tensor->shape[1] = in;
    tensor->shape[2] = t->gate_width;
}

static void add_gates(struct tiny *t, uint64_t *state, size_t layer)
{
    size_t dim = t->hidden / t->heads, n_query = gate_inputs(t, "Q"), n_key = gate_inputs(t, "K");
    bool has_query = n_query != dim || t->gate_width != dim ||
                     (t->gate_rule && strstr(t->gate_rule, "\"seerattn_gate_force_double\": true"));
    if (has_query)
        add_gate(t, state, layer, "q", t->heads, n_query);
    add_gate(t, state, layer, "k", has_query ? t->heads / 2 : t->heads, n_key);
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
        if (t->gates)
            add_gates(t, state, i);
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
            "{\"model_type\": \"%s\", \"architectures\": [\"%sForCausalLM\"],\n"
            "\"vocab_size\": %zu, \"hidden_size\": %zu, \"num_hidden_layers\": %zu,\n"
            "\"num_attention_heads\": %zu, \"num_key_value_heads\": %zu,\n"
            "\"intermediate_size\": %zu, \"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-6,\n"
            "\"max_position_embeddings\": %zu, \"rope_theta\": 10000.0,\n"
            "\"rope_scaling\": %s, \"sliding_window\": %zu,\n"
            "\"tie_word_embeddings\": false, \"bos_token_id\": 1, \"eos_token_id\": %zu,\n"
            "\"lacuna_attention\": %s",
            t->window ? "mistral" : "llama",
            t->gates    ? "SeerAttnLlama"
            : t->window ? "Mistral"
                        : "Llama",
            t->vocab, t->hidden, t->layers, t->heads, t->heads / 2, t->ffn, t->max_tokens,
            t->rope ? t->rope : "null", t->window, t->end, t->attention ? t->attention : "null");
    if (t->gates)
        fprintf(f, ", \"seerattn_gate_type\": \"%s\", \"seerattn_gate_hidden_size\": %zu%s",
                t->gates, t->gate_width, t->gate_rule ? t->gate_rule : "");
    fprintf(f, "}\n");
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
            t->vocab, t->max_tokens + tiny_position_offset(t), TINY_PAD);
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
    if (t->attention)
        fprintf(f, "\"lacuna_attention\": %s,\n", t->attention);
    fprintf(f, "\"id2label\": {");
    for (size_t i = 0; i < t->labels; i++)
        fprintf(f, "%s\"%zu\": \"L%zu\"", i ? ", " : "", i, i);
    fprintf(f, "}}\n");
    fclose(f);
}

static size_t count(const struct tiny_tensor *tensor)
{
    size_t n = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        n *= tensor->shape[i];
    return n;
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
        for (size_t d = 1; d < tensor->rank; d++)
            fprintf(text, ", %zu", tensor->shape[d]);
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

void tiny_ids(const struct tiny *t, uint64_t *state, size_t n, int32_t *ids)
{
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)(TINY_FIRST_WORD + random_below(state, t->vocab - TINY_FIRST_WORD));
    ids[0] = TINY_CLS;
    if (n > 1)
        ids[n - 1] = TINY_SEP;
}
