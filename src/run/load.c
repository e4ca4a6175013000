/* SPDX-License-Identifier: Apache-2.0 */
/* From a checkpoint to a network: quantises, plans and packs one matrix at a time, so that the
 * dense copies of one matrix are the most memory that is used beyond the result. */
#include <string.h>

#include "src/base/checked.h"
#include "src/run/network.h"
#include "src/run/plan.h"

struct loader {
    struct lac_network *network;
    const struct lac_checkpoint *checkpoint;
    int pattern; /* -1: the plan chooses */
    double outliers;
    struct lac_error *error;
};

/* A matrix on its way into a layout; dense copies are the host's. */
struct dense {
    const void *elements; /* as lac_weight_pack takes them */
    void *owned;          /* elements when they had to be made; NULL when they are the file's */
    float *scale, *bias;  /* scale: int8 and int4; bias may be NULL */
    struct lac_outliers outliers; /* the network's */
};

static enum lac_status no_memory(struct loader *l, const struct lac_matrix *m)
{
    return lac_fail(l->error, LAC_E_MEMORY, "%s: no memory for a matrix of %zu x %zu", m->name,
                    m->n_out, m->n_in);
}

static float *read_f32(struct loader *l, const struct lac_matrix *m)
{
    size_t n;
    if (!lac_mul_size(m->n_out, m->n_in, &n))
        return NULL;
    float *w = lac_alloc(l->network->host, n, sizeof *w);
    if (w)
        lac_matrix_rows(m, 0, m->n_out, w);
    return w;
}

static enum lac_status quantize(struct loader *l, const struct lac_matrix *m, struct dense *d)
{
    const struct lac_host *host = l->network->host;
    d->scale = lac_alloc(host, m->n_out, sizeof *d->scale);
    if (!d->scale)
        return no_memory(l, m);
    /* Integers that stay what they are have nothing to gain from outliers. */
    if (lac_matrix_is_int8(m) && (l->network->dtype == LAC_S8 || !(l->outliers > 0))) {
        for (size_t row = 0; row < m->n_out; row++)
            d->scale[row] = lac_matrix_row_scale(m, row);
        d->elements = m->weight->data;
        return LAC_OK;
    }
    float *w = read_f32(l, m);
    int8_t *elements = w ? lac_alloc(host, m->n_out * m->n_in, 1) : NULL;
    enum lac_status status = elements ? LAC_OK : no_memory(l, m);
    if (!status && l->outliers > 0)
        status = lac_outliers_take(w, m->n_out, m->n_in, l->outliers, &l->network->arena,
                                   &d->outliers, l->error);
    if (!status)
        status = lac_weight_quantize(w, m->n_out, m->n_in, elements, d->scale, l->error);
    if (elements && status)
        lac_fail_in(l->error, status, "%s: %s", m->weight->file, m->name);
    lac_free(host, w);
    d->owned = elements;
    d->elements = elements;
    return status;
}

static enum lac_status halve(struct loader *l, const struct lac_matrix *m, struct dense *d)
{
    const struct lac_host *host = l->network->host;
    float *w = read_f32(l, m);
    uint16_t *elements = w ? lac_alloc(host, m->n_out * m->n_in, sizeof *elements) : NULL;
    enum lac_status status =
        elements ? lac_weight_halve(w, m->n_out, m->n_in, l->network->dtype, elements, l->error)
                 : no_memory(l, m);
    if (elements && status)
        lac_fail_in(l->error, status, "%s: %s", m->weight->file, m->name);
    lac_free(host, w);
    d->owned = elements;
    d->elements = elements;
    return status;
}

static enum lac_status keep(struct loader *l, const struct lac_matrix *m, struct dense *d)
{
    d->owned = read_f32(l, m);
    d->elements = d->owned;
    return d->owned ? LAC_OK : no_memory(l, m);
}

static enum lac_status read_dense(struct loader *l, const struct lac_matrix *m, struct dense *d)
{
    if (m->bias) {
        d->bias = lac_alloc(l->network->host, m->n_out, sizeof *d->bias);
        if (!d->bias)
            return no_memory(l, m);
        lac_matrix_bias(m, d->bias);
    }
    static enum lac_status (*const make[LAC_N_DTYPES])(struct loader *, const struct lac_matrix *,
                                                       struct dense *) = {
        [LAC_S8] = quantize, [LAC_F32] = keep,    [LAC_BF16] = halve,
        [LAC_F16] = halve,   [LAC_S4] = quantize,
    };
    return make[l->network->dtype](l, m, d);
}

static enum lac_status plan_and_pack(struct loader *l, const struct lac_matrix *m,
                                     const struct dense *d, struct lac_linear *linear)
{
    struct lac_network *network = l->network;
    struct lac_weight_stats stats;
    lac_weight_measure(d->elements, m->n_out, m->n_in, network->dtype, &stats);
    linear->n_zeros = stats.n_zeros - d->outliers.n;
    memcpy(linear->n_blocks, stats.n_blocks, sizeof linear->n_blocks);
    memcpy(linear->n_nonzero, stats.n_nonzero, sizeof linear->n_nonzero);
    lac_plan_costs(network, &stats, m->n_out, m->n_in, linear->cost);
    enum lac_pattern pattern =
        l->pattern < 0 ? lac_plan_choose(linear->cost) : (enum lac_pattern)l->pattern;
    enum lac_status status =
        lac_weight_pack(d->elements, d->scale, d->bias, m->n_out, m->n_in, network->dtype, pattern,
                        &network->arena, &linear->weight, l->error);
    if (status)
        return lac_fail_in(l->error, status, "%s", m->name);
    linear->weight.outliers = d->outliers;
    return lac_plan_kernels(network, linear, &network->arena, l->error);
}

static enum lac_status load_linear(struct loader *l, enum lac_role role, size_t layer)
{
    struct lac_linear *linear = lac_network_linear(l->network, role, layer);
    struct lac_matrix m;
    enum lac_status status = lac_checkpoint_matrix(l->checkpoint, role, layer, &m, l->error);
    if (status)
        return status;
    linear->name = m.name; /* the checkpoint lives as long as the network */
    struct dense d = {0};
    status = read_dense(l, &m, &d);
    if (!status)
        status = plan_and_pack(l, &m, &d, linear);
    lac_free(l->network->host, d.owned);
    lac_free(l->network->host, d.scale);
    lac_free(l->network->host, d.bias);
    return status;
}

static enum lac_status load_norm(struct loader *l, enum lac_role role, size_t layer)
{
    struct lac_norm_tensors tensors;
    enum lac_status status = lac_checkpoint_norm(l->checkpoint, role, layer, &tensors, l->error);
    if (status)
        return status;
    size_t n = l->network->config.hidden_size;
    float *gamma = lac_arena_alloc(&l->network->arena, n, sizeof *gamma);
    float *beta = tensors.beta ? lac_arena_alloc(&l->network->arena, n, sizeof *beta) : NULL;
    if (!gamma || (tensors.beta && !beta))
        return lac_fail(l->error, LAC_E_MEMORY, "no memory for a norm of %zu", n);
    lac_tensor_to_f32(tensors.gamma, 0, n, gamma);
    if (beta)
        lac_tensor_to_f32(tensors.beta, 0, n, beta);
    *lac_network_norm(l->network, role, layer) = (struct lac_norm){gamma, beta};
    return LAC_OK;
}

/* Those of n slots that the configuration has. */
static enum lac_status load_linears(struct loader *l, const struct lac_slot *slots, size_t n,
                                    size_t layer)
{
    enum lac_status status = LAC_OK;
    for (size_t k = 0; k < n && !status; k++) {
        enum lac_role role = slots[k].role;
        enum lac_need need = lac_role_need(&l->network->config, role);
        if (need == LAC_NEED_ALWAYS ||
            (need == LAC_NEED_IF_THERE && lac_checkpoint_has(l->checkpoint, role, layer)))
            status = load_linear(l, role, layer);
    }
    return status;
}

static enum lac_status load_norms(struct loader *l, const struct lac_slot *slots, size_t n,
                                  size_t layer)
{
    enum lac_status status = LAC_OK;
    for (size_t k = 0; k < n && !status; k++)
        if (lac_role_need(&l->network->config, slots[k].role) != LAC_NEED_NONE)
            status = load_norm(l, slots[k].role, layer);
    return status;
}

static enum lac_status load_layers(struct loader *l)
{
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < l->network->config.n_layers && !status; i++) {
        status = load_linears(l, lac_layer_linears, LAC_N_LAYER_LINEARS, i);
        if (!status)
            status = load_norms(l, lac_layer_norms, LAC_N_LAYER_NORMS, i);
    }
    return status;
}

static enum lac_status load_heads(struct loader *l)
{
    enum lac_status status = load_linears(l, lac_head_linears, LAC_N_HEAD_LINEARS, 0);
    return status ? status : load_norms(l, lac_head_norms, LAC_N_HEAD_NORMS, 0);
}

static enum lac_status load_embeddings(struct loader *l)
{
    struct lac_network *n = l->network;
    const struct lac_checkpoint *c = l->checkpoint;
    enum lac_status status =
        lac_checkpoint_matrix(c, LAC_ROLE_WORD_EMBEDDING, 0, &n->word, l->error);
    if (!status && n->config.position_kind == LAC_POSITION_LEARNED)
        status = lac_checkpoint_matrix(c, LAC_ROLE_POSITION_EMBEDDING, 0, &n->position, l->error);
    if (!status && n->config.n_token_types)
        status = lac_checkpoint_matrix(c, LAC_ROLE_TYPE_EMBEDDING, 0, &n->type, l->error);
    return status;
}

enum lac_status lac_network_load(struct lac_network *network, const char *directory,
                                 const struct lac_network_options *options, struct lac_error *error)
{
    enum lac_status status =
        lac_checkpoint_open(network->host, directory, &network->checkpoint, error);
    if (status)
        return status;
    network->config = network->checkpoint->config;
    network->config_text = network->checkpoint->config_text;
    network->dtype = options->dtype ? options->dtype : LAC_S8;
    struct loader l = {network, network->checkpoint, options->pattern, options->outliers, error};
    status = lac_network_prepare(network, error);
    if (!status)
        status = load_embeddings(&l);
    if (!status)
        status = load_layers(&l);
    if (!status)
        status = load_heads(&l);
    return status;
}
