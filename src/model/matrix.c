/* SPDX-License-Identifier: Apache-2.0 */
/* From roles to tensors, checked against the configuration. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "src/model/checkpoint.h"
#include "src/model/expand.h"
#include "src/model/names.h"
#include "src/model/storage.h"

enum { FULL_NAME_SIZE = LAC_NAME_SIZE + 32 };

static const struct lac_tensor *find_suffixed(const struct lac_checkpoint *checkpoint,
                                              const char *module, const char *suffix)
{
    char name[FULL_NAME_SIZE];
    snprintf(name, sizeof name, "%s%s", module, suffix);
    return lac_tensors_find(checkpoint->tensors, name);
}

/* Old checkpoints call a layer norm's weight and bias gamma and beta; sparse-bitmask and
 * sparse-24-bitmask name their parts after the module (newer) or after its weight (older). */
static bool has_weight(const struct lac_checkpoint *checkpoint, const char *module)
{
    char weight[FULL_NAME_SIZE];
    snprintf(weight, sizeof weight, "%s.weight", module);
    return lac_tensors_find(checkpoint->tensors, weight) ||
           find_suffixed(checkpoint, module, ".gamma") ||
           lac_is_compressed(checkpoint->tensors, module) ||
           lac_is_packed(checkpoint->tensors, module) ||
           lac_is_compressed(checkpoint->tensors, weight);
}

/* The first name that the family gives the role and that has a weight. */
static bool find_module(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer,
                        char module[LAC_NAME_SIZE])
{
    for (size_t i = 0; lac_role_name(&checkpoint->config, role, layer, i, module); i++)
        if (has_weight(checkpoint, module))
            return true;
    return false;
}

static const struct lac_tensor *find_bias(const struct lac_checkpoint *checkpoint,
                                          enum lac_role role, const char *module)
{
    const struct lac_tensor *bias = find_suffixed(checkpoint, module, ".bias");
    const char *elsewhere = lac_role_bias(&checkpoint->config, role);
    return bias || !elsewhere ? bias : lac_tensors_find(checkpoint->tensors, elsewhere);
}

/* Of a masked language model, a decoder without a weight of its own is the word embedding; its bias
 * shows that there is one.  Of the others the configuration says it. */
static bool is_tied(const struct lac_checkpoint *checkpoint, enum lac_role role)
{
    char module[LAC_NAME_SIZE];
    if (role == LAC_ROLE_LM_HEAD && lac_family_is_decoder(checkpoint->config.family))
        return checkpoint->config.has_tied_head;
    return role == LAC_ROLE_FILL_DECODER && !find_module(checkpoint, role, 0, module) &&
           lac_role_name(&checkpoint->config, role, 0, 0, module) &&
           find_bias(checkpoint, role, module);
}

bool lac_checkpoint_has(const struct lac_checkpoint *checkpoint, enum lac_role role, size_t layer)
{
    char module[LAC_NAME_SIZE];
    if (lac_role_is_of_layer(role) && layer >= checkpoint->config.n_layers)
        return false;
    return find_module(checkpoint, role, layer, module) || is_tied(checkpoint, role);
}

static enum lac_status missing(const struct lac_checkpoint *checkpoint, enum lac_role role,
                               size_t layer, struct lac_error *error)
{
    char module[LAC_NAME_SIZE], text[LAC_NAME_SIZE];
    lac_role_text(role, layer, text);
    if (!lac_role_name(&checkpoint->config, role, layer, 0, module))
        return lac_fail(error, LAC_E_FORMAT, "%s: %s models have no %s", checkpoint->path,
                        checkpoint->config.model_type, text);
    return lac_fail(error, LAC_E_FORMAT, "%s: tensor %s.weight (%s) is missing", checkpoint->path,
                    module, text);
}

static enum lac_status get_weight(const struct lac_checkpoint *checkpoint, const char *module,
                                  const struct lac_tensor **weight, struct lac_error *error)
{
    const struct lac_tensors *tensors = checkpoint->tensors;
    char name[FULL_NAME_SIZE];
    snprintf(name, sizeof name, "%s.weight", module);
    const struct lac_tensor *dense = lac_tensors_find(tensors, name);
    if (!dense && lac_is_packed(tensors, module))
        return lac_expand_packed(checkpoint->expansions, tensors, module, name, weight, error);
    if (!dense && !lac_is_compressed(tensors, module) && !lac_is_compressed(tensors, name))
        dense = find_suffixed(checkpoint, module, ".gamma");
    if (!dense)
        return lac_expand_bitmask(checkpoint->expansions, tensors,
                                  lac_is_compressed(tensors, module) ? module : name, name, weight,
                                  error);
    *weight = dense;
    return LAC_OK;
}

static bool is_real(const struct lac_tensor *tensor)
{
    return tensor->storage == LAC_STORE_F32 || tensor->storage == LAC_STORE_F16 ||
           tensor->storage == LAC_STORE_BF16 || tensor->storage == LAC_STORE_F64 ||
           tensor->storage == LAC_STORE_Q8_0;
}

static enum lac_status wrong_storage(const struct lac_tensor *tensor, struct lac_error *error)
{
    return lac_fail(error, LAC_E_UNSUPPORTED, "%s: %s: storage %s cannot be used here",
                    tensor->file, tensor->name, tensor->storage_name);
}

static enum lac_status check_shape(const struct lac_tensor *tensor, unsigned rank,
                                   const size_t *expected, struct lac_error *error)
{
    char has[256], needs[64];
    if (tensor->rank == rank && !memcmp(tensor->shape, expected, rank * sizeof *expected))
        return LAC_OK;
    return lac_fail(error, LAC_E_FORMAT, "%s: %s: shape %s, expected %s", tensor->file,
                    tensor->name, lac_shape_text(tensor->rank, tensor->shape, has, sizeof has),
                    lac_shape_text(rank, expected, needs, sizeof needs));
}

static enum lac_status check_vector(const struct lac_tensor *tensor, size_t n,
                                    struct lac_error *error)
{
    enum lac_status status = check_shape(tensor, 1, &n, error);
    return !status && !is_real(tensor) ? wrong_storage(tensor, error) : status;
}

static size_t count(const struct lac_tensor *tensor)
{
    size_t n = 0;
    (void)lac_shape_elements(tensor->rank, tensor->shape, &n);
    return n;
}

/* One scale, or one a row as [rows] or [rows, 1]. */
static enum lac_status check_scale(const struct lac_tensor *scale, size_t n_out,
                                   struct lac_error *error)
{
    char shape[256];
    size_t n = count(scale);
    bool is_column = scale->rank < 2 || (scale->rank == 2 && scale->shape[1] == 1);
    if (!is_real(scale))
        return wrong_storage(scale, error);
    if ((n != 1 && n != n_out) || !is_column)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: shape %s, expected [1] or [%zu, 1]",
                        scale->file, scale->name,
                        lac_shape_text(scale->rank, scale->shape, shape, sizeof shape), n_out);
    for (size_t i = 0; i < n; i++) {
        float value;
        lac_tensor_to_f32(scale, i, 1, &value);
        if (!isfinite(value) || value < 0)
            return lac_fail(error, LAC_E_FORMAT, "%s: %s: scale %zu is %g", scale->file,
                            scale->name, i, (double)value);
    }
    return LAC_OK;
}

static enum lac_status check_zero_point(const struct lac_tensor *zero, struct lac_error *error)
{
    if (zero->storage == LAC_STORE_OTHER)
        return wrong_storage(zero, error);
    for (size_t i = 0, n = count(zero); i < n; i++) {
        float value;
        lac_tensor_to_f32(zero, i, 1, &value);
        if (value != 0)
            return lac_fail(error, LAC_E_UNSUPPORTED,
                            "%s: %s: zero point %zu is %g; only symmetric weights can be read",
                            zero->file, zero->name, i, (double)value);
    }
    return LAC_OK;
}

/* Sets the scale of an int8 weight. */
static enum lac_status read_scale(const struct lac_checkpoint *checkpoint, const char *module,
                                  struct lac_matrix *matrix, struct lac_error *error)
{
    const struct lac_tensor *weight = matrix->weight;
    if (is_real(weight))
        return LAC_OK;
    if (weight->storage != LAC_STORE_I8 || matrix->order != LAC_ORDER_ROWS || matrix->first_row)
        return wrong_storage(weight, error);
    matrix->scale = find_suffixed(checkpoint, module, ".weight_scale");
    if (!matrix->scale)
        return lac_fail(error, LAC_E_FORMAT, "%s: %s: int8, but %s.weight_scale is missing",
                        weight->file, weight->name, module);
    enum lac_status status = check_scale(matrix->scale, matrix->n_out, error);
    const struct lac_tensor *zero = find_suffixed(checkpoint, module, ".weight_zero_point");
    if (!status && zero)
        status = check_zero_point(zero, error);
    return status;
}

/* What linear layers of encoders have without exception is a matter of the configuration here. */
static bool needs_bias(const struct lac_config *config, enum lac_role role)
{
    switch (role) {
    case LAC_ROLE_QUERY:
    case LAC_ROLE_KEY:
    case LAC_ROLE_VALUE:
    case LAC_ROLE_GLOBAL_QUERY:
    case LAC_ROLE_GLOBAL_KEY:
    case LAC_ROLE_GLOBAL_VALUE:
        return config->has_qkv_bias;
    case LAC_ROLE_ATTENTION_OUTPUT:
        return config->has_mix_bias;
    case LAC_ROLE_FFN_GATE:
    case LAC_ROLE_FFN_UP:
    case LAC_ROLE_FFN_DOWN:
        return config->has_ffn_bias;
    case LAC_ROLE_POOLED_QUERY:
    case LAC_ROLE_POOLED_KEY:
    case LAC_ROLE_PROJECT_IN:
    case LAC_ROLE_PROJECT_OUT:
    case LAC_ROLE_LM_HEAD:
        return false;
    default:
        return !lac_role_is_table(role);
    }
}

/* A bias that the configuration does not know of would be left out in silence. */
static enum lac_status read_bias(const struct lac_checkpoint *checkpoint, enum lac_role role,
                                 const char *module, size_t n, struct lac_matrix *matrix,
                                 struct lac_error *error)
{
    const struct lac_tensor *bias = find_bias(checkpoint, role, module);
    if (!needs_bias(&checkpoint->config, role)) {
        if (bias && lac_family_is_decoder(checkpoint->config.family))
            return lac_fail(error, LAC_E_FORMAT,
                            "%s: tensor %s is there, but the configuration has no such bias",
                            bias->file, bias->name);
        return LAC_OK;
    }
    matrix->bias = bias;
    if (!bias)
        return lac_fail(error, LAC_E_FORMAT, "%s: tensor %s.bias is missing", checkpoint->path,
                        module);
    return check_vector(bias, n, error);
}

enum dimension {
    HIDDEN, /* what roles without an entry have */
    VOCAB,
    POSITIONS,
    TYPES,
    QUERIES,
    KEYS,
    INTERMEDIATE,
    EMBEDDING,
    LABELS,
    ENDS,
    GATED_QUERIES,
    GATED_KEYS,
    POOLED_QUERIES,
    POOLED_KEYS,
};

static void expected_shape(const struct lac_config *config, enum lac_role role, size_t shape[2])
{
    static const struct {
        enum dimension out, in;
    } dimensions[LAC_N_ROLES] = {
        [LAC_ROLE_WORD_EMBEDDING] = {VOCAB, EMBEDDING},
        [LAC_ROLE_POSITION_EMBEDDING] = {POSITIONS, HIDDEN},
        [LAC_ROLE_TYPE_EMBEDDING] = {TYPES, HIDDEN},
        [LAC_ROLE_QUERY] = {QUERIES, HIDDEN},
        [LAC_ROLE_KEY] = {KEYS, HIDDEN},
        [LAC_ROLE_VALUE] = {KEYS, HIDDEN},
        [LAC_ROLE_GLOBAL_QUERY] = {QUERIES, HIDDEN},
        [LAC_ROLE_GLOBAL_KEY] = {KEYS, HIDDEN},
        [LAC_ROLE_GLOBAL_VALUE] = {KEYS, HIDDEN},
        [LAC_ROLE_POOLED_QUERY] = {GATED_QUERIES, POOLED_QUERIES},
        [LAC_ROLE_POOLED_KEY] = {GATED_KEYS, POOLED_KEYS},
        [LAC_ROLE_ATTENTION_OUTPUT] = {HIDDEN, QUERIES},
        [LAC_ROLE_FFN_GATE] = {INTERMEDIATE, HIDDEN},
        [LAC_ROLE_FFN_UP] = {INTERMEDIATE, HIDDEN},
        [LAC_ROLE_FFN_DOWN] = {HIDDEN, INTERMEDIATE},
        [LAC_ROLE_CLASSIFIER] = {LABELS, HIDDEN},
        [LAC_ROLE_ANSWER] = {ENDS, HIDDEN},
        [LAC_ROLE_FILL_DECODER] = {VOCAB, HIDDEN},
        [LAC_ROLE_PROJECT_IN] = {HIDDEN, EMBEDDING},
        [LAC_ROLE_PROJECT_OUT] = {EMBEDDING, HIDDEN},
        [LAC_ROLE_LM_HEAD] = {VOCAB, EMBEDDING},
    };
    const struct lac_gates *gates = &config->gates;
    const size_t sizes[] = {
        [HIDDEN] = config->hidden_size,
        [VOCAB] = config->vocab_size,
        [POSITIONS] = config->max_positions,
        [TYPES] = config->n_token_types,
        [QUERIES] = config->n_heads * config->head_dim,
        [KEYS] = config->n_kv_heads * config->head_dim,
        [INTERMEDIATE] = config->intermediate_size,
        [EMBEDDING] = config->embedding_size,
        [LABELS] = config->n_labels,
        [ENDS] = 2, /* scores of a span's start and end */
        [GATED_QUERIES] = config->n_heads * gates->width,
        [GATED_KEYS] = (gates->has_query ? config->n_kv_heads : config->n_heads) * gates->width,
        [POOLED_QUERIES] = lac_gates_inputs(gates->query_pools, config->head_dim),
        [POOLED_KEYS] = lac_gates_inputs(gates->key_pools, config->head_dim),
    };
    shape[0] = sizes[dimensions[role].out];
    shape[1] = sizes[dimensions[role].in];
}

/* Sets how the matrix lies in a tensor, and the shape that this tensor must have; returns its
 * rank. */
static unsigned place(const struct lac_config *config, enum lac_role role,
                      struct lac_matrix *matrix, size_t shape[3])
{
    int third = lac_role_third(config, role);
    expected_shape(config, role, shape);
    matrix->n_out = shape[0];
    matrix->n_in = shape[1];
    matrix->order = lac_role_order(config, role);
    matrix->head_dim = matrix->order == LAC_ORDER_PAIRS ? config->head_dim : 0;
    if (third >= 0) {
        matrix->first_row = (size_t)third * matrix->n_out;
        shape[0] *= 3;
    }
    if (matrix->order == LAC_ORDER_COLUMNS) {
        size_t n = shape[0];
        shape[0] = shape[1];
        shape[1] = n;
    }
    if (matrix->order != LAC_ORDER_HEADS)
        return 2;
    matrix->head_dim = config->gates.width;
    shape[0] = matrix->n_out / matrix->head_dim;
    shape[2] = matrix->head_dim;
    return 3;
}

enum lac_status lac_checkpoint_matrix(const struct lac_checkpoint *checkpoint, enum lac_role role,
                                      size_t layer, struct lac_matrix *matrix,
                                      struct lac_error *error)
{
    char module[LAC_NAME_SIZE], weight_module[LAC_NAME_SIZE];
    struct lac_matrix found = {0};
    size_t shape[3];
    if (lac_role_is_norm(role) || !lac_checkpoint_has(checkpoint, role, layer))
        return missing(checkpoint, role, layer, error);
    if (is_tied(checkpoint, role)) {
        lac_role_name(&checkpoint->config, role, layer, 0, module);
        find_module(checkpoint, LAC_ROLE_WORD_EMBEDDING, 0, weight_module);
    } else {
        find_module(checkpoint, role, layer, module);
        memcpy(weight_module, module, sizeof module);
    }
    enum lac_status status = get_weight(checkpoint, weight_module, &found.weight, error);
    if (status)
        return status;
    unsigned rank = place(&checkpoint->config, role, &found, shape);
    found.name = found.weight->name;
    status = check_shape(found.weight, rank, shape, error);
    if (!status)
        status = read_scale(checkpoint, weight_module, &found, error);
    if (!status)
        status = read_bias(checkpoint, role, module,
                           found.order == LAC_ORDER_COLUMNS ? shape[1] : shape[0], &found, error);
    if (!status)
        *matrix = found;
    return status;
}

enum lac_status lac_checkpoint_norm(const struct lac_checkpoint *checkpoint, enum lac_role role,
                                    size_t layer, struct lac_norm_tensors *norm,
                                    struct lac_error *error)
{
    char module[LAC_NAME_SIZE];
    struct lac_norm_tensors found = {0};
    bool has_beta = checkpoint->config.norm_kind == LAC_NORM_LAYER;
    if (!lac_role_is_norm(role) || !lac_checkpoint_has(checkpoint, role, layer))
        return missing(checkpoint, role, layer, error);
    find_module(checkpoint, role, layer, module);
    enum lac_status status = get_weight(checkpoint, module, &found.gamma, error);
    if (status)
        return status;
    found.beta = find_suffixed(checkpoint, module, ".bias");
    if (!found.beta)
        found.beta = find_suffixed(checkpoint, module, ".beta");
    if (has_beta && !found.beta)
        return lac_fail(error, LAC_E_FORMAT, "%s: tensor %s.bias is missing", checkpoint->path,
                        module);
    if (!has_beta && found.beta)
        return lac_fail(error, LAC_E_FORMAT, "%s: tensor %s: RMS norms have no bias",
                        found.beta->file, found.beta->name);
    status = check_vector(found.gamma, checkpoint->config.hidden_size, error);
    if (!status && has_beta)
        status = check_vector(found.beta, checkpoint->config.hidden_size, error);
    if (!status)
        *norm = found;
    return status;
}
