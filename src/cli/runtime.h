/* SPDX-License-Identifier: Apache-2.0 */
/* The engine and the model that the options ask for. */
#ifndef LACUNA_CLI_RUNTIME_H
#define LACUNA_CLI_RUNTIME_H

#include "src/cli/options.h"

struct runtime {
    struct lac_engine *engine;
    struct lac_model *model;
    struct lac_model *draft; /* generate --draft, or NULL */
};

/* Each returns false after a complaint on stderr; *status is then the exit status.
 * runtime_close takes whatever they left. */
bool runtime_start(struct runtime *runtime, const struct options *options, int *status);
/* path NULL: $LACUNA_MODEL, else the installed model, else models/ in the current directory. */
bool runtime_open_model(struct runtime *runtime, const struct options *options, const char *path,
                        int *status);
/* The same for a second model, which guesses. */
bool runtime_open_draft(struct runtime *runtime, const struct options *options, int *status);
void runtime_close(struct runtime *runtime);

/* The engine's last message; the next call overwrites it. */
const char *runtime_message(const struct runtime *runtime);

#endif
