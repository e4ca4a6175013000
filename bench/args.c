/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of lacuna-bench: options from a table, and lists of values. */
#include "bench/args.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bench_option *find_option(const struct bench_option *options, const char *name,
                                              size_t size)
{
    for (; options->name; options++)
        if (strlen(options->name) == size && !memcmp(options->name, name, size))
            return options;
    return NULL;
}

enum lac_status bench_parse(const struct bench_option *options, int argc, char **argv,
                            struct lac_error *error)
{
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (strncmp(word, "--", 2))
            return lac_fail(error, LAC_E_ARGUMENT, "%s: expected an option", word);
        const char *equals = strchr(word, '=');
        size_t size = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
        const struct bench_option *option = find_option(options, word + 2, size);
        if (!option)
            return lac_fail(error, LAC_E_ARGUMENT, "%s: no such option", word);
        if (!option->argument && equals)
            return lac_fail(error, LAC_E_ARGUMENT, "--%s takes no value", option->name);
        if (option->argument && !equals && i + 1 == argc)
            return lac_fail(error, LAC_E_ARGUMENT, "--%s needs a value", option->name);
        *option->value = !option->argument ? "" : equals ? equals + 1 : argv[++i];
    }
    return LAC_OK;
}

/* Words in lines that end before MOST_COLUMNS, below one another from column LEFT on. */
static void print_words(const char *text)
{
    enum { LEFT = 27, MOST_COLUMNS = 96 };
    for (size_t column = LEFT, size; *text; text += size + strspn(text + size, " ")) {
        size = strcspn(text, " ");
        if (column > LEFT && column + 1 + size > MOST_COLUMNS) {
            printf("\n%*s", LEFT, "");
            column = LEFT;
        }
        column += (size_t)printf("%s%.*s", column > LEFT ? " " : "", (int)size, text);
    }
    puts("");
}

void bench_print_options(const struct bench_option *options)
{
    for (; options->name; options++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", options->name, options->argument ? " " : "",
                 options->argument ? options->argument : "");
        printf("  %-24s ", left);
        print_words(options->help);
    }
}

/* Copies the next item of a comma list into item and moves *text behind it.  0 at the end, -1 for
 * an empty or overlong item. */
static int next_item(const char **text, char *item, size_t size)
{
    if (!*text)
        return 0;
    size_t length = strcspn(*text, ",");
    if (!length || length >= size)
        return -1;
    memcpy(item, *text, length);
    item[length] = 0;
    *text = (*text)[length] ? *text + length + 1 : NULL;
    return 1;
}

static enum lac_status bad_item(struct lac_error *error, const char *option, const char *text,
                                const char *expected)
{
    return lac_fail(error, LAC_E_ARGUMENT, "--%s %s: expected %s", option, text, expected);
}

/* A number that starts with a digit: strtod alone would take "-1", "nan" and "0x10". */
static int read_number(const char **text, double *value)
{
    if (**text < '0' || **text > '9' || (**text == '0' && (*text)[1] == 'x'))
        return 0;
    char *end;
    *value = strtod(*text, &end);
    *text = end;
    return isfinite(*value);
}

/* "first" or "first-last+step", and moves *text behind it. */
struct range {
    double first, last, step;
};

static int read_range(const char **text, struct range *range)
{
    if (!read_number(text, &range->first))
        return 0;
    range->last = range->first;
    range->step = 1;
    if (**text != '-')
        return 1;
    ++*text;
    if (!read_number(text, &range->last) || *(*text)++ != '+' || !read_number(text, &range->step))
        return 0;
    return range->step > 0 && range->last >= range->first;
}

/* How many values it has.  A millionth of a step, so that sums of tenths reach their last one. */
static double range_size(const struct range *range)
{
    return floor((range->last - range->first) / range->step + 1e-6) + 1;
}

static double range_at(const struct range *range, size_t i)
{
    return range->first + (double)i * range->step;
}

static enum lac_status too_many(struct lac_error *error, const char *option, const char *text)
{
    return lac_fail(error, LAC_E_ARGUMENT, "--%s %s: more than %d values", option, text,
                    (int)BENCH_LIST_MOST);
}

enum lac_status bench_read_reals(const char *option, const char *text, double lowest,
                                 double highest, struct bench_reals *list, struct lac_error *error)
{
    char item[BENCH_ITEM_SIZE];
    const char *rest = text;
    list->n = 0;
    for (int found; (found = next_item(&rest, item, sizeof item));) {
        const char *at = item;
        struct range range;
        if (found < 0 || !read_range(&at, &range) || *at)
            return bad_item(error, option, text, "numbers and ranges first-last+step, with commas");
        if (range.first < lowest || range.last > highest)
            return lac_fail(error, LAC_E_ARGUMENT, "--%s %s: outside %g to %g", option, item,
                            lowest, highest);
        double n = range_size(&range);
        if (n > (double)(BENCH_LIST_MOST - list->n))
            return too_many(error, option, text);
        for (size_t i = 0; i < (size_t)n; i++)
            list->at[list->n++] = range_at(&range, i);
    }
    return LAC_OK;
}

enum lac_status bench_read_counts(const char *option, const char *text, size_t lowest,
                                  size_t highest, struct bench_counts *list,
                                  struct lac_error *error)
{
    struct bench_reals reals;
    enum lac_status status =
        bench_read_reals(option, text, (double)lowest, (double)highest, &reals, error);
    if (status)
        return status;
    list->n = reals.n;
    for (size_t i = 0; i < reals.n; i++) {
        list->at[i] = (size_t)reals.at[i];
        if ((double)list->at[i] != reals.at[i])
            return bad_item(error, option, text, "whole numbers");
    }
    return LAC_OK;
}

/* Each shape once. */
static enum lac_status add_shape(const char *option, const char *text, struct bench_shape shape,
                                 struct bench_shapes *list, struct lac_error *error)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i].n_out == shape.n_out && list->at[i].n_in == shape.n_in)
            return LAC_OK;
    if (list->n == BENCH_LIST_MOST)
        return too_many(error, option, text);
    list->at[list->n++] = shape;
    return LAC_OK;
}

static enum lac_status add_stack(const char *option, const char *text,
                                 const struct bench_stack *stack, struct bench_shapes *list,
                                 struct lac_error *error)
{
    struct bench_shape shapes[BENCH_STACK_SHAPES];
    size_t n = bench_stack_shapes(stack, shapes);
    for (size_t i = 0; i < n; i++)
        if (add_shape(option, text, shapes[i], list, error))
            return error->status;
    return LAC_OK;
}

static int is_whole(const struct range *range)
{
    return range->first == floor(range->first) && range->step == floor(range->step);
}

/* Every shape of "768-3072+768x768". */
static enum lac_status add_ranges(const char *option, const char *text, const char *item,
                                  size_t highest, struct bench_shapes *list,
                                  struct lac_error *error)
{
    struct range out, in;
    const char *at = item;
    if (!read_range(&at, &out) || *at++ != 'x' || !read_range(&at, &in) || *at || !is_whole(&out) ||
        !is_whole(&in))
        return bad_item(error, option, text,
                        "shapes OUTPUTSxINPUTS and names of models, with commas");
    if (out.first < 1 || in.first < 1 || out.last > (double)highest || in.last > (double)highest)
        return lac_fail(error, LAC_E_ARGUMENT, "--%s %s: outside 1 to %zu", option, item, highest);
    if (range_size(&out) * range_size(&in) > BENCH_LIST_MOST)
        return too_many(error, option, text);
    for (size_t o = 0; o < (size_t)range_size(&out); o++)
        for (size_t i = 0; i < (size_t)range_size(&in); i++) {
            struct bench_shape shape = {(size_t)range_at(&out, o), (size_t)range_at(&in, i)};
            if (add_shape(option, text, shape, list, error))
                return error->status;
        }
    return LAC_OK;
}

enum lac_status bench_read_shapes(const char *option, const char *text, size_t highest,
                                  struct bench_shapes *list, struct lac_error *error)
{
    char item[BENCH_ITEM_SIZE];
    const char *rest = text;
    list->n = 0;
    for (int found; (found = next_item(&rest, item, sizeof item));) {
        const struct bench_stack *stack = found > 0 ? bench_stack_find(item) : NULL;
        if (stack ? add_stack(option, text, stack, list, error)
                  : add_ranges(option, text, found > 0 ? item : "", highest, list, error))
            return error->status;
    }
    return LAC_OK;
}

/* "12x768x3072": layers, hidden and intermediate size. */
static int read_size(const char *text, double sizes[3])
{
    static const double most[3] = {1000, 65536, 65536};
    for (int i = 0; i < 3; i++)
        if ((i && *text++ != 'x') || !read_number(&text, &sizes[i]) ||
            sizes[i] != floor(sizes[i]) || sizes[i] < 1 || sizes[i] > most[i])
            return 0;
    return !*text;
}

enum lac_status bench_read_models(const char *option, const char *text, int only_encoders,
                                  struct bench_models *list, struct lac_error *error)
{
    char item[BENCH_ITEM_SIZE], known[256] = "";
    const char *rest = text;
    list->n = 0;
    for (const struct bench_stack *s = bench_stacks; s->name; s++)
        if (!only_encoders || s->encodes)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s, ", s->name);
    for (int found; (found = next_item(&rest, item, sizeof item));) {
        double sizes[3];
        const struct bench_stack *stack = found > 0 ? bench_stack_find(item) : NULL;
        if (found < 0 || list->n == BENCH_MOST_MODELS ||
            (stack ? only_encoders && !stack->encodes : !read_size(item, sizes)))
            return lac_fail(error, LAC_E_ARGUMENT,
                            "--%s %s: expected at most %d of %sLAYERSxHIDDENxINTERMEDIATE", option,
                            text, (int)BENCH_MOST_MODELS, known);
        char *name = list->names[list->n];
        memcpy(name, item, sizeof item);
        list->at[list->n++] =
            stack ? *stack
                  : bench_stack_of_size(name, (size_t)sizes[0], (size_t)sizes[1], (size_t)sizes[2]);
    }
    return LAC_OK;
}

enum lac_status bench_read_choices(const char *option, const char *text, const char *const *names,
                                   struct bench_choices *list, struct lac_error *error)
{
    char item[BENCH_ITEM_SIZE];
    const char *rest = text;
    list->n = 0;
    for (int i = 0; !text && names[i]; i++)
        list->at[list->n++] = i;
    for (int found; (found = next_item(&rest, item, sizeof item));) {
        int i = 0;
        while (found > 0 && names[i] && strcmp(names[i], item))
            i++;
        if (found < 0 || !names[i] || list->n == BENCH_LIST_MOST) {
            char known[256] = "";
            for (i = 0; names[i]; i++)
                snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                         names[i]);
            return lac_fail(error, LAC_E_ARGUMENT, "--%s %s: expected some of %s", option, text,
                            known);
        }
        list->at[list->n++] = i;
    }
    return LAC_OK;
}

enum lac_status bench_read_real(const char *option, const char *text, double lowest, double highest,
                                double *value, struct lac_error *error)
{
    struct bench_reals list;
    enum lac_status status = bench_read_reals(option, text, lowest, highest, &list, error);
    if (!status && list.n != 1)
        status = bad_item(error, option, text, "one number");
    if (!status)
        *value = list.at[0];
    return status;
}

enum lac_status bench_read_count(const char *option, const char *text, size_t lowest,
                                 size_t highest, size_t *value, struct lac_error *error)
{
    struct bench_counts list;
    enum lac_status status = bench_read_counts(option, text, lowest, highest, &list, error);
    if (!status && list.n != 1)
        status = bad_item(error, option, text, "one number");
    if (!status)
        *value = list.at[0];
    return status;
}
