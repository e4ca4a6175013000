/* SPDX-License-Identifier: Apache-2.0 */
/* What generation_config.json beside a model says of the ends of its texts. */
#ifndef LACUNA_MODEL_GENERATION_H
#define LACUNA_MODEL_GENERATION_H

#include <jansson.h>

#include "src/base/error.h"
#include "src/base/host.h"

/* Puts its "eos_token_id" and "bos_token_id" into config, over those that are there: chat models
 * name there alone what ends a turn.  Without the file config stays as it is. */
enum lac_status lac_generation_merge(const struct lac_host *host, const char *directory,
                                     json_t *config, struct lac_error *error);

#endif
