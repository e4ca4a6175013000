/* SPDX-License-Identifier: Apache-2.0 */
/* Can we read the weights that config.json's quantization_config describes? */
#ifndef LACUNA_MODEL_QUANTIZATION_H
#define LACUNA_MODEL_QUANTIZATION_H

#include <jansson.h>

#include "src/base/error.h"

/* compressed-tensors' dense, int-quantized (int8, symmetric, per tensor or per row), pack-quantized
 * (4 or 8 bits, symmetric, in groups too), sparse-bitmask and sparse-24-bitmask can be read;
 * LAC_E_UNSUPPORTED names anything else.  What a weight really is shows when it is looked up: this
 * only refuses early and by name. */
enum lac_status lac_quantization_check(const json_t *config, struct lac_error *error);

#endif
