/* SPDX-License-Identifier: Apache-2.0 */
/* What sentence-transformers' files beside a model say about its sentence vectors. */
#ifndef LACUNA_MODEL_POOLING_H
#define LACUNA_MODEL_POOLING_H

#include <jansson.h>

#include "src/base/error.h"
#include "src/base/host.h"

/* Puts "lacuna_pooling", "lacuna_normalize" and "lacuna_text_tokens" into config when DIRECTORY has
 * modules.json, 1_Pooling/config.json or sentence_bert_config.json.  LAC_E_UNSUPPORTED for modules and pooling modes that we cannot run. */
enum lac_status lac_pooling_merge(const struct lac_host *host, const char *directory,
                                  json_t *config, struct lac_error *error);

#endif
