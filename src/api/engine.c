/* SPDX-License-Identifier: Apache-2.0 */
/* The engine and its options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simd/cpu.h"
#include "src/api/internal.h"
#include "src/base/file.h"
#include "src/run/plan_measure.h"

struct lac_engine_options {
    size_t n_threads;
    enum lac_bind bind;
    unsigned allowed; /* features */
    char *plan_cache; /* or NULL; the default host's */
    struct lac_host host;
    struct lac_error error;
};

enum lac_status lac_engine_options_new(struct lac_engine_options **options)
{
    if (!options)
        return LAC_E_ARGUMENT;
    struct lac_engine_options *o = lac_alloc_zero(&lac_default_host, 1, sizeof *o);
    if (!o)
        return LAC_E_MEMORY;
    o->allowed = ~0u;
    o->host = lac_default_host;
    *options = o;
    return LAC_OK;
}

void lac_engine_options_free(struct lac_engine_options *options)
{
    if (options)
        lac_free(&lac_default_host, options->plan_cache);
    lac_free(&lac_default_host, options);
}

void lac_engine_options_set_threads(struct lac_engine_options *options, size_t n_threads)
{
    options->n_threads = n_threads;
    lac_error_clear(&options->error);
}

void lac_engine_options_set_bind(struct lac_engine_options *options, enum lac_bind bind)
{
    options->bind = bind;
    lac_error_clear(&options->error);
}

enum lac_status lac_engine_options_set_isa(struct lac_engine_options *options, const char *isa)
{
    lac_error_clear(&options->error);
    unsigned allowed;
    if (lac_isa_allowed(isa, &allowed))
        return lac_fail(&options->error, LAC_E_ARGUMENT, "no instruction set is called \"%s\"",
                        isa);
    options->allowed = allowed;
    return LAC_OK;
}

enum lac_status lac_engine_options_set_plan_cache(struct lac_engine_options *options,
                                                  const char *path)
{
    lac_error_clear(&options->error);
    char *copy = path ? lac_strndup(&lac_default_host, path, strlen(path)) : NULL;
    if (path && !copy)
        return lac_fail(&options->error, LAC_E_MEMORY, "no memory for a path");
    lac_free(&lac_default_host, options->plan_cache);
    options->plan_cache = copy;
    return LAC_OK;
}

void lac_engine_options_set_allocator(struct lac_engine_options *options,
                                      const struct lac_allocator *allocator)
{
    options->host.allocator = allocator ? *allocator : lac_default_host.allocator;
    lac_error_clear(&options->error);
}

void lac_engine_options_set_log(struct lac_engine_options *options, const struct lac_log *log)
{
    options->host.log = log ? *log : lac_default_host.log;
    lac_error_clear(&options->error);
}

const char *lac_engine_options_message(const struct lac_engine_options *options)
{
    return options->error.text;
}

/* ---- The environment ---- */

static enum lac_status read_threads(struct lac_engine_options *o)
{
    const char *text = getenv("LACUNA_THREADS");
    if (!text || !*text)
        return LAC_OK;
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || n > LAC_MAX_THREADS)
        return lac_fail(&o->error, LAC_E_ARGUMENT,
                        "LACUNA_THREADS: \"%s\" is not a number of threads from 0 to %d", text,
                        (int)LAC_MAX_THREADS);
    o->n_threads = n;
    return LAC_OK;
}

static enum lac_status read_bind(struct lac_engine_options *o)
{
    static const struct {
        const char *name;
        enum lac_bind bind;
    } binds[] = {
        {"core", LAC_BIND_CORE},
        {"thread", LAC_BIND_THREAD},
        {"numa", LAC_BIND_NUMA},
        {"none", LAC_BIND_NONE},
    };
    const char *text = getenv("LACUNA_BIND");
    if (!text || !*text)
        return LAC_OK;
    for (size_t i = 0; i < sizeof binds / sizeof binds[0]; i++)
        if (!strcmp(text, binds[i].name)) {
            o->bind = binds[i].bind;
            return LAC_OK;
        }
    return lac_fail(&o->error, LAC_E_ARGUMENT,
                    "LACUNA_BIND: \"%s\" is not one of core, thread, numa, none", text);
}

static enum lac_status read_isa(struct lac_engine_options *o)
{
    const char *text = getenv("LACUNA_ISA");
    if (!text || !*text)
        return LAC_OK;
    enum lac_status status = lac_engine_options_set_isa(o, text);
    return status ? lac_fail_in(&o->error, status, "LACUNA_ISA") : LAC_OK;
}

enum lac_status lac_engine_options_from_environment(struct lac_engine_options *options)
{
    struct lac_engine_options changed = *options;
    lac_error_clear(&changed.error);
    enum lac_status status = read_threads(&changed);
    if (!status)
        status = read_bind(&changed);
    if (!status)
        status = read_isa(&changed);
    if (status)
        options->error = changed.error;
    else
        *options = changed;
    return status;
}

/* ---- The engine ---- */

/* A file that is not there, or does not fit this machine, is no failure: the plan then goes by the
 * costs that are built in. */
static void read_plan(struct lac_engine *engine, const char *path)
{
    struct lac_error error = {0};
    struct lac_plan_machine machine;
    if (!path || !lac_path_is_file(path))
        return;
    lac_plan_machine_here(engine->topology, &machine);
    if (lac_plan_table_read(&engine->host, path, &machine, &engine->plan_table, &error))
        lac_log(&engine->host, LAC_LOG_WARNING, "%s; the built-in plan is used", error.text);
}

static enum lac_status start(struct lac_engine *engine, const struct lac_engine_options *o,
                             struct lac_error *error)
{
    if (o->bind < LAC_BIND_CORE || o->bind > LAC_BIND_NONE)
        return lac_fail(error, LAC_E_ARGUMENT, "unknown binding %d", (int)o->bind);
    enum lac_status status = lac_topology_new(&engine->host, &engine->topology, error);
    if (!status)
        status = lac_pool_new(&engine->host, engine->topology, o->n_threads, o->bind, &engine->pool,
                              error);
    if (!status)
        read_plan(engine, o->plan_cache);
    return status;
}

enum lac_status lac_engine_new(struct lac_engine_options *options, struct lac_engine **engine)
{
    static const struct lac_engine_options defaults = {.allowed = ~0u};
    const struct lac_engine_options *o = options ? options : &defaults;
    struct lac_error error = {0};
    enum lac_status status = LAC_E_ARGUMENT;
    if (!engine)
        return lac_fail(options ? &options->error : NULL, LAC_E_ARGUMENT,
                        "lac_engine_new: engine is NULL");
    const struct lac_host *host = options ? &options->host : &lac_default_host;
    struct lac_engine *e = lac_alloc_zero(host, 1, sizeof *e);
    if (!e)
        return lac_fail(options ? &options->error : NULL, LAC_E_MEMORY, "no memory for an engine");
    e->host = *host;
    e->features = lac_cpu_features() & o->allowed;
    if (pthread_mutex_init(&e->mutex, NULL)) {
        lac_free(host, e);
        return lac_fail(options ? &options->error : NULL, LAC_E_IO, "no mutex for an engine");
    }
    status = start(e, o, &error);
    if (options)
        options->error = error;
    if (status) {
        lac_engine_free(e);
        return status;
    }
    *engine = e;
    return LAC_OK;
}

void lac_engine_free(struct lac_engine *engine)
{
    if (!engine)
        return;
    lac_pool_free(engine->pool);
    lac_topology_free(engine->topology);
    lac_free(&engine->host, engine->plan_table);
    pthread_mutex_destroy(&engine->mutex);
    struct lac_host host = engine->host;
    lac_free(&host, engine);
}

size_t lac_engine_threads(const struct lac_engine *engine)
{
    return lac_pool_size(engine->pool);
}

const char *lac_engine_isa(const struct lac_engine *engine)
{
    return lac_isa_name(engine->features);
}

enum lac_status lac_engine_fail(struct lac_engine *engine, const struct lac_error *error)
{
    pthread_mutex_lock(&engine->mutex);
    memcpy(engine->message, error->text, sizeof engine->message);
    pthread_mutex_unlock(&engine->mutex);
    return error->status;
}

char *lac_engine_message(struct lac_engine *engine, char *text, size_t size)
{
    pthread_mutex_lock(&engine->mutex);
    if (size)
        snprintf(text, size, "%s", engine->message);
    pthread_mutex_unlock(&engine->mutex);
    return text;
}
