/* SPDX-License-Identifier: Apache-2.0 */
/* What `lacuna score` finds, added up. */
#include "src/cli/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/job.h"

static size_t count(const char *const *names)
{
    size_t n = 0;
    while (names[n])
        n++;
    return n;
}

bool tallies_open(struct tallies *t, const char *const *kv, const char *const *activations,
                  bool has_tasks)
{
    *t = (struct tallies){.kv = kv,
                          .activations = activations,
                          .n_kv = count(kv),
                          .n_activations = count(activations),
                          .has_tasks = has_tasks};
    if (t->n_kv > 1 && t->n_activations > 1 && t->n_kv != t->n_activations) {
        complain("--kv and --activations: %zu and %zu of them; one of either, or as many", t->n_kv,
                 t->n_activations);
        return false;
    }
    t->n_columns = t->n_kv > t->n_activations ? t->n_kv : t->n_activations;
    t->n_columns = t->n_columns ? t->n_columns : 1;
    t->all = calloc(t->n_columns, sizeof *t->all);
    return t->all != NULL;
}

static const char *name_of(const char *const *names, size_t n, size_t column)
{
    return n > 1 ? names[column] : names[0];
}

const char *tallies_kv(const struct tallies *t, size_t column)
{
    return name_of(t->kv, t->n_kv, column);
}

const char *tallies_activations(const struct tallies *t, size_t column)
{
    return name_of(t->activations, t->n_activations, column);
}

void tallies_close(struct tallies *t)
{
    for (size_t i = 0; i < t->n_groups; i++)
        free(t->groups[i]);
    free(t->groups);
    free(t->cells);
    free(t->all);
    *t = (struct tallies){0};
}

static bool grow(struct tallies *t)
{
    size_t capacity = 2 * t->capacity + 16, n = t->n_columns;
    char **groups = realloc(t->groups, capacity * sizeof *groups);
    if (groups)
        t->groups = groups;
    struct tally *cells = groups ? realloc(t->cells, capacity * n * sizeof *cells) : NULL;
    if (!cells)
        return false;
    memset(cells + t->capacity * n, 0, (capacity - t->capacity) * n * sizeof *cells);
    t->cells = cells;
    t->capacity = capacity;
    return true;
}

static struct tally *find_group(struct tallies *t, const char *group)
{
    size_t i = 0;
    while (i < t->n_groups && strcmp(t->groups[i], group) != 0)
        i++;
    if (i == t->n_groups) {
        if (i == t->capacity && !grow(t))
            return NULL;
        if (!(t->groups[i] = strdup(group)))
            return NULL;
        t->n_groups++;
    }
    return t->cells + i * t->n_columns;
}

static void add(struct tally *to, const struct tally *from)
{
    to->n_tokens += from->n_tokens;
    to->n_bytes += from->n_bytes;
    to->log_probability += from->log_probability;
    to->n_timed += from->n_timed;
    to->seconds += from->seconds;
    if (from->cache_bytes > to->cache_bytes)
        to->cache_bytes = from->cache_bytes;
    to->n_neurons += from->n_neurons;
    to->n_active += from->n_active;
    to->n_stored += from->n_stored;
    to->n_read += from->n_read;
    to->n_tasks += from->n_tasks;
    to->n_exact += from->n_exact;
}

bool tallies_add(struct tallies *t, size_t column, const char *group, const struct tally *tally)
{
    struct tally *cells = group ? find_group(t, group) : NULL;
    if (group && !cells)
        return false;
    if (cells)
        add(&cells[column], tally);
    add(&t->all[column], tally);
    return true;
}

/* ---- Figures of a tally; `first` is the first column's ---- */

static double mean_of(const struct tally *t)
{
    return t->log_probability / (double)t->n_tokens;
}

static double perplexity(const struct tally *t, const struct tally *first)
{
    (void)first;
    return exp(-mean_of(t));
}

static double perplexity_ratio(const struct tally *t, const struct tally *first)
{
    return exp(mean_of(first) - mean_of(t));
}

static double log_probability(const struct tally *t, const struct tally *first)
{
    (void)first;
    return mean_of(t);
}

static double bits_per_byte(const struct tally *t, const struct tally *first)
{
    (void)first;
    return t->n_bytes ? -t->log_probability / log(2) / (double)t->n_bytes : 0;
}

static double tokens_per_second(const struct tally *t, const struct tally *first)
{
    (void)first;
    return t->seconds > 0 ? (double)t->n_timed / t->seconds : 0;
}

static double speed_ratio(const struct tally *t, const struct tally *first)
{
    double speed = tokens_per_second(first, NULL);
    return speed > 0 ? tokens_per_second(t, NULL) / speed : 0;
}

static double tokens(const struct tally *t, const struct tally *first)
{
    (void)first;
    return (double)t->n_tokens;
}

static double bytes(const struct tally *t, const struct tally *first)
{
    (void)first;
    return (double)t->n_bytes;
}

static double cache_bytes(const struct tally *t, const struct tally *first)
{
    (void)first;
    return (double)t->cache_bytes;
}

static double cache_ratio(const struct tally *t, const struct tally *first)
{
    return first->cache_bytes ? (double)t->cache_bytes / (double)first->cache_bytes : 0;
}

/* Of the neurons of all tokens those not left out; of those of all passes those whose weights were
 * read. */
static double active(const struct tally *t, const struct tally *first)
{
    (void)first;
    return t->n_neurons ? (double)t->n_active / (double)t->n_neurons : 1;
}

static double read_share(const struct tally *t, const struct tally *first)
{
    (void)first;
    return t->n_stored ? (double)t->n_read / (double)t->n_stored : 1;
}

static double exact_percent(const struct tally *t, const struct tally *first)
{
    (void)first;
    return t->n_tasks ? 100.0 * (double)t->n_exact / (double)t->n_tasks : 0;
}

/* ---- As a table ---- */

enum { NAME_WIDTH = 28, COLUMN_WIDTH = 16 };

/* When a row is there. */
enum when { ALWAYS, WITH_TASKS, WITH_POLICIES, WITH_SEVERAL, WITH_ACTIVATIONS };

static const struct figure {
    const char *name;
    enum when when;
    int digits;
    double (*of)(const struct tally *tally, const struct tally *first);
} figures[] = {
    {"exact, %", WITH_TASKS, 1, exact_percent},
    {"tokens", ALWAYS, 0, tokens},
    {"bytes", ALWAYS, 0, bytes},
    {"log-probability, a token", ALWAYS, 4, log_probability},
    {"perplexity", ALWAYS, 4, perplexity},
    {"  of the first's", WITH_SEVERAL, 4, perplexity_ratio},
    {"bits, a byte", ALWAYS, 4, bits_per_byte},
    {"tokens/s", WITH_POLICIES, 1, tokens_per_second},
    {"  of the first's", WITH_SEVERAL, 2, speed_ratio},
    {"neurons active", WITH_ACTIVATIONS, 3, active},
    {"neurons read", WITH_ACTIVATIONS, 3, read_share},
    {"cache, bytes", WITH_POLICIES, 0, cache_bytes},
    {"  of the first's", WITH_SEVERAL, 3, cache_ratio},
};

/* Of a column: its names may be long. */
static int width_of(const struct tallies *t, size_t column)
{
    const char *const names[] = {tallies_kv(t, column), tallies_activations(t, column)};
    size_t width = COLUMN_WIDTH;
    for (size_t i = 0; i < 2; i++)
        if (names[i] && strlen(names[i]) > width)
            width = strlen(names[i]);
    return (int)width;
}

static void print_row(const struct tallies *t, struct output *out, const struct figure *figure,
                      const char *name, const struct tally *cells)
{
    size_t n = t->n_columns;
    fprintf(out->file, "%-*s", NAME_WIDTH, name);
    for (size_t i = 0; i < n; i++)
        fprintf(out->file, " %*.*f", width_of(t, i), figure->digits, figure->of(&cells[i], cells));
    fputc('\n', out->file);
}

static void print_names(const struct tallies *t, struct output *out,
                        const char *(*name)(const struct tallies *t, size_t column))
{
    if (!name(t, 0))
        return;
    fprintf(out->file, "%-*s", NAME_WIDTH, "");
    for (size_t i = 0; i < t->n_columns; i++)
        fprintf(out->file, " %*s", width_of(t, i), name(t, i));
    fputc('\n', out->file);
}

void tallies_print(const struct tallies *t, struct output *out)
{
    size_t n = t->n_columns;
    const bool is_there[] = {
        [ALWAYS] = true,
        [WITH_TASKS] = t->has_tasks,
        [WITH_POLICIES] = t->n_kv || t->n_activations || t->has_tasks,
        [WITH_SEVERAL] = n > 1,
        [WITH_ACTIVATIONS] = t->n_activations,
    };
    print_names(t, out, tallies_kv);
    print_names(t, out, tallies_activations);
    for (size_t i = 0; i < t->n_groups; i++)
        print_row(t, out, &figures[0], t->groups[i], t->cells + i * n);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        if (is_there[figures[i].when])
            print_row(t, out, &figures[i], figures[i].name, t->all);
}

/* ---- As JSON ---- */

static bool put_neurons(const struct tallies *t, json_t *record, size_t column,
                        const struct tally *tally)
{
    const struct lac_activations_policy *left_out = t->left_out[column];
    json_t *thresholds = json_array();
    bool good = json_put(record, "thresholds", thresholds);
    for (size_t i = 0; good && i < left_out->n_thresholds; i++)
        good = json_append(thresholds, json_real((double)left_out->thresholds[i]));
    return good && json_put(record, "activations", json_string(tallies_activations(t, column))) &&
           json_put(record, "active", json_real(active(tally, NULL))) &&
           json_put(record, "read", json_real(read_share(tally, NULL)));
}

static bool print_record(const struct tallies *t, struct output *out, const char *group,
                         size_t column, const struct tally *tally)
{
    json_t *record = json_object();
    bool good = record != NULL;
    if (t->n_kv)
        good = good && json_put(record, "kv", json_string(tallies_kv(t, column)));
    if (group)
        good = good && json_put(record, "group", json_string(group));
    if (t->has_tasks)
        good = good && json_put(record, "tasks", json_integer((json_int_t)tally->n_tasks)) &&
               json_put(record, "exact", json_integer((json_int_t)tally->n_exact));
    good = good && json_put(record, "tokens", json_integer((json_int_t)tally->n_tokens)) &&
           json_put(record, "bytes", json_integer((json_int_t)tally->n_bytes)) &&
           json_put(record, "log_probability", json_real(tally->log_probability)) &&
           json_put(record, "perplexity", json_real(perplexity(tally, NULL))) &&
           json_put(record, "bits_per_byte", json_real(bits_per_byte(tally, NULL)));
    if (t->n_activations)
        good = good && put_neurons(t, record, column, tally);
    if (t->n_kv || t->n_activations || t->has_tasks)
        good = good &&
               json_put(record, "tokens_per_second", json_real(tokens_per_second(tally, NULL))) &&
               json_put(record, "cache_bytes", json_integer((json_int_t)tally->cache_bytes));
    if (good)
        output_json(out, record);
    else
        json_decref(record);
    return good;
}

bool tallies_print_json(const struct tallies *t, struct output *out)
{
    size_t n = t->n_columns;
    bool good = true;
    for (size_t k = 0; good && k < n; k++)
        for (size_t i = 0; good && i < t->n_groups; i++)
            good = print_record(t, out, t->groups[i], k, &t->cells[i * n + k]);
    for (size_t k = 0; good && k < n; k++)
        good = print_record(t, out, NULL, k, &t->all[k]);
    return good;
}
