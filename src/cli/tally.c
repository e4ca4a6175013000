/* SPDX-License-Identifier: Apache-2.0 */
/* What `lacuna score` finds, added up. */
#include "src/cli/tally.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "src/cli/job.h"

/* As in options and records. */
static const char *const kind_names[N_COLUMN_KINDS] = {
    [COLUMN_ATTENTION] = "attention",
    [COLUMN_KV] = "kv",
    [COLUMN_ACTIVATIONS] = "activations",
};

static size_t count(const char *const *names)
{
    size_t n = 0;
    while (names[n])
        n++;
    return n;
}

bool tallies_open(struct tallies *t, const struct options *o)
{
    const char *const *const given[] = {
        [COLUMN_ATTENTION] = o->attention,
        [COLUMN_KV] = o->kv,
        [COLUMN_ACTIVATIONS] = o->activations,
    };
    *t = (struct tallies){.has_tasks = o->tasks, .n_columns = 1};
    for (size_t i = 0, most = 0; i < N_COLUMN_KINDS; i++) {
        size_t n = count(given[i]);
        t->kinds[i].names = given[i];
        t->kinds[i].n = n;
        if (n > 1 && t->n_columns > 1 && n != t->n_columns) {
            complain("--%s and --%s: %zu and %zu of them; one of either, or as many",
                     kind_names[most], kind_names[i], t->n_columns, n);
            return false;
        }
        if (n > t->n_columns) {
            t->n_columns = n;
            most = i;
        }
    }
    t->all = calloc(t->n_columns, sizeof *t->all);
    return t->all != NULL;
}

const char *tallies_name(const struct tallies *t, enum column_kind kind, size_t column)
{
    return t->kinds[kind].names[t->kinds[kind].n > 1 ? column : 0];
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
    size_t width = COLUMN_WIDTH;
    for (size_t i = 0; i < N_COLUMN_KINDS; i++) {
        const char *name = tallies_name(t, i, column);
        if (name && strlen(name) > width)
            width = strlen(name);
    }
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

static void print_names(const struct tallies *t, struct output *out, enum column_kind kind)
{
    if (!t->kinds[kind].n)
        return;
    fprintf(out->file, "%-*s", NAME_WIDTH, "");
    for (size_t i = 0; i < t->n_columns; i++)
        fprintf(out->file, " %*s", width_of(t, i), tallies_name(t, kind, i));
    fputc('\n', out->file);
}

static bool has_policies(const struct tallies *t)
{
    bool has = t->has_tasks;
    for (size_t i = 0; i < N_COLUMN_KINDS; i++)
        has = has || t->kinds[i].n;
    return has;
}

void tallies_print(const struct tallies *t, struct output *out)
{
    size_t n = t->n_columns;
    const bool is_there[] = {
        [ALWAYS] = true,
        [WITH_TASKS] = t->has_tasks,
        [WITH_POLICIES] = has_policies(t),
        [WITH_SEVERAL] = n > 1,
        [WITH_ACTIVATIONS] = t->kinds[COLUMN_ACTIVATIONS].n,
    };
    for (size_t i = 0; i < N_COLUMN_KINDS; i++)
        print_names(t, out, i);
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
    return good && json_put(record, "active", json_real(active(tally, NULL))) &&
           json_put(record, "read", json_real(read_share(tally, NULL)));
}

static bool print_record(const struct tallies *t, struct output *out, const char *group,
                         size_t column, const struct tally *tally)
{
    json_t *record = json_object();
    bool good = record != NULL;
    for (size_t i = 0; i < N_COLUMN_KINDS; i++)
        if (t->kinds[i].n)
            good = good && json_put(record, kind_names[i], json_string(tallies_name(t, i, column)));
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
    if (t->kinds[COLUMN_ACTIVATIONS].n)
        good = good && put_neurons(t, record, column, tally);
    if (has_policies(t))
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
