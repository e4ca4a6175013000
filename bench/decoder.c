/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders of any size with random, pruned weights, made in memory without a file.
 *
 * Matrices of one shape have the same elements in every layer, each layer a packed copy of its own:
 * speed does not depend on values, and a model of billions of weights is made in seconds. */
#include "bench/decoder.h"

#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "src/base/half.h"
#include "src/run/plan.h"

/* ---- Matrices ---- */

static struct bench_layer *find_matrix(struct bench_matrices *m, size_t n_out, size_t n_in)
{
    size_t i = 0;
    while (i < m->n && (m->at[i].n_out != n_out || m->at[i].n_in != n_in))
        i++;
    if (i == m->n)
        m->at[m->n++] = (struct bench_layer){.n_out = n_out, .n_in = n_in};
    return &m->at[i];
}

enum lac_status bench_matrices_open(struct bench_matrices *m, const struct bench_stack *stack,
                                    size_t n_layers, enum lac_dtype dtype, uint64_t *random,
                                    struct lac_error *error)
{
    struct bench_shape shapes[BENCH_STACK_SHAPES];
    size_t n = bench_stack_shapes(stack, shapes);
    *m = (struct bench_matrices){.stack = stack, .n_layers = n_layers, .dtype = dtype};
    for (size_t i = 0; i < n; i++)
        find_matrix(m, shapes[i].n_out, shapes[i].n_in)->n_copies += n_layers;
    m->at[m->n++] =
        (struct bench_layer){.n_out = stack->vocab, .n_in = stack->hidden, .n_copies = 1};
    for (size_t i = 0; i < m->n; i++) {
        m->at[i].n_tokens = 1;
        m->at[i].dtype = dtype;
        m->at[i].l2_bytes = bench_settings.l2_bytes;
        if (bench_layer_open(&m->at[i], random, error))
            return error->status;
    }
    return LAC_OK;
}

void bench_matrices_close(struct bench_matrices *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->at[i].arena.host)
            bench_layer_close(&m->at[i]);
    m->n = 0;
}

/* ---- The network ---- */

struct maker {
    struct bench_decoder *decoder;
    const struct bench_matrices *matrices;
    size_t n_given[BENCH_STACK_SHAPES + 1]; /* copies of each matrix that layers have got */
    uint64_t *random;
    struct lac_error *error;
};

static enum lac_status no_memory(struct maker *k)
{
    return lac_fail(k->error, LAC_E_MEMORY, "no memory for a decoder");
}

static enum lac_status configure(struct maker *k)
{
    const struct bench_stack *s = k->matrices->stack;
    struct lac_network *network = &k->decoder->network;
    size_t n_heads = bench_stack_heads(s), head_dim = s->hidden / n_heads;
    char text[512];
    int size =
        snprintf(text, sizeof text,
                 "{\"model_type\": \"%s\", \"architectures\": [\"%s\"],\n"
                 " \"vocab_size\": %zu, \"hidden_size\": %zu, \"num_hidden_layers\": %zu,\n"
                 " \"num_attention_heads\": %zu, \"num_key_value_heads\": %zu,\n"
                 " \"%s\": %zu, \"max_position_embeddings\": %zu}\n",
                 s->gated ? "llama" : "opt", s->gated ? "LlamaForCausalLM" : "OPTForCausalLM",
                 s->vocab, s->hidden, k->matrices->n_layers, n_heads, s->key_value / head_dim,
                 s->gated ? "intermediate_size" : "ffn_dim", s->intermediate, s->max_positions);
    return lac_config_parse("config.json", text, (size_t)size, &network->arena, &network->config,
                            k->error);
}

/* A table of embeddings, bf16. */
static enum lac_status make_table(struct maker *k, const char *name, size_t n_rows,
                                  struct lac_matrix *table)
{
    struct lac_arena *arena = &k->decoder->network.arena;
    size_t n_columns = k->decoder->network.config.embedding_size, n = n_rows * n_columns;
    struct lac_tensor *tensor = lac_arena_alloc_zero(arena, 1, sizeof *tensor);
    uint16_t *values = lac_arena_alloc(arena, n, sizeof *values);
    if (!tensor || !values)
        return no_memory(k);
    for (size_t i = 0; i < n; i++)
        values[i] = lac_bf16_from_f32(bench_random_float(k->random));
    *tensor = (struct lac_tensor){
        .name = name,
        .storage = LAC_STORE_BF16,
        .storage_name = "BF16",
        .rank = 2,
        .shape = {n_rows, n_columns},
        .data = values,
        .size_bytes = n * sizeof *values,
        .file = "",
    };
    *table =
        (struct lac_matrix){.name = name, .n_out = n_rows, .n_in = n_columns, .weight = tensor};
    return LAC_OK;
}

static enum lac_status make_tables(struct maker *k)
{
    struct lac_network *n = &k->decoder->network;
    enum lac_status status = make_table(k, "word", n->config.vocab_size, &n->word);
    if (!status && n->config.position_kind == LAC_POSITION_LEARNED)
        status = make_table(k, "position", n->config.max_positions, &n->position);
    return status;
}

static enum lac_status make_norm(struct maker *k, enum lac_role role, size_t layer)
{
    struct lac_network *network = &k->decoder->network;
    size_t n = network->config.hidden_size;
    bool is_rms = network->config.norm_kind == LAC_NORM_RMS;
    float *gamma = lac_arena_alloc(&network->arena, n, sizeof *gamma);
    float *beta = is_rms ? NULL : lac_arena_alloc_zero(&network->arena, n, sizeof *beta);
    if (!gamma || (!beta && !is_rms))
        return no_memory(k);
    for (size_t i = 0; i < n; i++)
        gamma[i] = 1;
    *lac_network_norm(network, role, layer) = (struct lac_norm){gamma, beta};
    return LAC_OK;
}

static size_t matrix_of(const struct bench_matrices *m, const struct lac_config *config,
                        enum lac_role role)
{
    size_t i = 0, n_out, n_in;
    lac_linear_shape(config, role, &n_out, &n_in);
    if (role == LAC_ROLE_LM_HEAD)
        return m->n - 1;
    while (m->at[i].n_out != n_out || m->at[i].n_in != n_in)
        i++;
    return i;
}

static enum lac_status make_linear(struct maker *k, const struct lac_slot *slot, size_t layer)
{
    struct bench_decoder *d = k->decoder;
    struct lac_linear *linear = lac_network_linear(&d->network, slot->role, layer);
    size_t matrix = matrix_of(k->matrices, &d->network.config, slot->role);
    linear->name = slot->name;
    linear->weight = d->weights[matrix].copies[k->n_given[matrix]++];
    return lac_plan_kernels(&d->network, linear, &d->network.arena, k->error);
}

static enum lac_status make_layer(struct maker *k, size_t layer)
{
    const struct lac_config *config = &k->decoder->network.config;
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < LAC_N_LAYER_LINEARS && !status; i++)
        if (lac_role_need(config, lac_layer_linears[i].role) != LAC_NEED_NONE)
            status = make_linear(k, &lac_layer_linears[i], layer);
    for (size_t i = 0; i < LAC_N_LAYER_NORMS && !status; i++)
        if (lac_role_need(config, lac_layer_norms[i].role) != LAC_NEED_NONE)
            status = make_norm(k, lac_layer_norms[i].role, layer);
    return status;
}

static enum lac_status make_head(struct maker *k)
{
    static const struct lac_slot head = {LAC_ROLE_LM_HEAD, "lm_head"};
    enum lac_status status = make_linear(k, &head, 0);
    if (!status && k->decoder->network.config.has_final_norm)
        status = make_norm(k, LAC_ROLE_FINAL_NORM, 0);
    return status;
}

static enum lac_status make_weights(struct maker *k, struct bench_matrices *m,
                                    const struct bench_pattern *pattern, double sparsity,
                                    enum bench_head head)
{
    struct bench_pattern dense = bench_pattern_at(LAC_PATTERN_DENSE, m->dtype);
    struct bench_decoder *d = k->decoder;
    for (size_t i = 0; i < m->n; i++) {
        struct bench_weight *w = &d->weights[i];
        bool is_head = i + 1 == m->n;
        const struct bench_pattern *p = is_head && head == BENCH_HEAD_DENSE ? &dense : pattern;
        if (bench_weight_make(&m->at[i], p, sparsity, k->random, w, k->error))
            return k->error->status;
        double n = (double)w->n_copies;
        d->n_elements += n * (double)m->at[i].n_out * (double)m->at[i].n_in;
        d->n_nonzero += n * (double)w->n_nonzero;
        d->bytes += n * (double)lac_weight_bytes(&w->copies[0]);
        if (is_head) {
            d->head_nonzero = (double)w->n_nonzero;
            d->head_bytes = (double)lac_weight_bytes(&w->copies[0]);
        } else {
            d->sparsity = w->sparsity;
        }
    }
    return LAC_OK;
}

enum lac_status bench_decoder_open(struct bench_decoder *d, struct bench_matrices *matrices,
                                   const struct bench_pattern *pattern, double sparsity,
                                   enum bench_head head, unsigned features, uint64_t *random,
                                   struct lac_error *error)
{
    struct maker maker = {.decoder = d, .matrices = matrices, .random = random, .error = error};
    *d = (struct bench_decoder){
        .network = {.host = &lac_default_host,
                    .arena = {.host = &lac_default_host},
                    .dtype = matrices->dtype,
                    .features = features},
    };
    enum lac_status status = configure(&maker);
    if (!status)
        status = lac_network_prepare(&d->network, error);
    if (!status)
        status = make_tables(&maker);
    if (!status)
        status = make_weights(&maker, matrices, pattern, sparsity, head);
    for (size_t i = 0; i < matrices->n_layers && !status; i++)
        status = make_layer(&maker, i);
    if (!status)
        status = make_head(&maker);
    if (!status)
        lac_network_complete(&d->network, bench_settings.l2_bytes);
    return status;
}

void bench_decoder_close(struct bench_decoder *d)
{
    for (size_t i = 0; i <= BENCH_STACK_SHAPES; i++)
        bench_weight_close(&d->weights[i]);
    if (d->network.arena.host)
        lac_arena_clear(&d->network.arena);
    d->network.arena.host = NULL;
}

void bench_decoder_flush(const struct bench_decoder *d)
{
    for (size_t i = 0; i <= BENCH_STACK_SHAPES; i++)
        bench_store_flush(&d->weights[i].store);
}
