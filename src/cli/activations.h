/* SPDX-License-Identifier: Apache-2.0 */
/* --activations: what tokens leave out; its thresholds, from a text or an earlier result. */
#ifndef LACUNA_CLI_ACTIVATIONS_H
#define LACUNA_CLI_ACTIVATIONS_H

#include "src/cli/runtime.h"

struct activations {
    struct lac_activations_policy policy;
    double share; /* cats: of the neurons, that stays */
};

/* "none", "cats:SHARE" or "core:SHARE[,SHARE]"; NULL is none.  false after a complaint. */
bool activations_parse(const char *text, struct activations *activations);
/* What a model has to be prepared for when it is opened. */
enum lac_activations_rule activations_prepared(const struct options *options);
/* The thresholds, where they are needed.  false after a complaint; activations_free takes what it
 * left, either way. */
bool activations_find(const struct runtime *runtime, const struct options *options,
                      struct activations *activations);
void activations_free(struct activations *activations);

#endif
