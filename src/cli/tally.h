/* SPDX-License-Identifier: Apache-2.0 */
/* What `lacuna score` finds, added up: a column for each policy, a row for each group of lines. */
#ifndef LACUNA_CLI_TALLY_H
#define LACUNA_CLI_TALLY_H

#include <stdbool.h>
#include <stddef.h>

#include <lacuna/lacuna.h>

#include "src/cli/options.h"
#include "src/cli/output.h"

struct tally {
    size_t n_tokens, n_bytes; /* of what was scored */
    double log_probability;   /* their sum */
    size_t n_timed;           /* of the tokens */
    double seconds;           /* that these took */
    size_t cache_bytes;       /* the most there were */
    /* As in struct lac_generation_counts. */
    size_t n_neurons, n_active, n_stored, n_read;
    size_t n_tasks, n_exact; /* prompts, and those that went on as expected */
};

/* Policies that columns are of. */
enum column_kind { COLUMN_ATTENTION, COLUMN_KV, COLUMN_ACTIVATIONS, N_COLUMN_KINDS };

struct tallies {
    struct {
        const char *const *names; /* none, one for all columns, or one for each */
        size_t n;
    } kinds[N_COLUMN_KINDS];
    size_t n_columns; /* of no policy there is one column */
    const struct lac_activations_policy *left_out[MOST_TEXTS]; /* [n_columns], borrowed */
    bool has_tasks;
    char **groups; /* [n_groups] */
    size_t n_groups, capacity;
    struct tally *cells; /* [capacity][n_columns] */
    struct tally *all;   /* [n_columns] */
};

/* Borrows what the options name.  left_out is for the caller to fill.  false: no memory (here and
 * below), or several of two kinds, but not as many. */
bool tallies_open(struct tallies *tallies, const struct options *options);
void tallies_close(struct tallies *tallies);
/* A column's policy, or NULL. */
const char *tallies_name(const struct tallies *tallies, enum column_kind kind, size_t column);

/* Adds to a column, and there to the group of this name unless it is NULL. */
bool tallies_add(struct tallies *tallies, size_t column, const char *group,
                 const struct tally *tally);

void tallies_print(const struct tallies *tallies, struct output *out);
/* A line for each group of each column, then one for each column. */
bool tallies_print_json(const struct tallies *tallies, struct output *out);

#endif
