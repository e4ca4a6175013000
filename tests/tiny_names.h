/* SPDX-License-Identifier: Apache-2.0 */
/* What the families of small encoders call their tensors. */
#ifndef LACUNA_TESTS_TINY_NAMES_H
#define LACUNA_TESTS_TINY_NAMES_H

#include "tests/tiny.h"

/* Parts of a layer. */
enum tiny_part { QUERY, KEY, VALUE, MIX, MIX_NORM, UP, DOWN, DOWN_NORM, N_PARTS };

/* A name lives until the next one is asked for. */
const char *tiny_part_name(const struct tiny *tiny, size_t layer, enum tiny_part part);
const char *tiny_embedding_name(const struct tiny *tiny, const char *table);

/* The row of the position table that the first token takes. */
size_t tiny_position_offset(const struct tiny *tiny);

extern const char *const tiny_prefixes[TINY_N_FAMILIES];

/* Dense layer and norm of the masked language model head; the decoder's bias. */
extern const char *const tiny_fill_dense[TINY_N_FAMILIES];
extern const char *const tiny_fill_norm[TINY_N_FAMILIES];
extern const char *const tiny_fill_bias[TINY_N_FAMILIES];

#endif
