/* SPDX-License-Identifier: Apache-2.0 */
/* --attention: what attention reads. */
#include "src/cli/attention.h"

#include <stdlib.h>
#include <string.h>

#include "src/cli/command.h"
#include "src/cli/input.h"

bool attention_read(const char *name, struct attention *a)
{
    static const char full[] = "{\"layers\": \"usual\"}";
    *a = (struct attention){.name = name};
    if (!name)
        return true;
    if (strcmp(name, "full") != 0)
        return input_read_all(name, &a->text, &a->size);
    a->text = strdup(full);
    a->size = sizeof full - 1;
    return a->text != NULL;
}

void attention_free(struct attention *a)
{
    free(a->text);
    *a = (struct attention){0};
}

enum lac_status attention_set(const struct attention *a, struct lac_session_options *options)
{
    return lac_session_options_set_attention(options, a->text, a->size);
}

/* What the library says of a plan begins with what it takes it for. */
void attention_complain(const struct attention *a, const char *message)
{
    static const char place[] = "attention: ";
    if (a->text && !strncmp(message, place, sizeof place - 1))
        complain("%s: %s", a->name, message + sizeof place - 1);
    else
        complain("%s", message);
}
