/* SPDX-License-Identifier: Apache-2.0 */
/* How each family names its tensors. */
#ifndef LACUNA_MODEL_NAMES_H
#define LACUNA_MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "src/model/checkpoint.h"

enum { LAC_NAME_SIZE = 128, LAC_N_ALTERNATIVES = 2 };

/* Writes the name of a role's module, without ".weight", into name.  alternative counts from 0;
 * false when the family has no such role or alternative. */
bool lac_role_name(const struct lac_config *config, enum lac_role role, size_t layer,
                   size_t alternative, char name[LAC_NAME_SIZE]);

/* Where a role's bias lies when it is not MODULE.bias; NULL when it lies nowhere else. */
const char *lac_role_bias(const struct lac_config *config, enum lac_role role);

/* How the role's matrix lies in its tensor, and which third of it (0, 1, 2) when queries, keys and
 * values are one tensor; -1 when it is the whole. */
enum lac_matrix_order lac_role_order(const struct lac_config *config, enum lac_role role);
int lac_role_third(const struct lac_config *config, enum lac_role role);

/* What may stand before the names of a family's tensors, longest first; "" is always the last. */
enum { LAC_N_PREFIXES = 3 };
const char *const *lac_family_prefixes(enum lac_family family);

/* Is it a norm; has it no bias (an embedding table); is there one for each layer? */
bool lac_role_is_norm(enum lac_role role);
bool lac_role_is_table(enum lac_role role);
bool lac_role_is_of_layer(enum lac_role role);

/* "layer 3 query", "pooler": for messages. */
const char *lac_role_text(enum lac_role role, size_t layer, char name[LAC_NAME_SIZE]);

#endif
