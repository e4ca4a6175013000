/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of lacuna-bench: options from a table, and lists of values. */
#ifndef LACUNA_BENCH_ARGS_H
#define LACUNA_BENCH_ARGS_H

#include <stddef.h>

#include "bench/shapes.h"
#include "src/base/error.h"

struct bench_option {
    const char *name;     /* without its dashes */
    const char *argument; /* what help calls it; NULL for a switch */
    const char *help;
    const char **value; /* the text given, "" for a switch; untouched when not given */
};

/* Reads "--name value" and "--name=value" for the options of a table that ends with a NULL name.
 * LAC_E_ARGUMENT for anything else. */
enum lac_status bench_parse(const struct bench_option *options, int argc, char **argv,
                            struct lac_error *error);
void bench_print_options(const struct bench_option *options);

enum { BENCH_LIST_MOST = 128 };

/* "0.5,0.7-0.9+0.1": values and ranges, ends included. */
struct bench_reals {
    size_t n;
    double at[BENCH_LIST_MOST];
};

/* Whole numbers in the same notation. */
struct bench_counts {
    size_t n;
    size_t at[BENCH_LIST_MOST];
};

enum { BENCH_MOST_MODELS = 16, BENCH_ITEM_SIZE = 64 };

/* Models by name, or any size as LAYERSxHIDDENxINTERMEDIATE, which is then their name. */
struct bench_models {
    size_t n;
    struct bench_stack at[BENCH_MOST_MODELS];
    char names[BENCH_MOST_MODELS][BENCH_ITEM_SIZE];
};

struct bench_shapes {
    size_t n;
    struct bench_shape at[BENCH_LIST_MOST];
};

/* Places in a table of names. */
struct bench_choices {
    size_t n;
    int at[BENCH_LIST_MOST];
};

/* All: LAC_E_ARGUMENT names the option, the item and what was expected. */
enum lac_status bench_read_reals(const char *option, const char *text, double lowest,
                                 double highest, struct bench_reals *list, struct lac_error *error);
enum lac_status bench_read_counts(const char *option, const char *text, size_t lowest,
                                  size_t highest, struct bench_counts *list,
                                  struct lac_error *error);
/* "3072x768" and names of models: all different shapes of their layers. */
/* A side may be a range: "768-3072+768x768". */
enum lac_status bench_read_shapes(const char *option, const char *text, size_t highest,
                                  struct bench_shapes *list, struct lac_error *error);
/* only_encoders: names of other models are refused. */
enum lac_status bench_read_models(const char *option, const char *text, int only_encoders,
                                  struct bench_models *list, struct lac_error *error);
/* names ends with NULL; text NULL: all of them. */
enum lac_status bench_read_choices(const char *option, const char *text, const char *const *names,
                                   struct bench_choices *list, struct lac_error *error);
/* The same where one value is expected. */
enum lac_status bench_read_real(const char *option, const char *text, double lowest, double highest,
                                double *value, struct lac_error *error);
enum lac_status bench_read_count(const char *option, const char *text, size_t lowest,
                                 size_t highest, size_t *value, struct lac_error *error);

#endif
