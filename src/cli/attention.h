/* SPDX-License-Identifier: Apache-2.0 */
/* --attention: what attention reads. */
#ifndef LACUNA_CLI_ATTENTION_H
#define LACUNA_CLI_ATTENTION_H

#include <stdbool.h>
#include <stddef.h>

#include <lacuna/lacuna.h>

/* A plan as it is in its file; text NULL: none. */
struct attention {
    const char *name; /* as given */
    char *text;
    size_t size;
};

/* A file's name, or "full" for what the architecture has; NULL: the model's own.  false after a
 * complaint.  attention_free takes what it left, either way. */
bool attention_read(const char *name, struct attention *attention);
void attention_free(struct attention *attention);
enum lac_status attention_set(const struct attention *attention,
                              struct lac_session_options *options);
/* Prints why lac_session_new failed, with the plan's name if the plan is why. */
void attention_complain(const struct attention *attention, const char *message);

#endif
