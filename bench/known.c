/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of this machine, kept from one run to the next: limits.json in
 * $XDG_CACHE_HOME/lacuna/ or ~/.cache/lacuna/ (XDG Base Directory Specification 0.8).
 *
 *   {"machine": "...", "limits": [{"name", "dtype", "threads", "rate"}, ...]} */
#include "bench/known.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"
#include "simd/cpu.h"

enum { PATH_SIZE = 4096, MACHINE_SIZE = 640 };

/* Whatever makes other limits likely. */
static void describe_machine(char text[MACHINE_SIZE])
{
    const struct bench_settings *s = &bench_settings;
    char model[256];
    bench_cpu_model(model, sizeof model);
    snprintf(text, MACHINE_SIZE, "%s, features %x, %s, %zu cores", model, lac_cpu_features(),
             s->topology, s->n_cores);
}

/* The folder's name; 0 when the environment does not say. */
static int find_folder(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = 0;
    /* Relative paths are invalid there, and to be ignored. */
    if (cache && *cache == '/')
        n = snprintf(path, size, "%s", cache);
    else if (home && *home == '/')
        n = snprintf(path, size, "%s/.cache", home);
    return n > 0 && (size_t)n < size;
}

static int find_file(char *path, size_t size)
{
    char folder[PATH_SIZE];
    return find_folder(folder, sizeof folder) &&
           (size_t)snprintf(path, size, "%s/lacuna/limits.json", folder) < size;
}

static int read_limit(const json_t *item, struct bench_limit *limit)
{
    const char *name = json_string_value(json_object_get(item, "name"));
    const char *dtype = json_string_value(json_object_get(item, "dtype"));
    json_int_t threads = json_integer_value(json_object_get(item, "threads"));
    double rate = json_number_value(json_object_get(item, "rate"));
    if (!name || !dtype || threads < 1 || !(rate > 0))
        return 0;
    snprintf(limit->name, sizeof limit->name, "%s", name);
    snprintf(limit->dtype, sizeof limit->dtype, "%s", dtype);
    limit->threads = (size_t)threads;
    limit->rate = rate;
    return 1;
}

enum bench_limits_state bench_limits_load(struct bench_limits *limits)
{
    char path[PATH_SIZE], machine[MACHINE_SIZE];
    limits->n = 0;
    if (!find_file(path, sizeof path))
        return BENCH_LIMITS_NONE;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    const char *of = json_string_value(json_object_get(root, "machine"));
    enum bench_limits_state state = !root ? BENCH_LIMITS_NONE : BENCH_LIMITS_STALE;
    describe_machine(machine);
    if (of && !strcmp(of, machine)) {
        json_t *list = json_object_get(root, "limits"), *item;
        size_t i;
        json_array_foreach(list, i, item) if (limits->n < BENCH_MOST_LIMITS) limits->n +=
            (size_t)read_limit(item, &limits->at[limits->n]);
        state = limits->n ? BENCH_LIMITS_KNOWN : BENCH_LIMITS_STALE;
    }
    json_decref(root);
    return state;
}

static enum lac_status make_folders(struct lac_error *error)
{
    char folder[PATH_SIZE], path[PATH_SIZE + 8];
    if (!find_folder(folder, sizeof folder))
        return lac_fail(error, LAC_E_IO, "neither XDG_CACHE_HOME nor HOME is set");
    snprintf(path, sizeof path, "%s/lacuna", folder);
    if ((mkdir(folder, 0700) && errno != EEXIST) || (mkdir(path, 0700) && errno != EEXIST))
        return lac_fail(error, LAC_E_IO, "%s: %s", path, strerror(errno));
    return LAC_OK;
}

enum lac_status bench_cache_path(const char *name, char *path, size_t size, struct lac_error *error)
{
    char folder[PATH_SIZE];
    if (make_folders(error))
        return error->status;
    if (!find_folder(folder, sizeof folder) ||
        (size_t)snprintf(path, size, "%s/lacuna/%s", folder, name) >= size)
        return lac_fail(error, LAC_E_IO, "the name of the cache is too long");
    return LAC_OK;
}

enum lac_status bench_limits_save(const struct bench_limits *limits, char *path, size_t size,
                                  struct lac_error *error)
{
    char machine[MACHINE_SIZE];
    if (bench_cache_path("limits.json", path, size, error))
        return error->status;
    describe_machine(machine);
    json_t *list = json_array(), *root = json_object();
    int failed = json_object_set_new(root, "machine", json_string(machine)) |
                 json_object_set_new(root, "limits", list);
    for (size_t i = 0; i < limits->n; i++) {
        const struct bench_limit *limit = &limits->at[i];
        json_t *item = json_object();
        failed |= json_object_set_new(item, "name", json_string(limit->name)) |
                  json_object_set_new(item, "dtype", json_string(limit->dtype)) |
                  json_object_set_new(item, "threads", json_integer((json_int_t)limit->threads)) |
                  json_object_set_new(item, "rate", json_real(limit->rate)) |
                  json_array_append_new(list, item);
    }
    failed |= json_dump_file(root, path, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    json_decref(root);
    return failed ? lac_fail(error, LAC_E_IO, "%s cannot be written", path) : LAC_OK;
}

const struct bench_limit *bench_limits_find(const struct bench_limits *limits, const char *name,
                                            size_t threads)
{
    for (size_t i = 0; i < limits->n; i++)
        if (!strcmp(limits->at[i].name, name) && limits->at[i].threads == threads)
            return &limits->at[i];
    return NULL;
}
