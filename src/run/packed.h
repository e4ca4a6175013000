/* SPDX-License-Identifier: Apache-2.0 */
/* Packed files: one safetensors file whose arrays are the network's own, to be used in place.
 *
 *   __metadata__   lacuna.version     LAC_PACKED_VERSION; another is refused
 *                  lacuna.byte_order  "little"
 *                  lacuna.dtype       "int8", "fp32", "bf16", "fp16" or "int4"
 *                  lacuna.config      config.json, as struct lac_checkpoint has it
 *                  lacuna.tokenizer   enum lac_tokenizer_kind, in decimal; absent without one
 *                  lacuna.linears     {"layers.0.query": {"name", "pattern", "zeros",
 *                                      "nonzero": [a count for each pattern],
 *                                      "outliers": their number, if there are any}, ...}
 *   tensors        AT.row_begin, AT.index, AT.masks, AT.blocks, AT.group, AT.scale, AT.offset,
 *                  AT.bias, AT.outlier_begin, AT.outlier_index, AT.outliers
 *                                     the arrays of struct lac_weight that it has, as U8
 *                  AT.gamma, AT.beta  norms, F32
 *                  word_embeddings, position_embeddings, type_embeddings and NAME.scale
 *                                     as the checkpoint stored them
 *                  tokenizer.main, tokenizer.merges, tokenizer.config
 *                                     its texts, as U8
 *
 * where AT is layers.LAYER.SLOT or a head's SLOT (struct lac_slot), embedding_norm or
 * fill_norm.  Here are the names and sizes that writing and opening share. */
#ifndef LACUNA_RUN_PACKED_H
#define LACUNA_RUN_PACKED_H

#include "src/run/network.h"

#define LAC_PACKED_VERSION "3"

extern const char lac_packed_byte_order[];

/* No slot name with its layer and array comes near it. */
enum { LAC_PACKED_NAME_SIZE = 112 };

/* "AT.ARRAY". */
const char *lac_packed_name(char name[LAC_PACKED_NAME_SIZE], const char *at, const char *array);

/* The embedding tables. */
enum lac_packed_table { LAC_TABLE_WORD, LAC_TABLE_POSITION, LAC_TABLE_TYPE, LAC_N_TABLES };
extern const char *const lac_packed_tables[LAC_N_TABLES];
extern const char *const lac_packed_table_scales[LAC_N_TABLES];
struct lac_matrix *lac_packed_table(struct lac_network *network, enum lac_packed_table table);

/* The arrays of struct lac_weight. */
enum lac_packed_part {
    LAC_PART_ROW_BEGIN,
    LAC_PART_INDEX,
    LAC_PART_MASKS,
    LAC_PART_BLOCKS,
    LAC_PART_GROUP,
    LAC_PART_SCALE,
    LAC_PART_OFFSET,
    LAC_PART_BIAS,
    LAC_PART_OUTLIER_BEGIN,
    LAC_PART_OUTLIER_INDEX,
    LAC_PART_OUTLIERS,
    LAC_N_PARTS,
};
extern const char *const lac_packed_parts[LAC_N_PARTS];
/* Has a weight of this pattern, dtype and number of outliers the array? */
bool lac_packed_has_part(const struct lac_weight *weight, enum lac_packed_part part);
/* Its size, which follows from the weight's counts; false on overflow. */
bool lac_packed_part_size(const struct lac_weight *weight, enum lac_packed_part part,
                          size_t *size_bytes);

/* The texts of a tokenizer. */
enum { LAC_N_TOKENIZER_TEXTS = 3 };
extern const char *const lac_packed_texts[LAC_N_TOKENIZER_TEXTS];
struct lac_slice *lac_packed_text(struct lac_tokenizer_texts *texts, size_t text);

/* Calls a function for each linear layer and each norm that the configuration has, in the order
 * of the network, until one fails. */
struct lac_packed_visitor {
    enum lac_status (*linear)(void *context, const char *at, enum lac_role role, size_t layer);
    enum lac_status (*norm)(void *context, const char *at, enum lac_role role, size_t layer);
    void *context;
};
enum lac_status lac_packed_visit(const struct lac_packed_visitor *visitor,
                                 const struct lac_config *config);

#endif
