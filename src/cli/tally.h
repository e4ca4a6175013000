/* SPDX-License-Identifier: Apache-2.0 */
/* What `lacuna score` finds, added up: a column for each policy, a row for each group of lines. */
#ifndef LACUNA_CLI_TALLY_H
#define LACUNA_CLI_TALLY_H

#include <stdbool.h>
#include <stddef.h>

#include "src/cli/output.h"

struct tally {
    size_t n_tokens, n_bytes; /* of what was scored */
    double log_probability;   /* their sum */
    size_t n_timed;           /* of the tokens */
    double seconds;           /* that these took */
    size_t cache_bytes;       /* the most there were */
    size_t n_tasks, n_exact;  /* prompts, and those that went on as expected */
};

struct tallies {
    const char *const *columns; /* names of policies, then NULL; none: one column without a name */
    bool has_tasks;
    char **groups; /* [n_groups] */
    size_t n_groups, capacity;
    struct tally *cells; /* [capacity][columns] */
    struct tally *all;   /* [columns] */
};

/* columns is borrowed.  false, here and below: no memory. */
bool tallies_open(struct tallies *tallies, const char *const *columns, bool has_tasks);
void tallies_close(struct tallies *tallies);
size_t tallies_columns(const struct tallies *tallies);

/* Adds to a column, and there to the group of this name unless it is NULL. */
bool tallies_add(struct tallies *tallies, size_t column, const char *group,
                 const struct tally *tally);

void tallies_print(const struct tallies *tallies, struct output *out);
/* A line for each group of each column, then one for each column. */
bool tallies_print_json(const struct tallies *tallies, struct output *out);

#endif
