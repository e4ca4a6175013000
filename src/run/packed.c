/* SPDX-License-Identifier: Apache-2.0 */
/* Packed files: names and sizes that writing and opening share. */
#include "src/run/packed.h"

#include <stdio.h>

#include "src/base/checked.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
const char lac_packed_byte_order[] = "little";
#else
const char lac_packed_byte_order[] = "big";
#endif

const char *const lac_packed_tables[LAC_N_TABLES] = {
    "word_embeddings",
    "position_embeddings",
    "type_embeddings",
};

const char *const lac_packed_table_scales[LAC_N_TABLES] = {
    "word_embeddings.scale",
    "position_embeddings.scale",
    "type_embeddings.scale",
};

const char *const lac_packed_parts[LAC_N_PARTS] = {
    "row_begin", "index", "masks",         "blocks",        "group",    "scale",
    "offset",    "bias",  "outlier_begin", "outlier_index", "outliers",
};

const char *const lac_packed_texts[LAC_N_TOKENIZER_TEXTS] = {
    "tokenizer.main",
    "tokenizer.merges",
    "tokenizer.config",
};

const char *lac_packed_name(char name[LAC_PACKED_NAME_SIZE], const char *at, const char *array)
{
    snprintf(name, LAC_PACKED_NAME_SIZE, "%s.%s", at, array);
    return name;
}

struct lac_matrix *lac_packed_table(struct lac_network *network, enum lac_packed_table table)
{
    struct lac_matrix *const matrices[LAC_N_TABLES] = {&network->word, &network->position,
                                                       &network->type};
    return matrices[table];
}

struct lac_slice *lac_packed_text(struct lac_tokenizer_texts *texts, size_t text)
{
    struct lac_slice *const slices[LAC_N_TOKENIZER_TEXTS] = {&texts->main, &texts->merges,
                                                             &texts->config};
    return slices[text];
}

bool lac_packed_has_part(const struct lac_weight *w, enum lac_packed_part part)
{
    if (part == LAC_PART_INDEX)
        return lac_block_indices(w->pattern) > 0;
    if (part == LAC_PART_MASKS)
        return w->pattern == LAC_PATTERN_BITMAP;
    if (part == LAC_PART_GROUP)
        return w->dtype == LAC_S4;
    if (part >= LAC_PART_OUTLIER_BEGIN)
        return w->outliers.n > 0;
    return (part != LAC_PART_SCALE && part != LAC_PART_OFFSET) || lac_dtype_is_quantized(w->dtype);
}

bool lac_packed_part_size(const struct lac_weight *w, enum lac_packed_part part, size_t *size_bytes)
{
    size_t n_padded = w->n_block_rows * lac_pattern_rows(w->pattern);
    const size_t sizes[LAC_N_PARTS][2] = {
        [LAC_PART_ROW_BEGIN] = {w->n_block_rows + 1, sizeof *w->row_begin},
        [LAC_PART_INDEX] = {w->n_blocks, lac_block_indices(w->pattern) * sizeof *w->index},
        [LAC_PART_MASKS] = {lac_masks_bytes(w), 1},
        [LAC_PART_BLOCKS] = {w->n_blocks, lac_block_bytes(w->pattern, w->dtype)},
        [LAC_PART_GROUP] = {lac_weight_groups(w), lac_pattern_rows(w->pattern)},
        [LAC_PART_SCALE] = {n_padded, sizeof *w->scale},
        [LAC_PART_OFFSET] = {n_padded, sizeof *w->offset},
        [LAC_PART_BIAS] = {n_padded, sizeof *w->bias},
        [LAC_PART_OUTLIER_BEGIN] = {lac_outliers_rows(w->n_out) + 1, sizeof *w->outliers.begin},
        [LAC_PART_OUTLIER_INDEX] = {w->outliers.n, sizeof *w->outliers.index},
        [LAC_PART_OUTLIERS] = {w->outliers.n, sizeof *w->outliers.values},
    };
    size_t tail = part == LAC_PART_BLOCKS ? lac_blocks_tail_bytes(w->pattern) : 0, size;
    return lac_mul_size(sizes[part][0], sizes[part][1], &size) &&
           lac_add_size(size, tail, size_bytes);
}

typedef enum lac_status visit_function(void *context, const char *at, enum lac_role role,
                                       size_t layer);

/* What of n slots the configuration has, in a layer or in the heads. */
static enum lac_status visit(const struct lac_packed_visitor *v, visit_function *function,
                             const struct lac_config *config, const struct lac_slot *slots,
                             size_t n, bool is_layer, size_t layer)
{
    char at[LAC_PACKED_NAME_SIZE];
    enum lac_status status = LAC_OK;
    for (size_t k = 0; k < n && !status; k++) {
        if (lac_role_need(config, slots[k].role) == LAC_NEED_NONE)
            continue;
        if (is_layer)
            snprintf(at, sizeof at, "layers.%zu.%s", layer, slots[k].name);
        else
            snprintf(at, sizeof at, "%s", slots[k].name);
        status = function(v->context, at, slots[k].role, layer);
    }
    return status;
}

enum lac_status lac_packed_visit(const struct lac_packed_visitor *v,
                                 const struct lac_config *config)
{
    enum lac_status status = LAC_OK;
    for (size_t i = 0; i < config->n_layers && !status; i++) {
        status = visit(v, v->linear, config, lac_layer_linears, LAC_N_LAYER_LINEARS, true, i);
        if (!status)
            status = visit(v, v->norm, config, lac_layer_norms, LAC_N_LAYER_NORMS, true, i);
    }
    if (!status)
        status = visit(v, v->linear, config, lac_head_linears, LAC_N_HEAD_LINEARS, false, 0);
    if (!status)
        status = visit(v, v->norm, config, lac_head_norms, LAC_N_HEAD_NORMS, false, 0);
    return status;
}
