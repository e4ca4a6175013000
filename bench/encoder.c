/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders of any size with random, pruned weights, as Hugging Face directories. */
#include "bench/encoder.h"

#include <stdio.h>
#include <string.h>

#include "bench/harness.h"
#include "bench/prune.h"
#include "sparse/layout.h"
#include "src/base/arena.h"
#include "src/model/tensor.h"

/* A matrix of a layer, by its names in the two families; sizes in units of the model's. */
static const struct {
    const char *names[2];
    int from_intermediate, to_intermediate;
} matrices[] = {
    {{"attention.self.query", "attention.q_lin"}, 0, 0},
    {{"attention.self.key", "attention.k_lin"}, 0, 0},
    {{"attention.self.value", "attention.v_lin"}, 0, 0},
    {{"attention.output.dense", "attention.out_lin"}, 0, 0},
    {{"intermediate.dense", "ffn.lin1"}, 0, 1},
    {{"output.dense", "ffn.lin2"}, 1, 0},
};

static const char *const norms[][2] = {{"attention.output.LayerNorm", "sa_layer_norm"},
                                       {"output.LayerNorm", "output_layer_norm"}};

enum { N_MATRICES = sizeof matrices / sizeof matrices[0] };

enum weights { WHOLE, PRUNED };

struct synthesis {
    const struct bench_stack *encoder;
    const struct bench_pruning *pruning;
    uint64_t random;
    struct lac_arena arena;
    struct lac_tensor_writer *writer;
};

/* The upper half of a float: rounding does not matter here, zeros do. */
static uint16_t bf16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static enum lac_status prune(struct synthesis *s, uint16_t *values, size_t n_rows, size_t n_columns,
                             struct lac_error *error)
{
    const struct bench_blocks *blocks = &s->pruning->pattern.blocks;
    if (blocks->n_out)
        return bench_prune(values, n_rows, n_columns, sizeof *values, blocks->n_out, blocks->n_in,
                           s->pruning->sparsity, &s->random, error);
    if (blocks->of)
        bench_prune_groups(values, n_rows, n_columns, sizeof *values, blocks->kept, blocks->of,
                           &s->random);
    return LAC_OK;
}

/* A tensor of `from` plus random values of at most `spread`; n_columns 0 for a vector. */
static enum lac_status add_tensor(struct synthesis *s, const char *name, const char *ending,
                                  size_t n_rows, size_t n_columns, float from, float spread,
                                  enum weights kind, struct lac_error *error)
{
    char full[256];
    size_t n = n_rows * (n_columns ? n_columns : 1);
    uint16_t *values = lac_arena_alloc(&s->arena, n, sizeof *values);
    if (!values)
        return lac_fail(error, LAC_E_MEMORY, "no memory for %s", name);
    for (size_t i = 0; i < n; i++)
        values[i] = bf16_of(from + spread * bench_random_float(&s->random));
    if (kind == PRUNED && prune(s, values, n_rows, n_columns, error))
        return error->status;
    snprintf(full, sizeof full, "%s.%s", name, ending);
    return lac_tensor_writer_add(s->writer, full, LAC_STORE_BF16, n_columns ? 2 : 1,
                                 (size_t[]){n_rows, n_columns}, values, error);
}

static enum lac_status add_norm(struct synthesis *s, const char *name, struct lac_error *error)
{
    size_t hidden = s->encoder->hidden;
    if (add_tensor(s, name, "weight", hidden, 0, 1, 0.1f, WHOLE, error) ||
        add_tensor(s, name, "bias", hidden, 0, 0, 0.1f, WHOLE, error))
        return error->status;
    return LAC_OK;
}

static enum lac_status add_layer(struct synthesis *s, size_t layer, struct lac_error *error)
{
    const struct bench_stack *e = s->encoder;
    char prefix[64], name[192];
    snprintf(prefix, sizeof prefix,
             e->distilbert ? "distilbert.transformer.layer.%zu" : "bert.encoder.layer.%zu", layer);
    for (size_t i = 0; i < N_MATRICES; i++) {
        size_t n_in = matrices[i].from_intermediate ? e->intermediate : e->hidden;
        size_t n_out = matrices[i].to_intermediate ? e->intermediate : e->hidden;
        snprintf(name, sizeof name, "%s.%s", prefix, matrices[i].names[e->distilbert]);
        if (add_tensor(s, name, "weight", n_out, n_in, 0, 0.1f, PRUNED, error) ||
            add_tensor(s, name, "bias", n_out, 0, 0, 0.1f, WHOLE, error))
            return error->status;
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s.%s", prefix, norms[i][e->distilbert]);
        if (add_norm(s, name, error))
            return error->status;
    }
    return LAC_OK;
}

static enum lac_status add_embeddings(struct synthesis *s, struct lac_error *error)
{
    const struct bench_stack *e = s->encoder;
    const struct {
        const char *name;
        size_t n_rows;
    } tables[] = {
        {"word_embeddings", e->vocab},
        {"position_embeddings", e->max_positions},
        {"token_type_embeddings", 2},
    };
    char name[128];
    const char *prefix = e->distilbert ? "distilbert." : "bert.";
    for (size_t i = 0; i < (e->distilbert ? 2 : 3); i++) {
        snprintf(name, sizeof name, "%sembeddings.%s", prefix, tables[i].name);
        if (add_tensor(s, name, "weight", tables[i].n_rows, e->hidden, 0, 1, WHOLE, error))
            return error->status;
    }
    snprintf(name, sizeof name, "%sembeddings.LayerNorm", prefix);
    return add_norm(s, name, error);
}

static enum lac_status write_config(const struct bench_stack *e, const char *directory,
                                    struct lac_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/config.json", directory);
    FILE *file = fopen(path, "w");
    if (!file)
        return lac_fail(error, LAC_E_IO, "%s cannot be written", path);
    fprintf(file,
            e->distilbert
                ? "{\"model_type\": \"distilbert\", \"architectures\": [\"DistilBertModel\"],\n"
                  " \"n_layers\": %zu, \"dim\": %zu, \"n_heads\": %zu, \"hidden_dim\": %zu,\n"
                  " \"activation\": \"gelu\","
                : "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"],\n"
                  " \"num_hidden_layers\": %zu, \"hidden_size\": %zu,\n"
                  " \"num_attention_heads\": %zu, \"intermediate_size\": %zu,\n"
                  " \"hidden_act\": \"gelu\", \"type_vocab_size\": 2,",
            e->n_layers, e->hidden, bench_stack_heads(e), e->intermediate);
    fprintf(file, " \"vocab_size\": %zu, \"max_position_embeddings\": %zu}\n", e->vocab,
            e->max_positions);
    if (ferror(file) | fclose(file))
        return lac_fail(error, LAC_E_IO, "%s cannot be written", path);
    return LAC_OK;
}

enum lac_status bench_encoder_write(const struct bench_stack *encoder,
                                    const struct bench_pruning *pruning, uint64_t seed,
                                    const char *directory, struct lac_error *error)
{
    struct synthesis s = {.encoder = encoder,
                          .pruning = pruning,
                          .random = seed,
                          .arena = {.host = &lac_default_host}};
    char path[4096];
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    enum lac_status status = LAC_OK;
    if (write_config(encoder, directory, error) ||
        lac_tensor_writer_open(&lac_default_host, path, &s.writer, error) ||
        add_embeddings(&s, error)) {
        status = error->status;
        goto done;
    }
    for (size_t layer = 0; !status && layer < encoder->n_layers; layer++)
        status = add_layer(&s, layer, error);
    if (!status) {
        status = lac_tensor_writer_commit(s.writer, error);
        s.writer = NULL;
    }
done:
    lac_tensor_writer_discard(s.writer);
    lac_arena_clear(&s.arena);
    return status;
}

size_t bench_encoder_elements(const struct bench_stack *e)
{
    return e->n_layers * (4 * e->hidden * e->hidden + 2 * e->hidden * e->intermediate);
}
